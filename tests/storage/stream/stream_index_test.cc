#include "storage/stream/stream_index.h"

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

Place PlaceOf(uint64_t sequence) {
  return {static_cast<uint32_t>(1 + sequence / 1000), static_cast<uint32_t>(sequence % 1000)};
}

TEST(StreamIndexTest, NothingWithoutAMark) {
  StreamIndex index;
  EXPECT_EQ(index.AtOrBefore(3, 7).sequence, 0u);
  EXPECT_EQ(index.Behind(3, 7).sequence, 0u);
  index.Add(3, {5, PlaceOf(5)});
  EXPECT_EQ(index.AtOrBefore(3, 4).sequence, 0u);
  EXPECT_EQ(index.Behind(3, 4).sequence, 5u);
  EXPECT_EQ(index.AtOrBefore(3, 5).place, PlaceOf(5));
  EXPECT_EQ(index.Behind(3, 5).sequence, 0u);
  EXPECT_EQ(index.AtOrBefore(2, 5).sequence, 0u);
  EXPECT_EQ(index.AtOrBefore(4, 5).sequence, 0u);
}

TEST(StreamIndexTest, FindsTheMarksAroundASequence) {
  StreamIndex index;
  Random random(1);
  std::vector<uint64_t> sequences;
  for (uint64_t sequence = 1; sequence < 50'000; sequence += 1 + random.Below(100)) {
    sequences.push_back(sequence);
    index.Add(1, {sequence, PlaceOf(sequence)});
    index.Add(2, {2 * sequence, PlaceOf(sequence)});
  }
  for (size_t i = 0; i + 1 < sequences.size(); ++i) {
    for (uint64_t wanted : {sequences[i], sequences[i + 1] - 1}) {
      ASSERT_EQ(index.AtOrBefore(1, wanted).sequence, sequences[i]);
      ASSERT_EQ(index.AtOrBefore(1, wanted).place, PlaceOf(sequences[i]));
      ASSERT_EQ(index.Behind(1, wanted).sequence, sequences[i + 1]);
    }
    ASSERT_EQ(index.AtOrBefore(2, 2 * sequences[i]).sequence, 2 * sequences[i]);
  }
}

// However many there are, memory is bounded and marks stay evenly spread.
TEST(StreamIndexTest, MemoryIsBounded) {
  constexpr size_t kMost = 1000;
  StreamIndex index(kMost);
  for (uint64_t i = 1; i <= 100'000; ++i) {
    index.Add(1, {i, PlaceOf(i)});
    if (i % 10 == 0) index.Add(2, {i, PlaceOf(i)});
    ASSERT_LE(index.marks(), kMost);
  }
  EXPECT_LE(index.memory_bytes(), kMost * sizeof(StreamIndex::Mark) * 3 / 2 + 1000);
  for (uint64_t wanted = 1; wanted < 99'000; wanted += 7) {
    const uint64_t before = index.AtOrBefore(1, wanted).sequence;
    ASSERT_GE(before, 1u);
    ASSERT_LE(before, wanted);
    ASSERT_LE(index.Behind(1, wanted).sequence - before, 256u);
    ASSERT_GT(index.Behind(1, wanted).sequence, wanted);
  }
}

// Where there are more streams than marks, each keeps one.
TEST(StreamIndexTest, EachStreamKeepsItsFirstMark) {
  StreamIndex index(10);
  for (StreamId stream = 1; stream <= 100; ++stream) {
    for (uint64_t i = 1; i <= 50; ++i) index.Add(stream, {i, PlaceOf(i)});
  }
  for (StreamId stream = 1; stream <= 100; ++stream) {
    ASSERT_EQ(index.AtOrBefore(stream, 1).sequence, 1u);
  }
  EXPECT_LT(index.marks(), 400u);
}

}  // namespace
}  // namespace cairn

#include "storage/stream/stream_index.h"

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(AcceptedEntriesTest, RemembersExactlyWhatWasAdded) {
  Random random(7);
  AcceptedEntries entries;
  std::set<Index> added;
  Index index = 1000;
  for (int i = 0; i < 5000; ++i) {
    index += 1 + random.Below(i % 100 == 0 ? 500 : 3);
    entries.Add(index);
    added.insert(index);
  }
  for (Index i = 0; i < index + 200; ++i) {
    ASSERT_EQ(entries.Contains(i), added.count(i) == 1) << i;
  }
}

TEST(AcceptedEntriesTest, TakesABitAnEntry) {
  AcceptedEntries entries;
  for (Index i = 1; i <= 1'000'000; ++i) entries.Add(i);
  EXPECT_LE(entries.memory_bytes(), size_t{256} * 1024);
}

TEST(StreamIndexTest, NothingBeforeTheFirstEntry) {
  StreamIndex index;
  EXPECT_EQ(index.Before(1).index, Index{0});
  index.Add(5, 10);
  EXPECT_EQ(index.Before(4).index, Index{0});
  EXPECT_EQ(index.Before(5).index, Index{10});
  EXPECT_EQ(index.Before(500).index, Index{10});
}

// A mark is one of the entries, not behind what is looked for, and close to it: few entries of the
// stream and few of the log lie between.
TEST(StreamIndexTest, MarksAreCloseBefore) {
  Random random(3);
  StreamIndex index;
  std::vector<std::pair<uint64_t, Index>> entries;
  uint64_t sequence = 1;
  Index at = 1;
  for (int i = 0; i < 50'000; ++i) {
    index.Add(sequence, at);
    entries.emplace_back(sequence, at);
    sequence += 1 + random.Below(4);
    at += 1 + (random.OneIn(50) ? random.Below(5000) : random.Below(3));
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    StreamIndex::Mark mark = index.Before(entries[i].first);
    ASSERT_LE(mark.sequence, entries[i].first);
    auto found =
        std::lower_bound(entries.begin(), entries.end(), std::make_pair(mark.sequence, mark.index));
    ASSERT_EQ(*found, std::make_pair(mark.sequence, mark.index));
    ASSERT_LT(i - static_cast<size_t>(found - entries.begin()), 64u);
    ASSERT_LT(entries[i].second - mark.index, 1024u);
  }
}

TEST(StreamIndexTest, MemoryIsBounded) {
  StreamIndex index;
  const uint64_t entries = 10'000'000;
  for (uint64_t i = 1; i <= entries; ++i) index.Add(i, 2 * i);
  EXPECT_LE(index.memory_bytes(), size_t{2} << 20);
  for (uint64_t i = 1; i <= entries; i += 9973) {
    StreamIndex::Mark mark = index.Before(i);
    ASSERT_EQ(mark.index, 2 * mark.sequence);
    ASSERT_LE(mark.sequence, i);
    ASSERT_LE(i - mark.sequence, 512u);
  }
}

}  // namespace
}  // namespace cairn

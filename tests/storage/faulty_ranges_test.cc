#include "storage/faulty_ranges.h"

#include <map>
#include <string>
#include <utility>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

struct Said {
  Term term = 0;
  uint64_t offset = 0;
  std::string reason;
  friend bool operator==(const Said&, const Said&) = default;
};

// What is said of each entry. Offsets are of the first one of a range.
std::map<Index, Said> Entries(const FaultyRanges& ranges) {
  std::map<Index, Said> entries;
  Index behind = 0;
  for (const FaultyEntries& range : ranges.Ranges()) {
    EXPECT_GT(range.first.index, behind) << "in order, none twice";
    behind = range.last;
    for (Index index = range.first.index; index <= range.last; ++index) {
      const uint64_t offset = index == range.first.index ? range.offset : 0;
      entries[index] = {range.first.term, offset, range.reason};
    }
  }
  return entries;
}

TEST(FaultyRangesTest, EqualsAMapOfEntries) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    FaultyRanges ranges;
    std::map<Index, Said> twin;
    for (int step = 0; step < 60; ++step) {
      const Index first = 1 + random.Below(30);
      const Index last = first + random.Below(6);
      const bool add = random.OneIn(2);
      Said said = {1 + random.Below(2), 0, random.OneIn(2) ? "rot" : "gone"};
      const bool has_place = first == last && random.OneIn(2);
      if (has_place) said.offset = 512 * first;
      for (Index index = first; index <= last; ++index) {
        if (add) {
          twin[index] = said;
        } else {
          twin.erase(index);
        }
      }
      if (add) {
        ranges.Add({{first, said.term}, last, "file", said.offset, said.reason});
      } else {
        ranges.Remove(first, last);
      }
      ASSERT_EQ(Entries(ranges), twin);
      ASSERT_EQ(ranges.empty(), twin.empty());
      const Index least = twin.empty() ? 0 : twin.begin()->first;
      ASSERT_EQ(ranges.empty() ? 0 : ranges.first(), least);
      for (Index index = 0; index <= 40; ++index) {
        ASSERT_EQ(ranges.Contains(index), twin.contains(index)) << index;
      }
    }
  }
}

// However many entries they are.
TEST(FaultyRangesTest, TheSameOfNeighboursIsOneRange) {
  FaultyRanges ranges;
  ranges.Add({{1, 7}, 10, "file", 0, "gone"});
  ranges.Add({{21, 7}, kMaxIndex, "file", 0, "gone"});
  EXPECT_EQ(ranges.Ranges().size(), 2u);
  ranges.Add({{11, 7}, 20, "file", 0, "gone"});
  ASSERT_EQ(ranges.Ranges().size(), 1u);
  EXPECT_EQ(ranges.Ranges()[0].size(), kMaxIndex);
  ranges.Remove(1000, 1000);
  EXPECT_EQ(ranges.Ranges().size(), 2u);
  ranges.Add({{1000, 8}, 1000, "file", 0, "gone"});
  EXPECT_EQ(ranges.Ranges().size(), 3u) << "of another term";
  ranges.Add({{1000, 7}, 1000, "file", 512, "gone"});
  EXPECT_EQ(ranges.Ranges().size(), 3u) << "it has a place of its own";
  ranges.Remove(0, kMaxIndex);
  EXPECT_TRUE(ranges.empty());
}

}  // namespace
}  // namespace cairn

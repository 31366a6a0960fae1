#include "storage/open_entries.h"

#include <set>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

using Twin = std::set<std::pair<GroupId, Index>>;

constexpr GroupId kGroup{1};
constexpr Index kMany = 1'000'000;

void ExpectEqual(const OpenEntries& open, const Twin& twin) {
  Twin entries;
  size_t ranges = 0;
  for (uint64_t group = 1; group <= 3; ++group) {
    const GroupId id{group};
    Index not_before = 0;
    for (const OpenRange& range : open.Of(id)) {
      ++ranges;
      EXPECT_LE(range.first, range.last);
      EXPECT_GE(range.first, not_before) << "in order, none next to another";
      not_before = range.last + 2;
      for (Index index = range.first; index <= range.last; ++index) entries.emplace(id, index);
    }
    EXPECT_EQ(open.Has(id), !open.Of(id).empty());
  }
  EXPECT_EQ(entries, twin);
  EXPECT_EQ(open.size(), twin.size());
  EXPECT_EQ(open.ranges(), ranges);
}

bool Contains(const Twin& twin, GroupId group, OpenRange range) {
  for (Index index = range.first; index <= range.last; ++index) {
    if (!twin.contains({group, index})) return false;
  }
  return range.first <= range.last;
}

TEST(OpenEntriesTest, EqualsASetOfSingleEntries) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    OpenEntries open;
    Twin twin;
    for (int step = 0; step < 60; ++step) {
      const GroupId group{1 + random.Below(2)};
      const Index first = 1 + random.Below(30);
      // One in seven is none: it ends before it begins.
      const OpenRange range = {first, first + random.Below(7) - 1};
      const bool add = random.OneIn(2);
      for (Index index = range.first; index <= range.last; ++index) {
        if (add) {
          twin.emplace(group, index);
        } else {
          twin.erase({group, index});
        }
      }
      if (add) {
        open.Add(group, range);
      } else {
        open.Remove(group, range);
      }
      ExpectEqual(open, twin);
      const Index from = random.Below(38);
      const OpenRange asked = {from, from + random.Below(5)};
      ASSERT_EQ(open.Contains(group, asked), Contains(twin, group, asked));
      if (testing::Test::HasFailure()) return;
    }
  }
}

// One by one, from the front, from behind, and every other one first: what is held is counted, and
// looking at all that is held for each would not come to an end.
TEST(OpenEntriesTest, AGapIsOneRangeHoweverItIsTold) {
  OpenEntries open;
  for (Index index = 1; index <= kMany; ++index) {
    open.Add(kGroup, {index, index});
    ASSERT_EQ(open.ranges(), 1u);
  }
  for (Index index = 1; index <= kMany; ++index) open.Remove(kGroup, {index, index});
  EXPECT_FALSE(open.Has(kGroup));
  for (Index index = kMany; index >= 1; --index) {
    open.Add(kGroup, {index, index});
    ASSERT_EQ(open.ranges(), 1u);
  }
  open.Remove(kGroup, {1, kMany});
  EXPECT_EQ(open.size(), 0u);
  for (Index index = 1; index <= kMany; index += 2) open.Add(kGroup, {index, index});
  EXPECT_EQ(open.ranges(), kMany / 2);
  for (Index index = 2; index <= kMany; index += 2) open.Add(kGroup, {index, index});
  EXPECT_EQ(open.Of(kGroup), (std::vector<OpenRange>{{1, kMany}}));
  EXPECT_EQ(open.size(), kMany);
}

// No log has them; a file that has rotted may say so.
TEST(OpenEntriesTest, AnyNumbersWillDo) {
  constexpr Index kEnd = ~Index{0};
  OpenEntries open;
  open.Add(kGroup, {kEnd, kEnd});
  open.Add(kGroup, {1, kEnd - 1});
  EXPECT_EQ(open.Of(kGroup), (std::vector<OpenRange>{{1, kEnd}}));
  EXPECT_TRUE(open.Contains(kGroup, {5, kEnd}));
  for (const OpenRange none : {OpenRange{0, 0}, OpenRange{0, kEnd}, OpenRange{7, 6}}) {
    open.Add(kGroup, none);
    open.Remove(kGroup, none);
    EXPECT_FALSE(open.Contains(kGroup, none));
  }
  EXPECT_EQ(open.size(), kEnd);
  open.Remove(kGroup, {10, kEnd});
  EXPECT_EQ(open.Of(kGroup), (std::vector<OpenRange>{{1, 9}}));
}

}  // namespace
}  // namespace cairn

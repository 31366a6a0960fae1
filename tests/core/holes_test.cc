#include "raft/core/holes.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

std::vector<HoleRange> RangesOf(const std::set<Index>& twin) {
  std::vector<HoleRange> ranges;
  for (Index index : twin) {
    if (!ranges.empty() && ranges.back().last + 1 == index) {
      ranges.back().last = index;
    } else {
      ranges.push_back({index, index});
    }
  }
  return ranges;
}

TEST(HolesTest, EqualsASetOfIndexes) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Holes holes;
    std::set<Index> twin;
    for (int step = 0; step < 60; ++step) {
      const Index first = 1 + random.Below(30);
      const HoleRange range = {first, first + random.Below(6)};
      const bool add = random.OneIn(2);
      for (Index index = range.first; index <= range.last; ++index) {
        if (add) {
          twin.insert(index);
        } else {
          twin.erase(index);
        }
      }
      if (add) {
        holes.Add(range);
      } else {
        holes.Remove(range);
      }
      ASSERT_EQ(holes.Ranges(), RangesOf(twin));
      ASSERT_EQ(holes.size(), twin.size());
      ASSERT_EQ(holes.empty(), twin.empty());
      if (!twin.empty()) {
        ASSERT_EQ(holes.first(), *twin.begin());
        ASSERT_EQ(holes.last(), *twin.rbegin());
      }
      for (Index index = 0; index <= 40; ++index) {
        ASSERT_EQ(holes.Contains(index), twin.contains(index)) << index;
        const auto next = twin.lower_bound(index);
        ASSERT_EQ(holes.FirstFrom(index), next == twin.end() ? 0 : *next) << index;
        const std::vector<HoleRange> ranges = RangesOf(twin);
        const auto found =
            std::find_if(ranges.begin(), ranges.end(),
                         [index](const HoleRange& each) { return each.last >= index; });
        ASSERT_EQ(holes.RangeFrom(index), found == ranges.end() ? HoleRange() : *found) << index;
      }
    }
  }
}

TEST(HolesTest, RemovingNothingIsAllowed) {
  Holes holes;
  holes.Remove({5, 4});
  holes.Remove({1, kMaxIndex});
  EXPECT_TRUE(holes.empty());
  holes.Add({3, 3});
  holes.Remove({4, kMaxIndex});
  EXPECT_EQ(holes.Ranges(), (std::vector<HoleRange>{{3, 3}}));
}

}  // namespace
}  // namespace cairn

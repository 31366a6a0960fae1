#include "raft/core/disk_lag.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

Instant At(int64_t milliseconds) { return Instant{} + Milliseconds(milliseconds); }

TEST(DiskLagTest, CountsFromTheCommitOnTillTheEntryIsDurable) {
  DiskLag lag;
  EXPECT_EQ(lag.behind_since(), kDistantFuture);
  lag.Look(10, 10, At(0));
  EXPECT_EQ(lag.behind_since(), kDistantFuture);
  lag.Look(12, 10, At(5));
  lag.Look(20, 11, At(50));
  EXPECT_EQ(lag.behind_since(), At(5));
  lag.Look(20, 20, At(60));
  EXPECT_EQ(lag.behind_since(), kDistantFuture);
}

TEST(DiskLagTest, ADiskThatComesOnIsJudgedByWhatItLacksThen) {
  DiskLag lag;
  lag.Look(12, 10, At(5));
  lag.Look(30, 12, At(100));
  EXPECT_EQ(lag.behind_since(), At(100));
}

TEST(DiskLagTest, StartsAgainWhenTold) {
  DiskLag lag;
  lag.Look(12, 10, At(5));
  lag.Restart(At(500));
  EXPECT_EQ(lag.behind_since(), At(500));
}

// Against a twin that remembers when each entry was committed.
TEST(DiskLagTest, NeverTellsMoreThanTheTrueLag) {
  Random random(3);
  DiskLag lag;
  std::deque<std::pair<Index, Instant>> committed;
  Index commit = 0;
  Index durable = 0;
  Instant now;
  int behind = 0;
  for (int i = 0; i < 20'000; ++i) {
    now = now + Milliseconds(static_cast<int64_t>(random.Below(20)));
    if (random.OneIn(2)) {
      commit += random.Below(3);
      if (committed.empty() || committed.back().first < commit) committed.emplace_back(commit, now);
    }
    if (random.OneIn(3)) durable = std::min(commit, durable + random.Below(6));
    while (!committed.empty() && committed.front().first <= durable) committed.pop_front();
    lag.Look(commit, durable, now);
    ASSERT_EQ(lag.behind_since() == kDistantFuture, durable >= commit) << i;
    if (committed.empty()) continue;
    ++behind;
    ASSERT_GE(lag.behind_since(), committed.front().second) << i;
  }
  EXPECT_GT(behind, 1000);
}

}  // namespace
}  // namespace cairn

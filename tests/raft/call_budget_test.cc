#include "raft/call_budget.h"

#include <thread>

#include "base/system_clock.h"
#include "gtest/gtest.h"
#include "tests/raft/manual_executor.h"

namespace cairn {
namespace {

TEST(CallBudgetTest, RefusesWhatExceedsIt) {
  CallBudget budget(100);
  EXPECT_TRUE(budget.Take(60));
  EXPECT_FALSE(budget.Take(41));
  EXPECT_TRUE(budget.Take(40));
  EXPECT_FALSE(budget.Take(1));
  EXPECT_TRUE(budget.Take(0));
  EXPECT_EQ(budget.calls(), 3u);
  budget.Release(60);
  EXPECT_TRUE(budget.Take(60));
}

TEST(CallBudgetTest, OneCallAloneAlwaysFits) {
  CallBudget budget(100);
  EXPECT_TRUE(budget.Take(1000));
  EXPECT_FALSE(budget.Take(1));
  budget.Release(1000);
  EXPECT_TRUE(budget.Take(1));
}

TEST(CallBudgetTest, WaitsForNothingAfterTheDeadline) {
  ManualWorld world;
  CallBudget budget(100);
  EXPECT_TRUE(budget.WaitUntilIdle(world, world.Now()));
  ASSERT_TRUE(budget.Take(1));
  EXPECT_FALSE(budget.WaitUntilIdle(world, world.Now()));
  budget.Release(1);
  EXPECT_TRUE(budget.WaitUntilIdle(world, world.Now()));
}

TEST(CallBudgetTest, IsWokenByTheLastCall) {
  SystemClock clock;
  CallBudget budget(100);
  ASSERT_TRUE(budget.Take(1));
  ASSERT_TRUE(budget.Take(1));
  std::thread releaser([&] {
    budget.Release(1);
    budget.Release(1);
  });
  EXPECT_TRUE(budget.WaitUntilIdle(clock, clock.Now() + Seconds(60)));
  releaser.join();
}

}  // namespace
}  // namespace cairn

#include "tests/sim/sim_executor.h"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

class SimExecutorTest : public ::testing::Test {
 protected:
  NodeScheduler MakeScheduler(uint64_t seed) { return {events_, clock_, seed, {}}; }
  void RunAll() {
    while (events_.RunNext()) {
    }
  }

  EventQueue events_;
  SimClock clock_{events_, {.boot = Instant() + Seconds(50), .rate_per_mille = 1000, .wall = {}}};
};

TEST_F(SimExecutorTest, KeepsTheOrderOfOneExecutor) {
  NodeScheduler scheduler = MakeScheduler(1);
  std::unique_ptr<Executor> executor = scheduler.Make("one");
  std::vector<int> ran;
  for (int i = 0; i < 100; ++i) executor->Post([&ran, i] { ran.push_back(i); });
  RunAll();
  ASSERT_EQ(ran.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ran[static_cast<size_t>(i)], i);
}

TEST_F(SimExecutorTest, OrderBetweenExecutorsDependsOnTheSeed) {
  std::set<std::string> orders;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    NodeScheduler scheduler = MakeScheduler(seed);
    std::unique_ptr<Executor> one = scheduler.Make("one");
    std::unique_ptr<Executor> two = scheduler.Make("two");
    std::string order;
    for (int i = 0; i < 3; ++i) {
      one->Post([&order] { order += '1'; });
      two->Post([&order] { order += '2'; });
    }
    RunAll();
    orders.insert(order);
  }
  EXPECT_GT(orders.size(), 5u);
}

TEST_F(SimExecutorTest, TimersFollowTheNodesClock) {
  NodeScheduler scheduler = MakeScheduler(1);
  std::unique_ptr<Executor> executor = scheduler.Make("one");
  Instant fired;
  executor->PostAt(clock_.Now() + Seconds(3), [&] { fired = clock_.Now(); });
  RunAll();
  EXPECT_GE(fired, Instant() + Seconds(53));
  EXPECT_LT(fired, Instant() + Seconds(54));
}

TEST_F(SimExecutorTest, PausedTasksWait) {
  NodeScheduler scheduler = MakeScheduler(1);
  std::unique_ptr<Executor> executor = scheduler.Make("one");
  int ran = 0;
  executor->Post([&] { ++ran; });
  executor->Post([&] { ++ran; });
  scheduler.PauseUntil(Instant() + Seconds(9));
  events_.RunUntil(Instant() + Seconds(8));
  EXPECT_EQ(ran, 0);
  RunAll();
  EXPECT_EQ(ran, 2);
}

TEST_F(SimExecutorTest, NothingRunsAfterKillOrTheEndOfTheExecutor) {
  NodeScheduler scheduler = MakeScheduler(1);
  std::unique_ptr<Executor> ended = scheduler.Make("one");
  std::unique_ptr<Executor> killed = scheduler.Make("two");
  auto witness = std::make_shared<int>(0);
  ended->Post([witness] { ++*witness; });
  ended->PostAt(clock_.Now() + Seconds(1), [witness] { ++*witness; });
  ended.reset();
  EXPECT_EQ(witness.use_count(), 1);  // its tasks are destroyed
  killed->Post([witness] { ++*witness; });
  scheduler.Kill();
  RunAll();
  EXPECT_EQ(*witness, 0);
}

TEST_F(SimExecutorTest, TaskMayEndItsExecutor) {
  NodeScheduler scheduler = MakeScheduler(1);
  std::unique_ptr<Executor> executor = scheduler.Make("one");
  executor->Post([&] { executor.reset(); });
  executor->Post([] { FAIL(); });
  RunAll();
  EXPECT_EQ(executor, nullptr);
}

}  // namespace
}  // namespace cairn::sim

#include "tests/sim/sim_clock.h"

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

TEST(SimClockTest, RunsAtItsOwnRateFromItsBoot) {
  EventQueue events;
  events.RunUntil(Instant() + Seconds(100));
  SimClock clock(events, {.boot = Instant() + Seconds(7), .rate_per_mille = 500, .wall = {1000}});
  EXPECT_EQ(clock.Now(), Instant() + Seconds(7));
  events.RunUntil(Instant() + Seconds(102));
  EXPECT_EQ(clock.Now(), Instant() + Seconds(8));
  EXPECT_EQ(clock.WallNow(), (WallTime{1000 + 1'000'000'000}));
  clock.JumpWall(Seconds(-5));
  EXPECT_EQ(clock.WallNow(), (WallTime{1000 - 4'000'000'000}));
}

TEST(SimClockTest, ToVirtualIsNeverEarly) {
  EventQueue events;
  for (int64_t rate : {1, 333, 999, 1000, 1001, 2000}) {
    SimClock clock(events, {.boot = Instant(), .rate_per_mille = rate, .wall = {}});
    for (int64_t wait : {1, 10, 1'000'003}) {
      Instant local = clock.Now() + Nanoseconds(wait);
      events.RunUntil(clock.ToVirtual(local));
      EXPECT_GE(clock.Now(), local) << rate;
    }
  }
  SimClock clock(events, {.boot = Instant(), .rate_per_mille = 900, .wall = {}});
  EXPECT_GT(clock.ToVirtual(kDistantFuture), events.now() + Seconds(1'000'000));
}

}  // namespace
}  // namespace cairn::sim

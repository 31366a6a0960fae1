#include "raft/entry_clock.h"

#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr Instant kStart{1'000'000'000};
constexpr WallTime kWall{1'700'000'000'000'000'000};

Instant After(Duration d) { return kStart + d; }
WallTime WallAfter(Duration d) { return {kWall.nanoseconds + d.nanoseconds}; }

TEST(EntryClockTest, FollowsTheWallClock) {
  EntryClock clock(Seconds(10), kStart, kWall);
  EXPECT_EQ(clock.Stamp(After(Seconds(1)), WallAfter(Seconds(1))), WallAfter(Seconds(1)));
  EXPECT_EQ(clock.Stamp(After(Seconds(2)), WallAfter(Seconds(11))), WallAfter(Seconds(11)));
  EXPECT_EQ(clock.Stamp(After(Seconds(3)), WallAfter(Seconds(21))), WallAfter(Seconds(21)));
  EXPECT_FALSE(clock.disbelieved().has_value());
}

TEST(EntryClockTest, NeverFalls) {
  EntryClock clock(Seconds(10), kStart, kWall);
  EXPECT_EQ(clock.Stamp(After(Seconds(1)), kWall), kWall);
  EXPECT_EQ(clock.Stamp(After(Seconds(1)), WallAfter(Seconds(-3600))), kWall);
  clock.Saw(WallAfter(Seconds(5)));
  EXPECT_EQ(clock.Stamp(After(Seconds(2)), WallAfter(Seconds(-3600))), WallAfter(Seconds(5)));
  clock.Saw(WallAfter(Seconds(4)));
  EXPECT_EQ(clock.Stamp(After(Seconds(3)), WallAfter(Seconds(-3600))), WallAfter(Seconds(5)));
}

// Fault catalogue T1: ten years ahead all at once.
TEST(EntryClockTest, AJumpAheadIsNotBelieved) {
  EntryClock clock(Seconds(10), kStart, kWall);
  Duration years = Seconds(int64_t{10} * 365 * 86'400);
  EXPECT_EQ(clock.Stamp(After(Seconds(1)), WallAfter(years)), WallAfter(Seconds(1)));
  ASSERT_TRUE(clock.disbelieved().has_value());
  EXPECT_EQ(*clock.disbelieved(), years - Seconds(1));
  EXPECT_EQ(clock.Stamp(After(Seconds(3)), WallAfter(years + Seconds(2))), WallAfter(Seconds(3)));
  // Corrected: believed again.
  EXPECT_EQ(clock.Stamp(After(Seconds(4)), WallAfter(Seconds(4))), WallAfter(Seconds(4)));
  EXPECT_FALSE(clock.disbelieved().has_value());
}

}  // namespace
}  // namespace cairn

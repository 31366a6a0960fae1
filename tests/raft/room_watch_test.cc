#include "raft/control/room_watch.h"

#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(RoomWatchTest, ALeaderWithoutRoomHandsOverAtOnceAndThenEverMoreRarely) {
  RoomWatch watch(Seconds(2));
  Instant now{1};
  EXPECT_FALSE(watch.HandOverDue(now, true, true));
  EXPECT_FALSE(watch.HandOverDue(now, false, false));
  EXPECT_EQ(watch.NextDeadline(), kDistantFuture);
  int attempts = 0;
  Instant last = now;
  for (const Instant end = now + Seconds(200); now < end; now = now + Milliseconds(100)) {
    if (!watch.HandOverDue(now, true, false)) continue;
    if (++attempts > 6) {
      EXPECT_EQ(now - last, Seconds(32)) << attempts;
    }
    EXPECT_GT(watch.NextDeadline(), now);
    last = now;
  }
  EXPECT_EQ(attempts, 10) << "at 0, 2, 6, 14, 30, 62, 94, 126, 158, 190";
  // Once it had room it begins anew.
  EXPECT_FALSE(watch.HandOverDue(now, true, true));
  EXPECT_EQ(watch.NextDeadline(), kDistantFuture);
  EXPECT_TRUE(watch.HandOverDue(now, true, false));
  EXPECT_EQ(watch.NextDeadline(), now + Seconds(2));
}

}  // namespace
}  // namespace cairn

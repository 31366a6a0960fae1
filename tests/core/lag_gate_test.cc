#include "raft/core/lag_gate.h"

#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr Duration kBound = Milliseconds(1000);

Instant At(int64_t milliseconds) { return Instant{} + Milliseconds(milliseconds); }

TEST(LagGateTest, IsClosedAtFirst) {
  LagGate gate;
  EXPECT_FALSE(gate.CaughtUp(At(0), kBound));
  gate.Look(0, 10, At(0));
  EXPECT_FALSE(gate.CaughtUp(At(0), kBound));
}

TEST(LagGateTest, OpensForWhoHoldsAll) {
  LagGate gate;
  gate.Look(10, 10, At(0));
  EXPECT_TRUE(gate.CaughtUp(At(0), kBound));
  EXPECT_TRUE(gate.CaughtUp(At(999), kBound));
  EXPECT_FALSE(gate.CaughtUp(At(1000), kBound)) << "it may be far behind by now";
}

TEST(LagGateTest, OpensAfterARoundShorterThanTheBound) {
  LagGate gate;
  gate.Look(0, 100, At(0));
  gate.Look(50, 200, At(1000));
  EXPECT_FALSE(gate.CaughtUp(At(1000), kBound));
  // The round up to 100 took two seconds; the one behind it goes up to 300.
  gate.Look(100, 300, At(2000));
  EXPECT_FALSE(gate.CaughtUp(At(2000), kBound));
  gate.Look(299, 340, At(2700));
  EXPECT_FALSE(gate.CaughtUp(At(2700), kBound));
  gate.Look(300, 350, At(2800));
  EXPECT_TRUE(gate.CaughtUp(At(2800), kBound)) << "it holds what was there 800 ms ago";
  EXPECT_FALSE(gate.CaughtUp(At(3000), kBound));
}

TEST(LagGateTest, StartsAgainWhenEntriesWereLost) {
  LagGate gate;
  gate.Look(10, 10, At(0));
  gate.Look(4, 10, At(1));
  EXPECT_FALSE(gate.CaughtUp(At(1), kBound));
  gate.Look(10, 10, At(2));
  EXPECT_TRUE(gate.CaughtUp(At(2), kBound));
}

// A learner that is always the same time behind: open if and only if that is below the bound.
TEST(LagGateTest, TellsConstantLag) {
  for (const int64_t lag : {100, 400, 2000}) {
    LagGate gate;
    bool open = false;
    for (int64_t now = 1; now < 10000; now += 10) {
      gate.Look(static_cast<Index>(now > lag ? now - lag : 0), static_cast<Index>(now), At(now));
      open = gate.CaughtUp(At(now), kBound);
      ASSERT_FALSE(lag >= 1000 && open) << lag << " at " << now;
    }
    // Between two rounds the last one ages, by one round at most.
    EXPECT_EQ(lag < 500, open) << lag;
  }
}

}  // namespace
}  // namespace cairn

#include "raft/snapshots/byte_budget.h"

#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr Instant kStart = Instant{} + Seconds(100);

TEST(ByteBudgetTest, SpreadsWhatIsTaken) {
  ByteBudget budget(1000);
  EXPECT_EQ(budget.Take(kStart, 500), kStart);
  EXPECT_EQ(budget.Take(kStart, 1000), kStart + Milliseconds(500));
  EXPECT_EQ(budget.Take(kStart, 1), kStart + Milliseconds(1500));
}

// What was not used is not saved up.
TEST(ByteBudgetTest, AnIdleTimeGivesNoCredit) {
  ByteBudget budget(1000);
  budget.Take(kStart, 1000);
  EXPECT_EQ(budget.Take(kStart + Seconds(60), 1000), kStart + Seconds(60));
  EXPECT_EQ(budget.Take(kStart + Seconds(60), 1000), kStart + Seconds(61));
}

TEST(ByteBudgetTest, ZeroIsNoLimit) {
  ByteBudget budget(0);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(budget.Take(kStart, size_t{1} << 30), kStart);
}

}  // namespace
}  // namespace cairn

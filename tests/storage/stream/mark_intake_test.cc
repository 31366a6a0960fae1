#include "storage/stream/mark_intake.h"

#include <cstdint>
#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace cairn {
namespace {

// Two streams, of 10 and 20 messages.
class MarkIntakeTest : public testing::Test {
 protected:
  MarkIntakeTest() {
    for (const uint64_t last : {10, 20}) {
      StreamRow row;
      row.definition = std::make_shared<const std::string>("one");
      row.last_sequence = last;
      table_.Add(row);
    }
  }
  uint64_t Before(StreamId stream, uint64_t sequence) {
    return index_.AtOrBefore(stream, sequence).sequence;
  }

  StreamTable table_;
  StreamIndex index_{100};
};

TEST_F(MarkIntakeTest, WhatMayBeIsTaken) {
  MarkIntake intake(table_, index_);
  intake.Take({1, 32, 1}, 1);
  intake.Take({2, 132, 1}, 1);
  intake.Take({1, 232, 7}, 1);
  intake.Take({2, 32, 20}, 2);
  EXPECT_EQ(Before(1, 6), 1u);
  EXPECT_EQ(Before(1, 10), 7u);
  EXPECT_EQ(Before(2, 20), 20u);
  EXPECT_EQ(index_.AtOrBefore(2, 20).place, (Place{2, 32}));
}

TEST_F(MarkIntakeTest, WhatCannotBeIsNot) {
  MarkIntake intake(table_, index_);
  intake.Take({0, 32, 1}, 1);
  for (StreamId none = 3; none < 100; ++none) intake.Take({none, 32, 1}, 1);
  intake.Take({1, 32, 0}, 1);
  intake.Take({1, 32, 11}, 1);  // behind the last
  intake.Take({1, 32, 5}, 1);
  intake.Take({1, 132, 5}, 1);  // not above the one before
  intake.Take({1, 232, 4}, 1);
  EXPECT_EQ(Before(1, 4), 0u);
  EXPECT_EQ(index_.AtOrBefore(1, 10).place, (Place{1, 32}));
  EXPECT_EQ(Before(2, 20), 0u);
}

}  // namespace
}  // namespace cairn

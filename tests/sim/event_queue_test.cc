#include "tests/sim/event_queue.h"

#include <vector>

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

TEST(EventQueueTest, RunsByTimeThenByOrderOfPosting) {
  EventQueue events;
  std::vector<int> ran;
  events.After(Milliseconds(2), [&] { ran.push_back(3); });
  events.After(Milliseconds(1), [&] { ran.push_back(1); });
  events.After(Milliseconds(1), [&] { ran.push_back(2); });
  while (events.RunNext()) {
  }
  EXPECT_EQ(ran, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(events.now(), Instant() + Milliseconds(2));
  EXPECT_EQ(events.executed(), 3u);
}

TEST(EventQueueTest, WhatIsPastRunsNow) {
  EventQueue events;
  events.RunUntil(Instant() + Seconds(5));
  bool ran = false;
  events.At(Instant() + Seconds(1), [&] { ran = true; });
  EXPECT_TRUE(events.RunNext());
  EXPECT_TRUE(ran);
  EXPECT_EQ(events.now(), Instant() + Seconds(5));
}

TEST(EventQueueTest, RunUntilRunsWhatTasksPost) {
  EventQueue events;
  int ran = 0;
  events.After(Milliseconds(1), [&] {
    ++ran;
    events.After(Milliseconds(1), [&] { ++ran; });
    events.After(Milliseconds(2), [&] { ++ran; });
  });
  events.RunUntil(Instant() + Milliseconds(2));
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(events.waiting(), 1u);
}

}  // namespace
}  // namespace cairn::sim

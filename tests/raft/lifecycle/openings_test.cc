#include "raft/lifecycle/openings.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "base/time.h"
#include "base/types.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

class SharedClock final : public Clock {
 public:
  Instant Now() const override { return Instant{now_}; }
  WallTime WallNow() const override { return WallTime{now_}; }
  void Add(Duration duration) { now_ += duration.nanoseconds; }

 private:
  std::atomic<int64_t> now_ = 0;
};

class OpeningsTest : public testing::Test {
 protected:
  ~OpeningsTest() override {
    for (std::thread& thread : threads_) thread.join();
  }

  // One that waits for its turn by the time this returns, and has a turn of no length.
  void Queue(Openings& openings, GroupId group) {
    const size_t before = openings.status().waiting;
    threads_.emplace_back([this, &openings, group] {
      const std::unique_ptr<Openings::Opening> opening = openings.Begin(group);
      const absl::Status status = opening->AwaitTurn();
      MutexLock lock(mutex_);
      (status.ok() ? had_turn_ : refused_).push_back(group);
      if (!status.ok()) {
        EXPECT_TRUE(absl::IsUnavailable(status)) << status;
      }
    });
    while (openings.status().waiting == before) std::this_thread::yield();
  }
  void Join() {
    for (std::thread& thread : std::exchange(threads_, {})) thread.join();
  }

  SharedClock clock_;
  std::vector<std::thread> threads_;
  Mutex mutex_;
  std::vector<GroupId> had_turn_ CAIRN_GUARDED_BY(mutex_);
  std::vector<GroupId> refused_ CAIRN_GUARDED_BY(mutex_);
};

TEST_F(OpeningsTest, AGroupIsOpenedOnceAtATime) {
  Openings openings(2, &clock_);
  std::unique_ptr<Openings::Opening> first = openings.Begin(GroupId{1});
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(openings.Begin(GroupId{1}), nullptr);
  EXPECT_TRUE(openings.Has(GroupId{1}));
  EXPECT_FALSE(openings.Has(GroupId{2}));
  EXPECT_NE(openings.Begin(GroupId{2}), nullptr);
  ASSERT_TRUE(first->AwaitTurn().ok());
  EXPECT_EQ(openings.Begin(GroupId{1}), nullptr);
  first.reset();
  EXPECT_FALSE(openings.Has(GroupId{1}));
  EXPECT_NE(openings.Begin(GroupId{1}), nullptr);
}

TEST_F(OpeningsTest, TurnsAreTakenInOrder) {
  Openings openings(1, &clock_);
  std::unique_ptr<Openings::Opening> first = openings.Begin(GroupId{100});
  ASSERT_TRUE(first->AwaitTurn().ok());
  std::vector<GroupId> order;
  for (uint64_t id : {7, 3, 9, 1, 8}) {
    order.push_back(GroupId{id});
    Queue(openings, GroupId{id});
  }
  EXPECT_EQ(openings.status().running, 1u);
  EXPECT_EQ(openings.status().waiting, 5u);
  first.reset();
  Join();
  MutexLock lock(mutex_);
  EXPECT_EQ(had_turn_, order);
  EXPECT_EQ(openings.status().running, 0u);
  EXPECT_EQ(openings.status().waiting, 0u);
  EXPECT_EQ(openings.status().ended, 6u);
}

// What does not wait, because it was given up before its turn, takes nobody's turn.
TEST_F(OpeningsTest, OneGivenUpTakesNoTurn) {
  Openings openings(1, &clock_);
  openings.Begin(GroupId{1}).reset();
  std::unique_ptr<Openings::Opening> next = openings.Begin(GroupId{2});
  EXPECT_TRUE(next->AwaitTurn().ok());
  EXPECT_EQ(openings.status().running, 1u);
  EXPECT_EQ(openings.status().ended, 0u);
}

TEST_F(OpeningsTest, TheLongestWaitIsShown) {
  Openings openings(1, &clock_);
  std::unique_ptr<Openings::Opening> first = openings.Begin(GroupId{1});
  ASSERT_TRUE(first->AwaitTurn().ok());
  EXPECT_EQ(openings.status().longest_wait, Duration{});
  Queue(openings, GroupId{2});
  clock_.Add(Milliseconds(30));
  EXPECT_EQ(openings.status().longest_wait, Milliseconds(30));  // it still waits
  Queue(openings, GroupId{3});
  clock_.Add(Milliseconds(10));
  EXPECT_EQ(openings.status().longest_wait, Milliseconds(40));
  first.reset();
  Join();
  EXPECT_EQ(openings.status().longest_wait, Milliseconds(40));
}

TEST_F(OpeningsTest, NoMoreThanMostAtATime) {
  constexpr int kThreads = 8;
  Openings openings(3, &clock_);
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  for (uint64_t thread = 0; thread < kThreads; ++thread) {
    threads_.emplace_back([&, thread] {
      for (uint64_t i = 0; i < 200; ++i) {
        const auto opening = openings.Begin(GroupId{1 + thread});
        ASSERT_TRUE(opening->AwaitTurn().ok());
        const int now = ++inside;
        int before = most;
        while (before < now && !most.compare_exchange_weak(before, now)) {
        }
        std::this_thread::yield();
        --inside;
      }
    });
  }
  Join();
  EXPECT_LE(most, 3);
  EXPECT_EQ(openings.status().ended, kThreads * 200u);
}

TEST_F(OpeningsTest, StopRefusesThoseThatWaitAndAwaitsTheOthers) {
  Openings openings(1, &clock_);
  std::unique_ptr<Openings::Opening> running = openings.Begin(GroupId{1});
  ASSERT_TRUE(running->AwaitTurn().ok());
  Queue(openings, GroupId{2});
  Queue(openings, GroupId{3});
  std::atomic<bool> ended = false;
  std::thread stopper([&] {
    openings.Stop();
    EXPECT_TRUE(ended);
  });
  Join();
  {
    MutexLock lock(mutex_);
    EXPECT_TRUE(had_turn_.empty());
    EXPECT_EQ(refused_.size(), 2u);
  }
  EXPECT_FALSE(openings.Has(GroupId{2}));
  EXPECT_TRUE(openings.Has(GroupId{1}));
  ended = true;
  running.reset();
  stopper.join();
}

// Begun, and not yet asked for its turn.
TEST_F(OpeningsTest, StopAwaitsTheOneThatHasJustBegun) {
  Openings openings(1, &clock_);
  std::unique_ptr<Openings::Opening> begun = openings.Begin(GroupId{1});
  std::unique_ptr<Openings::Opening> running = openings.Begin(GroupId{2});
  ASSERT_TRUE(running->AwaitTurn().ok());
  Queue(openings, GroupId{3});
  std::thread stopper([&] { openings.Stop(); });
  Join();  // so it has stopped
  running.reset();
  EXPECT_TRUE(absl::IsUnavailable(begun->AwaitTurn()));
  begun.reset();
  stopper.join();
}

}  // namespace
}  // namespace cairn

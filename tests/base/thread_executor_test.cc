#include "base/thread_executor.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/system_clock.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

class ManualClock final : public Clock {
 public:
  Instant Now() const override { return {now_.load()}; }
  WallTime WallNow() const override { return {}; }
  void Set(Instant now) { now_.store(now.nanoseconds); }

 private:
  std::atomic<int64_t> now_ = 0;
};

// Opened once by one thread, waited for by another.
class Gate {
 public:
  void Open() {
    MutexLock lock(mutex_);
    open_ = true;
    changed_.NotifyAll();
  }
  void Wait() {
    MutexLock lock(mutex_);
    while (!open_) changed_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool open_ CAIRN_GUARDED_BY(mutex_) = false;
};

// Returns when the executor has run everything posted before.
void Drain(ThreadExecutor& executor) {
  Gate reached;
  executor.Post([&reached] { reached.Open(); });
  reached.Wait();
}

TEST(ThreadExecutorTest, AThreadOfLowPriorityGivesWay) {
  const ManualClock clock;
  ThreadExecutor usual(clock, "usual");
  ThreadExecutor low(clock, "low", ThreadExecutor::Callers::kOnlyPost,
                     ThreadExecutor::Priority::kLow);
  int usual_nice = 0;
  int low_nice = 0;
  usual.Post([&usual_nice] { usual_nice = getpriority(PRIO_PROCESS, 0); });
  low.Post([&low_nice] { low_nice = getpriority(PRIO_PROCESS, 0); });
  Drain(usual);
  Drain(low);
  EXPECT_EQ(usual_nice, getpriority(PRIO_PROCESS, 0));
  EXPECT_GE(low_nice, 10);
}

TEST(ThreadExecutorTest, RunsTasksInTheOrderPosted) {
  const ManualClock clock;
  ThreadExecutor executor(clock, "test");
  std::vector<int> ran;
  for (int i = 0; i < 1'000; ++i) executor.Post([&ran, i] { ran.push_back(i); });
  Drain(executor);
  ASSERT_EQ(ran.size(), 1'000u);
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(ran[static_cast<size_t>(i)], i);
}

TEST(ThreadExecutorTest, RunsOnOneThreadOfItsOwn) {
  const ManualClock clock;
  ThreadExecutor executor(clock, "a name that is longer than the system likes");
  std::thread::id first, second;
  executor.Post([&first] { first = std::this_thread::get_id(); });
  executor.Post([&second] { second = std::this_thread::get_id(); });
  Drain(executor);
  EXPECT_EQ(first, second);
  EXPECT_NE(first, std::this_thread::get_id());
}

TEST(ThreadExecutorTest, TakesTasksFromManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 2'000;
  const ManualClock clock;
  ThreadExecutor executor(clock, "test");
  int ran = 0;  // no lock: the executor is the lock
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kTasks; ++n) executor.Post([&ran] { ++ran; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  Drain(executor);
  EXPECT_EQ(ran, kThreads * kTasks);
}

constexpr auto kMayRun = ThreadExecutor::Callers::kMayRun;

// Returns when the thread has nothing to do any more. Only then a caller may run its task.
void WaitUntilCallersRun(ThreadExecutor& executor) {
  std::thread::id ran;
  while (ran != std::this_thread::get_id()) {
    Gate done;
    executor.PostOrRun([&] {
      ran = std::this_thread::get_id();
      done.Open();
    });
    done.Wait();
  }
}

TEST(ThreadExecutorTest, ACallerRunsItsTaskWhereNothingElseRuns) {
  const ManualClock clock;
  ThreadExecutor executor(clock, "test", kMayRun);
  WaitUntilCallersRun(executor);
  bool ran = false;
  executor.PostOrRun([&ran] { ran = true; });
  EXPECT_TRUE(ran);
}

TEST(ThreadExecutorTest, CallersOnlyPostUnlessToldOtherwise) {
  const ManualClock clock;
  ThreadExecutor executor(clock, "test");
  std::thread::id ran;
  for (int i = 0; i < 100; ++i) {
    executor.PostOrRun([&ran] { ran = std::this_thread::get_id(); });
    Drain(executor);
    ASSERT_NE(ran, std::this_thread::get_id());
  }
}

TEST(ThreadExecutorTest, ACallerDoesNotOvertake) {
  const ManualClock clock;
  ThreadExecutor executor(clock, "test", kMayRun);
  std::vector<int> ran;
  Gate started, filled;
  executor.Post([&] {
    started.Open();
    filled.Wait();
    ran.push_back(1);
  });
  started.Wait();
  executor.PostOrRun([&ran] { ran.push_back(2); });
  EXPECT_TRUE(ran.empty());
  filled.Open();
  Drain(executor);
  EXPECT_EQ(ran, std::vector<int>({1, 2}));
}

TEST(ThreadExecutorTest, WhatIsPostedWhileACallerRunsComesAfter) {
  ManualClock clock;
  ThreadExecutor executor(clock, "test", kMayRun);
  WaitUntilCallersRun(executor);
  std::vector<int> ran;
  Gate done;
  executor.PostOrRun([&] {
    executor.Post([&ran] { ran.push_back(2); });
    executor.PostOrRun([&ran] { ran.push_back(3); });
    executor.PostAt({0}, [&] {
      ran.push_back(4);
      done.Open();
    });
    ran.push_back(1);
  });
  done.Wait();
  Drain(executor);
  EXPECT_EQ(ran.front(), 1);
  std::sort(ran.begin(), ran.end());  // a due timer may come before what waits
  EXPECT_EQ(ran, std::vector<int>({1, 2, 3, 4}));
}

// The thread wakes for a timer while a caller runs its task, which then ends with nothing to do.
TEST(ThreadExecutorTest, ATimerIsNotForgottenBehindACaller) {
  const SystemClock clock;
  ThreadExecutor executor(clock, "test", kMayRun);
  for (int round = 0; round < 50; ++round) {
    Gate rang;
    executor.PostAt(clock.Now() + Milliseconds(1), [&rang] { rang.Open(); });
    const Instant until = clock.Now() + Milliseconds(2);
    executor.PostOrRun([&] {
      while (clock.Now() < until) std::this_thread::yield();
    });
    rang.Wait();
  }
}

TEST(ThreadExecutorTest, CallersAndTheThreadRunOneAtATime) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 2'000;
  const ManualClock clock;
  ThreadExecutor executor(clock, "test", kMayRun);
  int ran = 0;  // no lock: the executor is the lock
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kTasks; ++n) {
        executor.PostOrRun([&ran] { ++ran; });
        if (n % 3 == 0) executor.Post([&ran] { ++ran; });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Drain(executor);
  EXPECT_EQ(ran, kThreads * (kTasks + (kTasks + 2) / 3));
}

TEST(ThreadExecutorTest, TheEndWaitsForACaller) {
  const SystemClock clock;
  Gate started;
  std::atomic<bool> ended = false;
  auto executor = std::make_unique<ThreadExecutor>(clock, "test", kMayRun);
  WaitUntilCallersRun(*executor);
  std::thread caller([&, runs = executor.get()] {
    runs->PostOrRun([&, runs] {
      started.Open();
      // What is posted once the end has begun is destroyed at once.
      while (true) {
        auto owned = std::make_shared<int>();
        runs->Post([owned] {});
        if (owned.use_count() == 1) break;
        std::this_thread::yield();
      }
      // Time in which an end that does not wait would be over.
      const Instant until = clock.Now() + Milliseconds(5);
      while (clock.Now() < until) std::this_thread::yield();
      ended = true;
    });
  });
  started.Wait();
  executor.reset();
  EXPECT_TRUE(ended);
  caller.join();
}

TEST(ThreadExecutorTest, TaskMayPost) {
  const ManualClock clock;
  ThreadExecutor executor(clock, "test");
  Gate done;
  executor.Post([&] { executor.Post([&] { executor.PostAt({0}, [&done] { done.Open(); }); }); });
  done.Wait();
}

TEST(ThreadExecutorTest, TimersWaitForTheClock) {
  ManualClock clock;
  ThreadExecutor executor(clock, "test");
  std::vector<int> ran;
  executor.PostAt(Instant() + Seconds(3'000), [&ran] { ran.push_back(3); });
  executor.PostAt(Instant() + Seconds(1'000), [&ran] { ran.push_back(1); });
  executor.PostAt(Instant() + Seconds(2'000), [&ran] { ran.push_back(2); });
  Drain(executor);
  EXPECT_TRUE(ran.empty());

  clock.Set(Instant() + Seconds(2'000) - Nanoseconds(1));
  Drain(executor);
  // A due timer is posted behind what stands in the queue already.
  Drain(executor);
  EXPECT_EQ(ran, std::vector<int>({1}));

  clock.Set(Instant() + Seconds(3'000));
  Drain(executor);
  Drain(executor);
  EXPECT_EQ(ran, std::vector<int>({1, 2, 3}));
}

TEST(ThreadExecutorTest, TimersOfOneInstantKeepTheirOrder) {
  const ManualClock clock;
  ThreadExecutor executor(clock, "test");
  std::vector<int> ran;
  Gate filled;
  executor.Post([&filled] { filled.Wait(); });
  for (int i = 0; i < 100; ++i) executor.PostAt({0}, [&ran, i] { ran.push_back(i); });
  filled.Open();
  Drain(executor);
  Drain(executor);
  ASSERT_EQ(ran.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ran[static_cast<size_t>(i)], i);
}

TEST(ThreadExecutorTest, WakesForATimerByItself) {
  const SystemClock clock;
  ThreadExecutor executor(clock, "test");
  Gate rang;
  const Instant due = clock.Now() + Milliseconds(2);
  Instant ran_at;
  executor.PostAt(kDistantFuture, [] { FAIL() << "ran a timer that is never due"; });
  executor.PostAt(due, [&] {
    ran_at = clock.Now();
    rang.Open();
  });
  rang.Wait();
  EXPECT_GE(ran_at, due);
}

TEST(ThreadExecutorTest, EndDestroysTasksUnrun) {
  const ManualClock clock;
  auto owned = std::make_shared<int>(0);
  std::atomic<bool> ran = false;
  Gate started;
  {
    ThreadExecutor executor(clock, "test");
    Gate filled;
    executor.Post([&] {
      started.Open();
      filled.Wait();
    });
    started.Wait();
    executor.PostAt(kDistantFuture, [&ran, owned] { ran = true; });
    EXPECT_EQ(owned.use_count(), 2);
    filled.Open();
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(owned.use_count(), 1);
}

// What a task owns may post when it is destroyed with the executor; that must not lock up.
TEST(ThreadExecutorTest, DestroyedTaskMayPost) {
  struct PostsAtItsEnd {
    explicit PostsAtItsEnd(Executor& to) : executor(to) {}
    ~PostsAtItsEnd() {
      executor.Post([] { FAIL() << "ran after the end"; });
    }
    Executor& executor;
  };
  const ManualClock clock;
  ThreadExecutor executor(clock, "test");
  executor.PostAt(kDistantFuture, [last = std::make_unique<PostsAtItsEnd>(executor)] {});
}

}  // namespace
}  // namespace cairn

#include "base/mutex.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace cairn {
namespace {

// A value handed from one thread to another.
class Handover {
 public:
  void Give(int value) {
    MutexLock lock(mutex_);
    while (full_) changed_.Wait(mutex_);
    value_ = value;
    full_ = true;
    changed_.NotifyAll();
  }

  int Take() {
    MutexLock lock(mutex_);
    while (!full_) changed_.Wait(mutex_);
    full_ = false;
    changed_.NotifyAll();
    return value_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool full_ CAIRN_GUARDED_BY(mutex_) = false;
  int value_ CAIRN_GUARDED_BY(mutex_) = 0;
};

TEST(MutexTest, ExcludesOtherThreads) {
  constexpr int kThreads = 4;
  constexpr int kAdditions = 10'000;
  struct {
    Mutex mutex;
    int count CAIRN_GUARDED_BY(mutex) = 0;
  } counter;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&counter] {
      for (int n = 0; n < kAdditions; ++n) {
        MutexLock lock(counter.mutex);
        ++counter.count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  MutexLock lock(counter.mutex);
  EXPECT_EQ(counter.count, kThreads * kAdditions);
}

TEST(MutexTest, TryLockFailsWhileHeld) {
  Mutex mutex;
  mutex.Lock();
  bool taken = true;
  std::thread other([&mutex, &taken] {
    if (mutex.TryLock()) {
      mutex.Unlock();
    } else {
      taken = false;
    }
  });
  other.join();
  mutex.Unlock();
  EXPECT_FALSE(taken);
}

TEST(MutexTest, LockEndsWithItsScope) {
  Mutex mutex;
  { MutexLock lock(mutex); }
  const bool taken = mutex.TryLock();
  EXPECT_TRUE(taken);
  if (taken) mutex.Unlock();
}

TEST(CondVarTest, WakesTheOtherThread) {
  constexpr int kValues = 1'000;
  Handover handover;
  std::thread giver([&handover] {
    for (int value = 0; value < kValues; ++value) handover.Give(value);
  });
  for (int value = 0; value < kValues; ++value) EXPECT_EQ(handover.Take(), value);
  giver.join();
}

TEST(CondVarTest, WaitForEndsWithItsTimeout) {
  Mutex mutex;
  CondVar never;
  MutexLock lock(mutex);
  // A wait may end early without a notification, but not for ever.
  while (never.WaitFor(mutex, absl::Milliseconds(1))) {
  }
  EXPECT_FALSE(never.WaitFor(mutex, absl::ZeroDuration()));
}

TEST(CondVarTest, WaitForHoldsTheMutexAgain) {
  Mutex mutex;
  CondVar condition;
  bool ready = false;
  std::thread notifier([&] {
    MutexLock lock(mutex);
    ready = true;
    condition.NotifyOne();
  });
  {
    MutexLock lock(mutex);
    while (!ready) EXPECT_TRUE(condition.WaitFor(mutex, absl::InfiniteDuration()));
  }
  notifier.join();
  EXPECT_TRUE(ready);
}

}  // namespace
}  // namespace cairn

#ifndef BASE_MUTEX_H_
#define BASE_MUTEX_H_

// std::mutex and std::condition_variable under names the thread-safety analysis understands.
// Not absl::Mutex: the system's Abseil is not instrumented, so ThreadSanitizer reports races on
// data that absl::Mutex guards correctly.

#include <condition_variable>
#include <mutex>

#include "absl/time/time.h"
#include "base/thread_annotations.h"

namespace cairn {

// Not recursive. Prefer MutexLock to Lock and Unlock.
class CAIRN_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() CAIRN_ACQUIRE() { mutex_.lock(); }
  void Unlock() CAIRN_RELEASE() { mutex_.unlock(); }
  // True if the lock was free and is now held.
  [[nodiscard]] bool TryLock() CAIRN_TRY_ACQUIRE(true) { return mutex_.try_lock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

// Holds a mutex from its construction to its end.
class CAIRN_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) CAIRN_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() CAIRN_RELEASE() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits release `mutex` while they sleep and hold it again when they return. They may return
// without a notification, so the caller asks for its condition in a loop:
//
//   MutexLock lock(mutex_);
//   while (queue_.empty()) not_empty_.Wait(mutex_);
//
// The loop is the caller's, and not a predicate handed in, because the analysis does not know that
// a lambda runs with the lock held.
class CondVar {
 public:
  CondVar() = default;
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  void Wait(Mutex& mutex) CAIRN_REQUIRES(mutex);

  // As Wait, at most for `timeout` of monotonic time. False if that passed without a notification.
  // absl::InfiniteDuration() waits without a limit.
  bool WaitFor(Mutex& mutex, absl::Duration timeout) CAIRN_REQUIRES(mutex);

  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace cairn

#endif  // BASE_MUTEX_H_

// ThreadExecutor: an Executor that is one thread.

#ifndef BASE_THREAD_EXECUTOR_H_
#define BASE_THREAD_EXECUTOR_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "base/executor.h"
#include "base/mutex.h"
#include "base/time.h"

namespace cairn {

// Runs tasks on a thread of its own, in the order they were posted. Tasks due at the same instant
// are posted in the order of their PostAt.
//
// The thread sleeps by monotonic time and then asks `clock`, so a timer is never early; it may be
// late by the time the machine was suspended. Whoever moves a clock by hand posts a task to make
// the executor look at it.
//
// With Callers::kMayRun, PostOrRun runs its task at once where no other one runs or waits; still
// one at a time and in order, but then on more than one thread.
//
// The destructor lets the running task end, destroys the others unrun, and joins; it must not run
// on the executor's own thread. Tasks posted from then on are destroyed at once.
class ThreadExecutor final : public Executor {
 public:
  enum class Callers { kOnlyPost, kMayRun };
  // kLow: the thread gives way to others, of the processor and of the disk.
  enum class Priority { kUsual, kLow };

  // `clock` outlives the executor. `name` names the thread for people (15 bytes of it).
  ThreadExecutor(const Clock& clock, const std::string& name, Callers callers = Callers::kOnlyPost,
                 Priority priority = Priority::kUsual);
  ~ThreadExecutor() override;
  ThreadExecutor(const ThreadExecutor&) = delete;
  ThreadExecutor& operator=(const ThreadExecutor&) = delete;

  void Post(Task task) override;
  void PostOrRun(Task task) override;
  void PostAt(Instant when, Task task) override;

 private:
  // The thread is woken without the lock, or it would only run into it: under the lock it is
  // decided whether to (true: Wake is to follow).
  bool MustWake() CAIRN_REQUIRES(mutex_);
  void Wake();
  void Run(Priority priority);
  // Waits for the next task. False if there will be none.
  bool Take(Task& task);
  void QueueDueTimers() CAIRN_REQUIRES(mutex_);

  const Clock& clock_;
  const bool callers_may_run_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ CAIRN_GUARDED_BY(mutex_) = false;
  bool caller_runs_ CAIRN_GUARDED_BY(mutex_) = false;       // a caller of PostOrRun runs its task
  bool thread_must_look_ CAIRN_GUARDED_BY(mutex_) = false;  // at the timers, when it has ended
  bool thread_runs_ CAIRN_GUARDED_BY(mutex_) = false;       // the thread runs one
  bool waiting_ CAIRN_GUARDED_BY(mutex_) = false;  // the thread sleeps, or nobody has woken it yet
  std::atomic<int> waking_ = 0;  // threads that are about to wake it; the destructor waits for them
  std::deque<Task> queue_ CAIRN_GUARDED_BY(mutex_);
  uint64_t timers_made_ CAIRN_GUARDED_BY(mutex_) = 0;
  // By due time, then by order of PostAt.
  std::map<std::pair<Instant, uint64_t>, Task> timers_ CAIRN_GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses the others
};

}  // namespace cairn

#endif  // BASE_THREAD_EXECUTOR_H_

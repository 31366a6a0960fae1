#include "base/thread_executor.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "base/check.h"

namespace cairn {
namespace {

constexpr size_t kLongestThreadName = 15;
// Low enough to give way, and high enough that a lock it holds for a moment is soon free again.
constexpr int kLowNice = 10;
// As ioprio_set(2) has them. <linux/ioprio.h> of newer kernels is no C++: it names a parameter
// "class".
constexpr int kIoPriorityOfThread = 1;
constexpr int kIoPriorityIdle = 3 << 13;

// Of the calling thread. Where the system does not want to, the thread is as any other.
void LowerPriority() {
  const auto thread = static_cast<id_t>(syscall(SYS_gettid));
  setpriority(PRIO_PROCESS, thread, kLowNice);
  syscall(SYS_ioprio_set, kIoPriorityOfThread, 0, kIoPriorityIdle);
}

}  // namespace

ThreadExecutor::ThreadExecutor(const Clock& clock, const std::string& name, Callers callers,
                               Priority priority)
    : clock_(clock),
      callers_may_run_(callers == Callers::kMayRun),
      thread_([this, priority] { Run(priority); }) {
  // Fails only for a name that is too long.
  pthread_setname_np(thread_.native_handle(), name.substr(0, kLongestThreadName).c_str());
}

ThreadExecutor::~ThreadExecutor() {
  CAIRN_CHECK(std::this_thread::get_id() != thread_.get_id());
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
  // Those who posted before have at most a notification left to do.
  while (waking_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  // Unlocked, because what a task owned may post once more when it is destroyed.
  std::deque<Task> queue;
  std::map<std::pair<Instant, uint64_t>, Task> timers;
  MutexLock lock(mutex_);
  queue.swap(queue_);
  timers.swap(timers_);
}

bool ThreadExecutor::MustWake() {
  // A caller that runs its task looks at what waits when it has ended.
  if (caller_runs_) return false;
  if (!std::exchange(waiting_, false)) return false;
  waking_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void ThreadExecutor::Wake() {
  changed_.NotifyAll();
  waking_.fetch_sub(1, std::memory_order_release);
}

void ThreadExecutor::Post(Task task) {
  bool must_wake = false;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    queue_.push_back(std::move(task));
    must_wake = MustWake();
  }
  if (must_wake) Wake();
}

void ThreadExecutor::PostOrRun(Task task) {
  bool run_here = false;
  bool must_wake = false;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    run_here = callers_may_run_ && !caller_runs_ && !thread_runs_ && queue_.empty();
    if (run_here) {
      caller_runs_ = true;
    } else {
      queue_.push_back(std::move(task));
      must_wake = MustWake();
    }
  }
  if (run_here) {
    task();
    task = nullptr;
    MutexLock lock(mutex_);
    caller_runs_ = false;
    // With the lock: the destructor waits for this.
    if (stopping_ || thread_must_look_ || !queue_.empty()) {
      thread_must_look_ = false;
      waiting_ = false;
      changed_.NotifyAll();
    }
    return;
  }
  if (must_wake) Wake();
}

void ThreadExecutor::PostAt(Instant when, Task task) {
  bool must_wake = false;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    timers_.emplace(std::make_pair(when, ++timers_made_), std::move(task));
    thread_must_look_ |= caller_runs_;
    must_wake = MustWake();
  }
  if (must_wake) Wake();
}

void ThreadExecutor::Run(Priority priority) {
  if (priority == Priority::kLow) LowerPriority();
  Task task;
  while (Take(task)) {
    task();
    task = nullptr;
  }
}

bool ThreadExecutor::Take(Task& task) {
  MutexLock lock(mutex_);
  thread_runs_ = false;
  while (!stopping_ || caller_runs_) {
    if (!caller_runs_) QueueDueTimers();
    if (!caller_runs_ && !queue_.empty()) {
      task = std::move(queue_.front());
      queue_.pop_front();
      thread_runs_ = true;
      return true;
    }
    waiting_ = true;
    // While a caller runs its task there is nothing to do, not even for a timer; its end wakes this
    // thread.
    thread_must_look_ = caller_runs_;
    if (timers_.empty() || caller_runs_) {
      changed_.Wait(mutex_);
    } else {
      const Duration left = timers_.begin()->first.first - clock_.Now();
      changed_.WaitFor(mutex_, absl::Nanoseconds(left.nanoseconds));
    }
    waiting_ = false;
  }
  return false;
}

void ThreadExecutor::QueueDueTimers() {
  if (timers_.empty()) return;
  const Instant now = clock_.Now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    queue_.push_back(std::move(timers_.begin()->second));
    timers_.erase(timers_.begin());
  }
}

}  // namespace cairn

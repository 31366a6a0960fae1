// Executor: where tasks run. The seam between classes and threads.

#ifndef BASE_EXECUTOR_H_
#define BASE_EXECUTOR_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "base/time.h"

namespace cairn {

using Task = absl::AnyInvocable<void()>;

// Runs the tasks given to it one at a time, in the order they were posted (a sequence, or strand).
// A class whose methods all run on one Executor needs no lock. In production an executor is a
// thread (thread_executor.h); in the simulator all executors of a run share one event queue.
//
// Threads: Post and PostAt may be called from any thread, and from within a task.
// Ownership: a task is destroyed after it ran, or unrun when the executor is destroyed.
class Executor {
 public:
  virtual ~Executor() = default;

  // Runs `task` after all tasks posted before it.
  virtual void Post(Task task) = 0;

  // As Post, but may run `task` on the caller's thread before it returns, where nothing runs or
  // waits: that saves waking a thread. The caller holds no lock that a task of this executor could
  // want.
  virtual void PostOrRun(Task task) { Post(std::move(task)); }

  // Posts `task` once the executor's clock has reached `when`. There is no cancellation: a task
  // that may come too late checks on its own whether it is still wanted.
  virtual void PostAt(Instant when, Task task) = 0;
};

// Waits for what runs on the executor and destroys it; null is let be. unique_ptr::reset clears the
// pointer first, but a task that runs meanwhile may go by that pointer to post the next one.
inline void End(std::unique_ptr<Executor>& executor) {
  std::default_delete<Executor>()(executor.get());
  executor.release();
}

}  // namespace cairn

#endif  // BASE_EXECUTOR_H_

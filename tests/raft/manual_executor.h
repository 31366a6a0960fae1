// ManualExecutor: tasks on a virtual clock, run by hand on one thread, in the same order each time.

#ifndef TESTS_RAFT_MANUAL_EXECUTOR_H_
#define TESTS_RAFT_MANUAL_EXECUTOR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "base/executor.h"
#include "base/time.h"

namespace cairn {

class ManualExecutor;

// The clock and the queue that the executors of one test share.
class ManualWorld final : public Clock {
 public:
  Instant Now() const override { return now_; }
  WallTime WallNow() const override { return {now_.nanoseconds + wall_offset_.nanoseconds}; }
  void SetWallOffset(Duration offset) { wall_offset_ = offset; }

  void Post(Task task) { queue_.push_back(std::move(task)); }
  void PostAt(Instant when, Task task) {
    timers_.emplace(std::pair(when, ++timers_made_), std::move(task));
  }

  // Runs one task that is due; false if there is none.
  bool RunOne() {
    while (!timers_.empty() && timers_.begin()->first.first <= now_) {
      queue_.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
    if (queue_.empty()) return false;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    ++tasks_run_;
    task();
    return true;
  }

  // Runs what is due, and what that posts.
  void RunReady() {
    while (RunOne()) {
    }
  }

  // As RunReady while the clock goes on to `when`, stopping at each timer.
  void RunUntil(Instant when) {
    RunReady();
    while (!timers_.empty() && timers_.begin()->first.first <= when) {
      if (timers_.begin()->first.first > now_) now_ = timers_.begin()->first.first;
      RunReady();
    }
    if (when > now_) now_ = when;
  }
  void RunFor(Duration duration) { RunUntil(now_ + duration); }

  // The clock goes on to the next timer, which does not run yet.
  void AdvanceToTimer() {
    if (!timers_.empty() && timers_.begin()->first.first > now_)
      now_ = timers_.begin()->first.first;
  }

  size_t ready() const { return queue_.size(); }
  uint64_t tasks_run() const { return tasks_run_; }

  // The executor whose task runs is busy for so long from now on: its other tasks wait.
  inline void SpendHere(Duration duration);

 private:
  friend class ManualExecutor;

  ManualExecutor* running_ = nullptr;
  Instant now_{1'000'000'000};
  Duration wall_offset_ = Seconds(1'700'000'000);
  std::deque<Task> queue_;
  std::map<std::pair<Instant, uint64_t>, Task> timers_;
  uint64_t timers_made_ = 0;
  uint64_t tasks_run_ = 0;
};

// A sequence of a ManualWorld. Its tasks vanish with it.
class ManualExecutor final : public Executor {
 public:
  explicit ManualExecutor(ManualWorld* world) : world_(world) {}

  void Post(Task task) override { world_->Post(Guard(std::move(task))); }
  void PostAt(Instant when, Task task) override { world_->PostAt(when, Guard(std::move(task))); }

 private:
  friend class ManualWorld;

  Task Guard(Task task) {
    return [this, task = std::move(task), alive = std::weak_ptr<bool>(alive_)]() mutable {
      if (!alive.expired()) Run(std::move(task));
    };
  }

  void Run(Task task) {
    if (busy_until_ > world_->Now()) return PostAt(busy_until_, std::move(task));
    ManualWorld* const world = world_;  // the task may end this executor
    ManualExecutor* const before = std::exchange(world->running_, this);
    task();
    world->running_ = before;
  }

  ManualWorld* const world_;
  Instant busy_until_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

void ManualWorld::SpendHere(Duration duration) {
  if (running_ == nullptr) return;
  running_->busy_until_ = std::max(running_->busy_until_, now_) + duration;
}

}  // namespace cairn

#endif  // TESTS_RAFT_MANUAL_EXECUTOR_H_

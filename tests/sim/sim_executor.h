// NodeScheduler: the threads of one simulated process, as executors on the one event queue.

#ifndef TESTS_SIM_SIM_EXECUTOR_H_
#define TESTS_SIM_SIM_EXECUTOR_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/random.h"
#include "base/time.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/sim_clock.h"

namespace cairn::sim {

// How long a task waits before it runs: drawn from [0, usual), in one of `rare_one_in` cases from
// [0, rare), so that tasks of different executors come in different orders.
struct SchedulingOptions {
  Duration usual = Microseconds(20);
  Duration rare = Milliseconds(1);
  uint64_t rare_one_in = 50;
};

// Makes executors that keep the contract of base/executor.h. One thread. The executors may outlive
// the scheduler.
class NodeScheduler {
 public:
  // `events` and `clock` outlive the scheduler and its executors.
  NodeScheduler(EventQueue& events, const SimClock& clock, uint64_t seed,
                const SchedulingOptions& options);

  std::unique_ptr<Executor> Make(const std::string& name);

  // No task runs before `until` (the process is stopped, or gets no processor).
  void PauseUntil(Instant until);
  // Ends a pause now.
  void Resume() { shared_->paused_until = shared_->events->now(); }

  // Tasks posted and not run yet, on all its executors; timers do not count.
  size_t waiting() const { return shared_->waiting; }

  // The process is gone: no task runs any more.
  void Kill() { shared_->killed = true; }

 private:
  friend class SimExecutor;
  struct Shared {
    EventQueue* events = nullptr;
    const SimClock* clock = nullptr;
    Random random{0};
    SchedulingOptions options;
    Instant paused_until;
    size_t waiting = 0;
    bool killed = false;

    Instant NextRun();
  };
  std::shared_ptr<Shared> shared_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_SIM_EXECUTOR_H_

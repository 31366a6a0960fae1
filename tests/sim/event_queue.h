// EventQueue: virtual time, and everything that is going to happen in a run.

#ifndef TESTS_SIM_EVENT_QUEUE_H_
#define TESTS_SIM_EVENT_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/executor.h"
#include "base/time.h"

namespace cairn::sim {

// Runs tasks in the order of (time, order of At); time jumps from one to the next. All clocks and
// executors of a run stand on one queue. One thread.
class EventQueue {
 public:
  // The virtual time of the whole run. Nodes see it through their own SimClock.
  Instant now() const { return now_; }

  // Runs `task` at `when`, or at once where that is past.
  void At(Instant when, Task task);
  void After(Duration delay, Task task) { At(now_ + delay, std::move(task)); }

  // Runs the next task. False if there is none.
  bool RunNext();
  // Runs every task that is due by `when`, then moves the time there.
  void RunUntil(Instant when);

  uint64_t executed() const { return executed_; }
  size_t waiting() const { return heap_.size(); }

 private:
  struct Event {
    Instant when;
    uint64_t sequence = 0;
    Task task;
  };
  static bool Later(const Event& a, const Event& b);

  Instant now_;
  uint64_t posted_ = 0;
  uint64_t executed_ = 0;
  std::vector<Event> heap_;  // the next one first
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_EVENT_QUEUE_H_

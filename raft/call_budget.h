// CallBudget: how many calls and bytes of a group are under way, and how those before ended.

#ifndef RAFT_CALL_BUDGET_H_
#define RAFT_CALL_BUDGET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "base/time.h"
#include "raft/metrics/call_outcomes.h"

namespace cairn {

// Holds: between Take and Release a call counts. Threads: any.
class CallBudget {
 public:
  explicit CallBudget(size_t max_bytes) : max_bytes_(static_cast<int64_t>(max_bytes)) {}

  // False, and nothing is taken, if the bytes under way would exceed the budget. One call alone
  // always fits.
  [[nodiscard]] bool Take(size_t bytes);
  void Release(size_t bytes);

  size_t bytes() const { return static_cast<size_t>(bytes_.load(std::memory_order_relaxed)); }
  size_t calls() const { return static_cast<size_t>(calls_.load(std::memory_order_relaxed)); }

  // Of the calls that took from the budget, and those it was refused.
  CallOutcomes& outcomes() { return outcomes_; }
  const CallOutcomes& outcomes() const { return outcomes_; }

  // Blocks until no call is under way or `deadline` has passed; true if none is. New calls should
  // be refused by then.
  bool WaitUntilIdle(const Clock& clock, Instant deadline);

 private:
  const int64_t max_bytes_;
  std::atomic<int64_t> bytes_ = 0;
  std::atomic<int64_t> calls_ = 0;
  std::atomic<bool> awaited_ = false;
  CallOutcomes outcomes_;
  Mutex mutex_;
  CondVar idle_;
};

}  // namespace cairn

#endif  // RAFT_CALL_BUDGET_H_

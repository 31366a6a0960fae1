#include "raft/call_budget.h"

#include "absl/time/time.h"
#include "base/check.h"

namespace cairn {

bool CallBudget::Take(size_t bytes) {
  int64_t wanted = static_cast<int64_t>(bytes);
  int64_t before = bytes_.fetch_add(wanted, std::memory_order_relaxed);
  if (before > 0 && before + wanted > max_bytes_) {
    bytes_.fetch_sub(wanted, std::memory_order_relaxed);
    return false;
  }
  calls_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void CallBudget::Release(size_t bytes) {
  bytes_.fetch_sub(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  // Sequentially consistent with awaited_: either this call sees that somebody waits, or who waits
  // sees the last call gone.
  int64_t before = calls_.fetch_sub(1);
  CAIRN_CHECK_GE(before, 1);
  if (before == 1 && awaited_.load()) {
    MutexLock lock(mutex_);
    idle_.NotifyAll();
  }
}

bool CallBudget::WaitUntilIdle(const Clock& clock, Instant deadline) {
  MutexLock lock(mutex_);
  awaited_.store(true);
  while (calls_.load() > 0) {
    Duration left = deadline - clock.Now();
    if (left <= Duration{}) return false;
    idle_.WaitFor(mutex_, absl::Nanoseconds(left.nanoseconds));
  }
  return true;
}

}  // namespace cairn

#include "raft/snapshots/byte_budget.h"

#include <algorithm>

namespace cairn {

Instant ByteBudget::Take(Instant now, size_t bytes) {
  if (bytes_per_second_ == 0) return now;
  const double seconds = static_cast<double>(bytes) / static_cast<double>(bytes_per_second_);
  MutexLock lock(mutex_);
  const Instant begin = std::max(free_, now);
  free_ = begin + Nanoseconds(static_cast<int64_t>(seconds * 1e9));
  return begin;
}

}  // namespace cairn

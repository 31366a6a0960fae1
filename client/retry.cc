#include "client/retry.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "client/errors.h"

namespace cairn {

bool Retry::Pause() {
  absl::Time until = std::min(deadline_, absl::Now() + pause_);
  pause_ = std::min(pause_ * 2, kLongestPause);
  MutexLock lock(mutex_);
  while (!cancelled_ && absl::Now() < until) cancel_.WaitFor(mutex_, until - absl::Now());
  return !cancelled_ && absl::Now() < deadline_;
}

void Retry::Cancel() {
  MutexLock lock(mutex_);
  cancelled_ = true;
  cancel_.NotifyAll();
}

bool WorthRetrying(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return true;
  // A full queue empties; a full disk does not.
  return absl::IsResourceExhausted(status) && ReasonOf(status) == "OVERLOADED";
}

}  // namespace cairn

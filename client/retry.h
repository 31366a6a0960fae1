// Retry: how often and how long a client tries again.

#ifndef CLIENT_RETRY_H_
#define CLIENT_RETRY_H_

#include <algorithm>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace cairn {

// The tries of one call: until its deadline, with growing pauses between them.
// Threads: one, but Cancel from any.
class Retry {
 public:
  explicit Retry(absl::Time deadline) : deadline_(deadline) {}

  // Time left, never negative.
  absl::Duration Left() const { return std::max(absl::ZeroDuration(), deadline_ - absl::Now()); }

  // Waits before the next try. False if there is no time for one, or Cancel was called.
  bool Pause();

  // The next pause is the shortest again: something was achieved.
  void Reset() { pause_ = kShortestPause; }

  // Ends a Pause under way and all later ones.
  void Cancel();

 private:
  static constexpr absl::Duration kShortestPause = absl::Milliseconds(10);
  static constexpr absl::Duration kLongestPause = absl::Milliseconds(250);

  absl::Time deadline_;
  absl::Duration pause_ = kShortestPause;
  Mutex mutex_;
  CondVar cancel_;
  bool cancelled_ CAIRN_GUARDED_BY(mutex_) = false;
};

// True if another try, at this or another member, may succeed: nobody leads yet, the member is
// starting or stopping, the connection broke.
bool WorthRetrying(const absl::Status& status);

}  // namespace cairn

#endif  // CLIENT_RETRY_H_

// EntryClock: the timestamps a leader gives to entries.

#ifndef RAFT_ENTRY_CLOCK_H_
#define RAFT_ENTRY_CLOCK_H_

#include <optional>

#include "base/time.h"

namespace cairn {

// A timestamp is the larger one of the log's last timestamp and the wall clock, so it never falls
// within a log. A wall clock that has run ahead of the monotonic one by more than `max_jump` since
// it was last believed is not believed: the monotonic clock goes on in its place, until the two
// agree again. (Entries that expire would otherwise all go at once.)
//
// Threads: one at a time.
class EntryClock {
 public:
  EntryClock(Duration max_jump, Instant now, WallTime wall)
      : max_jump_(max_jump), believed_at_(now), believed_(wall) {}

  // An entry with this timestamp was appended to the log.
  void Saw(WallTime timestamp);
  WallTime Stamp(Instant now, WallTime wall);
  // By how much the wall clock is ahead, while it is not believed.
  std::optional<Duration> disbelieved() const { return disbelieved_; }

 private:
  const Duration max_jump_;
  Instant believed_at_;
  WallTime believed_;
  std::optional<Duration> disbelieved_;
  WallTime last_{0};
};

}  // namespace cairn

#endif  // RAFT_ENTRY_CLOCK_H_

// RoomWatch: when a leader whose disk is full hands over.

#ifndef RAFT_CONTROL_ROOM_WATCH_H_
#define RAFT_CONTROL_ROOM_WATCH_H_

#include "base/time.h"

namespace cairn {

// At once, and, since there may be nobody to take over, again and again, more and more rarely: a
// member that has no room itself does not lead, but may have some later.
//
// Threads: one at a time. Instants never go back.
class RoomWatch {
 public:
  // `patience`: between the first two attempts.
  explicit RoomWatch(Duration patience) : first_patience_(patience), patience_(patience) {}

  // Is to be asked whenever something may have changed. True if leadership is to be handed over
  // now; then an attempt has begun.
  bool HandOverDue(Instant now, bool leads, bool has_room);
  // When to ask at the latest.
  Instant NextDeadline() const { return due_; }

 private:
  static constexpr int64_t kLongest = 16;  // times the first patience

  const Duration first_patience_;
  Duration patience_;
  Instant due_ = kDistantFuture;  // kDistantFuture: does not lead, or has room
};

}  // namespace cairn

#endif  // RAFT_CONTROL_ROOM_WATCH_H_

#include "raft/entry_clock.h"

#include <algorithm>

namespace cairn {

void EntryClock::Saw(WallTime timestamp) { last_ = std::max(last_, timestamp); }

WallTime EntryClock::Stamp(Instant now, WallTime wall) {
  WallTime expected{believed_.nanoseconds + (now - believed_at_).nanoseconds};
  Duration ahead{wall.nanoseconds - expected.nanoseconds};
  if (ahead > max_jump_) {
    disbelieved_ = ahead;
    wall = expected;
  } else {
    disbelieved_.reset();
    believed_ = wall;
    believed_at_ = now;
  }
  last_ = std::max(last_, wall);
  return last_;
}

}  // namespace cairn

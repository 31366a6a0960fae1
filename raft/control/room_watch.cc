#include "raft/control/room_watch.h"

#include <algorithm>

namespace cairn {

bool RoomWatch::HandOverDue(Instant now, bool leads, bool has_room) {
  if (!leads || has_room) {
    due_ = kDistantFuture;
    patience_ = first_patience_;
    return false;
  }
  if (due_ != kDistantFuture && now < due_) return false;
  due_ = now + patience_;
  patience_ = std::min(patience_ * 2, first_patience_ * kLongest);
  return true;
}

}  // namespace cairn

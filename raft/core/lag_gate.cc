#include "raft/core/lag_gate.h"

namespace cairn {

void LagGate::Look(Index match, Index last, Instant now) {
  // A learner that has lost what it held starts all over.
  if (match < match_) *this = LagGate();
  match_ = match;
  if (match >= last) {
    held_as_of_ = now;
  } else if (round_end_ != 0 && match >= round_end_) {
    held_as_of_ = round_began_;
  } else if (round_end_ != 0) {
    return;
  }
  round_end_ = last;
  round_began_ = now;
}

bool LagGate::CaughtUp(Instant now, Duration bound) const {
  return held_as_of_ && now - *held_as_of_ < bound;
}

}  // namespace cairn

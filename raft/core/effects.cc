#include "raft/core/effects.h"

#include "base/check.h"

namespace cairn {

const char* NameOf(Role role) {
  switch (role) {
    case Role::kFollower:
      return "follower";
    case Role::kPreCandidate:
      return "pre-candidate";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
  }
  CAIRN_CHECK(false) << "role " << static_cast<int>(role);
  return "";
}

const char* NameOf(ControlRefusal refusal) {
  switch (refusal) {
    case ControlRefusal::kNone:
      return "none";
    case ControlRefusal::kNotLeader:
      return "not the leader";
    case ControlRefusal::kNotReady:
      return "not ready";
    case ControlRefusal::kInProgress:
      return "in progress";
    case ControlRefusal::kInvalid:
      return "invalid";
    case ControlRefusal::kWouldLoseQuorum:
      return "would lose the quorum";
    case ControlRefusal::kLagging:
      return "lagging";
    case ControlRefusal::kBadTarget:
      return "bad target";
    case ControlRefusal::kTimeout:
      return "timeout";
    case ControlRefusal::kNothingToDo:
      return "nothing to do";
    case ControlRefusal::kNotLost:
      return "the majority is not lost";
  }
  CAIRN_CHECK(false) << "refusal " << static_cast<int>(refusal);
  return "";
}

}  // namespace cairn

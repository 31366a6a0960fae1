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

}  // namespace cairn

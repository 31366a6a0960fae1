#include "raft/group_status.h"

#include "base/check.h"

namespace cairn {

const char* NameOf(NodeState state) {
  switch (state) {
    case NodeState::kStarting:
      return "starting";
    case NodeState::kServing:
      return "serving";
    case NodeState::kDegraded:
      return "degraded";
    case NodeState::kRepairing:
      return "repairing";
    case NodeState::kFenced:
      return "fenced";
    case NodeState::kHalted:
      return "halted";
  }
  CAIRN_CHECK(false) << "unknown state " << static_cast<int>(state);
  return "";
}

}  // namespace cairn

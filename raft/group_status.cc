#include "raft/group_status.h"

#include "absl/strings/str_cat.h"
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

std::optional<std::string> WhyUnhealthy(const GroupStatus& status) {
  const GroupHealth& health = status.health;
  if (status.state != NodeState::kServing) {
    return absl::StrCat(NameOf(status.state), ": ", status.reason);
  }
  if (status.leader == NodeId::kNone) return "no leader is known";
  if (status.role == Role::kLeader && !status.serving_leader) {
    return "leads, and has not applied an entry of its own term yet";
  }
  if (status.replaying) return "a snapshot is being replayed";
  if (health.caught_up) return std::nullopt;
  if (health.lag == 0) return "waits for its leader to say what is committed";
  return absl::StrCat(status.apply_paused ? "is paused" : "catches up", ", ", health.lag,
                      " entries behind");
}

}  // namespace cairn

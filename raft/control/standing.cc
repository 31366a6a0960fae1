#include "raft/control/standing.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "raft/core/membership.h"
#include "raft/core/unsafe_override.h"

namespace cairn {

Standing StandingOf(const Raft& raft, NodeState before, size_t damaged_parts) {
  if (raft.unsure()) {
    return {NodeState::kRepairing,
            absl::StrCat("what was synced last is lost here, behind entry ", raft.last().index,
                         ", perhaps a vote too; waits for a leader that a majority without this "
                         "member confirms, and neither votes nor acknowledges")};
  }
  if (raft.state_lost()) {
    const absl::string_view then =
        IsOneOfSeveral(raft.configuration(), raft.node())
            ? "; the others are asked for a snapshot"
            : ", and with it the list of members; waits until another one is heard of";
    return {NodeState::kRepairing,
            absl::StrCat("the state up to entry ", raft.base().index, " is lost here", then)};
  }
  if (raft.torn_from().has_value()) {
    return {NodeState::kRepairing, "asks the others for its last entries"};
  }
  if (const Holes& holes = raft.holes(); !holes.empty()) {
    return {NodeState::kRepairing,
            absl::StrCat(holes.size(), " entries cannot be read here, the first is ", holes.first(),
                         "; the others are asked for them")};
  }
  if (damaged_parts > 0) {
    return {NodeState::kRepairing,
            absl::StrCat(damaged_parts,
                         " parts of the state cannot be read here; the others are asked for it")};
  }
  if (const auto& unsafe = raft.unsafe_override()) {
    const absl::Time until = absl::FromUnixNanos(unsafe->until().nanoseconds);
    return {NodeState::kDegraded,
            absl::StrCat("unsafe override: ", ToString(*unsafe), ", until ",
                         absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", until, absl::UTCTimeZone()))};
  }
  if (raft.leader() != NodeId::kNone) return {NodeState::kServing, ""};
  if (before == NodeState::kStarting) return {before, "no leader is known yet"};
  return {NodeState::kDegraded, "no leader is known"};
}

}  // namespace cairn

#include "service/membership/loss_estimate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cairn {

std::string LossEstimate(const SurvivorState& survivor) {
  const Index last = survivor.last.index;
  std::string text = absl::StrCat("Entries up to ", survivor.commit, " are committed and stay. ");
  if (last > survivor.commit + 1) {
    absl::StrAppend(&text, "Entries ", survivor.commit + 1, " to ", last,
                    " stay and may never have been acknowledged. ");
  } else if (last > survivor.commit) {
    absl::StrAppend(&text, "Entry ", last, " stays and may never have been acknowledged. ");
  }
  absl::StrAppend(&text, "Whatever was acknowledged behind ", last,
                  " is lost; how much that is nobody left can know. ");
  if (survivor.since_leader) {
    absl::StrAppend(&text,
                    absl::StrFormat("A leader was last heard %.1f s ago.",
                                    static_cast<double>(survivor.since_leader->nanoseconds) / 1e9));
  } else {
    absl::StrAppend(&text, "No leader was heard since this member started.");
  }
  return text;
}

uint64_t VotersLeft(const Configuration& configuration, const std::vector<NodeId>& evicted) {
  uint64_t left = 0;
  for (NodeId node : configuration.Nodes()) {
    const bool gone = std::find(evicted.begin(), evicted.end(), node) != evicted.end();
    left += configuration.IsVoter(node) && !gone ? 1 : 0;
  }
  return left;
}

}  // namespace cairn

#include "raft/core/unsafe_override.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"

namespace cairn {
namespace {

bool Names(const std::vector<NodeId>& nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

bool Names(const std::vector<Member>& members, NodeId node) {
  return std::any_of(members.begin(), members.end(),
                     [node](const Member& member) { return member.node == node; });
}

void Erase(std::vector<Member>& members, const std::vector<NodeId>& nodes) {
  std::erase_if(members, [&](const Member& member) { return Names(nodes, member.node); });
}

std::string Join(const std::vector<NodeId>& nodes) {
  return absl::StrJoin(
      nodes, ",", [](std::string* out, NodeId node) { absl::StrAppend(out, ToInteger(node)); });
}

size_t MajorityOf(const std::vector<Member>& voters) {
  return voters.empty() ? 0 : voters.size() / 2 + 1;
}

size_t CountLeft(const std::vector<Member>& voters, const std::vector<NodeId>& lost) {
  return static_cast<size_t>(std::count_if(
      voters.begin(), voters.end(), [&](const Member& voter) { return !Names(lost, voter.node); }));
}

void EraseFromTarget(Configuration& configuration, const std::vector<NodeId>& evicted,
                     NodeId self) {
  MembershipTarget& target = *configuration.target;
  for (auto* members :
       {&target.voters, &target.learners, &target.voters_before, &target.learners_before}) {
    Erase(*members, evicted);
  }
  const bool there = !configuration.joint() && target.voters == configuration.voters &&
                     target.learners == configuration.learners;
  if (there || target.voters_before.empty() || !Names(target.voters, self)) {
    configuration.target.reset();
  }
}

void Evict(Configuration& configuration, const std::vector<NodeId>& evicted, NodeId self) {
  for (auto* members :
       {&configuration.voters, &configuration.outgoing_voters, &configuration.learners}) {
    Erase(*members, evicted);
  }
  const bool undone = configuration.voters.empty();
  if (undone) configuration.voters.swap(configuration.outgoing_voters);
  if (undone) configuration.target.reset();
  if (configuration.target) EraseFromTarget(configuration, evicted, self);
}

}  // namespace

bool ActsOn(const UnsafeOverride& unsafe, const Configuration& configuration) {
  if (unsafe.quorum > 0) return unsafe.quorum < NaturalQuorum(configuration);
  return std::any_of(unsafe.evicted.begin(), unsafe.evicted.end(),
                     [&](NodeId node) { return configuration.IsMember(node); });
}

QuorumRule RuleOf(const UnsafeOverride& unsafe, const Configuration& configuration) {
  if (!ActsOn(unsafe, configuration)) return {};
  if (unsafe.quorum > 0) return {.evicted = {}, .most = unsafe.quorum};
  QuorumRule rule;
  rule.evicted = unsafe.evicted;
  rule.every_vote = true;
  return rule;
}

std::string ToString(const UnsafeOverride& unsafe) {
  if (unsafe.quorum == 1) return "1 voter is enough";
  if (unsafe.quorum > 1) return absl::StrCat(unsafe.quorum, " voters are enough");
  if (unsafe.evicted.size() == 1) {
    return absl::StrCat("node ", Join(unsafe.evicted), " is not counted");
  }
  return absl::StrCat("nodes ", Join(unsafe.evicted), " are not counted");
}

size_t NaturalQuorum(const Configuration& configuration) {
  return std::max(MajorityOf(configuration.voters), MajorityOf(configuration.outgoing_voters));
}

std::string EvictionFault(const Configuration& configuration, NodeId self,
                          const std::vector<NodeId>& lost) {
  if (lost.empty()) return "nobody is to be evicted";
  std::set<NodeId> named;
  bool some_voter = false;
  for (NodeId node : lost) {
    if (node == self) return "a member does not evict itself";
    if (!named.insert(node).second) {
      return absl::StrCat("node ", ToInteger(node), " is named twice");
    }
    if (!configuration.IsMember(node)) {
      return absl::StrCat("node ", ToInteger(node), " is no member");
    }
    some_voter |= configuration.IsVoter(node);
  }
  return some_voter ? "" : "no voter is to be evicted";
}

std::string MajorityLeft(const Configuration& configuration, const std::vector<NodeId>& lost) {
  std::vector<std::string> halves;
  for (const auto* voters : {&configuration.voters, &configuration.outgoing_voters}) {
    if (voters->empty()) continue;
    const size_t left = CountLeft(*voters, lost);
    if (left < MajorityOf(*voters)) return "";
    halves.push_back(absl::StrCat(left, " of ", voters->size(), " voters are left, and ",
                                  MajorityOf(*voters), " decide"));
  }
  return absl::StrJoin(halves, "; ");
}

Configuration Recovered(const Configuration& configuration, const UnsafeOverride& unsafe,
                        NodeId self, LogPosition at) {
  CAIRN_CHECK(ActsOn(unsafe, configuration)) << ToString(configuration);
  Configuration recovered = configuration;
  if (unsafe.quorum == 0) Evict(recovered, unsafe.evicted, self);
  UnsafeRecoveries& recoveries = recovered.unsafe_recoveries;
  ++recoveries.count;
  recoveries.evicted = unsafe.evicted;
  recoveries.quorum = unsafe.quorum;
  recoveries.at = at;
  recoveries.asked = unsafe.asked;
  std::set<NodeId> ever(recoveries.evicted_ever.begin(), recoveries.evicted_ever.end());
  ever.insert(unsafe.evicted.begin(), unsafe.evicted.end());
  recoveries.evicted_ever.assign(ever.begin(), ever.end());
  return recovered;
}

}  // namespace cairn

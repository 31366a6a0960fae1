#include "tests/sim/checkers/membership_checker.h"

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/sim/quorums.h"

namespace cairn::sim {
namespace {

// All members a configuration speaks of, those of its target included.
std::vector<Member> AllOf(const Configuration& configuration) {
  std::vector<Member> all;
  auto add = [&](const std::vector<Member>& members) {
    all.insert(all.end(), members.begin(), members.end());
  };
  add(configuration.voters);
  add(configuration.outgoing_voters);
  add(configuration.learners);
  if (configuration.target) {
    add(configuration.target->voters);
    add(configuration.target->learners);
  }
  return all;
}

std::set<NodeId> NodesOf(const std::vector<Member>& members) {
  std::set<NodeId> nodes;
  for (const Member& member : members) nodes.insert(member.node);
  return nodes;
}

bool IsLearner(const Configuration& configuration, NodeId node) {
  return configuration.IsMember(node) && !configuration.IsVoter(node);
}

size_t CountNew(const std::vector<Member>& members, const std::vector<Member>& before) {
  std::set<NodeId> nodes = NodesOf(members);
  for (const Member& member : before) nodes.erase(member.node);
  return nodes.size();
}

}  // namespace

void MembershipChecker::Report(NodeId node, const std::string& what) {
  violations_.Report("I16 membership safety", absl::StrCat("n", ToInteger(node), " ", what));
}

void MembershipChecker::Appended(const Ledger::ConfigurationChange& change) {
  const std::string what =
      absl::StrCat("appends ", ToString(*change.next), " at ", change.index, "/", change.term,
                   " behind ", ToString(*change.previous), " at ", change.previous_index);
  const uint64_t forced = change.next->unsafe_recoveries.count;
  const uint64_t forced_before = change.previous->unsafe_recoveries.count;
  if (forced == forced_before) {
    CheckFollows(change, what);
    CheckActive(change);
  } else if (forced < forced_before) {
    Report(change.leader, absl::StrCat(what, ", which forgets an unsafe recovery"));
  } else if (forced > forced_before + 1 || !ledger_.rescued()) {
    Report(change.leader, absl::StrCat(what, ", and nobody asked for an unsafe recovery"));
  } else {
    counters_.Count("configuration forced by an unsafe recovery");
  }
  for (const Member& member : AllOf(*change.next)) {
    Index& first = ever_.try_emplace(member.node, change.index).first->second;
    first = std::min(first, change.index);
    appended_.insert(member.address);
    if (!refused_.contains(member.address)) continue;
    Report(change.leader, absl::StrCat(what, ": it was refused"));
  }
  counters_.Count("configuration appended");
}

void MembershipChecker::CheckFollows(const Ledger::ConfigurationChange& change,
                                     const std::string& what) {
  const bool initial = change.previous_index == 0 && change.index == change.first_of_term;
  if (change.previous_index > ledger_.commit()) {
    Report(change.leader, absl::StrCat(what, ", which is not committed"));
  }
  if (!initial && change.first_of_term > ledger_.commit()) {
    Report(change.leader, absl::StrCat(what, ", and has committed nothing of its term, which ",
                                       "begins at ", change.first_of_term));
  }
  if (!QuorumsMeet(*change.previous, *change.next)) {
    Report(change.leader, absl::StrCat(what, ": their quorums need not meet"));
  }
}

// Whoever holds the last committed configuration may come to lead with what it has behind it.
void MembershipChecker::CheckActive(const Ledger::ConfigurationChange& change) {
  const Index committed = ledger_.configuration_index();
  for (const auto& [node, log] : ledger_.logs()) {
    const Index at = log.live().LastConfiguration();
    if (at <= committed || node == change.leader) continue;
    const EntryId* entry = log.live().Find(committed);
    if (entry != nullptr && *entry != ledger_.Committed(committed)) continue;
    const Configuration& other = *log.live().Find(at)->configuration;
    if (QuorumsMeet(other, *change.next)) continue;
    Report(change.leader, absl::StrCat("appends ", ToString(*change.next), " at ", change.index,
                                       " while n", ToInteger(node), " has ", ToString(other),
                                       " at ", at, ": their quorums need not meet"));
  }
}

void MembershipChecker::Committed(const Ledger::ConfigurationChange& change) {
  for (const auto& [node, at] : ever_) {
    if (at < change.index) removed_.insert(node);
  }
  for (NodeId node : change.next->Nodes()) removed_.erase(node);
  CountCommitted(change);
}

void MembershipChecker::CountCommitted(const Ledger::ConfigurationChange& change) {
  const Configuration& before = *change.previous;
  const Configuration& now = *change.next;
  counters_.Count("configuration committed");
  if (now.joint()) counters_.Count("joint configuration committed");
  if (now.joint() && CountNew(now.voters, now.outgoing_voters) > 1) {
    counters_.Count("several voters replaced at once");
  }
  for (NodeId node : now.Nodes()) {
    if (now.IsVoter(node) && IsLearner(before, node)) counters_.Count("learner promoted");
    if (IsLearner(now, node) && before.IsVoter(node)) counters_.Count("voter became a learner");
  }
  const bool ends = before.target && !before.joint() && !now.target && !now.joint();
  if (ends && change.previous_index > 0) counters_.Count("change cancelled");
  if (before.IsVoter(change.leader) && !now.IsVoter(change.leader)) {
    counters_.Count("leader removed itself");
  }
  if (!before.joint() && !now.joint() && before.voters != now.voters &&
      NodesOf(before.voters) == NodesOf(now.voters) && change.previous_index > 0) {
    counters_.Count("address of a voter changed");
  }
}

void MembershipChecker::Elected(NodeId leader, Term term,
                                const std::function<bool(NodeId)>& voted) {
  const Ledger::ConfigurationPointer configuration = ledger_.InForce(term);
  if (configuration->joint()) counters_.Count("leader elected by a joint configuration");
  if (ledger_.Elects(*configuration, voted)) return;
  std::string voters;
  for (const auto& [node, log] : ledger_.logs()) {
    if (voted(node)) absl::StrAppend(&voters, " n", ToInteger(node));
  }
  Report(leader, absl::StrCat("leads term ", term, " by the votes of", voters, ", no quorum of ",
                              ToString(*configuration)));
}

void MembershipChecker::Shown(NodeId node, const GroupStatus& status) {
  const auto log = ledger_.logs().find(node);
  if (log == ledger_.logs().end()) return;
  const LogImage& live = log->second.live();
  // What the node has in memory may be ahead of its disk. Logs that end alike are alike.
  if (live.last() != status.last_index || live.last_term() != status.last_term) return;
  const Index last = live.LastConfiguration();
  if (last == 0 || last == status.configuration_index) return;
  // That entry may be what it cannot read. Then it has not applied it, and does not campaign.
  if (status.state == NodeState::kRepairing) return;
  Report(node,
         absl::StrCat("goes by the configuration of ", status.configuration_index, ", ",
                      ToString(status.configuration), "; the last one in its log is at ", last));
}

void MembershipChecker::ShownAtRest(NodeId node, const GroupStatus& status) {
  if (IsInForce(status)) return;
  Report(node,
         absl::StrCat("goes by ", ToString(status.configuration), " of ",
                      status.configuration_index, "; committed is ",
                      ToString(ledger_.configuration()), " of ", ledger_.configuration_index()));
}

void MembershipChecker::Declared(uint64_t request, DeclaredMembers members, std::string tag) {
  requests_[request] = {std::move(members), std::move(tag)};
}

void MembershipChecker::Told(uint64_t request, NodeId node, const ControlResult& result) {
  const auto found = requests_.find(request);
  if (found == requests_.end()) return;
  if (const auto* done = std::get_if<ControlDone>(&result)) {
    counters_.Count("change answered: done");
    return CheckDone(node, found->second, *done);
  }
  const auto& refused = std::get<ControlRefused>(result);
  counters_.Count(absl::StrCat("change answered: ", NameOf(refused.reason)));
  if (refused.reason == ControlRefused::Reason::kUnknown || found->second.tag.empty()) return;
  if (appended_.contains(found->second.tag)) {
    Report(node, absl::StrCat("refuses a change to ", found->second.tag,
                              ", which was appended: ", refused.message));
  }
  refused_.insert(found->second.tag);
}

void MembershipChecker::CheckDone(NodeId node, const Request& request, const ControlDone& done) {
  const Index at = done.at.index;
  if (at == 0 || at > ledger_.commit() || ledger_.Committed(at).term != done.at.term ||
      ledger_.Committed(at).configuration == nullptr) {
    return Report(node, absl::StrCat("says that a change is committed at ", ToString(done.at),
                                     "; committed is up to ", ledger_.commit()));
  }
  const Configuration& configuration = *ledger_.Committed(at).configuration;
  const auto& voters = configuration.target ? configuration.target->voters : configuration.voters;
  const auto& learners =
      configuration.target ? configuration.target->learners : configuration.learners;
  if (NodesOf(voters) == NodesOf(request.members.voters) &&
      NodesOf(learners) == NodesOf(request.members.learners)) {
    return;
  }
  Report(node, absl::StrCat("says that a change is done at ", at, "; there stands ",
                            ToString(configuration)));
}

}  // namespace cairn::sim

#include "tests/sim/checkers/state_checker.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn::sim {

void StateChecker::Started(NodeId node) { machines_[node] = Machine(); }

bool StateChecker::paused(NodeId node) const {
  const auto machine = machines_.find(node);
  return machine != machines_.end() && machine->second.paused;
}

void StateChecker::CheckNotPaused(NodeId node, Index index) {
  if (!paused(node)) return;
  violations_.Report("what is paused is not applied",
                     absl::StrCat("n", ToInteger(node), " comes to ", index, ", has ",
                                  applied(node), " and said that it is paused"));
}

void StateChecker::Applied(NodeId node, const AppliedCommand& applied) {
  Index index = applied.position.index;
  const LogPosition& last = machines_[node].applied;
  CheckNotPaused(node, index);
  if (index <= last.index) {
    violations_.Report(
        "I17 order", absl::StrCat("n", ToInteger(node), " applies ", index, " after ", last.index));
  }
  AppliedUpTo(node, applied.position);
  auto [known, is_new] = by_index_.insert({index, applied});
  if (is_new) {
    CheckFirst(node, applied);
  } else if (known->second.state_hash != applied.state_hash || known->second.time != applied.time) {
    violations_.Report("I8 state machine safety",
                       absl::StrCat("n", ToInteger(node), " applies command ", applied.command,
                                    " at ", index, ", where command ", known->second.command,
                                    " was applied, or comes to another state"));
  }
}

void StateChecker::Restored(NodeId node, LogPosition position, uint64_t state_hash) {
  Machine& machine = machines_[node];
  CheckNotPaused(node, position.index);
  if (machine.replays > 0 && position.index <= machine.applied.index) {
    if (position.index < machine.applied.index) counters_.Count("replay went back");
    machine.applied = {};
  }
  AppliedUpTo(node, position);
  auto behind = by_index_.upper_bound(position.index);
  const uint64_t known = behind == by_index_.begin() ? 0 : std::prev(behind)->second.state_hash;
  if (known == state_hash) return;
  violations_.Report("I18 snapshot equivalence",
                     absl::StrCat("n", ToInteger(node), " restores another state at ",
                                  ToString(position), " than the entries make"));
}

void StateChecker::SnapshotMade(NodeId node, LogPosition position, const ContentId& id) {
  auto [known, is_new] = snapshots_.insert({position, id});
  if (is_new || known->second == id) return;
  violations_.Report("I18 snapshot equivalence",
                     absl::StrCat("n", ToInteger(node), " has another snapshot at ",
                                  ToString(position), " than others"));
}

void StateChecker::CheckFirst(NodeId node, const AppliedCommand& applied) {
  auto proposed = proposed_.find(applied.command);
  if (proposed == proposed_.end() || proposed->second.command_hash != applied.command_hash) {
    violations_.Report("I12 no phantom",
                       absl::StrCat("n", ToInteger(node), " applies at ", applied.position.index,
                                    " what nobody proposed"));
    return;
  }
  auto [known, is_new] = by_command_.insert({applied.command, applied.position.index});
  if (!is_new) {
    violations_.Report("I15 exactly once",
                       absl::StrCat("command ", applied.command, " is applied at ", known->second,
                                    " and at ", applied.position.index));
  }
  if (by_index_.rbegin()->first != applied.position.index) {
    violations_.Report("I8 state machine safety",
                       absl::StrCat("n", ToInteger(node), " applies a command at ",
                                    applied.position.index, " where others had none"));
  }
  CheckSession(applied.command, proposed->second.call);
  const Term fence = proposed->second.fence;
  if (fence == 0) return;
  counters_.Count("fenced command applied");
  if (applied.position.term == fence) return;
  violations_.Report(
      "fenced commands keep their term",
      absl::StrCat("command ", applied.command, " is applied at ", ToString(applied.position),
                   ", proposed for term ", fence, " only"));
}

void StateChecker::CheckSession(CommandId command, const SessionCall& call) {
  if (call.session == 0) return;
  std::set<uint64_t>& numbers = session_numbers_[call.session];
  bool is_new = numbers.insert(call.number).second;
  bool in_order = !call.in_order || call.number == 1 || numbers.contains(call.number - 1);
  if (is_new && in_order) return;
  violations_.Report(
      "I15 exactly once",
      absl::StrCat("command ", command, ", call ", call.number, " of session ", call.session,
                   is_new ? ", is applied without the one before" : ", is applied twice"));
}

void StateChecker::AppliedUpTo(NodeId node, LogPosition position) {
  LogPosition& last = machines_[node].applied;
  if (position.index < last.index) {
    violations_.Report("I17 order", absl::StrCat("n", ToInteger(node), " goes back from ",
                                                 last.index, " to ", position.index));
  }
  last = position;
  ledger_.Claimed(node, position.index, "applied");
  if (position.index == 0 || position.index > ledger_.commit()) return;
  if (ledger_.Committed(position.index).term != position.term) {
    violations_.Report(
        "I8 state machine safety",
        absl::StrCat("n", ToInteger(node), " applies ", ToString(position), ", committed is term ",
                     ledger_.Committed(position.index).term));
  }
}

void StateChecker::ForgetBehind(Index index) {
  const auto lost = by_index_.upper_bound(index);
  for (auto each = lost; each != by_index_.end(); ++each) {
    by_command_.erase(each->second.command);
    const SessionCall& call = proposed_.at(each->second.command).call;
    if (call.session != 0) session_numbers_[call.session].erase(call.number);
  }
  by_index_.erase(lost, by_index_.end());
  snapshots_.erase(snapshots_.upper_bound({index, ~Term{0}}), snapshots_.end());
}

const AppliedCommand* StateChecker::Find(CommandId command) const {
  auto found = by_command_.find(command);
  return found == by_command_.end() ? nullptr : &by_index_.at(found->second);
}

Index StateChecker::applied(NodeId node) const {
  auto found = machines_.find(node);
  return found == machines_.end() ? 0 : found->second.applied.index;
}

std::vector<CommandId> StateChecker::Commands() const {
  std::vector<CommandId> commands;
  for (const auto& [index, applied] : by_index_) commands.push_back(applied.command);
  return commands;
}

}  // namespace cairn::sim

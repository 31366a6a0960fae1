#include "tests/sim/checkers/client_checker.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"

namespace cairn::sim {

void ClientChecker::Asked(CommandId id) {
  auto [found, is_new] = commands_.insert({id, Command()});
  if (is_new) found->second.horizon = AskedToRead();
  ++found->second.open;
}

void ClientChecker::Told(CommandId id, NodeId node, const ProposalResult& result) {
  Command& command = commands_.at(id);
  --command.open;
  if (const auto* applied = std::get_if<ProposalApplied>(&result)) {
    ToldApplied(id, command, node, *applied);
  } else if (std::holds_alternative<ProposalUnknown>(result)) {
    command.maybe = true;
    counters_.Count("proposal answered: unknown");
  } else {
    const auto& refused = std::get<ProposalNotApplied>(result);
    counters_.Count(absl::StrCat("proposal answered: not applied, ", NameOf(refused.reason)));
    if (states_.Find(id) != nullptr) Applied(id);
  }
}

void ClientChecker::ToldApplied(CommandId id, Command& command, NodeId node,
                                const ProposalApplied& applied) {
  counters_.Count(applied.duplicate ? "proposal answered: applied before"
                                    : "proposal answered: applied");
  const AppliedCommand* truth = states_.Find(id);
  if (truth == nullptr) {
    violations_.Report("I11 ack durable", absl::StrCat("n", ToInteger(node), " says command ", id,
                                                       " is applied; nobody has applied it"));
    return;
  }
  Index at = truth->position.index;
  if (!applied.duplicate && applied.at != truth->position) {
    violations_.Report("I11 ack durable", absl::StrCat("n", ToInteger(node), " says command ", id,
                                                       " is applied at ", ToString(applied.at),
                                                       ", it is at ", ToString(truth->position)));
  }
  if (applied.reply.view() != truth->reply) {
    violations_.Report("I15 exactly once",
                       absl::StrCat("n", ToInteger(node), " gives another answer to command ", id,
                                    " than its first application"));
  }
  durability_.Answered(node, at);
  if (at <= command.horizon) {
    violations_.Report("I13 linearizable",
                       absl::StrCat("command ", id, " is applied at ", at, ", but ",
                                    command.horizon, " was known before it was asked for"));
  }
  if (command.at == 0) ++acknowledged_;
  command.at = at;
  horizon_ = std::max(horizon_, at);
}

void ClientChecker::ToldToRead(NodeId node, Index horizon, const ReadReady& ready) {
  counters_.Count("read answered");
  if (ledger_.LeaderOf(ledger_.last_term()) != node) counters_.Count("read answered by a follower");
  if (ready.index < horizon || states_.applied(node) < horizon) {
    violations_.Report("I14 fresh reads",
                       absl::StrCat("n", ToInteger(node), " lets read at ", ready.index,
                                    ", having applied ", states_.applied(node), "; ", horizon,
                                    " was known before the read was asked for"));
  }
  if (states_.applied(node) < ready.index) {
    violations_.Report("I14 fresh reads",
                       absl::StrCat("n", ToInteger(node), " lets read at ", ready.index,
                                    ", having applied ", states_.applied(node)));
  }
  horizon_ = std::max(horizon_, states_.applied(node));
}

void ClientChecker::AskedLeader(NodeId node, uint64_t request) {
  asked_.insert({{node, request}, AskedToRead()});
}

void ClientChecker::LeaderAnswered(NodeId node, uint64_t request, Index index) {
  const auto asked = asked_.find({node, request});
  if (asked == asked_.end()) {
    violations_.Report("I14 fresh reads",
                       absl::StrCat("n", ToInteger(node), " is told where to read, and did not ask",
                                    " with request ", request));
  } else if (index < asked->second) {
    violations_.Report("I14 fresh reads",
                       absl::StrCat("n", ToInteger(node), " is told to read at ", index, "; ",
                                    asked->second, " was known before it asked"));
  }
}

void ClientChecker::Applied(CommandId id) {
  auto found = commands_.find(id);
  if (found == commands_.end()) return;
  const Command& command = found->second;
  if (command.open == 0 && !command.maybe && command.at == 0) {
    violations_.Report("not applied means never applied",
                       absl::StrCat("command ", id, " is applied, but its proposer was told that ",
                                    "it never would be"));
  }
}

void ClientChecker::ForgiveBehind(Index index) {
  horizon_ = std::min(horizon_, index);
  for (auto& [id, command] : commands_) {
    command.horizon = std::min(command.horizon, index);
    if (command.at <= index) continue;
    counters_.Count("acknowledged command lost with a majority");
    command.at = 0;
    // It may still be found in a log, and be applied elsewhere.
    command.maybe = true;
  }
  for (auto& [question, known] : asked_) known = std::min(known, index);
}

void ClientChecker::CheckNothingLost(NodeId node) const {
  for (const auto& [id, command] : commands_) {
    if (command.at == 0) continue;
    const AppliedCommand* truth = states_.Find(id);
    if (truth != nullptr && truth->position.index <= states_.applied(node)) continue;
    violations_.Report("I11 ack durable", absl::StrCat("n", ToInteger(node), " has no command ", id,
                                                       ", acknowledged at ", command.at));
    return;
  }
}

}  // namespace cairn::sim

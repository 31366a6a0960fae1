#include "raft/core/invariants.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "raft/core/quorum.h"

namespace cairn {
namespace {

constexpr size_t kMostNodesTried = 12;

std::optional<std::string> CheckState(const Raft& raft) {
  if (raft.commit() > raft.last().index) {
    return absl::StrCat("commit ", raft.commit(), " is behind the last entry ",
                        ToString(raft.last()));
  }
  if (raft.durable() > raft.last().index) {
    return absl::StrCat("durable ", raft.durable(), " is behind the last entry ",
                        ToString(raft.last()));
  }
  if (raft.torn_from() && raft.durable() >= *raft.torn_from()) {
    return absl::StrCat("durable ", raft.durable(), " although torn from ", *raft.torn_from());
  }
  if (raft.unsure() && raft.role() != Role::kFollower)
    return "stands, and cannot tell what it voted";
  if (raft.base().index > raft.commit()) return "compacted what is not committed";
  if (raft.last().term > raft.term()) return "an entry of a term to come";
  if (raft.TermAt(raft.last().index) != raft.last().term) return "the last entry has two terms";
  if (raft.role() == Role::kCandidate && raft.vote() != raft.node()) {
    return "a candidate that did not vote for itself";
  }
  if (raft.role() != Role::kLeader) return std::nullopt;
  if (raft.vote() != raft.node() || raft.leader() != raft.node()) {
    return "a leader that did not vote for itself or follows another";
  }
  if (raft.torn_from()) return "a leader with undecided entries";
  if (raft.last().term != raft.term()) return "a leader without an entry of its term";
  for (const NodeId member : raft.configuration().Nodes()) {
    const auto peer = raft.Peer(member);
    if (peer && peer->match > raft.last().index) return "a match behind the last entry";
    if (peer && peer->next <= peer->match) return "next is not behind match";
  }
  return std::nullopt;
}

// Whether any quorum of `a` and any of `b` have a node in common, by trying all of them.
bool QuorumsMeet(const Configuration& a, const Configuration& b) {
  std::vector<NodeId> nodes = a.Nodes();
  for (const NodeId node : b.Nodes()) {
    if (!a.IsMember(node)) nodes.push_back(node);
  }
  if (nodes.size() > kMostNodesTried) return true;
  for (uint32_t set = 0; set < uint32_t{1} << nodes.size(); ++set) {
    // Those in the set grant it to `a`, the others to `b`.
    const auto grants = [&](NodeId voter, bool in) -> std::optional<bool> {
      const auto at = std::find(nodes.begin(), nodes.end(), voter) - nodes.begin();
      return ((set >> at) & 1) == (in ? 1 : 0);
    };
    const bool of_a = CountVotes(a, [&](NodeId v) { return grants(v, true); }) == VoteResult::kWon;
    const bool of_b = CountVotes(b, [&](NodeId v) { return grants(v, false); }) == VoteResult::kWon;
    if (of_a && of_b) return false;
  }
  return true;
}

// Fault catalogue I17: dropped <= applied <= committed, and a reset moves the base forward.
std::optional<std::string> CheckFront(const Raft& raft, const LogBatch& batch) {
  if (batch.drop_to && *batch.drop_to > std::min({raft.commit(), raft.applied(), raft.durable()})) {
    return absl::StrCat("drops up to ", *batch.drop_to,
                        ", which is not committed, applied and durable");
  }
  if (batch.reset_to && batch.reset_to->base.index > raft.commit()) {
    return "resets the log to what is not committed";
  }
  return std::nullopt;
}

}  // namespace

// I16: of a leader's changes, each waits for the one before and for an entry of the own term.
std::optional<std::string> InvariantChecker::CheckMembership(const Raft& raft) {
  const LogPosition at = raft.configuration_position();
  if (configuration_at_ == at) return std::nullopt;
  const std::optional<LogPosition> before = std::exchange(configuration_at_, at);
  const Configuration old = std::exchange(configuration_, raft.configuration());
  if (at.index > 0 && !Validate(configuration_).ok()) {
    return absl::StrCat("not a configuration: ", ToString(configuration_));
  }
  const bool led = seen_ && seen_->role == Role::kLeader && raft.role() == Role::kLeader &&
                   seen_->hard_state.term == raft.term();
  if (!led || !before || before->index == 0) return std::nullopt;
  if (!raft.leads_with_commit()) return "a change before the leader committed in its term";
  if (raft.commit() < before->index) return "a change while another one is not committed";
  // What an operator has forced; that it is said in the log is checked where it is appended.
  const bool forced = configuration_.unsafe_recoveries.count == old.unsafe_recoveries.count + 1;
  if (!forced && configuration_.unsafe_recoveries != old.unsafe_recoveries) {
    return absl::StrCat(ToString(configuration_), " forgets an unsafe recovery");
  }
  if (!forced && !QuorumsMeet(old, configuration_)) {
    return absl::StrCat(ToString(configuration_), " follows ", ToString(old),
                        ", and their quorums need not meet");
  }
  return std::nullopt;
}

InvariantChecker::Seen InvariantChecker::Look(const Raft& raft) {
  return {.role = raft.role(),
          .hard_state = {.term = raft.term(), .vote = raft.vote()},
          .leader = raft.leader(),
          .base = raft.base(),
          .last = raft.last(),
          .commit = raft.commit(),
          .commit_term = raft.TermAt(raft.commit()),
          .applied = raft.applied()};
}

std::optional<std::string> InvariantChecker::AfterStep(const Raft& raft) {
  if (auto broken = CheckState(raft)) return broken;
  if (auto broken = CheckMembership(raft)) return broken;
  const Seen now = Look(raft);
  const std::optional<Seen> before = std::exchange(seen_, now);
  if (!before) {
    term_leader_ = now.leader;
    return std::nullopt;
  }
  if (now.hard_state.term < before->hard_state.term) return "the term went back";
  const bool same_term = now.hard_state.term == before->hard_state.term;
  if (same_term && before->hard_state.vote != NodeId::kNone &&
      now.hard_state.vote != before->hard_state.vote) {
    return "the vote changed within a term";
  }
  if (!same_term) term_leader_ = NodeId::kNone;
  if (now.leader != NodeId::kNone) {
    if (term_leader_ != NodeId::kNone && term_leader_ != now.leader) {
      return "the leader changed within a term";
    }
    term_leader_ = now.leader;
  }
  if (now.commit < before->commit) return "commit went back";
  if (now.base < before->base) return "the base went back";
  if (before->commit > raft.base().index && raft.TermAt(before->commit) != before->commit_term) {
    return absl::StrCat("the committed entry ", before->commit, " was replaced");
  }
  if (now.applied < before->applied) return "applied went back";
  const bool leads = now.role == Role::kLeader && before->role == Role::kLeader;
  if (leads && !same_term) return "a leader changed its term";
  if (leads && (now.last < before->last || raft.TermAt(before->last.index) != before->last.term)) {
    return "a leader's log shrank or changed";
  }
  if (leads && now.commit > before->commit && now.commit_term != now.hard_state.term &&
      now.commit != told_) {
    return "a leader committed an entry of an older term by counting";
  }
  return std::nullopt;
}

std::optional<std::string> InvariantChecker::AfterEffects(const Raft& raft,
                                                          const Effects& effects) {
  for (const LogBatch& batch : effects.log_batches) {
    if (batch.ticket <= last_ticket_) return "tickets do not grow";
    last_ticket_ = batch.ticket;
    if (auto broken = CheckFront(raft, batch)) return broken;
    for (size_t i = 1; i < batch.runs.size(); ++i) {
      if (batch.runs[i].first.index != batch.runs[i - 1].last_index + 1) {
        return "a batch with a hole";
      }
    }
  }
  if (effects.restore) {
    // The log was reset to it; or it has the entry there, and one before that cannot be read.
    const Index index = effects.restore->index;
    const bool hole = !raft.holes().empty() && raft.holes().first() <= index;
    const bool lost = raft.applied() < raft.base().index && raft.base().index < index;
    const bool over_hole =
        index <= raft.commit() && (hole || lost) && raft.TermAt(index) == effects.restore->term;
    if (!over_hole && index > std::min(raft.base().index, raft.durable())) {
      return "restores a snapshot for which the log was not reset durably";
    }
    if (index <= (over_hole ? raft.applied() : apply_up_to_)) return "restores what was applied";
    apply_up_to_ = index;
  }
  if (effects.apply_up_to > 0) {
    if (effects.apply_up_to > std::min(raft.commit(), raft.durable())) {
      return "applies what is not committed or not durable";
    }
    if (effects.apply_up_to <= apply_up_to_) return "applies again";
    apply_up_to_ = effects.apply_up_to;
  }
  if (raft.role() != Role::kLeader &&
      !(effects.send_entries.empty() && effects.send_snapshots.empty())) {
    return "sends entries or snapshots without leading";
  }
  if (effects.ask_torn && raft.torn_from() != effects.ask_torn->first) {
    return "asks for entries that are not torn";
  }
  std::map<NodeId, int> acks;
  for (const Message& message : effects.messages) {
    if (message.from != raft.node() || message.to == raft.node()) return "a misaddressed message";
    if (TermOf(message.body) > raft.term() &&
        !std::holds_alternative<PreVoteRequest>(message.body) &&
        !std::holds_alternative<PreVoteReply>(message.body)) {
      return absl::StrCat(NameOf(message.body), " of a term to come");
    }
    const auto* ack = std::get_if<AppendReply>(&message.body);
    if (ack == nullptr || !ack->success) continue;
    if (ack->match > raft.durable()) return "acknowledges what is not durable";
    if (++acks[message.to] > 1) return "acknowledges twice at once";
  }
  return std::nullopt;
}

}  // namespace cairn

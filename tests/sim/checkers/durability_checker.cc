#include "tests/sim/checkers/durability_checker.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace cairn::sim {
namespace {

// True if `image` shows that `node` will not vote for another candidate in `term`.
bool KeepsVote(const LogImage& image, Term term, NodeId candidate) {
  HardState held = image.hard_state();
  return held.term > term || (held.term == term && held.vote == candidate);
}

}  // namespace

DurabilityChecker::DurabilityChecker(const Ledger& ledger, Violations& violations,
                                     Counters& counters, RecoverWorstCase recover,
                                     const Options& options)
    : ledger_(ledger),
      violations_(violations),
      counters_(counters),
      recover_(std::move(recover)),
      options_(options),
      random_(options.seed) {}

void DurabilityChecker::Report(NodeId node, const char* message, const std::string& what) {
  violations_.Report("I4 persist before send",
                     absl::StrCat("n", ToInteger(node), " sends ", message, ", ", what));
}

void DurabilityChecker::HardStateDurable(NodeId node, HardState hard_state) {
  if (hard_state.vote != NodeId::kNone) durable_[{node, hard_state.term}] = hard_state.vote;
}

bool DurabilityChecker::VotedFor(NodeId node, Term term, NodeId candidate) const {
  const auto vote = durable_.find({node, term});
  return (vote != durable_.end() && vote->second == candidate) ||
         of_former_.contains({node, term, candidate});
}

void DurabilityChecker::Begun(NodeId node) {
  for (const auto& [vote, candidate] : durable_) {
    if (vote.first == node) of_former_.insert({node, vote.second, candidate});
  }
  const auto is_its_own = [node](const auto& vote) { return vote.first.first == node; };
  std::erase_if(durable_, is_its_own);
  std::erase_if(sent_, is_its_own);
}

void DurabilityChecker::Sent(const Envelope& envelope) {
  NodeId node = envelope.from;
  if (const auto* results = std::get_if<ForwardedResults>(&envelope.body)) {
    for (const ProposalResult& result : results->results) {
      if (const auto* applied = std::get_if<ProposalApplied>(&result)) {
        Answered(node, applied->at.index);
      }
    }
  }
  const auto* body = std::get_if<MessageBody>(&envelope.body);
  if (body == nullptr) return;
  if (const auto* vote = std::get_if<VoteReply>(body)) {
    if (vote->granted) CheckVote(node, vote->term, envelope.to, "VoteReply");
  } else if (const auto* request = std::get_if<VoteRequest>(body)) {
    candidates_[{node, request->term}] = request->last;
    CheckVote(node, request->term, node, "VoteRequest");
    CheckHeld(node, request->term, request->last.index, "VoteRequest");
  } else if (const auto* reply = std::get_if<AppendReply>(body)) {
    if (reply->success) CheckHeld(node, reply->term, reply->match, "AppendReply");
  }
  // A TailReply may name entries that are not durable: it only keeps its asker from forgetting them
  // (raft/core/tail_query.cc).
}

// Whether `candidate` cannot have been elected, whoever votes for it.
bool DurabilityChecker::InVain(Term term, NodeId candidate) const {
  const auto last = candidates_.find({candidate, term});
  const Index needed = ledger_.CommittedBefore(term);
  if (last == candidates_.end() || needed == 0) return false;
  const Term needed_term = ledger_.Committed(needed).term;
  return last->second.term < needed_term ||
         (last->second.term == needed_term && last->second.index < needed);
}

void DurabilityChecker::CheckVote(NodeId node, Term term, NodeId candidate, const char* message) {
  auto [sent, is_new] = sent_.insert({{node, term}, candidate});
  if (!is_new && sent->second != candidate && ledger_.damaged(node) && InVain(term, sent->second)) {
    counters_.Count("vote given again");
    sent->second = candidate;
  } else if (!is_new && sent->second != candidate) {
    violations_.Report("I2 vote uniqueness",
                       absl::StrCat("n", ToInteger(node), " votes in term ", term, " for n",
                                    ToInteger(sent->second), " and n", ToInteger(candidate)));
  }
  auto durable = durable_.find({node, term});
  if (durable == durable_.end() || durable->second != candidate) {
    Report(
        node, message,
        absl::StrCat("its vote of term ", term, " for n", ToInteger(candidate), " is not durable"));
  }
  CheckReal(node, message,
            [&](const LogImage& image) { return KeepsVote(image, term, candidate); });
}

void DurabilityChecker::CheckHeld(NodeId node, Term term, Index index, const char* message) {
  const LogModel& log = ledger_.log(node);
  if (log.durable_floor() < index) {
    Report(node, message,
           absl::StrCat("entries up to ", index, " are asserted, durable are those up to ",
                        log.durable_floor()));
    return;
  }
  const EntryId* held = log.durable().Find(index);
  if (held == nullptr) return;
  // What is held from older terms counts for nothing by itself (paper 5.4.2), so the term may still
  // be on its way to the disk.
  if (held->term == term && log.durable().hard_state().term < term) {
    Report(node, message,
           absl::StrCat("term ", term, " is not durable, only ", log.durable().hard_state().term));
  }
  CheckReal(node, message, [&](const LogImage& image) {
    const EntryId* recovered = image.Find(index);
    return index <= image.base() || (recovered != nullptr && *recovered == *held);
  });
}

void DurabilityChecker::Answered(NodeId node, Index index) {
  if (index == 0) return;
  if (index > ledger_.commit() || !ledger_.QuorumHolds(index)) {
    Report(node, "an answer",
           absl::StrCat("entry ", index, " is not durable on a quorum; by the disks ",
                        ledger_.commit(), " are"));
  }
}

void DurabilityChecker::CheckReal(NodeId node, const char* message,
                                  const std::function<bool(const LogImage&)>& holds) {
  if (options_.real_one_in == 0 || !random_.OneIn(options_.real_one_in)) return;
  if (ledger_.damaged(node)) return;  // what is rotten may not be repaired yet
  counters_.Count("assertion checked by real recovery");
  absl::StatusOr<LogImage> image = recover_(node);
  if (!image.ok()) {
    Report(
        node, message,
        absl::StrCat("after a power cut its store does not recover: ", image.status().ToString()));
  } else if (!holds(*image)) {
    Report(node, message,
           absl::StrCat("after a power cut its store recovers entries up to ", image->last(),
                        ", term ", image->hard_state().term, ", vote ",
                        ToInteger(image->hard_state().vote)));
  }
}

}  // namespace cairn::sim

// Elections: paper 5.2 and 5.4.1, pre-vote (thesis 9.6), leader stickiness (thesis 4.2.3) and
// check-quorum (thesis 6.2).

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"
#include "raft/core/mutants.h"
#include "raft/core/quorum.h"
#include "raft/core/state.h"

namespace cairn {

// Votes and pre-votes are refused while a leader may be live: the node has heard from one within an
// election timeout, rests, leads itself, or has just started and may have made a promise before.
bool Raft::State::RefusesElections() const {
  return std::holds_alternative<Leader>(role_) || clock_.LeaderIsLive(now_) || clock_.stopped() ||
         clock_.Embargoed(now_);
}

// It may have voted already, and not know it.
bool Raft::State::MayVote() const { return !unsure() || MutantEnabled(Mutant::kUnsureVotes); }

void Raft::State::Handle(NodeId from, const PreVoteRequest& request) {
  const bool granted = MayVote() && !RefusesElections() && request.term > ballot_.state.term &&
                       AtLeastAsUpToDate(request.last, claimed_last());
  Trace(granted ? "grants" : "refuses", " pre-vote to ", ToInteger(from), " for term ",
        request.term, ": its last ", ToString(request.last), " own ", ToString(claimed_last()),
        request.term > ballot_.state.term ? "" : ", not a later term",
        RefusesElections() ? ", a leader may be live" : "",
        unsure() ? ", cannot tell what it has promised" : "");
  Send(from, PreVoteReply{.term = granted ? request.term : ballot_.state.term,
                          .granted = granted,
                          .campaign = request.campaign});
}

void Raft::State::Handle(NodeId from, const PreVoteReply& reply) {
  auto* candidate = std::get_if<PreCandidate>(&role_);
  if (candidate == nullptr || candidate->campaign != reply.campaign) return;
  candidate->votes[from] = reply.granted;
  CountPreVotes();
}

void Raft::State::Handle(NodeId from, const VoteRequest& request) {
  const NodeId vote = ballot_.state.vote;
  const bool free = vote == NodeId::kNone || vote == from;
  const bool granted = free && MayVote() && (request.forced || !RefusesElections()) &&
                       AtLeastAsUpToDate(request.last, claimed_last());
  Trace(granted ? "votes for " : "refuses vote to ", ToInteger(from), " in term ", request.term,
        ": its last ", ToString(request.last), " own ", ToString(claimed_last()),
        free ? "" : ", voted already", unsure() ? ", cannot tell what it has promised" : "");
  if (granted && vote == NodeId::kNone) {
    SetVote(from);
    clock_.Restart(now_);
  }
  // Refusals assert the term.
  SendAfter(ballot_.ticket, from,
            VoteReply{.term = request.term, .granted = granted, .campaign = request.campaign});
}

void Raft::State::Handle(NodeId from, const VoteReply& reply) {
  auto* candidate = std::get_if<Candidate>(&role_);
  if (candidate == nullptr || candidate->campaign != reply.campaign) return;
  candidate->votes[from] = reply.granted;
  CountVotes();
}

// Whose votes and acknowledgements count.
const Configuration& Raft::State::Counted() const {
  if (MutantEnabled(Mutant::kConfigurationOnCommit)) return membership_.committed(commit_).second;
  return membership_.in_force();
}

VoteResult Raft::State::ResultOf(const std::map<NodeId, bool>& votes) const {
  const auto vote_of = [&](NodeId voter) -> std::optional<bool> {
    const auto vote = votes.find(voter);
    if (vote == votes.end()) return std::nullopt;
    return vote->second;
  };
  return cairn::CountVotes(Counted(), vote_of, Rule());
}

void Raft::State::OnElectionTimeout() {
  if (StopsForNobodyCame()) return;
  const std::string fault = CampaignFault();
  const bool has_holes = !trail_.holes().empty() && !doubt_.gave_way;
  if (fault.empty() && (has_holes || control_.stalled)) {
    Trace("election timeout: lets one go first ",
          has_holes ? "whose log is whole" : "who can replicate");
    doubt_.gave_way = true;
    control_.stalled = false;
    ChangeRole(Follower{});
    return clock_.Restart(now_);
  }
  doubt_.gave_way = false;
  if (fault.empty()) return BecomePreCandidate("election timeout");
  // It could not lead, but whom it followed is gone.
  Trace("election timeout: ", fault);
  ChangeRole(Follower{});
  clock_.Restart(now_);
  if (InDoubt()) {
    QueryDoubt();
  } else {
    AskWhetherRemoved();
  }
}

void Raft::State::BecomePreCandidate(absl::string_view why) {
  Trace("asks for pre-votes: ", why, " in term ", ballot_.state.term, " last ",
        ToString(claimed_last()));
  const CampaignId campaign = random_.Next();
  ChangeRole(PreCandidate{.campaign = campaign, .votes = {{node(), true}}});
  for (const NodeId voter : OtherVoters(membership_.in_force(), node())) {
    if (Evicts(voter)) continue;
    Send(voter, PreVoteRequest{
                    .term = ballot_.state.term + 1, .last = claimed_last(), .campaign = campaign});
  }
  CountPreVotes();
}

void Raft::State::CountPreVotes() {
  const auto& candidate = std::get<PreCandidate>(role_);
  if (ResultOf(candidate.votes) == VoteResult::kWon) BecomeCandidate(false);
}

Term Raft::State::NextTerm() {
  const Term next = ballot_.state.term + 1;
  if (!OverrideActs()) return next;
  return std::min(kMaxTerm, next + kUnsafeTermJump + random_.Below(kUnsafeTermJump));
}

// `forced`: the leader of the term before has asked for it.
void Raft::State::BecomeCandidate(bool forced) {
  SetTerm(NextTerm());
  const CampaignId campaign = random_.Next();
  ChangeRole(Candidate{.campaign = campaign});
  SetVote(node());
  Trace("campaigns: term ", ballot_.state.term, " last ", ToString(claimed_last()));
  // The ticket of the hard state covers the log before it, so all the request claims.
  const Ticket ticket = OwnCandidacyDurable() ? 0 : ballot_.ticket;
  for (const NodeId voter : OtherVoters(membership_.in_force(), node())) {
    if (Evicts(voter)) continue;
    SendAfter(ticket, voter,
              VoteRequest{.term = ballot_.state.term,
                          .last = claimed_last(),
                          .campaign = campaign,
                          .forced = forced});
  }
  CountOwnVote();
}

// Whether a power cut now would leave the own term, vote and log as the campaign claims them.
bool Raft::State::OwnCandidacyDurable() const {
  return durability_.HardStateDurable() || MutantEnabled(Mutant::kCandidacyBeforeSync);
}

void Raft::State::CountOwnVote() {
  if (!OwnCandidacyDurable()) return;
  std::get<Candidate>(role_).votes[node()] = true;
  CountVotes();
}

void Raft::State::CountVotes() {
  const auto& candidate = std::get<Candidate>(role_);
  // Nobody leads before its own vote is durable: it could lead and, restarted, vote for another.
  if (!candidate.votes.contains(node())) return;
  const VoteResult result = ResultOf(candidate.votes);
  if (result == VoteResult::kWon) BecomeLeader();
  if (result == VoteResult::kLost) Trace("lost the election of term ", ballot_.state.term);
}

void Raft::State::BecomeLeader() {
  CAIRN_CHECK(ballot_.state.vote == node() && ballot_.leader == NodeId::kNone);
  CAIRN_CHECK(doubt_.torn.empty()) << "undecided entries cannot be handed on";
  Trace("leads term ", ballot_.state.term, ": elected, last ", ToString(trail_.last()));
  ballot_.leader = node();
  Leader leader(ballot_.state.term, trail_.last().index + 1, NextHeartbeat(),
                options_.max_clock_drift_per_mille);
  for (const NodeId member : OtherMembers(membership_.in_force(), node())) {
    if (Evicts(member)) continue;  // nothing of its log is to be overwritten
    leader.peers.emplace(member, Leader::Peer{Progress(trail_.last().index + 1, now_)});
  }
  ChangeRole(std::move(leader));
  if (!membership_.logged()) {
    // A new group: from here on the log says who its members are, and on which disks.
    AppendOwn(
        {.source = AppendRun::Source::kConfiguration, .configuration = membership_.in_force()}, 1);
  }
  // Before anything else, so that nothing is committed by an override that is not written down; and
  // an eviction commits nothing at all: from here on its configuration decides, with its majority.
  if (OverrideActs()) {
    const LogPosition at = {trail_.last().index + 1, ballot_.state.term};
    AppendConfiguration(Recovered(membership_.in_force(), *control_.unsafe, node(), at));
  }
  AppendOwn({.source = AppendRun::Source::kNoop}, 1);  // paper 8
}

void Raft::State::StepDownWithoutQuorum() {
  Trace("steps down: no quorum heard within an election timeout");
  ChangeRole(Follower{});
}

}  // namespace cairn

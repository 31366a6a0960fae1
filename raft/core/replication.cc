// The leader and its peers: what to send, what they hold, what is committed (paper 5.3, 5.4.2),
// and the heartbeats between them.

#include <algorithm>
#include <functional>
#include <variant>
#include <vector>

#include "raft/core/mutants.h"
#include "raft/core/quorum.h"
#include "raft/core/state.h"

namespace cairn {

// Entries and their answers -----------------------------------------------------------------------

void Raft::State::RequestEntries(NodeId peer, Leader& leader) {
  Leader::Peer& state = leader.peers.at(peer);
  Progress& progress = state.progress;
  const size_t free_bytes = progress.FreeBytes(
      {.messages = options_.max_inflight_messages, .bytes = options_.max_inflight_bytes});
  if (free_bytes == 0 || progress.next() > trail_.last().index) return;
  const Index hole = trail_.holes().FirstFrom(progress.next());
  if (hole == progress.next()) return;  // until it is repaired
  const Index last = hole == 0 ? trail_.last().index : hole - 1;
  const Index previous = progress.next() - 1;
  progress.OnRequested(++leader.last_request);
  state.told_commit = commit_;
  effects_.send_entries.push_back({.to = peer,
                                   .request = leader.last_request,
                                   .term = ballot_.state.term,
                                   .previous = {previous, trail_.TermAt(previous)},
                                   .last = {last, trail_.TermAt(last)},
                                   .commit = commit_,
                                   .acknowledged = state.acknowledged,
                                   .max_bytes = free_bytes});
}

void Raft::State::On(const EntriesSent& sent) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  const auto peer = leader->peers.find(sent.to);
  if (peer == leader->peers.end()) return;
  peer->second.progress.OnSent(sent.request, sent.last, sent.bytes, now_);
}

void Raft::State::On(const PeerUnreachable& unreachable) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  const auto peer = leader->peers.find(unreachable.peer);
  if (peer != leader->peers.end()) peer->second.progress.OnUnreachable();
}

void Raft::State::Handle(NodeId from, const AppendReply& reply) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  const auto found = leader->peers.find(from);
  if (found == leader->peers.end()) return;
  Progress& progress = found->second.progress;
  progress.OnContact(now_);
  if (!reply.success) {
    if (progress.OnRefused(reply.refused_index, reply.hint, trail_)) {
      Trace("goes back for ", ToInteger(from), " to ", progress.next(), ": refused behind ",
            reply.refused_index, ", hint ", ToString(reply.hint));
    }
  } else if (reply.match > trail_.last().index) {
    Trace("ignores AppendReply of ", ToInteger(from), ": it holds ", reply.match, " of ",
          trail_.last().index);
  } else {
    const LogPosition match = {reply.match, trail_.TermAt(reply.match)};
    LogPosition& acknowledged = found->second.acknowledged;
    if (match.term != 0 && match.index > acknowledged.index) acknowledged = match;
    if (progress.OnAck(reply.match, now_)) AdvanceCommit();
  }
  if (!membership_.in_force().learners.empty()) {
    found->second.lag.Look(progress.match(), trail_.last().index, now_);
  }
}

// Commit ------------------------------------------------------------------------------------------

// The last index that a quorum holds durably. The leader counts like everybody: its disk works
// beside the replication, and others may be faster.
Index Raft::State::CountedCommit(const Leader& leader) const {
  const auto held_by = [&](NodeId voter) -> Index {
    if (voter == node()) return durable();
    const auto peer = leader.peers.find(voter);
    return peer == leader.peers.end() ? 0 : peer->second.progress.match();
  };
  if (MutantEnabled(Mutant::kCountLearners)) {
    const Configuration& all = Counted();
    // A majority of the voters' number, whoever makes it.
    std::vector<Index> held;
    for (const NodeId member : all.Nodes()) held.push_back(held_by(member));
    std::sort(held.begin(), held.end(), std::greater<>());
    return held[all.voters.size() / 2];
  }
  return ReachedByQuorum(Counted(), held_by, Rule());
}

// Only entries of the leader's own term are committed by counting; those before go with them
// (paper 5.4.2, figure 8).
bool Raft::State::MayCommitByCounting(Index index, const Leader& leader) const {
  return index >= leader.first_index || MutantEnabled(Mutant::kCountOldTerms);
}

void Raft::State::AdvanceCommit() {
  auto& leader = std::get<Leader>(role_);
  const Index counted = CountedCommit(leader);
  if (counted <= commit_ || !MayCommitByCounting(counted, leader)) return;
  const bool first_of_term = !leads_with_commit();
  commit_ = counted;
  leader.uncommitted.Commit(commit_);
  if (first_of_term && leads_with_commit()) {
    Trace("commits its first entry of term ", ballot_.state.term, ": commit ", commit_);
    leader.reads.AllowRounds(commit_);
  }
}

// Heartbeats --------------------------------------------------------------------------------------

void Raft::State::Handle(NodeId from, const Heartbeat& heartbeat) {
  const bool rested = Quiesced();
  if (!FollowLeader(from) || !StillHas(from, heartbeat.acknowledged)) return;
  // The leader cut the commit index to what this node has acknowledged in this term.
  // But not what it has forgotten of that.
  LearnCommit(unsure() ? std::min(heartbeat.commit, std::get<Follower>(role_).verified)
                       : heartbeat.commit);
  const bool rests = TakesOffer(heartbeat);
  if (rests) Rest(*heartbeat.quiesce, rested);
  if (rested && !rests) Trace("wakes: a heartbeat");
  Send(from, HeartbeatReply{.term = ballot_.state.term,
                            .context = unsure() ? 0 : heartbeat.context,
                            .sent = heartbeat.sent,
                            .promise = Promise(),
                            .clock = now_,
                            .priority = NeverLeads() || unsure() ? kNeverLeads : options_.priority,
                            .quiesced = rests});
  // The leader lives, so what it does not answer was lost. Reads are answered within a round trip
  // or two; heartbeats come as often as reads begin rounds, so they must not be what repeats them.
  auto& reads = std::get<Follower>(role_).reads;
  if (const auto request = reads.TakeOverdue(now_, options_.heartbeat_interval * 2)) {
    SendReadRequest(*request);
  }
  AskToRejoin(from);
  AskForSnapshot(from, trail_.last().index);
  if (!doubt_.torn.empty()) {
    // A leader to whom these entries were acknowledged once would never send them again. One that
    // probes waits for the refusal of its probe.
    outbox_.SendUnlessHeld({.from = node(),
                            .to = from,
                            .body = AppendReply{.term = ballot_.state.term,
                                                .hint = trail_.last(),
                                                .refused_index = doubt_.torn.last().index}});
  }
}

void Raft::State::Handle(NodeId from, const HeartbeatReply& reply) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr || !leader->peers.contains(from)) {
    if (reply.quiesced) WakeResting(from);
    return;
  }
  const auto peer = leader->peers.find(from);
  peer->second.progress.OnContact(now_);
  const bool asked = reply.sent > Instant();
  if (asked && !leader->lease.Promised(from, reply.sent, reply.promise, reply.clock, now_)) {
    Trace("ends its lease: the clock of ", ToInteger(from), " runs otherwise");
  }
  peer->second.priority = reply.priority;
  leader->reads.Acknowledge(from, reply.context);
  AnswerConfirmedReads(*leader);
  TakeRestReply(from, reply, *leader);
}

// Check-quorum (thesis 6.2): a leader cut off must not go on promising.
bool Raft::State::HeardFromQuorum(const Leader& leader) const {
  const auto last_contact = [&](NodeId voter) {
    if (voter == node()) return now_;
    const auto peer = leader.peers.find(voter);
    return peer == leader.peers.end() ? Instant() : peer->second.progress.last_contact();
  };
  const Instant since = QuorumContact(membership_.in_force(), last_contact, Rule());
  return now_ - since < options_.election_timeout;
}

// Heartbeats may pass where entries do not: then the leader is heard, and commits nothing (fault
// catalogue N9).
bool Raft::State::QuorumTakesEntries(Leader& leader) const {
  if (options_.stall_timeout == Duration{}) return true;
  for (auto& [peer, state] : leader.peers) {
    const bool lacks = state.progress.match() < trail_.last().index;
    if (!lacks || state.progress.snapshotting()) state.progress.LacksNothing(now_);
  }
  const auto last_progress = [&](NodeId voter) {
    if (voter == node()) return now_;
    const auto peer = leader.peers.find(voter);
    return peer == leader.peers.end() ? Instant() : peer->second.progress.last_progress();
  };
  return now_ - QuorumContact(membership_.in_force(), last_progress, Rule()) <
         options_.stall_timeout;
}

void Raft::State::OnHeartbeatDue(Leader& leader) {
  if (!HeardFromQuorum(leader)) {
    StepDownWithoutQuorum();
    return;
  }
  if (HeldUpByHoles()) {
    Trace("steps down: entry ", HoleToApply(), " cannot be read here, and is not repaired");
    return ChangeRole(Follower{});
  }
  if (!QuorumTakesEntries(leader)) {
    Trace("steps down: a quorum takes no entries");
    effects_.stalled = true;
    control_.stalled = true;
    return ChangeRole(Follower{});
  }
  leader.heartbeat_due = NextHeartbeat();
  NoteQuietHeartbeat(leader);
  for (auto& [peer, state] : leader.peers) {
    state.progress.OnHeartbeat(now_, options_.election_timeout / 2);
    state.heartbeat = true;
  }
}

void Raft::State::SendHeartbeat(NodeId peer, Leader& leader) {
  Leader::Peer& state = leader.peers.at(peer);
  state.heartbeat = false;
  const Index commit = std::min(commit_, state.progress.match());
  state.told_commit = std::max(state.told_commit, commit);
  Send(peer, Heartbeat{.term = ballot_.state.term,
                       .commit = commit,
                       .context = leader.reads.context(),
                       .sent = now_,
                       .quiesce = OfferToRest(leader),
                       .acknowledged = state.acknowledged});
}

void Raft::State::TakeReplication(Leader& leader) {
  const bool new_round = leader.reads.StartRound();
  if (new_round) AnswerConfirmedReads(leader);
  bool some_lag = false;
  for (auto& [peer, state] : leader.peers) {
    OfferSnapshot(peer, leader);
    RequestEntries(peer, leader);
    // The commit index rides on appends; where none comes soon, it must not wait for the timer.
    const bool lags = state.told_commit < std::min(commit_, state.progress.match());
    if (lags && leader.commit_notice_due == kDistantFuture) {
      leader.commit_notice_due = now_ + options_.commit_notice_delay;
    }
    const bool overdue = lags && now_ >= leader.commit_notice_due;
    if (state.heartbeat || new_round || overdue) {
      SendHeartbeat(peer, leader);
    } else {
      some_lag |= lags;
    }
  }
  if (!some_lag) leader.commit_notice_due = kDistantFuture;
}

}  // namespace cairn

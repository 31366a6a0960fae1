// Linearizable reads by read index (thesis 6.4), at the leader and through followers.

#include <utility>
#include <variant>

#include "raft/core/mutants.h"
#include "raft/core/quorum.h"
#include "raft/core/state.h"

namespace cairn {

void Raft::State::On(const ReadBarrier& read) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    AddRead(*leader, {.id = read.read}, read.lease);
    return;
  }
  auto* follower = std::get_if<Follower>(&role_);
  if (follower == nullptr || follower->leader == NodeId::kNone ||
      !follower->reads.Add(read.read, read.lease)) {
    AnswerRead({.id = read.read}, false, 0);
  }
}

void Raft::State::Handle(NodeId from, const ReadIndexRequest& request) {
  const Reader reader = {.from = from, .id = request.request};
  if (auto* leader = std::get_if<Leader>(&role_)) {
    AddRead(*leader, reader, request.lease);
  } else {
    AnswerRead(reader, false, 0);
  }
}

void Raft::State::Handle(NodeId, const ReadIndexReply& reply) {
  auto* follower = std::get_if<Follower>(&role_);
  if (follower == nullptr) return;
  for (const ReadId read : follower->reads.Answer(reply.request, reply.ready, reply.lease)) {
    AnswerRead({.id = read}, reply.ready, reply.index);
  }
}

// What a heartbeat's sender may count on: RefusesElections, from now on. A node whose term is not
// on its disk could restart in term 0, as one that has promised nothing.
Duration Raft::State::Promise() const {
  return durability_.HardStateDurable() && !unsure() ? options_.election_timeout : Duration{};
}

// True while nobody else can lead, so that this leader's commit index is the group's. Who is not
// counted has promised nothing.
bool Raft::State::HoldsLease(const Leader& leader) const {
  return options_.lease && !control_.unsafe && leads_with_commit() &&
         now_ < leader.lease.Until(membership_.in_force(), node());
}

void Raft::State::AddRead(Leader& leader, Reader reader, bool lease) {
  if (lease && HoldsLease(leader)) {
    AnswerRead(reader, true, commit_, /*lease=*/true);
    return;
  }
  const bool added =
      leader.reads.Add(reader, leads_with_commit() ? std::optional(commit_) : std::nullopt);
  if (!added) AnswerRead(reader, false, 0);
}

// The last round that a quorum has answered; this node answers its own at once.
ReadContext Raft::State::ConfirmedContext(const Leader& leader) const {
  if (MutantEnabled(Mutant::kReadWithoutRound)) return leader.reads.context();
  const auto answered = [&](NodeId voter) {
    return voter == node() ? leader.reads.context() : leader.reads.AcknowledgedBy(voter);
  };
  return ReachedByQuorum(membership_.in_force(), answered, Rule());
}

void Raft::State::AnswerConfirmedReads(Leader& leader) {
  for (const auto& ready : leader.reads.TakeConfirmed(ConfirmedContext(leader))) {
    for (const Reader& reader : ready.readers) AnswerRead(reader, true, ready.index);
  }
}

void Raft::State::AnswerRead(Reader reader, bool ready, Index index, bool lease) {
  if (reader.from == NodeId::kNone) {
    effects_.reads.push_back(
        {.read = reader.id, .ready = ready, .index = index, .leader = leader()});
  } else {
    Send(reader.from, ReadIndexReply{.term = ballot_.state.term,
                                     .request = reader.id,
                                     .ready = ready,
                                     .index = index,
                                     .lease = lease});
  }
}

void Raft::State::SendReadRequest(const ForwardedReads::Asked& asked) {
  Send(
      std::get<Follower>(role_).leader,
      ReadIndexRequest{.term = ballot_.state.term, .request = asked.request, .lease = asked.lease});
}

// Refuses what waits in a role that was left; the new role is in place.
void Raft::State::RefuseReads(RoleState& left) {
  if (auto* leader = std::get_if<Leader>(&left)) {
    for (const Reader& reader : leader->reads.TakeAll()) AnswerRead(reader, false, 0);
  } else if (auto* follower = std::get_if<Follower>(&left)) {
    for (const ReadId read : follower->reads.TakeAll()) AnswerRead({.id = read}, false, 0);
  }
}

}  // namespace cairn

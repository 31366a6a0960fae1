// A member that cannot tell what it has promised, and its leader. See rejoin.h.

#include <cstdint>
#include <variant>

#include "raft/core/quorum.h"
#include "raft/core/rejoin.h"
#include "raft/core/state.h"

namespace cairn {

// At the start. Nobody else could tell.
void Raft::State::BeUnsure() {
  Trace("cannot tell what it has promised: its log is sure up to ", ToString(trail_.last()));
  // What it had adopted it may have forgotten as well; an entry proves that its term was reached.
  if (claimed_last().term > ballot_.state.term) AdoptTerm(claimed_last().term, "the log");
  if (!OtherVoters(membership_.in_force(), node()).empty()) return;
  if (membership_.in_force().voters.empty()) return;  // it does not know its group yet
  if (!KnowsMembers()) return;                        // nor any more
  RaiseFence(Fence::Reason::kDataLoss,
             absl::StrCat("what was synced last is lost, behind entry ", trail_.last().index,
                          ", perhaps a vote too, and there is no other voter"));
}

// A heartbeat of `leader` has come in.
void Raft::State::AskToRejoin(NodeId leader) {
  if (!unsure()) return;
  const Term term = ballot_.state.term;
  const auto& follower = std::get<Follower>(role_);
  if (!doubt_.rejoin.answered(term)) {
    // With a number of an earlier process it would be named that one's entry, which says nothing of
    // what has been forgotten since. The time makes up for a seed that is the same at every start.
    const uint64_t drawn = random_.Next() ^ static_cast<uint64_t>(now_.nanoseconds);
    Send(leader, RejoinRequest{.term = term, .nonce = doubt_.rejoin.Ask(term, drawn | 1)});
  } else if (SnapshotHoldsBarrier()) {
    return;  // FinishRejoin follows
  } else if (doubt_.rejoin.Stalls(follower.verified)) {
    // Who was told once that these entries are here would never send them again. This log may be
    // the longer one.
    const LogPosition barrier = {doubt_.rejoin.barrier(), term};
    outbox_.SendUnlessHeld({.from = node(),
                            .to = leader,
                            .body = AppendReply{.term = term,
                                                .hint = trail_.LastSharedWith(barrier),
                                                .refused_index = barrier.index}});
  }
}

void Raft::State::Handle(NodeId from, const RejoinRequest& request) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr || control_.unsafe || request.nonce == 0) return;
  const auto peer = leader->peers.find(from);
  if (peer == leader->peers.end()) return;
  RejoinBarrier& barrier = peer->second.rejoin;
  if (barrier.nonce != request.nonce) {
    const Index index = AppendOwn({.source = AppendRun::Source::kNoop}, 1).index;
    barrier = {.nonce = request.nonce, .index = index};
    Trace(ToInteger(from), " cannot tell what it has promised: it shall hold entry ", index);
  }
  const auto held_by = [&](NodeId voter) -> Index {
    if (voter == from) return 0;
    if (voter == node()) return durable();
    const auto found = leader->peers.find(voter);
    return found == leader->peers.end() ? 0 : found->second.progress.match();
  };
  if (ReachedByQuorum(Counted(), held_by) < barrier.index) return;
  Send(from,
       RejoinReply{.term = ballot_.state.term, .nonce = request.nonce, .barrier = barrier.index});
}

void Raft::State::Handle(NodeId from, const RejoinReply& reply) {
  const auto* follower = std::get_if<Follower>(&role_);
  if (follower == nullptr || follower->leader != from) return;
  if (doubt_.rejoin.answered(reply.term)) return;
  if (!doubt_.rejoin.Answer(reply.term, reply.nonce, reply.barrier)) {
    return Trace("ignores RejoinReply of ", ToInteger(from), ": it answers another question");
  }
  Trace("takes entries of ", ToInteger(from), ": sure again with entry ", reply.barrier);
  // Whoever it may have voted for in this term: not again.
  if (ballot_.state.vote == NodeId::kNone) SetVote(from);
}

// What a snapshot holds was committed, so the leader has it; and if it ends in the leader's own
// term it is of the history the barrier is in.
bool Raft::State::SnapshotHoldsBarrier() const {
  return base().index >= doubt_.rejoin.barrier() && base().term >= ballot_.state.term;
}

// After every step.
void Raft::State::FinishRejoin() {
  const auto* follower = std::get_if<Follower>(&role_);
  if (!unsure() || follower == nullptr || !doubt_.rejoin.answered(ballot_.state.term)) return;
  const Index barrier = doubt_.rejoin.barrier();
  if (follower->verified < barrier && !SnapshotHoldsBarrier()) return;
  if (durable() < barrier) return;
  if (!durability_.HardStateDurable()) return;
  Trace("is sure again: it holds entry ", ToString(LogPosition{barrier, TermAt(barrier)}));
  doubt_.rejoin.Finish();
  // Should this be lost it begins anew.
  ballot_.ticket = batches_.SetHardState(ballot_.state, /*sure=*/true);
  durability_.OnHardState(ballot_.ticket);
}

}  // namespace cairn

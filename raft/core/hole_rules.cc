// Holes: entries in the middle of the log that turned out to be unreadable (fault catalogue 6.4).
//
// They count where logs are compared, since they may have been acknowledged. This node neither
// acknowledges nor applies nor hands on what it cannot read; where its state machine has it, it
// serves on meanwhile, and campaigns one timeout later than one whose log is whole. Repair by the
// other members goes on beside all this, whoever leads.

#include <algorithm>
#include <variant>

#include "raft/core/state.h"

namespace cairn {

Index Raft::State::durable() const {
  const Index hole = HoleToApply();
  return hole == 0 ? durability_.durable() : std::min(durability_.durable(), hole - 1);
}

void Raft::State::On(const EntriesDamaged& damaged) {
  trail_.AddHole(damaged.entries);
  Trace("cannot read entries ", damaged.entries.first, "..", damaged.entries.last);
  // Nobody else can be asked.
  if (OtherVoters(membership_.in_force(), node()).empty()) QueryDoubt();
}

void Raft::State::On(const EntriesRepaired& repaired) {
  trail_.FillHole(repaired.entries);
  Trace("has entries ", repaired.entries.first, "..", repaired.entries.last, " again, durable ",
        durable());
  for (const auto& [at, configuration] : repaired.configurations) {
    if (trail_.TermAt(at.index) == at.term) membership_.Insert(at, configuration);
  }
  if (std::holds_alternative<Leader>(role_)) AdvanceCommit();
}

void Raft::State::On(const EntriesNowhere& nowhere) {
  if (!trail_.holes().Contains(nowhere.entries.first)) return;
  Trace("finds entries ", nowhere.entries.first, "..", nowhere.entries.last, " in nobody's log");
  doubt_.nowhere = nowhere.entries;
  ForgetNowhere();
}

// Keeps the first hole of what nobody has: what was cut off or repaired may be there again, and be
// another entry.
void Raft::State::ForgetNowhere() {
  HoleRange& nowhere = doubt_.nowhere;
  if (nowhere.first == 0) return;
  const HoleRange hole = trail_.holes().RangeFrom(nowhere.first);
  const bool gone = hole.first == 0 || hole.first > nowhere.last;
  nowhere = gone
                ? HoleRange()
                : HoleRange{std::max(hole.first, nowhere.first), std::min(hole.last, nowhere.last)};
}

bool Raft::State::IsNowhere(Index index) const {
  return index != 0 && doubt_.nowhere.first <= index && index <= doubt_.nowhere.last;
}

// A follower that nobody can give the entry needs a snapshot, and its leader may think that it has
// everything. `refused`: what a leader that replicates has sent, or one that probes.
void Raft::State::AskForSnapshot(NodeId leader, Index refused) {
  const Index hole = HoleToApply();
  if (!IsNowhere(hole) || refused < hole) return;
  outbox_.SendUnlessHeld({.from = node(),
                          .to = leader,
                          .body = AppendReply{.term = ballot_.state.term,
                                              .hint = {hole - 1, trail_.TermAt(hole - 1)},
                                              .refused_index = refused}});
}

// Without a leader there is nobody who would bring a snapshot by himself, and who has compacted the
// entry may not be able to lead, since this log is longer (fault catalogue 6.5, IN_SNAPSHOT).
Index Raft::State::StateNeeded() const {
  if (doubt_.state_lost) return base().index;
  const Index hole = HoleToApply();
  return IsNowhere(hole) && leader() == NodeId::kNone && !unsure() ? hole : 0;
}

// The leader's log does not have the entry at `next`, nor has anybody's, and its state does.
bool Raft::State::NeedsSnapshotForHole(Index next) const {
  return IsNowhere(next) && next <= applied_ && trail_.holes().Contains(next);
}

// True if this leader should let another one try (fault catalogue 6.5, rule 4).
bool Raft::State::HeldUpByHoles() {
  if (HoleToApply() == 0) {
    doubt_.holds_up.reset();
    return false;
  }
  if (!doubt_.holds_up) doubt_.holds_up = now_;
  return now_ - *doubt_.holds_up > options_.election_timeout * 4;
}

}  // namespace cairn

// Snapshots (paper 7): the front of the log goes once its entries are durable outside it; a member
// that lacks what is gone takes a snapshot in place of its log.

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/core/state.h"

namespace cairn {
namespace {

// For who may be alone. Members try to connect once a second.
constexpr Duration kWaitForAnybody = Seconds(30);

}  // namespace

void Raft::State::On(const Compact& compact) {
  Index up_to = std::min({compact.up_to, commit_, applied_, durable()});
  // Who was removed has to find that in its log, or would wait for a leader after a start for ever.
  if (!NamesDisk(membership_.in_force(), node(), options_.incarnation)) {
    up_to = std::min(up_to, std::max(membership_.position().index, Index{1}) - 1);
  }
  if (up_to <= base().index) return;
  Trace("drops entries up to ", ToString(LogPosition{up_to, TermAt(up_to)}));
  durability_.OnDrop(batches_.Drop(up_to));
  trail_.Compact(up_to);
  membership_.Compact(up_to);
}

// The receiver ------------------------------------------------------------------------------------

void Raft::State::On(const SnapshotReceived& received) {
  const SnapshotPoint& snapshot = received.snapshot;
  // A leader has all that is committed; one that lacks it is deposed and will hear of it.
  if (std::holds_alternative<Leader>(role_)) return;
  // Until a barrier is named nothing gives way.
  if (KeepsOffTheLog()) return;
  // Nothing has what stands between the snapshot and the log.
  if (doubt_.state_lost && snapshot.position.index < base().index) return;
  if (snapshot.position.index > commit_) {
    TakeSnapshot(snapshot);
  } else {
    RestoreOverHole(snapshot.position);
  }
  // Nor was it known which configuration the log begins with.
  if (doubt_.state_lost && restore_) {
    membership_.Learn(snapshot.configuration_position, snapshot.configuration);
  }
  AcknowledgeSnapshot(received.term, snapshot.position.index);
}

void Raft::State::On(const TermReached& reached) {
  if (reached.term > ballot_.state.term) AdoptTerm(reached.term, "the giver of a snapshot");
}

// Nobody may ever say it otherwise: where most members have lost their state none of them
// acknowledges anything, so no leader commits.
void Raft::State::On(const BegunBehind& begun) {
  if (unsure() || begun.at.index <= commit_ || !trail_.Matches(begun.at)) return;
  Trace("learns that ", ToString(begun.at), " is committed: another log begins behind it");
  // What a leader commits of its own term it counts.
  const auto* leader = std::get_if<Leader>(&role_);
  LearnCommit(leader == nullptr ? begun.at.index
                                : std::min(begun.at.index, leader->first_index - 1));
}

// The process that received it may have died before the log was reset.
void Raft::State::InstallAtStart(const SnapshotPoint& snapshot) {
  if (snapshot.position.index > commit_) TakeSnapshot(snapshot);
}

void Raft::State::TakeSnapshot(const SnapshotPoint& snapshot) {
  if (!trail_.Matches(snapshot.position)) return ResetLog(snapshot);
  // Equal terms at one index mean equal logs up to there (paper 5.3): the log stays, with what
  // follows, and it was committed up to there.
  Trace("has what snapshot ", ToString(snapshot.position), " stands for");
  LearnCommit(snapshot.position.index);
  RestoreOverHole(snapshot.position);
}

// The state machine cannot come to `position` by the log, which stays as it is: it is committed
// there, and what is bad in it is repaired or dropped.
void Raft::State::RestoreOverHole(LogPosition position) {
  if (!HoleUpTo(position.index) || !trail_.Matches(position)) return;
  Trace("restores snapshot ", ToString(position), ": entry ", HoleToApply(), " cannot be read");
  restore_ = Restore{.position = position};
}

// The log begins behind `base`, and what it stands on is damaged: as a hole in front of all
// entries. Whoever has applied as much may give a snapshot, in whatever role and term, since all of
// it is committed; until then this node votes, and neither acknowledges nor applies nor campaigns.
void Raft::State::MissState() {
  Trace("lacks the state up to ", base().index, ": asks the others for a snapshot");
  doubt_.nobody_since = now_;
  // Who joined is not in the list it began with, and who was alone in that may have others since.
  // They come by.
  if (KnowsNobody() && KnowsMembers()) StopAlone("there is no other member");
}

// What the log that is left says itself is true. Else the list was in the state that is lost, and
// the one in force is as old as the state there is.
bool Raft::State::KnowsMembers() const {
  return !doubt_.state_lost || membership_.position().index > base().index;
}

// By what this log says, or by the members the group began with.
bool Raft::State::KnowsNobody() const {
  return membership_.in_force().IsMember(node()) &&
         OtherMembers(membership_.in_force(), node()).empty();
}

// At an election timeout. Who is alone would be waiting for ever, so it stops; to be started again
// takes nothing away. True if it has stopped.
bool Raft::State::StopsForNobodyCame() {
  if (!doubt_.state_lost || !KnowsNobody()) return false;
  const Duration waited = now_ - doubt_.nobody_since;
  if (waited < std::max(options_.election_timeout * 10, kWaitForAnybody)) return false;
  StopAlone(absl::StrCat("no other member has been heard of for ",
                         waited.nanoseconds / Seconds(1).nanoseconds,
                         " s. If others have joined since the group began, start them, then this "
                         "one again"));
  return true;
}

void Raft::State::StopAlone(absl::string_view why) {
  RaiseFence(Fence::Reason::kDataLoss,
             absl::StrCat("the log begins behind ", ToString(base()), ", the state holds entries ",
                          "up to ", applied_, ", and ", why));
}

// The whole log gives way (paper 7): it ends before the snapshot, or has another entry in its
// place, and then nothing from there on was ever committed.
void Raft::State::ResetLog(const SnapshotPoint& snapshot) {
  CAIRN_CHECK_GT(snapshot.position.index, commit_) << "committed entries are kept";
  Trace("gives its log, last ", ToString(claimed_last()), ", for snapshot ",
        ToString(snapshot.position), ", configuration ", ToString(snapshot.configuration_position),
        ": ", ToString(snapshot.configuration));
  // The entry proves that its term was reached.
  if (snapshot.position.term > ballot_.state.term) AdoptTerm(snapshot.position.term, "snapshot");
  if (auto* follower = std::get_if<Follower>(&role_)) {
    outbox_.Drop();  // acknowledgements of what is gone
    follower->verified = follower->acknowledged = 0;
    follower->answer_again = false;
  } else {
    ChangeRole(Follower{});  // it campaigned with the log that is gone
  }
  const Ticket ticket = batches_.Reset({.base = snapshot.position, .hash = snapshot.hash});
  durability_.OnReset(ticket, base().index, snapshot.position.index);
  trail_ = Trail(snapshot.position, {});
  // Undecided entries behind the snapshot are claimed as before.
  doubt_.torn.Rewrite(snapshot.position);
  membership_ = Membership(snapshot.configuration_position, snapshot.configuration, {});
  commit_ = snapshot.position.index;
  if (commit_ > applied_) restore_ = Restore{.position = snapshot.position, .ticket = ticket};
}

// Who offers it in this term has applied it, so the leader of this term has it, and its log equals
// this one's up to there.
void Raft::State::AcknowledgeSnapshot(Term offered_in, Index index) {
  auto* follower = std::get_if<Follower>(&role_);
  if (follower == nullptr || follower->leader == NodeId::kNone) return;
  if (offered_in != ballot_.state.term) return;
  follower->verified = std::max(follower->verified, index);
  follower->answer_again = true;
}

void Raft::State::TakeRestore(Effects& effects) {
  if (!restore_ || durability_.synced() < restore_->ticket) return;
  effects.restore = restore_->position;
  published_.apply_up_to = std::max(published_.apply_up_to, restore_->position.index);
  doubt_.state_lost = false;
  restore_.reset();
}

// The leader --------------------------------------------------------------------------------------

void Raft::State::OfferSnapshot(NodeId peer, Leader& leader) {
  Progress& progress = leader.peers.at(peer).progress;
  const bool for_hole = NeedsSnapshotForHole(progress.next());
  if (progress.next() <= base().index || for_hole) progress.NeedSnapshot();
  if (!progress.TakeOffer()) return;
  effects_.send_snapshots.push_back(
      {.to = peer, .term = ballot_.state.term, .at_least = for_hole ? progress.next() : 0});
  Trace("offers ", ToInteger(peer), " a snapshot: it needs entry ", progress.next(),
        ", the log begins behind ", base().index);
}

}  // namespace cairn

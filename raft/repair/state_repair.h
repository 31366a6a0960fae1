// StateRepair: gets a snapshot from the other members where this node has lost what its log begins
// behind, or where something of it cannot be read any more.

#ifndef RAFT_REPAIR_STATE_REPAIR_H_
#define RAFT_REPAIR_STATE_REPAIR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/raft.h"
#include "raft/envelope.h"
#include "raft/repair/entry_repair.h"

namespace cairn {

// Asks one member at a time, the leader first. What a snapshot holds is committed, so whoever has
// applied as much may give it, in any term and role; no leader is needed, which the group may not
// have before. Whoever is asked learns with the question that what the log begins behind is
// committed, since it may have the entries and not know that. So it is for an entry that is needed,
// while there is no leader and nobody's log has it (Raft::state_needed).
//
// Who offers one is asked again as long as it comes: offers get lost, and a repeated
// one has the receiver ask again for what did not arrive (raft/snapshots/snapshot_receiver.h).
//
// Where the state machine of a node that runs has found damage, whatever the role, a member that
// has applied as much as this node had then gives its state, of which this node takes what it lacks
// (StateMachine::Mend).
//
// Threads: one at a time.
class StateRepair {
 public:
  // A member is asked every `interval`, half an election timeout. `life` differs from start to
  // start.
  StateRepair(Duration interval, uint64_t life) : interval_(interval), last_request_(life) {}

  // What to send now, if anything.
  std::optional<EntryRepair::Asking> Next(Instant now, const Raft& raft);
  void Take(NodeId from, const EntryReply& reply, const Raft& raft);
  // True if every other member that is known, and the leader, have said that they have lost their
  // state, too; where the list of members was lost with the state, not before they have for ten
  // election timeouts. To be called whenever Next is.
  bool TakeNowhere(Instant now, const Raft& raft);

  // `parts` of the state, in all, cannot be read, which is as of entry `applied`.
  void Damaged(Index applied, size_t parts);
  // So many of them can be read again, without another member.
  void Healed(size_t parts) { damage_.parts -= std::min(damage_.parts, parts); }
  // 0: all of it can be read, as far as is known.
  size_t damaged_parts() const { return damage_.parts; }
  // Whether a snapshot at `index` holds what cannot be read.
  bool Holds(Index index) const { return damage_.parts > 0 && index >= damage_.applied; }
  // It is here, and is being taken: nobody is asked until it is, or could not be.
  void Mending() { damage_.mending = true; }
  bool mending() const { return damage_.mending; }
  // Gives how many parts can be read again; 0 if more has been found meanwhile, or not `whole`.
  // Then the next one is asked for, after a failure only in a while that doubles each time.
  size_t Mended(bool whole);

  // When Next is due at the latest.
  Instant NextDeadline() const { return due_; }

 private:
  struct Damage {
    size_t parts = 0;
    Index applied = 0;
    bool mending = false;
    bool more = false;  // since then
    int failures = 0;   // in a row
  };

  static constexpr int64_t kPatience = 20;  // intervals

  NodeId Choose(const Raft& raft) const;
  bool AllHaveLostIt(const Raft& raft) const;

  const Duration interval_;
  uint64_t last_request_;
  NodeId asked_ = NodeId::kNone;
  bool answered_ = false;      // it offers one
  uint32_t times_ = 0;         // it was asked in a row
  std::set<NodeId> lost_too_;  // members that said so
  std::optional<Instant> all_lost_since_;
  Instant due_ = kDistantFuture;
  Damage damage_;
};

}  // namespace cairn

#endif  // RAFT_REPAIR_STATE_REPAIR_H_

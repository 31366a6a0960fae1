// What a Raft wants done: the output of Raft::TakeEffects. Carried out in the order of the fields:
// append (readable at once), send, let the sync run beside, apply.

#ifndef RAFT_CORE_EFFECTS_H_
#define RAFT_CORE_EFFECTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "raft/core/events.h"
#include "raft/core/messages.h"

namespace cairn {

enum class Role { kFollower, kPreCandidate, kCandidate, kLeader };
const char* NameOf(Role role);

// Entries to append, in a row, all of one source.
struct AppendRun {
  enum class Source {
    kProposals,      // the entries of Propose::payload, to be stamped with these positions
    kReceived,       // entries first..last of the records that came with Receive::payload
    kNoop,           // one entry without a body, made by the new leader (paper 8)
    kConfiguration,  // one entry whose body is `configuration`
  };
  Source source = Source::kNoop;
  PayloadId payload = 0;
  LogPosition first = {};  // for kReceived the term is that of the first entry
  Index last_index = 0;
  std::optional<Configuration> configuration = {};  // kConfiguration only
};

// The log is empty behind `base`, whose entry has this hash: a snapshot stands for what was there.
struct LogReset {
  LogPosition base = {};
  EntryHash hash = {};
};

// One write to the log. The parts belong together, in this order: all or a prefix survive a power
// cut.
struct LogBatch {
  Ticket ticket = 0;
  std::optional<HardState> hard_state = {};
  bool sure = false;  // with `hard_state`: RecoveredRaft::unsure holds no more
  std::optional<LogReset> reset_to = {};
  std::optional<Index> truncate_from = {};  // before the runs: entries from here on are gone
  std::vector<AppendRun> runs = {};
  Index commit = 0;                   // known committed when made; evidence for recovery
  std::optional<Index> drop_to = {};  // the entries up to here are dropped from the front
};

// Read entries behind `previous` up to `last`, at most `max_bytes` of them but at least one, and
// send them to `to` as one or more AppendEntries{term, previous, ..., commit, acknowledged}; then
// Step EntriesSent. At most one is outstanding per peer.
struct SendEntries {
  NodeId to = NodeId::kNone;
  uint64_t request = 0;
  Term term = 0;
  LogPosition previous = {};
  LogPosition last = {};  // the caller CHECKs its term after reading
  Index commit = 0;
  LogPosition acknowledged = {};  // AppendEntries::acknowledged
  size_t max_bytes = 0;
};

// `to` lacks entries that this log has no more: offer it a snapshot, in the name of this leader of
// `term`. It may be at any position from `at_least`, and from base(), on. The effect comes again at
// heartbeats until `to` acknowledges such a position, since offers get lost; what is under way is
// to go on.
struct SendSnapshot {
  NodeId to = NodeId::kNone;
  Term term = 0;
  Index at_least = 0;
  bool asked = false;  // by who has lost its state; Raft never says so (raft/repair/state_repair.h)
};

// `to` has said that it holds these entries, all of a torn tail: ask it for them, then Step
// TornEntriesGiven. Without an answer, or with one of no use, Raft asks again by itself, and others
// first.
struct AskTorn {
  NodeId to = NodeId::kNone;
  uint64_t request = 0;
  Index first = 0;
  std::vector<TermRun> runs = {};  // their shape, from `first` on
};

enum class RefusalReason {
  kNotLeader,     // `leader` is a hint, kNone if unknown
  kBusy,          // the limit of uncommitted bytes is reached
  kTransferring,  // leadership is being handed over to `leader`; ask again in a moment
};

// The answer to one Propose. Accepted: its entries stand at first_index.. in `term`, in order.
struct ProposalOutcome {
  PayloadId payload = 0;
  bool accepted = false;
  LogPosition first = {};                            // accepted only
  RefusalReason reason = RefusalReason::kNotLeader;  // refused only
  NodeId leader = NodeId::kNone;                     // refused only
};

// The answer to one ReadBarrier. Ready: state that has applied `index` may be read.
struct ReadOutcome {
  ReadId read = 0;
  bool ready = false;
  Index index = 0;
  NodeId leader = NodeId::kNone;  // refused only
};

enum class ControlRefusal {
  kNone,             // accepted, or done
  kNotLeader,        // `leader` is a hint, kNone if unknown
  kNotReady,         // the leader has not committed an entry of its own term yet
  kInProgress,       // another change or transfer is under way
  kInvalid,          // no members a group could have
  kWouldLoseQuorum,  // too few of the voters to be answer
  kLagging,          // a learner that shall vote is too far behind
  kBadTarget,        // nobody who could take the leadership over
  kTimeout,          // not done by the deadline
  kNothingToDo,      // nothing to cancel; leads already; cannot campaign
  kNotLost,          // a leader may be live, or a majority is left: nothing to recover from
};
const char* NameOf(ControlRefusal refusal);

// The answer to one ChangeMembership, CancelMembership, TransferLeadership, Campaign, StepDown
// or UnsafeRecover.
struct ControlOutcome {
  uint64_t request = 0;
  ControlRefusal refusal = ControlRefusal::kNone;
  std::string text = {};          // refused only: why, with the arithmetic
  LogPosition at = {};            // of an accepted change: its entry, or the one that had it done
  NodeId leader = NodeId::kNone;  // who leads now, as far as is known
};

// Where this node now stands. Present only when something of it changed.
struct LeadershipChange {
  Role role = Role::kFollower;
  Term term = 0;
  NodeId leader = NodeId::kNone;
};

// A node must stop: the group's log contradicts what Raft guarantees, or an entry that was
// committed is gone. Nothing was changed because of it.
struct Fence {
  enum class Reason { kSafetyViolation, kCommittedConflict, kDataLoss, kRolledBack };
  Reason reason = Reason::kSafetyViolation;
  NodeId by = NodeId::kNone;  // the term's leader, as far as it is known: it said so
  std::string message = {};
};

struct Effects {
  std::vector<LogBatch> log_batches = {};
  std::vector<Message> messages = {};
  std::vector<SendEntries> send_entries = {};
  std::vector<SendSnapshot> send_snapshots = {};
  std::optional<AskTorn> ask_torn = {};
  // Before anything is applied: the state machine is to be restored from the snapshot received at
  // this position; then Step Applied. The log was reset to it, durably, or has a hole before it:
  // entries handed out to be applied before that and not applied yet cannot be read any more.
  std::optional<LogPosition> restore = {};
  Index apply_up_to = 0;  // committed and durable here; 0 if unchanged since the last effects
  std::vector<ProposalOutcome> proposals = {};
  std::vector<ReadOutcome> reads = {};
  std::vector<ControlOutcome> controls = {};
  std::optional<LeadershipChange> leadership = {};
  std::optional<Fence> fence = {};
  // Said once: the committed configuration there no longer names this node, which had been a
  // member. It takes part no more; only a new node can join again.
  std::optional<LogPosition> removed = {};
  // Said once for each: leadership goes to this node, because the own disk is slow.
  NodeId slow_disk_successor = NodeId::kNone;
  bool stalled = false;  // leads no more, because a quorum answered and took no entries

  bool empty() const {
    return log_batches.empty() && messages.empty() && send_entries.empty() &&
           send_snapshots.empty() && !ask_torn && !restore && apply_up_to == 0 &&
           proposals.empty() && reads.empty() && controls.empty() && !leadership && !fence &&
           !removed && slow_disk_successor == NodeId::kNone && !stalled;
  }
};

}  // namespace cairn

#endif  // RAFT_CORE_EFFECTS_H_

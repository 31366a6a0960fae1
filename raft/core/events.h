// What happens to a Raft: the inputs of Raft::Step.

#ifndef RAFT_CORE_EVENTS_H_
#define RAFT_CORE_EVENTS_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/holes.h"
#include "raft/core/membership_plan.h"
#include "raft/core/messages.h"
#include "raft/core/snapshot_point.h"

namespace cairn {

// Names entries whose bytes the caller keeps until the next TakeEffects(): a received message's
// records or a batch of proposals. Opaque to the core.
using PayloadId = uint64_t;

// Names a read the caller waits for. Drawn by the caller, never used twice by one Raft object.
using ReadId = uint64_t;

// Time has passed; the instant is an argument of Step.
struct Tick {};

// A message has come in. The caller has validated it (raft/envelope_check.h): terms and indexes in
// range, runs growing and gapless, configurations inside the runs.
struct Receive {
  Message message = {};
  PayloadId payload = 0;  // AppendEntries only
};

// The upper layer proposes `count` command entries of `bytes` bytes together.
struct Propose {
  PayloadId payload = 0;
  uint64_t count = 0;
  size_t bytes = 0;
};

// A client wants to read linearizably.
struct ReadBarrier {
  ReadId read = 0;
  bool lease = false;  // the leader's lease is proof enough
};

// All log batches up to and including `ticket` survive a power cut now.
struct LogSynced {
  Ticket ticket = 0;
};

// The caller carried out a SendEntries effect: it handed a prefix of the asked range, up to and
// including `last`, to the transport. last == SendEntries::previous.index: nothing could be read
// or sent; the core tries again at the next heartbeat.
struct EntriesSent {
  NodeId to = NodeId::kNone;
  uint64_t request = 0;  // SendEntries::request
  Index last = 0;
  size_t bytes = 0;
};

// The transport noticed that messages to `peer` may have been lost (broken stream).
struct PeerUnreachable {
  NodeId peer = NodeId::kNone;
};

// While this group rests, hosts watch over each other in place of its members. That of `peer` has
//  - kSilent: answered nothing for an election timeout;
//  - kRestarted: begun another life, so its member leads nothing any more;
//  - kDoubtful: ended its part in some group, maybe in this one.
// Means nothing to a group that is awake.
struct HostLost {
  enum class How { kSilent, kRestarted, kDoubtful };
  NodeId peer = NodeId::kNone;
  How how = How::kSilent;
};

// The entries up to `index` were applied.
struct Applied {
  Index index = 0;
};

// What the entries up to `up_to` have made is durable outside the log: they may be dropped from it.
// Of these, the entries that are committed, durable and applied here go.
struct Compact {
  Index up_to = 0;
};

// Entries of the log, behind `base`, turned out to be unreadable: what a disk had kept is rotten or
// gone. They are claimed in elections, and neither acknowledged nor applied nor handed on until
// EntriesRepaired. Somebody else repairs them (raft/repair/), whoever leads.
struct EntriesDamaged {
  HoleRange entries = {};
};
// They are there again, durably. `configurations`: those among them.
struct EntriesRepaired {
  HoleRange entries = {};
  std::vector<std::pair<LogPosition, Configuration>> configurations = {};
};
// Every other member has said that it does not have these, or not any more; or the leader has.
struct EntriesNowhere {
  HoleRange entries = {};
};

// `from` has given the undecided entries of a torn tail, all of them: those that stand behind
// `previous`, as Effects::ask_torn asked. `configurations`: those among them.
struct TornEntriesGiven {
  NodeId from = NodeId::kNone;
  uint64_t request = 0;  // AskTorn::request
  PayloadId payload = 0;
  LogPosition previous = {};
  std::vector<TermRun> runs = {};  // not empty; terms of neighbours differ
  std::vector<std::pair<LogPosition, Configuration>> configurations = {};
};

// A whole snapshot, offered by the leader of `term` or, to a member that has lost its state, by
// whoever was in `term` and had applied it, stands durably on this node's disk. Or, where
// `snapshot` is at or before commit(), that leader offered what this node has already.
struct SnapshotReceived {
  Term term = 0;
  SnapshotPoint snapshot = {};
};

// The log of another member begins behind this entry, so it is committed. (That member has lost
// what the entries up to there had made, and asks for it; this one may be the only one who can make
// it again.)
struct BegunBehind {
  LogPosition at = {};
};

// Another member has reached this term, and what it knows to be committed is about to be taken from
// it: leaders of earlier terms may lack that.
struct TermReached {
  Term term = 0;
};

// What operators ask of the group's leadership and membership. Each is answered by one
// ControlOutcome that carries its `request`, drawn by the caller and not 0.

// These shall be the members. The leader goes there by itself (raft/core/membership_plan.h), and
// whoever leads after it. Accepted when the first step is appended: its fate is that of the entry.
struct ChangeMembership {
  uint64_t request = 0;
  DeclaredMembers members = {};
  // Index of the configuration the members were worked out from; refused if another one is in force
  // by now, so that of two askers none undoes the other. 0: whatever is in force.
  Index based_on = 0;
};

// Goes back to where the target was declared, as long as no joint configuration was appended.
struct CancelMembership {
  uint64_t request = 0;
};

// The leader hands over to `target`, or to the voter that holds most (then the one of the best
// priority) if that is kNone. Answered when another node leads, when it has failed, or at the
// deadline. Meanwhile proposals are refused.
struct TransferLeadership {
  uint64_t request = 0;
  NodeId target = NodeId::kNone;
  Instant deadline = {};
};

// Asks for pre-votes now, as if the election timeout had passed.
struct Campaign {
  uint64_t request = 0;
};

// The leader becomes a follower and hands nothing over.
struct StepDown {
  uint64_t request = 0;
};

// Nothing becomes durable on this node's disk any more. A leader asks its best successor to
// campaign at once; then the node takes part no more, as after Effects::fence.
struct DiskFailed {};

// An operator declares a majority lost for good (raft/core/unsafe_override.h): either these members
// are not counted any more, or `quorum` voters are enough, until `expiry` from now. Each survivor
// that may lead must be told. Refused while a leader is known or may be live, while a majority is
// left, and by who could not lead. Done at once: the node then campaigns. A lower quorum, or others
// to be evicted, may be asked for again.
struct UnsafeRecover {
  uint64_t request = 0;
  std::vector<NodeId> evicted = {};
  size_t quorum = 0;  // 0: an eviction
  Duration expiry = {};
  WallTime asked = {};      // kept in the log, for people
  bool only_check = false;  // whether it would be refused; nothing is done
};

// While `hold`: this node does not campaign, whoever asks, and its leader learns that it cannot
// take over. A candidate steps down; a leader goes on leading.
struct HoldCandidacy {
  bool hold = false;
};

using Event =
    std::variant<Tick, Receive, Propose, ReadBarrier, LogSynced, EntriesSent, PeerUnreachable,
                 HostLost, Applied, Compact, SnapshotReceived, TermReached, BegunBehind,
                 ChangeMembership, CancelMembership, TransferLeadership, Campaign, StepDown,
                 UnsafeRecover, DiskFailed, HoldCandidacy, EntriesDamaged, EntriesRepaired,
                 EntriesNowhere, TornEntriesGiven>;

}  // namespace cairn

#endif  // RAFT_CORE_EVENTS_H_

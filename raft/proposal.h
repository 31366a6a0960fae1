// What becomes of a proposed command: applied, surely not applied, or unknown. Never blurred.

#ifndef RAFT_PROPOSAL_H_
#define RAFT_PROPOSAL_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "absl/functional/any_invocable.h"
#include "base/bytes.h"
#include "base/time.h"
#include "base/types.h"
#include "storage/record.h"

namespace cairn {

// The command is committed and applied on the node that answers; `reply` is the state machine's.
struct ProposalApplied {
  LogPosition at;
  Bytes reply;
  bool duplicate =
      false;  // applied by an earlier proposal of the same session call; the first answer
};

// The command has no effect and never will have: safe to propose again.
struct ProposalNotApplied {
  enum class Reason {
    kNotLeader,   // and forwarding was not wanted; `leader` is a hint
    kNoLeader,    // nobody is known to lead
    kOverloaded,  // a bounded queue is full, here or at the leader
    kNoSpace,     // the leader's disk is full
    kTooLarge,
    kDeadline,  // passed before it was proposed
    kStopping,
    kFenced,               // this node's storage failed
    kSessionExpired,       // the session is unknown (closed, evicted)
    kSessionNumberReused,  // the same session call with another payload
    kSessionGap,           // an in_order call whose predecessor was not applied
    kSessionNumberTooOld,  // so far behind the session's newest call that its answer is forgotten
    kNotFormed,            // the cluster has not formed yet
    kOrderBroken,          // an earlier proposal of the same ProposalOrder was refused
    kTermChanged,          // the group is in another term than ProposeOptions::expected_term
  };
  Reason reason = Reason::kNoLeader;
  NodeId leader = NodeId::kNone;
  std::string message;
  Term term = 0;  // kTermChanged: the present one, as far as who refuses knows
};

// Leadership was lost, or the deadline passed, while the command was on its way: it may or may not
// be applied. Proposing it again is safe only as the same session call.
struct ProposalUnknown {
  LogPosition at;  // {} if it was forwarded
  std::string message;
};

using ProposalResult = std::variant<ProposalApplied, ProposalNotApplied, ProposalUnknown>;
using ProposalCallback = absl::AnyInvocable<void(ProposalResult)>;

// Shared by proposals of which a later one must never be applied unless all earlier ones are, in
// the order they were made, or may be (unknown). `broken` is set by whoever refuses one of them,
// and looked at in the moment one is taken or refused, in the order they were proposed. It does not
// bind members to each other: proposals that may be forwarded wait until the earlier ones are
// answered, and so do all while it is not known what becomes of `in_doubt` earlier ones, since the
// leader that took them leads no more.
struct ProposalOrder {
  std::atomic<bool> broken = false;
  std::atomic<int> in_doubt = 0;
};

struct ProposeOptions {
  SessionCall session;  // session 0: none; a retry after ProposalUnknown may then apply twice
  std::optional<Instant> deadline;  // of the host's clock
  bool forward = true;              // a member that is not the leader passes it on to the leader
  std::shared_ptr<ProposalOrder> order;  // null: none
  // Not 0: appended only by the leader of this very term, else refused with kTermChanged (or for
  // another reason). Looked at in the moment the entry is appended, by the leader, also where the
  // command was forwarded or had to wait. For who read what it proposes from a state of that term.
  Term expected_term = 0;
};

struct ReadOptions {
  std::optional<Instant> deadline = std::nullopt;  // of the host's clock
  // The leader may answer by its lease (GroupOptions::lease), without asking a quorum: linearizable
  // as long as members' clocks run alike (GroupOptions::max_clock_drift_per_mille). Where there is
  // no lease a quorum is asked.
  bool lease = false;
  // The state read may be this old: everything acknowledged so long before the read is seen. 0: the
  // read is linearizable. A member that asked lately answers without asking again.
  Duration max_staleness = {};
};

// Result of a read barrier: state that has applied `index` is linearizable, and this node's has.
struct ReadReady {
  Index index = 0;
};
struct ReadRefused {
  enum class Reason { kNoLeader, kDeadline, kOverloaded, kStopping, kFenced, kNotFormed };
  Reason reason = Reason::kNoLeader;
  NodeId leader = NodeId::kNone;
};
using ReadResult = std::variant<ReadReady, ReadRefused>;
using ReadCallback = absl::AnyInvocable<void(ReadResult)>;

const char* NameOf(ProposalNotApplied::Reason reason);
const char* NameOf(ReadRefused::Reason reason);

}  // namespace cairn

#endif  // RAFT_PROPOSAL_H_

// SenderCheck: whether an envelope is meant for this node, and its sender who it says it is.

#ifndef RAFT_SENDER_CHECK_H_
#define RAFT_SENDER_CHECK_H_

#include <optional>

#include "absl/status/status.h"
#include "base/types.h"
#include "raft/core/configuration.h"
#include "raft/envelope.h"

namespace cairn {

// What a frame is checked against before anything else is looked at, so that a stranger's term is
// never adopted (fault catalogue N10, 5.2 rows 10-12).
struct LocalIdentity {
  ClusterId cluster;
  NodeId node = NodeId::kNone;
  Incarnation incarnation = Incarnation::kUnknown;  // in the group
  // Of the data directory, where that is another one.
  Incarnation of_disk = Incarnation::kUnknown;
};

// Fills in who sends it.
void SignEnvelope(const LocalIdentity& self, Envelope& envelope);
// The sender as the group's members know it.
Incarnation SenderIn(const Envelope& envelope);

// Refusal of a frame of another cluster, for another node or of a version not spoken here. For who
// took the frame off the network to answer; a node's id does not lead back to such a sender.
std::optional<IdentityRefusal> CheckAddress(const Envelope& envelope, const LocalIdentity& self);

// Refusal of a frame whose sender is a member of `configuration` with another data directory, or,
// where only members have a say (forwarded commands), no member at all. Votes, entries and
// heartbeats of a node not in the configuration pass: a lagging member must be able to vote for a
// new one, and Raft decides who is counted. Refusals are never refused, as this would go on
// forever.
std::optional<IdentityRefusal> CheckSender(const Envelope& envelope,
                                           const Configuration& configuration);

// Refusal of a term that no honest member has, as far as this node, which is in term `own`, can
// know: it is more elections ahead than there ever were (fault catalogue 5.2, row 13).
// INVALID_ARGUMENT, the message begins with TERM_RANGE.
absl::Status CheckTermJump(const Envelope& envelope, Term own);

// Refusal of what only a leader says, in the name of a node that is not the one known to lead the
// term: no term has two leaders (paper 5.2), so the sender is not who it says, or the cluster is
// broken. FAILED_PRECONDITION, the message begins with SAFETY_VIOLATION. `leader`: of term `own`,
// kNone if it is not known.
absl::Status CheckLeader(const Envelope& envelope, Term own, NodeId leader);

// What a node that is in term `own`, led by `leader`, of a group with members `configuration` takes
// off the network; the rest is refused before it is queued, while its sender can still be told:
// FAILED_PRECONDITION (MEMBER_AMNESIA) for a member with another data directory, PERMISSION_DENIED
// (SENDER_MISMATCH) if that directory is another member's, and what CheckTermJump and CheckLeader
// refuse. The message begins with the reason. Hellos pass: by them a wiped node learns what it is.
absl::Status Vet(const Envelope& envelope, const Configuration& configuration, Term own,
                 NodeId leader);

}  // namespace cairn

#endif  // RAFT_SENDER_CHECK_H_

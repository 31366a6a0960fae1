// SenderCheck: whether an envelope is meant for this node, and its sender who it says it is.

#ifndef RAFT_SENDER_CHECK_H_
#define RAFT_SENDER_CHECK_H_

#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
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

// Whether the group was deleted on the node, which is another member there since then.
bool IsAnotherThere(const LocalIdentity& self);

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
// forever. Nor is a `successor` for its disk: the sender has shown that it came after the one that
// the configuration names (raft/peers/successors.h); only what a stranger may say is to be heard.
std::optional<IdentityRefusal> CheckSender(const Envelope& envelope,
                                           const Configuration& configuration,
                                           bool successor = false);
// Whether `configuration` names the sender with another disk than it has.
bool HasAnotherDisk(const Envelope& envelope, const Configuration& configuration);

// What is listened to of a node that is no member by anything known here, or not with its disk, and
// has introduced itself (raft/peers/introduction.h): a leader may feed this node, a candidate ask
// for its vote, and who may be a member for entries (Raft::MayBeMember). Not: what counts as of a
// member, what goes before the rule that a live leader is not disturbed, what ends this node's part
// in the group, what is said to a leader, and what concerns hosts.
bool MayStrangerSay(const EnvelopeBody& body);

// Refusal of a term that no honest member has, as far as this node, which is in term `own`, can
// know: it is more elections ahead than there ever were (fault catalogue 5.2, row 13).
// INVALID_ARGUMENT, the message begins with TERM_RANGE.
absl::Status CheckTermJump(const Envelope& envelope, Term own);

// Refusal of what only a leader says, in the name of a node that is not the one known to lead the
// term: no term has two leaders (paper 5.2), so the sender is not who it says, or the cluster is
// broken. FAILED_PRECONDITION, the message begins with SAFETY_VIOLATION. `leader`: of term `own`,
// kNone if it is not known.
absl::Status CheckLeader(const Envelope& envelope, Term own, NodeId leader);

// The reason of CheckRemoved's refusals.
inline constexpr char kMemberRemoved[] = "MEMBER_REMOVED";

// What a node knows of its group, the configuration in force being committed.
struct MembersKnown {
  Incarnation self = Incarnation::kUnknown;  // of this node in the group
  Term term = 0;
  const Configuration& configuration;
  LogPosition at;    // of its entry
  LogPosition last;  // of the log
};

// Refusal of who asks for votes and was removed (fault catalogue 5.2, row 12):
// FAILED_PRECONDITION, the message begins with MEMBER_REMOVED, the payloads say what RemovalOf
// reads. Not of who has a later log than this node: there it may be a member again, and this node
// one that lags and whose vote is needed (thesis 4.1). A log that is no later has no configuration
// that this one lacks and that could still be committed.
absl::Status CheckRemoved(const Envelope& envelope, const MembersKnown& known);

bool IsRemoval(const absl::Status& refusal);

// The refusal as the message it stands for, for Raft of who was refused: the RemovedNotice of who
// was greeted with `greeting`. `said` gives a payload by name, "" for one that is not there.
// nullopt if it makes no sense.
std::optional<Envelope> RemovalOf(const Envelope& greeting,
                                  absl::FunctionRef<std::string(absl::string_view)> said);

// What a node that is in term `own`, led by `leader`, of a group with members `configuration` takes
// off the network; the rest is refused before it is queued, while its sender can still be told:
// FAILED_PRECONDITION (MEMBER_AMNESIA) for a member with another data directory that is no
// `successor` (CheckSender), PERMISSION_DENIED (SENDER_MISMATCH) if that directory is another
// member's, and what CheckTermJump and CheckLeader refuse. The message begins with the reason.
// Hellos pass: by them a wiped node learns what it is.
absl::Status Vet(const Envelope& envelope, const Configuration& configuration, Term own,
                 NodeId leader, bool successor = false);

}  // namespace cairn

#endif  // RAFT_SENDER_CHECK_H_

// Envelope: everything one node says to another, with who says it. The transport carries
// envelopes; service/wire/wire.h is the only place that turns them into protobuf and back.

#ifndef RAFT_ENVELOPE_H_
#define RAFT_ENVELOPE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/types.h"
#include "raft/core/messages.h"
#include "raft/proposal.h"
#include "storage/record.h"
#include "storage/snapshot_manifest.h"

namespace cairn {

// The range of protocol versions a node speaks. Nodes talk in the highest version both speak.
inline constexpr uint32_t kProtocolVersion = 1;
inline constexpr uint32_t kOldestProtocolVersion = 1;

// A node of an unformed cluster asks every initial member who it is, and they answer; see
// raft/peers/formation.h. Concerns the node, not a group: its envelope names GroupId::kNone.
struct Hello {
  bool formed = false;
  // The initial members. Formed: with all incarnations. Not formed: with those the sender knows.
  Configuration members;
  // Drawn by who asks, growing, never used again under its incarnation; an answer echoes it.
  uint64_t question = 0;
  bool reply_wanted = false;  // tells a question from an answer
};

// Commands of a member that is not the leader, on the way to the leader. The records' positions are
// not yet known; `entries` travel as PreparedEntry::Encode gives them.
//
// A transport may repeat an envelope hours later, and a command must not be applied twice because
// of it. So the leader takes a request once in its term, and none that was meant for another term.
struct ForwardedProposals {
  Term term = 0;         // of the leader it is meant for
  uint64_t life = 0;     // drawn at each start of the forwarding node
  uint64_t request = 0;  // 1, 2, … within that life
  std::vector<PreparedEntry> entries;
  Term expected_term = 0;  // ProposeOptions::expected_term of all of them
};
// One result per forwarded entry, in order. Never sent for entries whose outcome is still open.
struct ForwardedResults {
  uint64_t life = 0;
  uint64_t request = 0;
  std::vector<ProposalResult> results;
};

// "Your frames do not count here": the answer to a frame from a wrong cluster, node or incarnation.
struct IdentityRefusal {
  enum class Reason { kClusterMismatch, kWrongNode, kMemberAmnesia, kVersion, kUnknownMember };
  Reason reason = Reason::kClusterMismatch;
  std::string message;  // names both sides
};

// A snapshot moves from the leader to a member that lacks what the leader's log has no more; the
// member pulls it, piece by piece, from whoever offered it last
// (raft/snapshots/snapshot_receiver.h).
struct SnapshotOffer {
  // Of the leader in whose name it is offered; or of who was asked for it (EntryRequest).
  Term term = 0;
  ContentId id;
  LogPosition position;
  uint64_t manifest_bytes = 0;
  // The sender knows SnapshotAnswer: who does not ask for it would take it for no parcel at all.
  bool answer_wanted = false;
  // It knows all verdicts: who does not would take the later ones for damage.
  bool failures_wanted = false;
};
// Why an offer is of no use (fault catalogue 5.2, row 19), or what ended the transfer (S4, rows 20
// and 22); no answer to one that goes well. Raft needs it not, as replies to entries and heartbeats
// say what it has to know; it is for people.
struct SnapshotAnswer {
  enum class Verdict {
    kAlreadyHave = 1,
    kStaleTerm = 2,
    kDataLoss = 3,       // what came is not what its hash says
    kNoSpace = 4,        // the receiver's disk is full
    kBusy = 5,           // another one comes in
    kStorageFailed = 6,  // the receiver's disk
  };
  ContentId id;
  Verdict verdict = Verdict::kAlreadyHave;
  Term term = 0;     // of who answers
  Index commit = 0;  // likewise
};
const char* NameOf(SnapshotAnswer::Verdict verdict);  // as "ALREADY_HAVE"
// Bytes of one file of the snapshot, or of its manifest.
inline constexpr uint32_t kManifestPart = 0xffffffff;
struct SnapshotRequest {
  ContentId id;
  uint32_t file = kManifestPart;
  uint64_t offset = 0;
  uint32_t bytes = 0;  // 1..kSnapshotPieceBytes
};
struct SnapshotPiece {
  ContentId id;
  uint32_t file = kManifestPart;
  uint64_t offset = 0;
  std::string bytes;
  bool gone = false;  // the sender does not have that snapshot any more, or cannot read it
  // So long the sender was busy before it came to the request, or with it. It may be anything.
  Duration held = {};
};
// So that a frame holds one.
inline constexpr size_t kSnapshotPieceBytes = size_t{56} << 10;

// A member that cannot read entries of its log asks another one for them (raft/repair/). What has
// the same index and term is the same entry (paper 5.3); the asker's store checks its hash.
struct EntryRange {
  Index first = 0;
  Index last = 0;
  Term term = 0;
  friend bool operator==(const EntryRange&, const EntryRange&) = default;
};
inline constexpr size_t kMaxEntryRanges = 64;
struct EntryRequest {
  uint64_t request = 0;  // echoed
  std::vector<EntryRange> wanted;
  // Not 0, and nothing in `wanted`: the sender has lost the state that its log goes on from, and
  // wants a snapshot at this index or behind it, from whoever has applied as much.
  Index state_at_least = 0;
  // Not 0: the sender's log begins behind the entry of this term there, so it is committed, and
  // leaders of terms before `term`, the sender's, may lack it.
  Term state_term = 0;
  Term term = 0;
};
enum class StateAnswer { kNone, kOffered, kNotYet, kLost };  // as proto's StateAnswer
// Envelope::entries: those of them that the sender can read, as many as fit.
struct EntryReply {
  uint64_t request = 0;
  StateAnswer state = StateAnswer::kNone;  // to EntryRequest::state_at_least
};

// While groups rest their hosts watch over each other: a question, and its answer by a host that
// lives (raft/liveness/host_watch.h). Concerns the node, as Hello. Sent only where a group rests,
// so to nodes that know it.
struct HostHeartbeat {
  uint64_t question = 0;      // growing within a life; an answer echoes it
  bool reply_wanted = false;  // tells a question from an answer
  HostLife life = 0;          // of the sender
  // Of a question: so long its answer may wait, to go with a question of who answers; 0: not at
  // all. Nodes that do not know this answer at once, and say 0.
  Duration patience = {};
  uint64_t answered = 0;  // of a question: the receiver's that it answers, too; 0: none
};

using EnvelopeBody = std::variant<MessageBody, Hello, ForwardedProposals, ForwardedResults,
                                  IdentityRefusal, SnapshotOffer, SnapshotAnswer, SnapshotRequest,
                                  SnapshotPiece, HostHeartbeat, EntryRequest, EntryReply>;

struct Envelope {
  ClusterId cluster;
  GroupId group = GroupId::kNone;
  NodeId from = NodeId::kNone;
  NodeId to = NodeId::kNone;
  Incarnation from_incarnation = Incarnation::kUnknown;
  // The sender's in this group, where it is not that of its data directory: it was a member before
  // the group was deleted there, and is another one now (raft/lifecycle/tombstone.h).
  Incarnation group_incarnation = Incarnation::kUnknown;
  uint32_t version = kProtocolVersion;               // of this envelope
  uint32_t oldest_version = kOldestProtocolVersion;  // range of the sender
  uint32_t newest_version = kProtocolVersion;
  EnvelopeBody body;
  // With EntryReply: what was asked for. With AppendEntries: its entries, parsed, so verified. They
  // alone travel; the receiving node derives AppendEntries::runs and ::configurations from them
  // (DescribeEntries).
  std::vector<RecordRun> entries;
};

// Bulk (entries, forwarded commands and their results) is what must not delay votes and heartbeats;
// snapshots must delay neither.
enum class Lane { kControl, kAppend, kSnapshot };
inline constexpr size_t kLanes = 3;
Lane LaneOf(const Envelope& envelope);

// INVALID_ARGUMENT for a message no honest member sends: terms or indexes out of range (the message
// then begins with TERM_RANGE), runs that do not grow, entries that do not follow
// `previous` without a gap, or are not the announced ones, a last log term above the term. Nothing
// that passes makes the core CHECK. Fault catalogue 5.2, rows 5, 13, 14.
absl::Status Validate(const Envelope& envelope);

// The configurations among `entries`, with where they stand. INVALID_ARGUMENT for one that cannot
// be decoded, though it is what its proposer has written: a later version of Cairn did.
using LoggedConfigurations = std::vector<std::pair<LogPosition, Configuration>>;
absl::StatusOr<LoggedConfigurations> ConfigurationsIn(const std::vector<RecordRun>& entries);

// Fills AppendEntries::runs and ::configurations from its entries, which Validate has passed.
// INVALID_ARGUMENT for a configuration entry that cannot be decoded.
absl::Status DescribeEntries(AppendEntries& append, const std::vector<RecordRun>& entries);

}  // namespace cairn

#endif  // RAFT_ENVELOPE_H_

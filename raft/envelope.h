// Envelope: everything one node says to another, with who says it. The transport carries
// envelopes; service/wire.h is the only place that turns them into protobuf and back.

#ifndef RAFT_ENVELOPE_H_
#define RAFT_ENVELOPE_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/types.h"
#include "raft/core/messages.h"
#include "raft/proposal.h"
#include "storage/record.h"

namespace cairn {

// The range of protocol versions a node speaks. Nodes talk in the highest version both speak.
inline constexpr uint32_t kProtocolVersion = 1;
inline constexpr uint32_t kOldestProtocolVersion = 1;

// A node of an unformed group asks every initial member who it is (raft/formation.h).
struct Hello {
  bool formed = false;
  // Formed: the members as this node knows them, incarnations included.
  Configuration members;
  bool reply_wanted = false;
};

// Commands of a member that is not the leader, on the way to the leader. The records' positions are
// not yet known; `entries` travel as PreparedEntry::Encode gives them.
struct ForwardedProposals {
  uint64_t request = 0;  // the forwarding node's, unique per incarnation; echoed
  std::vector<PreparedEntry> entries;
};
// One result per forwarded entry, in order. Never sent for entries whose outcome is still open.
struct ForwardedResults {
  uint64_t request = 0;
  std::vector<ProposalResult> results;
};

// "Your frames do not count here": the answer to a frame from a wrong cluster, node or incarnation.
struct IdentityRefusal {
  enum class Reason { kClusterMismatch, kWrongNode, kMemberAmnesia, kVersion, kUnknownMember };
  Reason reason = Reason::kClusterMismatch;
  std::string message;  // names both sides
};

using EnvelopeBody =
    std::variant<MessageBody, Hello, ForwardedProposals, ForwardedResults, IdentityRefusal>;

struct Envelope {
  ClusterId cluster;
  GroupId group = GroupId::kNone;
  NodeId from = NodeId::kNone;
  NodeId to = NodeId::kNone;
  Incarnation from_incarnation = Incarnation::kUnknown;
  uint32_t version = kProtocolVersion;               // of this envelope
  uint32_t oldest_version = kOldestProtocolVersion;  // range of the sender
  uint32_t newest_version = kProtocolVersion;
  EnvelopeBody body;
  std::vector<RecordRun> entries;  // with AppendEntries; parsed, so verified
};

// Bulk is what must not delay votes and heartbeats.
enum class Lane { kControl, kAppend };
Lane LaneOf(const Envelope& envelope);

// INVALID_ARGUMENT (reason TERM_RANGE where it is that) for a message no honest member sends: terms
// or indexes out of range, runs that do not grow, entries that are not the announced ones, a last
// log term above the term. Nothing that passes makes the core CHECK. Fault catalogue 5.2, rows 5,
// 13, 14.
absl::Status Validate(const Envelope& envelope);

}  // namespace cairn

#endif  // RAFT_ENVELOPE_H_

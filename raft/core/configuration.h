// Configuration: who is a member of a group, and who of them is counted.

#ifndef RAFT_CORE_CONFIGURATION_H_
#define RAFT_CORE_CONFIGURATION_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/types.h"

namespace cairn {

struct Member {
  NodeId node = NodeId::kNone;
  Incarnation incarnation = Incarnation::kUnknown;  // of the disk that may vote under `node`
  std::string address;                              // what other members dial
  friend auto operator<=>(const Member&, const Member&) = default;
};

// Members a configuration or a target may have in all, far above any group that makes sense.
inline constexpr size_t kMaxMembers = 128;

// Where a group is told to go: these voters and learners. It travels in the configuration entries
// until it is reached, so that every leader knows it, and with the members it started from, so
// that it can be cancelled. Lists are ordered by node id.
struct MembershipTarget {
  std::vector<Member> voters = {};
  std::vector<Member> learners = {};
  std::vector<Member> voters_before = {};
  std::vector<Member> learners_before = {};

  friend auto operator<=>(const MembershipTarget&, const MembershipTarget&) = default;
};

// A membership as a log entry carries it. In force from the moment it is appended (thesis 4.1),
// undone when the entry is truncated.
//
// Holds: voters are not empty once a group is formed; a node is at most once in voters, at most
// once in outgoing_voters, and never both a learner and a voter. Members of each list are ordered
// by node id.
struct Configuration {
  std::vector<Member> voters;
  // While joint (thesis 4.3): the voters of the old configuration. Decisions then need a majority
  // of both. Empty otherwise.
  std::vector<Member> outgoing_voters;
  std::vector<Member> learners;
  // Declared and not reached yet (raft/core/membership_plan.h).
  std::optional<MembershipTarget> target = {};

  bool joint() const { return !outgoing_voters.empty(); }
  bool IsVoter(NodeId node) const;   // in voters or outgoing_voters
  bool IsMember(NodeId node) const;  // a voter or a learner
  const Member* Find(NodeId node) const;
  // Every member once, ordered by node id.
  std::vector<NodeId> Nodes() const;

  friend auto operator<=>(const Configuration&, const Configuration&) = default;
};

// INVALID_ARGUMENT for what contradicts "Holds".
absl::Status Validate(const Configuration& configuration);

// The body of a configuration entry; the format starts with a version byte: 1 without a target, as
// ever, 2 with one. Encode CHECKs what Validate says; Decode gives DATA_LOSS for anything else.
std::string EncodeConfiguration(const Configuration& configuration);
absl::StatusOr<Configuration> DecodeConfiguration(absl::string_view bytes);

// "voters=1,2,3 outgoing=1,2 learners=4 target=1,2,4 target_learners=3", as traces print it; empty
// lists but voters are left out.
std::string ToString(const Configuration& configuration);

// True if both lists name the same nodes; both are ordered.
bool SameNodes(const std::vector<Member>& a, const std::vector<Member>& b);

}  // namespace cairn

#endif  // RAFT_CORE_CONFIGURATION_H_

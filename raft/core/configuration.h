// Configuration: who is a member of a group, and who of them is counted.

#ifndef RAFT_CORE_CONFIGURATION_H_
#define RAFT_CORE_CONFIGURATION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
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

// That leaders decided by less than a majority because an operator said so
// (raft/core/unsafe_override.h). What was acknowledged before may be lost, and a second history may
// exist. Each configuration takes this over from the one before, so that it is known for ever.
struct UnsafeRecoveries {
  uint64_t count = 0;  // 0: never, and all else is empty
  // The last one: who was not counted any more, or how many voters were enough; the other is empty.
  std::vector<NodeId> evicted = {};
  uint64_t quorum = 0;
  LogPosition at = {};  // of its configuration entry
  WallTime asked = {};  // by the clock of the leader it made
  // By it and by all before. No message of theirs is listened to unless they are members again.
  std::vector<NodeId> evicted_ever = {};

  friend auto operator<=>(const UnsafeRecoveries&, const UnsafeRecoveries&) = default;
};

// Removed nodes a configuration remembers; of more the first to go are forgotten.
inline constexpr size_t kMaxRemoved = 1024;

// A disk with which a node was a member.
struct FormerDisk {
  NodeId node = NodeId::kNone;
  Incarnation incarnation = Incarnation::kUnknown;
  friend auto operator<=>(const FormerDisk&, const FormerDisk&) = default;
};
// Disks a configuration remembers; of more the first to go are forgotten.
inline constexpr size_t kMaxFormerDisks = 1024;

// A membership as a log entry carries it. In force from the moment it is appended (thesis 4.1),
// undone when the entry is truncated.
//
// Holds: voters are not empty once a group is formed; a node is at most once in voters, at most
// once in outgoing_voters, and never both a learner and a voter. Members of each list are ordered
// by node id. Nobody removed is a member, no former disk one's disk.
struct Configuration {
  std::vector<Member> voters;
  // While joint (thesis 4.3): the voters of the old configuration. Decisions then need a majority
  // of both. Empty otherwise.
  std::vector<Member> outgoing_voters;
  std::vector<Member> learners;
  // Declared and not reached yet (raft/core/membership_plan.h).
  std::optional<MembershipTarget> target = {};
  UnsafeRecoveries unsafe_recoveries = {};
  // Who was a member and is none, in the order they went, at most kMaxRemoved. Each configuration
  // takes this over from the one before, so that whoever comes back can be told (RemovedAfter).
  std::vector<NodeId> removed = {};
  // With which disks somebody was a member and is none, in the order they went, at most
  // kMaxFormerDisks. Taken over, too: so a node that is a member with another disk now can show it
  // to who lags and knows it with the one before (raft/peers/successors.h).
  std::vector<FormerDisk> former_disks = {};

  bool joint() const { return !outgoing_voters.empty(); }
  bool IsVoter(NodeId node) const;   // in voters or outgoing_voters
  bool IsMember(NodeId node) const;  // a voter or a learner
  bool WasRemoved(NodeId node) const;
  const Member* Find(NodeId node) const;
  // Every member once, ordered by node id.
  std::vector<NodeId> Nodes() const;

  friend auto operator<=>(const Configuration&, const Configuration&) = default;
};

// INVALID_ARGUMENT for what contradicts "Holds".
absl::Status Validate(const Configuration& configuration);

// The body of a configuration entry; the format starts with a version byte: 1 without a target, as
// ever, 2 with one, 3 with unsafe recoveries and with or without a target, 4 with removed nodes and
// with or without the other two, 5 with former disks and with or without the other three. Encode
// CHECKs what Validate says; Decode gives DATA_LOSS for anything else.
std::string EncodeConfiguration(const Configuration& configuration);
absl::StatusOr<Configuration> DecodeConfiguration(absl::string_view bytes);

// "voters=1,2,3 outgoing=1,2 learners=4 target=1,2,4 target_learners=3 unsafe_recoveries=1", as
// traces print it; empty lists but voters are left out, and so is who was removed.
std::string ToString(const Configuration& configuration);

// Configuration::removed of `after`, which follows `before`: who goes is behind those who went, and
// who comes back is none of them any more.
std::vector<NodeId> RemovedAfter(const Configuration& before, const Configuration& after);
// Likewise Configuration::former_disks.
std::vector<FormerDisk> FormerDisksAfter(const Configuration& before, const Configuration& after);

// True if both lists name the same nodes; both are ordered.
bool SameNodes(const std::vector<Member>& a, const std::vector<Member>& b);

}  // namespace cairn

#endif  // RAFT_CORE_CONFIGURATION_H_

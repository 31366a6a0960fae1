// GroupStatus: how a node and its part of a group are doing.

#ifndef RAFT_GROUP_STATUS_H_
#define RAFT_GROUP_STATUS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/configuration.h"
#include "raft/core/effects.h"

namespace cairn {

// How a node is doing, as `cairn status` prints it.
enum class NodeState { kStarting, kServing, kDegraded, kRepairing, kFenced, kHalted };
const char* NameOf(NodeState state);

struct PeerStatus {
  NodeId node = NodeId::kNone;
  Index match = 0;
  Index next = 0;
  bool probing = false;
  size_t inflight_bytes = 0;
  Duration since_contact;
};

struct GroupStatus {
  GroupId group = GroupId::kNone;
  NodeId node = NodeId::kNone;
  Incarnation incarnation = Incarnation::kUnknown;
  Role role = Role::kFollower;
  bool learner = false;
  bool formed = false;
  Term term = 0;
  NodeId leader = NodeId::kNone;
  bool serving_leader = false;  // leads, and has committed and applied an entry of its own term
  Index first_index = 0;
  Index snapshot_index = 0;  // of the last snapshot saved or received here; 0: none
  Index last_index = 0;
  Term last_term = 0;
  Index durable_index = 0;
  Index commit_index = 0;
  // Given to the state machine. An asynchronous machine may not show it yet.
  Index applied_index = 0;
  Index processed_index = 0;  // what its state shows: reads of this node see so much
  Index state_index = 0;      // what is safe outside the log, with the machine or in a snapshot
  bool apply_paused = false;  // Group::PauseApply; commit_index tells how far it will go on
  bool replaying = false;     // Group::ReplaySnapshot is under way: the state is behind
  NodeState state = NodeState::kStarting;
  std::string reason;             // of a state other than serving
  Configuration configuration;    // unsafe_recoveries tells whether it ever was forced
  Index configuration_index = 0;  // of its entry; 0 before the log says who the members are
  Term configuration_term = 0;
  std::vector<PeerStatus> peers;  // on the leader
  // When a leader was last heard here or this node last led, by its clock; on the leader, when it
  // last looked. nullopt: not since its start.
  std::optional<Instant> leader_heard_at;
  bool quiesced = false;   // rests: what is said here of peers was so when it began to
  bool disk_full = false;  // the log's: no entries are taken until there is room
  uint64_t sessions = 0;
  size_t cached_bytes = 0;  // of recent entries in memory (GroupOptions::log_cache_bytes)
};

}  // namespace cairn

#endif  // RAFT_GROUP_STATUS_H_

// GroupStatus: how a node and its part of a group are doing.

#ifndef RAFT_GROUP_STATUS_H_
#define RAFT_GROUP_STATUS_H_

#include <cstddef>
#include <cstdint>
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
  Index durable_index = 0;
  Index commit_index = 0;
  Index applied_index = 0;
  NodeState state = NodeState::kStarting;
  std::string reason;  // of a state other than serving
  Configuration configuration;
  Index configuration_index = 0;  // of its entry; 0 before the log says who the members are
  std::vector<PeerStatus> peers;  // on the leader
  bool quiesced = false;          // rests: what is said here of peers was so when it began to
  uint64_t sessions = 0;
};

}  // namespace cairn

#endif  // RAFT_GROUP_STATUS_H_

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
#include "raft/metrics/call_outcomes.h"
#include "raft/metrics/group_metrics.h"
#include "raft/metrics/log_writer_metrics.h"

namespace cairn {

// How a node is doing, as `cairn status` prints it.
enum class NodeState { kStarting, kServing, kDegraded, kRepairing, kFenced, kHalted };
const char* NameOf(NodeState state);

struct PeerStatus {
  NodeId node = NodeId::kNone;
  Index match = 0;
  Index next = 0;
  bool probing = false;
  size_t inflight_messages = 0;  // sent and not acknowledged
  size_t inflight_bytes = 0;
  Duration since_contact;
};

// Whether the member has what the group has (raft/liveness/catch_up.h).
struct GroupHealth {
  bool caught_up = false;
  // Entries are known to be committed up to here, by what the leader says: where this member is
  // behind, more than its own commit_index.
  Index committed_index = 0;
  uint64_t lag = 0;      // of those, not applied here
  uint64_t max_lag = 0;  // GroupOptions::max_healthy_lag
};

// What waits on this node, now.
struct GroupQueues {
  // In the group's mailbox.
  size_t envelopes = 0;
  size_t envelope_bytes = 0;  // of those that carry entries
  size_t proposals = 0;       // calls that wait for their turn, taken from there or not
  // Calls of clients and, on the leader, of members that forward them, from first to last.
  size_t calls = 0;
  size_t call_bytes = 0;
  size_t proposals_in_log = 0;   // calls whose entries wait to be committed
  size_t reads = 0;              // that wait for the leader or to be applied
  size_t unapplied_entries = 0;  // committed
  size_t applier_bytes = 0;      // of those, given to the applier
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
  GroupHealth health;
  GroupQueues queues;
  GroupCounts counts;          // since the start
  CallCounts calls;            // since the start
  LogWriterStatus log_writer;  // of all groups of the host
  size_t cached_bytes = 0;     // of recent entries in memory (GroupOptions::log_cache_bytes)
};

// Why the member is not healthy; nullopt if it is: it serves, knows who leads, and has caught up.
std::optional<std::string> WhyUnhealthy(const GroupStatus& status);

}  // namespace cairn

#endif  // RAFT_GROUP_STATUS_H_

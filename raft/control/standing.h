// Standing: how a node that serves is doing, and why not better.

#ifndef RAFT_CONTROL_STANDING_H_
#define RAFT_CONTROL_STANDING_H_

#include <cstddef>
#include <string>

#include "raft/core/raft.h"
#include "raft/group_status.h"

namespace cairn {

struct Standing {
  NodeState state = NodeState::kStarting;
  std::string reason;  // of a state other than serving
  friend bool operator==(const Standing&, const Standing&) = default;
};

// Of a node that stood at `before`: one that never had a leader is starting. An unsafe override
// makes it degraded, whoever leads, until it ends. `damaged_parts` of the state cannot be read.
Standing StandingOf(const Raft& raft, NodeState before, size_t damaged_parts);

}  // namespace cairn

#endif  // RAFT_CONTROL_STANDING_H_

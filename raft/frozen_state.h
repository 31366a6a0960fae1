// FrozenState: what a snapshot is made of: a group's replicated state on one node, as of one entry.

#ifndef RAFT_FROZEN_STATE_H_
#define RAFT_FROZEN_STATE_H_

#include <memory>
#include <string>

#include "base/time.h"
#include "base/types.h"
#include "raft/state_machine.h"

namespace cairn {

struct FrozenState {
  LogPosition position;  // of the last entry applied
  WallTime time;
  LogPosition configuration_at;
  std::string configuration;  // encoded
  std::string archive;        // ReplicaArchive::Save
  std::unique_ptr<SnapshotSource> machine;
};

// The first file of a snapshot, which holds the archive.
inline constexpr char kArchiveFile[] = "cairn";

}  // namespace cairn

#endif  // RAFT_FROZEN_STATE_H_

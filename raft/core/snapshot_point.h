// SnapshotPoint: where in a log a snapshot stands.

#ifndef RAFT_CORE_SNAPSHOT_POINT_H_
#define RAFT_CORE_SNAPSHOT_POINT_H_

#include "base/types.h"
#include "raft/core/configuration.h"

namespace cairn {

// A snapshot is what the entries up to `position` have made. They were committed, so it is right
// whoever made it.
struct SnapshotPoint {
  LogPosition position = {};
  EntryHash hash = {};  // of the entry at `position`
  // In force at `position`: the last one at or before it.
  LogPosition configuration_position = {};
  Configuration configuration = {};
};

}  // namespace cairn

#endif  // RAFT_CORE_SNAPSHOT_POINT_H_

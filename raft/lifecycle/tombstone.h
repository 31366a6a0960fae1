// Tombstone: what stays on a node's disk of a group that was deleted there.

#ifndef RAFT_LIFECYCLE_TOMBSTONE_H_
#define RAFT_LIFECYCLE_TOMBSTONE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/file_system.h"

namespace cairn {

// The entries this node acknowledged are gone, and so are its votes. Under the incarnation it had,
// it could help to elect somebody who lacks what was committed with its help. So in its next life
// it is another member of the group, one that nobody has named yet: it is counted when a
// configuration has it under the incarnation that stands here.
//
// A tombstone that is there is the end of the group's life before, at whatever moment the power
// goes: what is left of that is removed by whoever finds it, before anything else.
struct Tombstone {
  GroupId group = GroupId::kNone;
  uint64_t deletions = 0;  // how often the group was deleted here; of two tombstones more counts
  Incarnation incarnation = Incarnation::kUnknown;  // of the next life
  // Nothing of the life before is on this disk any more. From then on a next one may begin.
  bool removed = false;
};

// In groups/<id> of the data directory, twice. Threads: one at a time for one group; they block.
//
// Nothing where there is none. One copy damaged or missing: the other one counts, and both are
// written again. DATA_LOSS if copies are there and none is good.
absl::StatusOr<std::optional<Tombstone>> LoadTombstone(FileSystem& file_system,
                                                       const std::string& data_directory,
                                                       GroupId group);
// Whole or not at all, and durable when it returns.
absl::Status SaveTombstone(FileSystem& file_system, const std::string& data_directory,
                           const Tombstone& tombstone);
// Those that are not `removed`, of all groups.
absl::StatusOr<std::vector<Tombstone>> UnfinishedTombstones(FileSystem& file_system,
                                                            const std::string& data_directory);

// Removes the snapshots of a group, and the directory of its state machine. Fine if there is
// nothing, and to be done again after a crash.
absl::Status RemoveGroupFiles(FileSystem& file_system, const std::string& data_directory,
                              GroupId group);

}  // namespace cairn

#endif  // RAFT_LIFECYCLE_TOMBSTONE_H_

// Graveyard: deletes groups from a node's disk, whatever happens meanwhile.

#ifndef RAFT_LIFECYCLE_GRAVEYARD_H_
#define RAFT_LIFECYCLE_GRAVEYARD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/lifecycle/post_gate.h"
#include "raft/lifecycle/tombstone.h"
#include "raft/log_writer.h"
#include "storage/file_system.h"
#include "storage/log_store.h"

namespace cairn {

// A deletion: the tombstone, the files, the log, in this order, each durable before the next; then
// the tombstone says that nothing is left. Before the tombstone stands the group is whole, from
// then on it is gone, and what is left is removed by the next start at the latest.
//
// Threads: any. The work is done on `executor`, where it may block, and on the log writer's
// sequence. The graveyard outlives its tasks.
class Graveyard {
 public:
  struct Parts {
    FileSystem* file_system = nullptr;
    std::string data_directory;
    LogDisk* log_disk = nullptr;
    LogWriter* log_writer = nullptr;
    Executor* executor = nullptr;
    PostGate* posts = nullptr;  // to the two sequences
    const Clock* clock = nullptr;
    uint64_t seed = 0;  // differs from start to start
  };
  // Told on one of the two sequences; destroyed unused if they end before that.
  using Done = absl::AnyInvocable<void(const absl::Status&)>;

  explicit Graveyard(Parts parts) : parts_(std::move(parts)) {}

  // Of a group that is not open and may have been deleted. Blocks.
  absl::StatusOr<std::optional<Tombstone>> Find(GroupId group) const;
  // Deletions that the end of the process has interrupted; for Remove. Blocks.
  absl::StatusOr<std::vector<Tombstone>> Unfinished() const;

  // Deletes a group that is not open.
  void Bury(GroupId group, Done done);
  // Removes what is left.
  void Remove(const Tombstone& tombstone, Done done);

 private:
  void Post(Task task);
  absl::StatusOr<Tombstone> PutTombstone(GroupId group);

  const Parts parts_;
};

}  // namespace cairn

#endif  // RAFT_LIFECYCLE_GRAVEYARD_H_

// A group's log, as it is while the database is in use.

#ifndef STORAGE_ROCKSDB_GROUP_VIEW_H_
#define STORAGE_ROCKSDB_GROUP_VIEW_H_

#include <cstdint>
#include <map>
#include <memory>

#include "base/types.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/group_log.h"
#include "storage/rocksdb/unreadable_entries.h"

namespace cairn {

// A group's log, and the view of the database that it describes.
struct GroupView {
  GroupLog log;
  std::shared_ptr<const DatabaseSnapshot> snapshot;
  // Grows with each change of any group that is more than new entries behind its last one.
  uint64_t disturbances = 0;
};

// All groups, under the lock of the log: what the database holds of them is what this says.
struct GroupsNow {
  const std::map<GroupId, GroupLog>& groups;
  const UnreadableEntries& unreadable;
  uint64_t disturbances;  // as GroupView's
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_GROUP_VIEW_H_

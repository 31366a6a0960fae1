// LogCopy: all groups of one log, written to another one of whatever store.

#ifndef STORAGE_OFFLINE_LOG_COPY_H_
#define STORAGE_OFFLINE_LOG_COPY_H_

#include <cstdint>
#include <functional>
#include <map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/log_store.h"
#include "storage/offline/log_view.h"

namespace cairn {

struct CopiedGroup {
  ViewedGroup group;
  uint64_t entries = 0;
  uint64_t bytes = 0;   // of their records
  uint64_t digest = 0;  // of their records, in order
};
using CopiedGroups = std::map<GroupId, CopiedGroup>;

// Told now and then how many entries of all groups are done.
using CopyProgress = std::function<void(uint64_t entries)>;

// OK if a start of the node would find all of it, and have nothing to decide; it may say that it
// forgets. DATA_LOSS naming what is faulty, FAILED_PRECONDITION naming what is torn or undecided.
// Reads everything.
absl::Status CheckWhole(const LogView& log);

// What `from` says of a group (hard_state_lost), that it may have forgotten promises.
bool Forgets(const LogView& from);

// Writes all groups of `from` to `to`, which is empty: hard state, base, entries byte by byte,
// known commit. `from` has been found whole. Synced on return. If `from` forgets, groups that are
// new to `to` begin as lost.
absl::StatusOr<CopiedGroups> CopyLog(const LogView& from, LogDisk& to,
                                     const CopyProgress& progress);

// Reads `copy`, and gives INTERNAL naming the first difference if it is not what was copied.
absl::Status CheckCopy(const CopiedGroups& copied, const LogView& copy,
                       const CopyProgress& progress);

}  // namespace cairn

#endif  // STORAGE_OFFLINE_LOG_COPY_H_

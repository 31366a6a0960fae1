// Log salvage: what can be read of a damaged log, written as a new one. The last resort, for when
// no other member has the entries; the log itself is not changed.

#ifndef STORAGE_BLOCK_LOG_SALVAGE_H_
#define STORAGE_BLOCK_LOG_SALVAGE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/block/log_inspector.h"
#include "storage/file_system.h"

namespace cairn {

// What would become of one group.
struct SalvagedGroup {
  GroupId group = GroupId::kNone;
  HardState hard_state;
  bool hard_state_lost = false;  // it may have voted since, in this term or a later one
  LogPosition base;
  EntryHash base_hash;
  LogPosition last;      // of the entries that are kept, all from the base on
  IndexRange lost = {};  // the entries the log names behind them; zero: none
  std::string reason;    // why the first one is lost
};

struct SalvagePlan {
  std::vector<SalvagedGroup> groups;  // in order
  // Files of the log that cannot be read: nobody knows what they held.
  std::vector<std::string> unreadable;
  // What the operator says to go on: names all that would be lost, so that it means this loss and
  // no other. "nothing-lost" if that is so.
  std::string acknowledgement;
};

// Reads all of the log.
SalvagePlan PlanSalvage(const LogInspector& log);

// Writes a log with what `plan` keeps into `directory`, which is not there or empty.
// INVALID_ARGUMENT if `acknowledgement` is not the plan's, ALREADY_EXISTS if something is in
// `directory`, FAILED_PRECONDITION while a process has `log` open, DATA_LOSS if nobody can tell
// whose log it is; nothing is written then.
absl::Status Salvage(const LogInspector& log, const SalvagePlan& plan,
                     const std::string& acknowledgement, FileSystem& file_system,
                     const std::string& directory);

}  // namespace cairn

#endif  // STORAGE_BLOCK_LOG_SALVAGE_H_

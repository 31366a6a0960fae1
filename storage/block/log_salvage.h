// Log salvage: what can be read of a damaged log, written as a new one. The last resort, for when
// no other member has the entries; the log itself is not changed.

#ifndef STORAGE_BLOCK_LOG_SALVAGE_H_
#define STORAGE_BLOCK_LOG_SALVAGE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/block/block_log.h"
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

  // The node may have promised what the new log does not know: a vote, or an acknowledgement.
  bool forgets() const { return hard_state_lost || lost.first != 0; }
};

struct SalvagePlan {
  std::vector<SalvagedGroup> groups;  // in order
  // Files of the log that cannot be read: nobody knows what they held.
  std::vector<std::string> unreadable;
  // No other member of any group is left that could be asked. Otherwise the new log says of each
  // group that forgets something that it does (RecoveredLog::hard_state_lost), and who starts on it
  // neither votes nor acknowledges until the others have caught it up.
  bool alone = false;
  // What the operator says to go on: names all that would be lost, so that it means this loss and
  // no other. "nothing-lost" if that is so.
  std::string acknowledgement;
};

// The damaged log, of whatever store; what salvage needs to know of it.
struct SalvageSource {
  std::string directory;
  std::optional<std::string> writer;    // who has it open
  std::optional<LogIdentity> identity;  // nothing if nobody can tell
  // As LogInspector::Read, from the first entry of the group on.
  std::function<void(GroupId, uint64_t count, const std::function<void(const RecordRun&)>& take,
                     const std::function<void(const LogInspector::Unreadable&)>& unreadable)>
      read;
};

// Reads the group, of which `group` has all but the entries, and says which are kept and which of
// those up to `last` are lost.
void PlanEntries(const SalvageSource& log, Index last, SalvagedGroup& group);
// What acknowledges the losses of `plan`.
std::string AcknowledgementOf(const SalvagePlan& plan);
// Makes it one for who is alone.
void SetAlone(SalvagePlan& plan);

// Reads all of the log.
SalvagePlan PlanSalvage(const LogInspector& log);

// Writes a log with what `plan` keeps into `directory`, which is not there or empty.
// INVALID_ARGUMENT if `acknowledgement` is not the plan's, ALREADY_EXISTS if something is in
// `directory`, FAILED_PRECONDITION while a process has `log` open, DATA_LOSS if nobody can tell
// whose log it is; nothing is written then.
absl::Status Salvage(const LogInspector& log, const SalvagePlan& plan,
                     const std::string& acknowledgement, FileSystem& file_system,
                     const std::string& directory);
// The same of a log of whatever store; the new one is made with `options`.
absl::Status Salvage(const SalvageSource& log, const SalvagePlan& plan,
                     const std::string& acknowledgement, FileSystem& file_system,
                     BlockLogOptions options);

}  // namespace cairn

#endif  // STORAGE_BLOCK_LOG_SALVAGE_H_

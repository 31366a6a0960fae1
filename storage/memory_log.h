// MemoryLog: the content of one group's log as a value.

#ifndef STORAGE_MEMORY_LOG_H_
#define STORAGE_MEMORY_LOG_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/log_store.h"

namespace cairn {

// Copies share the records' bytes. Threads: one at a time.
class MemoryLog {
 public:
  explicit MemoryLog(GroupId group) : group_(group) {}

  LogPosition base() const { return base_; }
  LogPosition last() const { return runs_.empty() ? base_ : runs_.back().last(); }
  EntryHash last_hash() const { return runs_.empty() ? base_hash_ : runs_.back().last_hash(); }
  bool empty() const;  // nothing was ever written

  // As LogStore. Append changes nothing if it gives an error; the caller has checked the headers.
  absl::Status Append(const LogAppend& append);
  absl::Status DropPrefix(Index up_to);
  absl::Status Reset(LogPosition base, EntryHash hash);
  // OK if these runs stand in the log; FAILED_PRECONDITION as LogStore::Repair.
  absl::Status CheckRepair(const std::vector<RecordRun>& runs) const;
  absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last, size_t max_bytes) const;
  absl::StatusOr<EntryHash> HashAt(Index index) const;

  // What opening this log would find.
  RecoveredLog Recovered() const;

 private:
  absl::Status NotInLog(Index index) const;
  absl::Status CheckFits(const LogAppend& append) const;
  size_t RunOf(Index index) const;  // the place in runs_; CHECKs that there is one
  Term TermAt(Index index) const;
  void TruncateFrom(Index from);

  GroupId group_;
  HardState hard_state_;
  LogPosition base_;
  EntryHash base_hash_;
  std::deque<RecordRun> runs_;  // in a row from the base
  Index told_commit_ = 0;       // may run ahead of the entries
  Index known_commit_ = 0;      // never does
};

// The single changes that make up `append`, in the order in which a power cut loses them from the
// back.
size_t PartsOf(const LogAppend& append);
// The first `parts` of them.
LogAppend FirstParts(const LogAppend& append, size_t parts);

}  // namespace cairn

#endif  // STORAGE_MEMORY_LOG_H_

// LogTwin: what one group's log should hold, kept in the simplest way there is.

#ifndef TESTS_STORAGE_LOG_TWIN_H_
#define TESTS_STORAGE_LOG_TWIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/types.h"
#include "storage/log_store.h"
#include "storage/record.h"

namespace cairn {

struct TwinEntry {
  LogPosition position;
  EntryHash hash;
  EntryType type = EntryType::kCommand;
  std::string payload;
  std::string record;
};

// A value. Makes the records too, so that a store and its twin are given the same.
class LogTwin {
 public:
  explicit LogTwin(GroupId group) : group_(group) {}

  GroupId group() const { return group_; }
  HardState hard_state;
  // All entries from index 1 on. Those up to `base` may be forgotten by the store.
  std::vector<TwinEntry> entries;
  Index base = 0;

  Index last() const { return entries.size(); }
  const TwinEntry& At(Index index) const { return entries[index - 1]; }
  LogPosition PositionAt(Index index) const;  // 0/0 at index 0
  EntryHash HashAt(Index index) const;
  std::vector<TermRun> TermRunsAbove(Index index) const;

  void TruncateFrom(Index from);
  // Puts an entry at the end and gives its record as a run.
  RecordRun Add(Term term, std::string payload, EntryType type = EntryType::kCommand);
  // Entries of one term, with these payloads, in one run.
  RecordRun AddRun(Term term, const std::vector<std::string>& payloads);
  // Takes over entries that were made elsewhere.
  void Take(const RecordRun& run);

 private:
  GroupId group_;
};

// Every byte of the entries in the runs, as a store would give them back.
std::string RecordsOf(const std::vector<RecordRun>& runs);

}  // namespace cairn

#endif  // TESTS_STORAGE_LOG_TWIN_H_

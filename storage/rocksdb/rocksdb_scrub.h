// RocksDbScrub: reads the entries of a log in RocksDB that is in use, and what the log says of
// itself.

#ifndef STORAGE_ROCKSDB_ROCKSDB_SCRUB_H_
#define STORAGE_ROCKSDB_ROCKSDB_SCRUB_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/types.h"
#include "rocksdb/db.h"
#include "storage/log_scrub.h"
#include "storage/rocksdb/ack_ledger.h"
#include "storage/rocksdb/group_log.h"
#include "storage/rocksdb/group_view.h"
#include "storage/rocksdb/table_replacement.h"

namespace cairn {

// A round looks at the identity and the ledger, then at each group's head, list of terms and
// entries in order, then at what each table says of itself, and then at the write-ahead log. Reads
// past the page cache; what has not got into a table yet is in memory, and read there. Where
// something was found, or tables could not be merged, all of each table is read, too, since the
// process began or the last time: who is to blame is replaced at the end of the round.
//
// What is bad:
// - an entry: is told. Where it stands rotten nothing else is lost. RocksDB finds a later copy
//   first. Of a long row that RocksDB does not have at all the first and the last ones are told,
//   and the others by later rounds, when these are repaired.
// - identity, head, list of terms: is written again from memory, to another place.
// - the ledger: a new file is begun with the next sync.
// - a table's index or footer, without which the next start would not open the database: the table
//   is merged away, as its index is in memory. Where that fails it is replaced.
// - any block of a table, which could not be merged: it is replaced (TableReplacement), when what
//   is needed of it can be read, elsewhere.
// - a file of the write-ahead log, which the next start would read: what it holds is in memory, and
//   is written to a table, with which the file has served. On a full disk that waits for room.
//
// The position: `batch` is 0 while groups are read, of which `block` is the number and `offset` the
// next index; 1 while tables are, of which `block` is the number; 2 while the write-ahead log is,
// of which `block` is a file's number and `offset` a place in it; 3 while tables are replaced.
// `id_end` is 1 before the first group.
//
// Threads: as LogScrub.
class RocksDbScrub final : public LogScrub {
 public:
  // All outlive it. The functions are called on the thread of Step.
  struct Parts {
    rocksdb::DB* db = nullptr;
    AckLedger* ledger = nullptr;
    FileSystem* file_system = nullptr;
    std::string database_directory;
    std::string identity;                          // its value
    std::function<std::vector<GroupId>()> groups;  // in order; not those that are damaged
    // Nothing if there is no such group.
    std::function<std::optional<GroupView>(GroupId)> view;
    // Told of all entries that are bad; `log` is the view's.
    std::function<void(const GroupLog& log, Index first, Index last)> unreadable;
    // Writes head and terms again, as they are then.
    std::function<absl::Status(GroupId)> restore_group;
    std::function<absl::Status()> restore_identity;
    // As CheckLogFile's.
    std::function<bool()> write_out_log;
    // Writes what is in memory to a table: when OK, the write-ahead log up to the file of that
    // number is of no use any more. RESOURCE_EXHAUSTED: that is done when there is room.
    std::function<absl::Status(uint64_t)> leave_log;
    // How often something was found that a bad table may be to blame for; not 0.
    std::function<uint64_t()> suspicions;
    TableReplacement::Parts replacement;
  };
  explicit RocksDbScrub(Parts parts) : parts_(std::move(parts)), replacement_(parts_.replacement) {}

  ScrubStep Step(ScrubPosition& position, uint64_t max_bytes) override;

 private:
  void CheckWhole(ScrubStep& step) const;
  bool StepGroups(ScrubPosition& position, uint64_t max_bytes, ScrubStep& step) const;
  bool StepGroup(GroupId group, ScrubPosition& position, uint64_t max_bytes, ScrubStep& step) const;
  void CheckHead(const GroupView& view, ScrubStep& step) const;
  bool StepTables(ScrubPosition& position, uint64_t max_bytes, ScrubStep& step);
  void CheckTable(const rocksdb::LiveFileMetaData& table, bool all_of_it, ScrubStep& step);
  bool StepReplacement(uint64_t max_bytes, ScrubStep& step);
  bool StepLogs(ScrubPosition& position, uint64_t max_bytes, ScrubStep& step) const;
  std::vector<uint64_t> LogsInUse() const;
  bool StepLog(uint64_t number, ScrubPosition& position, uint64_t max_bytes, ScrubStep& step) const;

  const Parts parts_;
  TableReplacement replacement_;
  std::map<std::string, std::string> bad_tables_;  // why, by the names of the database's metadata
  std::optional<uint64_t> suspicions_;             // when the tables of this round were begun with
  uint64_t looked_into_ = 0;                       // suspicions that proved to be about no table
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_ROCKSDB_SCRUB_H_

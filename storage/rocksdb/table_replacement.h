// TableReplacement: gets rid of tables of a database in use that cannot be read in all places.

#ifndef STORAGE_ROCKSDB_TABLE_REPLACEMENT_H_
#define STORAGE_ROCKSDB_TABLE_REPLACEMENT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "rocksdb/db.h"
#include "rocksdb/metadata.h"
#include "rocksdb/write_batch.h"
#include "storage/rocksdb/group_view.h"

namespace cairn {

// RocksDB cannot merge a table with a bad block, and gives nothing back then of what is dropped. It
// can drop a table unread, with what stands in it and nobody can list: values, and deletions, which
// hide older values. So first all that the log has within the table's keys is written anew, as long
// as it can be read. When that is in a table itself, which is newer, the bad one goes, and with it
// all that its deletions may hide: everything older within its keys.
//
// RocksDB lets go of a table of level 1, the last one, at any time, and nothing is older than that.
// Of level 0 it is only the oldest table that goes, and only while level 1 is empty. So for a bad
// one there everything is written anew, and all tables go that are not newer: what the log holds is
// needed a second time meanwhile, and it is only begun if there is room for that.
//
// If anything that is needed cannot be read, the table stays. It is to be tried again when that was
// repaired.
//
// A power cut at any time leaves old tables, or what was written anew, or both, which say the same.
//
// Threads: one at a time, beside all use of the log.
class TableReplacement {
 public:
  // All outlive it.
  struct Parts {
    rocksdb::DB* db = nullptr;
    std::string identity;  // the value of IdentityKey
    std::function<std::optional<GroupView>(GroupId)> view;
    // Calls it under the lock of the log, and writes what it has filled in.
    using Fill = absl::FunctionRef<void(const GroupsNow&, rocksdb::WriteBatch&)>;
    std::function<absl::Status(Fill)> write;
    // RESOURCE_EXHAUSTED if there is no room for about so many bytes more.
    std::function<absl::Status(uint64_t)> check_room;
    // Tables begin to be dropped: who read at an older snapshot may find nothing there.
    std::function<void()> dropping;
    // Merging is to go on; `whole`: no table is known that cannot be merged.
    std::function<absl::Status(bool whole)> resume_merging;
    std::function<void()> await_table;  // for a moment, or until one is written
  };
  explicit TableReplacement(Parts parts) : parts_(std::move(parts)) {}

  // Tables by their names in the database's metadata, not empty; not while it runs.
  void Begin(std::vector<std::string> bad);
  bool runs() const { return stage_ != Stage::kIdle; }

  struct Progress {
    uint64_t bytes = 0;   // read and written
    bool ended = false;   // it does not run any more
    absl::Status status;  // why it came to no good end: tables are there still
  };
  // Goes on for about `max_bytes`, or waits for a moment.
  Progress Step(uint64_t max_bytes);

 private:
  enum class Stage { kIdle, kSettle, kCopy, kFlush, kDrop };
  // Of keys, from `from` to before `end`.
  struct Range {
    std::string from;
    std::string end;
  };

  absl::Status Settle();
  absl::Status Plan();
  absl::Status PlanAll(const std::vector<rocksdb::LevelMetaData>& levels);
  absl::Status Copy(uint64_t max_bytes, uint64_t& bytes);
  void CopyBetween(const GroupsNow& now, rocksdb::WriteBatch& batch);
  void CopyHead(const GroupsNow& now, const GroupLog& log, rocksdb::WriteBatch& batch);
  absl::StatusOr<uint64_t> CopyEntries(GroupId group, Index first, uint64_t max_bytes);
  absl::Status Flush();
  absl::Status Drop();
  absl::Status CountWait();
  Progress End(absl::Status status, uint64_t bytes);

  const Parts parts_;
  Stage stage_ = Stage::kIdle;
  std::vector<std::string> bad_;
  std::vector<std::string> doomed_;  // of the plan, in the order in which RocksDB lets go of them
  Range left_;                       // of the plan
  struct Entries {
    GroupId group = GroupId::kNone;
    Index through = 0;  // those behind were written after the plan was made
    Index next = 0;     // not 0: to be read
  };
  Entries entries_;
  uint64_t copied_ = 0;  // the number of RocksDB's last change when all was copied
  int waits_ = 0;
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_TABLE_REPLACEMENT_H_

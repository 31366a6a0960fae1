// How RocksDB is opened to keep a log.

#ifndef STORAGE_ROCKSDB_DATABASE_H_
#define STORAGE_ROCKSDB_DATABASE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "storage/file_system.h"
#include "storage/rocksdb/database_room.h"

namespace cairn {

// The first error of the database, also of what it does in the background. Threads: any.
class DatabaseFailure {
 public:
  absl::Status Get() const;
  // Gives the first error there was: this one, if none before.
  absl::Status Set(absl::Status status);

  // A table could not be read when it was to be merged, which is no error of the database: what
  // stands in it is lost, or is not, for who reads it, and nothing else is. But it would be tried
  // again and again.
  void MergeFailed(absl::Status why);
  // Why no tables are merged; OK: they are.
  absl::Status merge_failure() const;
  // Whether that was so since the last call.
  bool TakeMergeFailed() {
    return merge_failed_.load(std::memory_order_acquire) && merge_failed_.exchange(false);
  }
  // How often that was so.
  uint64_t merges_failed() const { return merges_failed_.load(std::memory_order_acquire); }
  // No table is known any more that cannot be merged.
  void MergesAgain();

 private:
  std::atomic<bool> merge_failed_ = false;
  std::atomic<uint64_t> merges_failed_ = 0;
  mutable Mutex mutex_;
  absl::Status status_ CAIRN_GUARDED_BY(mutex_);
  absl::Status merge_failure_ CAIRN_GUARDED_BY(mutex_);  // the first one
};

struct Database {
  std::shared_ptr<DatabaseFailure> failure;
  std::unique_ptr<rocksdb::Env> environment;
  std::unique_ptr<rocksdb::DB> db;  // ends before its environment
};

// A view of the database that holds still while it is read. The database outlives it.
class DatabaseSnapshot {
 public:
  explicit DatabaseSnapshot(rocksdb::DB& db) : db_(db), snapshot_(db.GetSnapshot()) {}
  ~DatabaseSnapshot() { db_.ReleaseSnapshot(snapshot_); }
  DatabaseSnapshot(const DatabaseSnapshot&) = delete;
  DatabaseSnapshot& operator=(const DatabaseSnapshot&) = delete;
  const rocksdb::Snapshot* get() const { return snapshot_; }

 private:
  rocksdb::DB& db_;
  const rocksdb::Snapshot* const snapshot_;
};

struct DatabaseOptions {
  std::string directory;
  bool may_create = false;
  // What stands in memory until it goes into a table.
  size_t write_buffer_bytes = size_t{64} << 20;
  bool merges_tables = true;  // on its own, in the background
  // Outlives the database. Null: a write that finds no room ends all writes.
  DatabaseRoom* room = nullptr;
};

// `file_system` outlives the database. Everything it holds on return is durable.
absl::StatusOr<Database> OpenDatabase(FileSystem& file_system, const DatabaseOptions& options);

// RocksDB's own repair: makes a database of the tables and write-ahead logs that are there and can
// be read. It is one that OpenDatabase opens, and no more: values that were overwritten or deleted
// may be back, and newer ones gone. What was not used is in `lost/` of the directory. May be done
// again after it was cut short; until it is done, nobody may open the database.
absl::Status RepairDatabase(FileSystem& file_system, const DatabaseOptions& options);

// No tables are merged from now on, and writes do not wait for that, however many there are.
absl::Status StopMerging(rocksdb::DB& db);

// And again: they are, also if the database was opened not to.
absl::Status StartMerging(rocksdb::DB& db);

// How many tables there are that were not merged, and from how many on there are many: at twice as
// many writes wait.
int UnmergedTables(rocksdb::DB& db);
inline constexpr int kManyTables = 20;

// What writes wait for from now on: both, in a database that was opened.
struct WriteLimits {
  bool buffers = true;  // in memory, that are not in tables yet
  bool tables = true;   // that are not merged
  friend bool operator==(const WriteLimits&, const WriteLimits&) = default;
};
absl::Status LimitWrites(rocksdb::DB& db, WriteLimits limits);

// The number of the first file of the write-ahead log that the next start would read.
uint64_t FirstLogInUse(rocksdb::DB& db);

// What is in memory begins to be written to a table, by a thread of RocksDB, and the write-ahead
// log goes on in another file.
absl::Status BeginTable(rocksdb::DB& db);

// As it is now, while nothing is written: `file_system` is one that cannot be written through, or
// is not written to. NOT_FOUND if there is none.
absl::StatusOr<Database> OpenDatabaseToRead(FileSystem& file_system, const std::string& directory);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_DATABASE_H_

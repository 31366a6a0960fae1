// DatabaseRepair: RocksDB's own repair of a database, made such that it may be cut short at any
// time. FORMAT.md, "A database that cannot be opened".

#ifndef STORAGE_ROCKSDB_DATABASE_REPAIR_H_
#define STORAGE_ROCKSDB_DATABASE_REPAIR_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/file_system.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/disk_reserve.h"

namespace cairn {

// Threads: one.
class DatabaseRepair {
 public:
  // Of the database in `log_directory`; `file_system` outlives it.
  DatabaseRepair(FileSystem& file_system, const std::string& log_directory);

  // One has begun and is not finished: the database is not to be opened before Run.
  absl::StatusOr<bool> IsUnderWay() const;

  // Paths of the write-ahead logs that make the database with its tables: also those that a repair
  // which was cut short has moved away, and that Run takes back. DATA_LOSS if that cannot be told.
  absl::StatusOr<std::vector<std::string>> WriteAheadLogs() const;

  // Makes a database of what is left, from the files that were there when it began. `options` are
  // the database's, with a room.
  absl::Status Run(const DatabaseOptions& options);

  // What came of it agrees with the ledger, and is durable. Until then no tables may be merged.
  absl::Status Finish();

 private:
  absl::Status Begin(DiskReserve& reserve);
  absl::StatusOr<std::vector<std::string>> FilesAtBegin() const;
  absl::StatusOr<std::vector<std::string>> MovedAway() const;
  absl::Status Restore();
  absl::Status SetCopiesAside();
  absl::Status MoveToLost(const std::string& name);

  FileSystem& file_system_;
  const std::string log_directory_;
  const std::string directory_;  // of the database
  const std::string lost_;
  const std::string mark_;
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_DATABASE_REPAIR_H_

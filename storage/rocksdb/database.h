// How RocksDB is opened to keep a log.

#ifndef STORAGE_ROCKSDB_DATABASE_H_
#define STORAGE_ROCKSDB_DATABASE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "storage/file_system.h"

namespace cairn {

// The first error of the database, also of what it does in the background. Threads: any.
class DatabaseFailure {
 public:
  absl::Status Get() const;
  // Gives the first error there was: this one, if none before.
  absl::Status Set(absl::Status status);

 private:
  mutable Mutex mutex_;
  absl::Status status_ CAIRN_GUARDED_BY(mutex_);
};

struct Database {
  std::shared_ptr<DatabaseFailure> failure;
  std::unique_ptr<rocksdb::Env> environment;
  std::unique_ptr<rocksdb::DB> db;  // ends before its environment
};

struct DatabaseOptions {
  std::string directory;
  bool may_create = false;
  // What stands in memory until it goes into a table.
  size_t write_buffer_bytes = size_t{64} << 20;
};

// `file_system` outlives the database. Everything it holds on return is durable.
absl::StatusOr<Database> OpenDatabase(FileSystem& file_system, const DatabaseOptions& options);

// As it is now, while nothing is written: `file_system` is one that cannot be written through, or
// is not written to. NOT_FOUND if there is none.
absl::StatusOr<Database> OpenDatabaseToRead(FileSystem& file_system, const std::string& directory);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_DATABASE_H_

// OpenDatabaseOfLog: the database of a log whose ledger was read. What RocksDB cannot open any more
// is repaired first; that it holds all it should is for the ledger to say.
//
// FORMAT.md, "A database that cannot be opened".

#ifndef STORAGE_ROCKSDB_DATABASE_OPENING_H_
#define STORAGE_ROCKSDB_DATABASE_OPENING_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/block/block_header.h"
#include "storage/file_system.h"
#include "storage/rocksdb/ack_ledger.h"
#include "storage/rocksdb/database.h"

namespace cairn {

struct DatabaseOfLog {
  Database database;
  // As FindGroups has it. It stays so until FinishOpening, however often it is opened.
  bool repaired = false;
  std::vector<std::string> notes;
};

// The database stands in `log_directory`, and has a room. FAILED_PRECONDITION if a file of its
// write-ahead log is not of `identity` (log_owner.h): nothing is changed then. DATA_LOSS if it
// cannot be opened and no ledger tells whose it is and what it held; RESOURCE_EXHAUSTED if there is
// no room.
absl::StatusOr<DatabaseOfLog> OpenDatabaseOfLog(FileSystem& file_system,
                                                const std::string& log_directory,
                                                const LogIdentity& identity,
                                                const DatabaseOptions& options,
                                                const AckLedger& ledger);

// Of one that was repaired, when what it holds agrees with the ledger and is durable.
absl::Status FinishOpening(FileSystem& file_system, const std::string& log_directory,
                           bool merges_tables, rocksdb::DB& db);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_DATABASE_OPENING_H_

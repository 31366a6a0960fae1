#include "storage/rocksdb/database_opening.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/rocksdb/database_repair.h"
#include "storage/rocksdb/log_owner.h"

namespace cairn {
namespace {

// And not a disk that refuses writes, a lock that another process has, or a newer format.
bool IsDamage(FileSystem& file_system, const std::string& directory, const absl::Status& status) {
  if (absl::IsDataLoss(status) || absl::IsNotFound(status)) return true;
  // RocksDB takes a database without CURRENT for none.
  return absl::IsFailedPrecondition(status) &&
         !file_system.Exists(directory + "/CURRENT").value_or(true);
}

absl::Status CannotBeOpened(const std::string& directory, const absl::Status& why) {
  // A start writes tables, which need room and a disk that can be written; nothing is lost.
  if (absl::IsResourceExhausted(why) || absl::IsPermissionDenied(why)) return why;
  return absl::DataLossError(
      absl::StrCat(directory, " cannot be opened: ", why.message(),
                   "; restore it, or remove this member and add it under a new id"));
}

}  // namespace

absl::StatusOr<DatabaseOfLog> OpenDatabaseOfLog(FileSystem& file_system,
                                                const std::string& log_directory,
                                                const LogIdentity& identity,
                                                const DatabaseOptions& options,
                                                const AckLedger& ledger) {
  DatabaseRepair repair(file_system, log_directory);
  const absl::StatusOr<bool> under_way = repair.IsUnderWay();
  if (!under_way.ok()) return under_way.status();
  const auto logs = repair.WriteAheadLogs();
  if (absl::IsDataLoss(logs.status())) return CannotBeOpened(options.directory, logs.status());
  if (!logs.ok()) return logs.status();
  // Before it is opened or repaired: RocksDB makes what is in these part of the database.
  auto not_looked_at = CheckLogOwner(file_system, *logs, identity);
  if (!not_looked_at.ok()) return not_looked_at.status();
  DatabaseOfLog found;
  found.notes = *std::move(not_looked_at);
  absl::Status why = absl::DataLossError("its repair was cut short");
  if (!*under_way) {
    absl::StatusOr<Database> opened = OpenDatabase(file_system, options);
    if (opened.ok()) {
      found.database = *std::move(opened);
      return found;
    }
    why = opened.status();
  }
  if (!IsDamage(file_system, options.directory, why) || !ledger.identity()) {
    return CannotBeOpened(options.directory, why);
  }
  if (absl::Status repaired = repair.Run(options); !repaired.ok()) {
    return CannotBeOpened(options.directory, repaired);
  }
  DatabaseOptions unmerged = options;
  unmerged.merges_tables = false;
  absl::StatusOr<Database> opened = OpenDatabase(file_system, unmerged);
  if (!opened.ok()) return CannotBeOpened(options.directory, opened.status());
  found.database = *std::move(opened);
  found.repaired = true;
  found.notes.push_back(absl::StrCat(options.directory, " could not be opened (", why.message(),
                                     ") and was repaired; what was of no use is in ",
                                     options.directory, "/lost"));
  return found;
}

absl::Status FinishOpening(FileSystem& file_system, const std::string& log_directory,
                           bool merges_tables, rocksdb::DB& db) {
  absl::Status status = DatabaseRepair(file_system, log_directory).Finish();
  return status.ok() && merges_tables ? StartMerging(db) : status;
}

}  // namespace cairn

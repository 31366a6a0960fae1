// The part of RocksDbLog that opens it.

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "rocksdb/iterator.h"
#include "storage/rocksdb/database_opening.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/log_owner.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/rocksdb/rocksdb_status.h"

namespace cairn {

absl::StatusOr<bool> RocksDbLog::IsThere(FileSystem& file_system, const std::string& directory) {
  const absl::StatusOr<bool> database = file_system.Exists(directory + "/db/CURRENT");
  if (!database.ok() || *database) return database;
  const absl::StatusOr<bool> log = file_system.Exists(directory);
  return log.ok() && *log ? AckLedger::IsThere(file_system, directory) : log;
}

absl::StatusOr<RocksDbLog::Parts> RocksDbLog::OpenParts(FileSystem& file_system,
                                                        const RocksDbLogOptions& options) {
  Parts parts;
  absl::Status status = file_system.MakeDirectory(options.directory);
  if (!status.ok()) return status;
  parts.room = std::make_unique<DatabaseRoom>(file_system, options.directory + "/reserve",
                                              options.reserve_bytes);
  status = parts.room->reserve().Open();
  if (!status.ok()) return status;
  const absl::StatusOr<bool> has_ledger = AckLedger::IsThere(file_system, options.directory);
  if (!has_ledger.ok()) return has_ledger.status();
  absl::StatusOr<std::unique_ptr<AckLedger>> ledger =
      AckLedger::Open(file_system, options.directory, &parts.room->reserve());
  if (!ledger.ok()) return ledger.status();
  parts.ledger = *std::move(ledger);
  if (parts.ledger->identity()) {
    status = CheckLogIdentity(*parts.ledger->identity(), options.identity, options.directory);
    if (!status.ok()) return status;
  }
  DatabaseOptions database;
  database.room = parts.room.get();
  database.directory = options.directory + "/db";
  // A ledger is begun when the database is there: a ledger alone, whatever is left of it, means
  // that there was one.
  database.may_create = !*has_ledger;
  database.write_buffer_bytes = options.write_buffer_bytes;
  database.merges_tables = options.merges_tables;
  absl::StatusOr<DatabaseOfLog> opened =
      OpenDatabaseOfLog(file_system, options.directory, options.identity, database, *parts.ledger);
  if (!opened.ok()) return opened.status();
  parts.database = std::move(opened->database);
  parts.repaired = opened->repaired;
  parts.notes = std::move(opened->notes);
  return parts;
}

absl::StatusOr<std::unique_ptr<RocksDbLog>> RocksDbLog::Open(FileSystem& file_system,
                                                             RocksDbLogOptions options) {
  absl::StatusOr<Parts> parts = OpenParts(file_system, options);
  if (!parts.ok()) return parts.status();
  const bool repaired = parts->repaired;
  std::unique_ptr<RocksDbLog> log(
      new RocksDbLog(file_system, std::move(options), *std::move(parts)));
  const absl::StatusOr<Lost> lost = log->CheckIdentity();
  absl::Status status = lost.ok() ? log->Recover(*lost) : lost.status();
  if (status.ok() && repaired) {
    const RocksDbLogOptions& opened = log->options_;
    status = FinishOpening(file_system, opened.directory, opened.merges_tables, log->db_);
  }
  if (!status.ok()) return status;
  log->room_.reserve().Fill();
  log->room_.Opened();
  return log;
}

// Whose log it is the database says, and the ledger where that cannot.
absl::StatusOr<RocksDbLog::Lost> RocksDbLog::CheckIdentity() {
  Lost lost = {.repaired = parts_.repaired};
  std::string value;
  const rocksdb::Status read = db_.Get(rocksdb::ReadOptions(), IdentityKey(), &value);
  const absl::StatusOr<LogIdentity> identity =
      read.ok() ? DecodeLogIdentity(value) : absl::StatusOr<LogIdentity>(FromRocksDb(read));
  if (identity.ok()) {
    absl::Status same = CheckLogIdentity(*identity, options_.identity, options_.directory);
    if (!same.ok()) return same;
    return lost;
  }
  if (!absl::IsNotFound(identity.status()) && !absl::IsDataLoss(identity.status())) {
    return identity.status();
  }
  if (ledger_.identity()) {
    // It was synced before all else: where it is not there, more than the last sync is gone.
    lost.repaired |= absl::IsNotFound(identity.status());
    lost.identity = true;
    return lost;
  }
  if (!absl::IsNotFound(identity.status())) return identity.status();
  const std::unique_ptr<rocksdb::Iterator> any(db_.NewIterator(rocksdb::ReadOptions()));
  any->SeekToFirst();
  if (any->Valid() || ledger_.was_there()) {
    return absl::DataLossError(absl::StrCat(
        options_.directory,
        ": the identity of the log is gone: restore the files, or remove this member and add it "
        "under a new id"));
  }
  rocksdb::WriteBatch batch = BeginBatch(options_.identity);
  batch.Put(IdentityKey(), EncodeLogIdentity(options_.identity));
  absl::Status status = Write(batch);
  if (status.ok()) status = FromRocksDb(db_.FlushWAL(/*sync=*/true));
  if (!status.ok()) return status;
  return lost;
}

absl::Status RocksDbLog::Recover(const Lost& lost) {
  absl::StatusOr<FoundGroups> found =
      FindGroups(db_, ledger_, lost.repaired, BeginBatch(options_.identity));
  if (!found.ok()) return found.status();
  notes_.insert(notes_.end(), parts_.notes.begin(), parts_.notes.end());
  notes_.insert(notes_.end(), found->notes.begin(), found->notes.end());
  // With the groups, as without them it says that they are not to be believed.
  if (lost.identity) found->repairs.Put(IdentityKey(), EncodeLogIdentity(options_.identity));
  absl::Status status = found->repairs.Count() == 0 ? absl::OkStatus() : Write(found->repairs);
  if (status.ok()) status = FromRocksDb(db_.FlushWAL(/*sync=*/true));
  if (!status.ok()) return status;
  LedgerGroups durable;
  for (const auto& [group, log] : found->groups) {
    durable[group] = {.head = log.head(),
                      .starts = log.starts(),
                      .durable_change = log.head().change,
                      .boot = ledger_.boot()};
  }
  status = ledger_.Begin(options_.identity, durable);
  if (!status.ok()) return status;
  MutexLock lock(mutex_);
  for (const auto& [group, entry] : durable) durable_changes_[group] = entry.durable_change;
  groups_ = std::move(found->groups);
  damaged_ = std::move(found->damaged);
  changes_.last = found->last_change;
  return absl::OkStatus();
}

}  // namespace cairn

#include "storage/rocksdb/database.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "rocksdb/listener.h"
#include "rocksdb/options.h"
#include "rocksdb/table.h"
#include "storage/rocksdb/rocksdb_file_system.h"
#include "storage/rocksdb/rocksdb_status.h"

namespace cairn {
namespace {

// What writes wait for: buffers in memory that are not in tables yet, and tables that are not
// merged. One buffer less and RocksDB slows writes down, which is no different here (WriteStalls).
constexpr int kMostBuffers = 4;
constexpr int kMostTables = 2 * kManyTables;
constexpr int kAny = 1 << 30;

// RocksDB has no console and no file of its own here; what matters comes back as a status.
class NoLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

class FailureListener final : public rocksdb::EventListener {
 public:
  FailureListener(std::shared_ptr<DatabaseFailure> failure, DatabaseRoom* room)
      : failure_(std::move(failure)), room_(room) {}

  void OnFlushBegin(rocksdb::DB*, const rocksdb::FlushJobInfo&) override {
    DatabaseRoom::SetThisThreadFlushes(true);
  }
  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo&) override {
    if (room_ != nullptr) room_->TableWritten();
  }
  void OnCompactionBegin(rocksdb::DB*, const rocksdb::CompactionJobInfo&) override {
    DatabaseRoom::SetThisThreadFlushes(false);
  }
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& job) override {
    if (room_ != nullptr && job.status.ok()) room_->Merged();
  }
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override {
    if (reason == rocksdb::BackgroundErrorReason::kCompaction && status->IsCorruption()) {
      // The tables stay as they were.
      failure_->MergeFailed(FromRocksDb(*status));
      *status = rocksdb::Status::OK();
      return;
    }
    if (reason == rocksdb::BackgroundErrorReason::kCompaction && status->IsNoSpace() &&
        room_ != nullptr) {
      // So they do. RocksDB tries again, and DatabaseRoom says when it may.
      *status = rocksdb::Status::OK();
      return;
    }
    // What it gives is the first error there was, which the next write or sync reports.
    failure_->Set(FromRocksDb(*status)).IgnoreError();
  }

 private:
  const std::shared_ptr<DatabaseFailure> failure_;
  DatabaseRoom* const room_;
};

rocksdb::BlockBasedTableOptions TableOptions() {
  rocksdb::BlockBasedTableOptions table;
  table.block_size = size_t{32} << 10;  // a log is read in a row
  table.no_block_cache = true;          // and lately written entries are in memory elsewhere
  table.checksum = rocksdb::kXXH3;
  return table;
}

rocksdb::Options LogOptions(const DatabaseOptions& options) {
  rocksdb::Options log;
  log.create_if_missing = options.may_create;
  // The default, said here because durability hangs on it: the first bad record ends the log. That
  // it is the true end the ledger proves, not RocksDB.
  log.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // A file of the write-ahead log that is missing whole is noticed.
  log.track_and_verify_wals_in_manifest = true;
  log.avoid_flush_during_recovery = false;  // what recovery reports must be durable
  // Appends stay in memory until LogDisk::Sync, which writes and syncs them once for all groups.
  log.manual_wal_flush = true;
  // A recycled file would hold old records behind the new ones.
  log.recycle_log_file_num = 0;
  log.paranoid_checks = true;
  log.max_bgerror_resume_count = 0;  // an error is final; nobody tries again behind our back

  // Most entries are dropped before the second buffer is full: large buffers keep them from ever
  // being written to a table, and tables are merged late.
  log.write_buffer_size = options.write_buffer_bytes;
  log.max_write_buffer_number = kMostBuffers;
  log.level0_file_num_compaction_trigger = 8;
  log.level0_slowdown_writes_trigger = kMostTables;
  log.level0_stop_writes_trigger = kMostTables;
  // The number of tables says the same.
  log.soft_pending_compaction_bytes_limit = 0;
  log.hard_pending_compaction_bytes_limit = 0;
  log.disable_auto_compactions = !options.merges_tables;
  // Two levels: a merge writes what is left of the log once, and forgets what was dropped.
  log.compaction_style = rocksdb::kCompactionStyleLevel;
  log.num_levels = 2;
  log.max_bytes_for_level_base = uint64_t{1} << 30;
  log.max_background_jobs = 2;
  // Commands are small or compressed already, and each is written about once.
  log.compression = rocksdb::kNoCompression;
  log.wal_compression = rocksdb::kNoCompression;
  // One writer.
  log.allow_concurrent_memtable_write = false;
  log.enable_write_thread_adaptive_yield = false;
  log.stats_dump_period_sec = 0;
  log.stats_persist_period_sec = 0;
  log.table_factory.reset(rocksdb::NewBlockBasedTableFactory(TableOptions()));
  log.info_log = std::make_shared<NoLogger>();
  return log;
}

// All but the database itself, and its options.
Database Prepare(FileSystem& file_system, rocksdb::Options& log, DatabaseRoom* room) {
  Database database;
  database.failure = std::make_shared<DatabaseFailure>();
  database.environment =
      rocksdb::NewCompositeEnv(MakeRocksDbFileSystem(file_system, TableReads::kAsAskedFor, room));
  log.env = database.environment.get();
  log.listeners.push_back(std::make_shared<FailureListener>(database.failure, room));
  return database;
}

}  // namespace

absl::Status DatabaseFailure::Get() const {
  MutexLock lock(mutex_);
  return status_;
}

absl::Status DatabaseFailure::Set(absl::Status status) {
  MutexLock lock(mutex_);
  if (status_.ok()) status_ = std::move(status);
  return status_;
}

void DatabaseFailure::MergeFailed(absl::Status why) {
  MutexLock lock(mutex_);
  if (merge_failure_.ok()) merge_failure_ = std::move(why);
  merges_failed_.fetch_add(1, std::memory_order_acq_rel);
  merge_failed_.store(true, std::memory_order_release);
}

void DatabaseFailure::MergesAgain() {
  MutexLock lock(mutex_);
  merge_failed_.store(false, std::memory_order_release);
  merge_failure_ = absl::OkStatus();
}

absl::Status DatabaseFailure::merge_failure() const {
  MutexLock lock(mutex_);
  return merge_failure_;
}

absl::StatusOr<Database> OpenDatabase(FileSystem& file_system, const DatabaseOptions& options) {
  rocksdb::Options log = LogOptions(options);
  Database database = Prepare(file_system, log, options.room);
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(log, options.directory, &db);
  database.db.reset(db);
  if (!status.ok()) return FromRocksDb(status);
  return database;
}

absl::Status RepairDatabase(FileSystem& file_system, const DatabaseOptions& options) {
  rocksdb::Options log = LogOptions(options);
  const Database prepared = Prepare(file_system, log, options.room);
  return FromRocksDb(rocksdb::RepairDB(options.directory, log));
}

absl::Status StopMerging(rocksdb::DB& db) {
  return FromRocksDb(db.SetOptions({{"disable_auto_compactions", "true"}}));
}

absl::Status StartMerging(rocksdb::DB& db) {
  return FromRocksDb(db.SetOptions({{"disable_auto_compactions", "false"}}));
}

int UnmergedTables(rocksdb::DB& db) {
  std::string tables;
  int count = 0;
  const bool known = db.GetProperty(rocksdb::DB::Properties::kNumFilesAtLevelPrefix + "0", &tables);
  return known && absl::SimpleAtoi(tables, &count) ? count : 0;
}

absl::Status LimitWrites(rocksdb::DB& db, WriteLimits limits) {
  const std::string buffers = absl::StrCat(limits.buffers ? kMostBuffers : kAny);
  const std::string tables = absl::StrCat(limits.tables ? kMostTables : kAny);
  return FromRocksDb(db.SetOptions({{"max_write_buffer_number", buffers},
                                    {"level0_slowdown_writes_trigger", tables},
                                    {"level0_stop_writes_trigger", tables}}));
}

uint64_t FirstLogInUse(rocksdb::DB& db) {
  uint64_t number = 0;
  return db.GetIntProperty(rocksdb::DB::Properties::kMinLogNumberToKeep, &number) ? number : 0;
}

absl::Status BeginTable(rocksdb::DB& db) {
  rocksdb::FlushOptions options;
  options.wait = false;  // on a disk that is full meanwhile that has no end
  options.allow_write_stall = true;
  return FromRocksDb(db.Flush(options));
}

absl::StatusOr<Database> OpenDatabaseToRead(FileSystem& file_system, const std::string& directory) {
  const absl::StatusOr<bool> there = file_system.Exists(directory + "/CURRENT");
  if (!there.ok()) return there.status();
  if (!*there) return absl::NotFoundError(directory + ": there is no database");
  DatabaseOptions options;
  options.directory = directory;
  rocksdb::Options log = LogOptions(options);
  Database database = Prepare(file_system, log, nullptr);
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(log, directory, &db);
  database.db.reset(db);
  if (!status.ok()) return FromRocksDb(status);
  return database;
}

}  // namespace cairn

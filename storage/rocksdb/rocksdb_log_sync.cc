// The part of RocksDbLog that syncs, and looks for room.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "storage/no_room.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/rocksdb/rocksdb_status.h"

namespace cairn {
namespace {

// Writes wait at 40 that are not merged (database.cc).
constexpr int kManyTables = 20;
// How often a table is asked for, of 10 ms at most each: half a minute.
constexpr int kMostLooks = 3000;

}  // namespace

bool RocksDbLog::has_room() const {
  return !shortage_.sync_was_refused && !shortage_.tables_pile_up && room_.has_room();
}

// What was refused is synced by the next sync, which is told of errors, too: what is written out is
// there still, and a failure is kept.
void RocksDbLog::SeekRoom() {
  if (!failure_.Get().ok()) return;
  room_.unwritten().WriteOut().IgnoreError();
  room_.reserve().Fill();
  shortage_.tables_pile_up = TablesPileUp();
  if (absl::Status status = stalls_.Look(); !status.ok()) failure_.Set(status).IgnoreError();
  LeaveLogIfWanted();
}

std::vector<std::string> RocksDbLog::Warnings() const {
  std::vector<std::string> warnings;
  if (const absl::Status why = failure_.merge_failure(); !why.ok()) {
    warnings.push_back(absl::StrCat(
        options_.directory, ": no tables are merged until the next start, as one cannot be read (",
        why.message(),
        "): what is dropped gives no space back; cairn log convert writes a new log"));
  }
  if (room_.merge_waits()) {
    warnings.push_back(
        absl::StrCat(options_.directory,
                     ": there was no room to merge tables, so what is dropped gives no space "
                     "back: make room, it is tried again by itself"));
  }
  return warnings;
}

// There is no room to merge tables, and soon there are so many that writes have to wait.
bool RocksDbLog::TablesPileUp() const {
  if (!room_.merge_waits()) return false;
  std::string tables;
  int count = 0;
  return db_.GetProperty("rocksdb.num-files-at-level0", &tables) &&
         absl::SimpleAtoi(tables, &count) && count >= kManyTables;
}

void RocksDbLog::Sync(absl::AnyInvocable<void(absl::Status)> done) {
  absl::Status status = SyncNow();
  if (status.ok()) status = stalls_.Look();
  shortage_.sync_was_refused = IsNoRoom(status);
  shortage_.tables_pile_up = TablesPileUp();
  LeaveLogIfWanted();
  done(status.ok() || IsNoRoom(status) ? status : failure_.Set(status));
}

LedgerGroups RocksDbLog::TakeChanged() {
  LedgerGroups changed;
  MutexLock lock(mutex_);
  for (const GroupId group : dirty_) {
    LedgerGroup& entry = changed[group];
    entry.boot = ledger_.boot();
    entry.durable_change = durable_changes_[group];
    if (const auto found = groups_.find(group); found != groups_.end()) {
      entry.head = found->second.head();
      entry.starts = found->second.starts();
    } else {
      entry.dropped = true;
      entry.head.change = last_change_;
    }
  }
  dirty_.clear();
  return changed;
}

// What the ledger speaks of is with the system before the ledger is: the end of this process alone
// cannot leave a ledger that is ahead. NoRoomError if either has no room: nothing is synced then.
absl::Status RocksDbLog::WriteChanged(const LedgerGroups& changed) {
  if (auto flushed = db_.FlushWAL(/*sync=*/false); !flushed.ok()) return FromRocksDb(flushed);
  const absl::Status written = room_.unwritten().WriteOut();
  if (absl::IsResourceExhausted(written)) return NoRoomError(written.message());
  if (!written.ok()) return written;
  return ledger_.Write(changed);
}

absl::Status RocksDbLog::SyncNow() {
  if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
  const LedgerGroups changed = TakeChanged();
  if (changed.empty()) return absl::OkStatus();
  if (failure_.TakeMergeFailed()) {
    if (absl::Status stopped = StopMerging(db_); !stopped.ok()) return stopped;
  }
  if (absl::Status written = WriteChanged(changed); !written.ok()) {
    MutexLock lock(mutex_);
    for (const auto& [group, entry] : changed) dirty_.insert(group);
    return written;
  }
  // From here on a power cut may leave any part of either, whichever is synced first: so both are,
  // beside each other.
  ledger_sync_.Start([this] { return ledger_.Sync(); });
  const rocksdb::Status log_synced = db_.SyncWAL();
  const absl::Status ledger_synced = ledger_sync_.Wait();
  if (!log_synced.ok()) return FromRocksDb(log_synced);
  if (!ledger_synced.ok()) return ledger_synced;
  room_.unwritten().SetClaim(DiskReserve::Claim::kRecords);
  MutexLock lock(mutex_);
  for (const auto& [group, entry] : changed) durable_changes_[group] = entry.head.change;
  return absl::OkStatus();
}

// For the scrub. That the log is ahead of the ledger is as at any power cut before a sync.
bool RocksDbLog::WriteOutLog() {
  if (!failure_.Get().ok() || !db_.FlushWAL(/*sync=*/false).ok()) return false;
  return room_.unwritten().empty();
}

// A new file and a line of the manifest must not take what a full disk has in reserve.
absl::Status RocksDbLog::LeaveLog(uint64_t number) {
  if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
  if (!has_room()) {
    log_is_bad_ = true;
    return NoRoomError("what it holds is in memory, and waits for room to be written to a table");
  }
  if (absl::Status begun = BeginTable(db_); !begun.ok()) return failure_.Set(begun);
  for (int i = 0; i < kMostLooks && FirstLogInUse(db_) <= number; ++i) {
    if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
    if (room_.flush_waits()) break;
    room_.AwaitTable();
  }
  if (FirstLogInUse(db_) > number) return absl::OkStatus();
  return NoRoomError("what it holds is in memory, and is being written to a table");
}

void RocksDbLog::LeaveLogIfWanted() {
  if (!log_is_bad_ || !has_room() || !failure_.Get().ok() || !log_is_bad_.exchange(false)) return;
  if (absl::Status begun = BeginTable(db_); !begun.ok()) failure_.Set(begun).IgnoreError();
}

}  // namespace cairn

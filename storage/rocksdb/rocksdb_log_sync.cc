// The part of RocksDbLog that syncs, and looks for room.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/no_room.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/rocksdb/rocksdb_status.h"

namespace cairn {

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
        options_.directory, ": no tables are merged, as one cannot be read (", why.message(),
        "): what is dropped gives no space back until the scrub has replaced it"));
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
  return room_.merge_waits() && UnmergedTables(db_) >= kManyTables;
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
      entry.head.change = changes_.last;
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

}  // namespace cairn

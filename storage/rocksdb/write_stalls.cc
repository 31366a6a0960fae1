#include "storage/rocksdb/write_stalls.h"

#include "rocksdb/options.h"
#include "storage/rocksdb/rocksdb_status.h"

namespace cairn {

// RocksDB refuses such a write before it is in the write-ahead log, or anywhere, and is as good as
// before: it is written again.
absl::Status WriteStalls::Write(rocksdb::WriteBatch& batch) {
  rocksdb::WriteOptions options;
  options.no_slowdown = true;
  for (;;) {
    const rocksdb::Status status = db_.Write(options, &batch);
    if (!status.IsIncomplete()) return FromRocksDb(status);
    if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
    absl::StatusOr<bool> lifted = Lift();
    if (!lifted.ok()) return lifted.status();
    if (!*lifted) room_.AwaitTable();
  }
}

// Whether that changed anything.
absl::StatusOr<bool> WriteStalls::Lift() {
  if (failure_.TakeMergeFailed()) {
    if (absl::Status stopped = StopMerging(db_); !stopped.ok()) return stopped;
    return true;
  }
  MutexLock lock(mutex_);
  WriteLimits limits = limits_;
  if (room_.flush_waits()) limits.buffers = false;
  if (room_.merge_waits()) limits.tables = false;
  return SetLimits(limits);
}

// To set limits is written down, which must not take what a full disk has in reserve.
absl::Status WriteStalls::Look() {
  if (!room_.has_room()) return absl::OkStatus();
  MutexLock lock(mutex_);
  WriteLimits limits = limits_;
  if (pile_allowed_) pile_allowed_ = IsPile();
  if (!room_.flush_waits()) limits.buffers = true;
  if (!room_.merge_waits() && !pile_allowed_) limits.tables = true;
  return SetLimits(limits).status();
}

absl::Status WriteStalls::AllowPile() {
  MutexLock lock(mutex_);
  pile_allowed_ = IsPile();
  if (!pile_allowed_) return absl::OkStatus();
  WriteLimits limits = limits_;
  limits.tables = false;
  return SetLimits(limits).status();
}

bool WriteStalls::IsPile() const { return UnmergedTables(db_) >= kManyTables; }

absl::StatusOr<bool> WriteStalls::SetLimits(WriteLimits limits) {
  if (limits == limits_) return false;
  if (absl::Status status = LimitWrites(db_, limits); !status.ok()) return status;
  limits_ = limits;
  return true;
}

}  // namespace cairn

// WriteStalls: what becomes of a write that RocksDB would keep waiting.

#ifndef STORAGE_ROCKSDB_WRITE_STALLS_H_
#define STORAGE_ROCKSDB_WRITE_STALLS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "rocksdb/db.h"
#include "rocksdb/write_batch.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/database_room.h"

namespace cairn {

// RocksDB has writes wait where too much is not in tables yet, or too many tables are not merged.
// That is right as long as somebody works on it. But where that waits for room itself, or has come
// to an end, a write that waits would keep everything waiting: so RocksDB waits for nobody then.
// What piles up in memory meanwhile is little, because a log that has no room lets no entries in.
//
// Threads: any.
class WriteStalls {
 public:
  // All of them outlive it.
  WriteStalls(rocksdb::DB& db, DatabaseRoom& room, DatabaseFailure& failure)
      : db_(db), room_(room), failure_(failure) {}

  // As rocksdb::DB::Write, without a sync. An error is final.
  absl::Status Write(rocksdb::WriteBatch& batch);
  // Lets writes wait again once tables are written and merged. To be called now and then.
  absl::Status Look();
  // Tables may have piled up while none were merged, which will be: nobody waits for that.
  absl::Status AllowPile();

 private:
  absl::StatusOr<bool> Lift();
  absl::StatusOr<bool> SetLimits(WriteLimits limits) CAIRN_REQUIRES(mutex_);
  bool IsPile() const;

  rocksdb::DB& db_;
  DatabaseRoom& room_;
  DatabaseFailure& failure_;
  Mutex mutex_;
  WriteLimits limits_ CAIRN_GUARDED_BY(mutex_);
  bool pile_allowed_ CAIRN_GUARDED_BY(mutex_) = false;
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_WRITE_STALLS_H_

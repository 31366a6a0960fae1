// DatabaseRoom: what becomes of RocksDB's writes on a full disk. FORMAT.md, "A full disk".

#ifndef STORAGE_ROCKSDB_DATABASE_ROOM_H_
#define STORAGE_ROCKSDB_DATABASE_ROOM_H_

#include <cstdint>
#include <string>
#include <thread>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/mutex.h"
#include "base/system_clock.h"
#include "base/time.h"
#include "storage/file_system.h"
#include "storage/rocksdb/disk_reserve.h"
#include "storage/rocksdb/unwritten_log.h"

namespace cairn {

// None of them may fail for lack of room while a log is open: RocksDB would be of no use from then
// on, and nobody would know how much of the last batch is on the disk.
//
// - The write-ahead log: takes from the reserve, then is kept in memory (UnwrittenLog).
// - A table that is written from memory, by a thread of RocksDB: waits until there is room. Memory
//   and write-ahead log have it meanwhile.
// - A table that is merged from others: fails, which gives back what it has taken, and is tried
//   again after a while. The tables it was to replace stay.
// - All else is small, and takes all of the reserve if it must. Where that is not enough it fails,
//   and the log with it.
//
// While the log is being opened, the thread that does it may take from the reserve for everything,
// and fails without waiting. Tables may be merged by others meanwhile: as above.
//
// Threads: any. The one that makes it opens the log.
class DatabaseRoom {
 public:
  // `file_system` outlives it.
  DatabaseRoom(FileSystem& file_system, std::string reserve_path, uint64_t reserve_bytes)
      : reserve_(file_system, std::move(reserve_path), reserve_bytes), unwritten_(reserve_) {}

  DiskReserve& reserve() { return reserve_; }
  UnwrittenLog& unwritten() { return unwritten_; }
  const UnwrittenLog& unwritten() const { return unwritten_; }

  // The log is open: from now on as said above.
  void Opened();
  // The log is being opened, by the calling thread.
  bool this_thread_opens() const;
  // The log is about to be closed: nothing waits any more.
  void Close();

  // The calling thread is one that writes tables from memory, or not. Not said: it is not.
  static void SetThisThreadFlushes(bool flushes);

  // Before a table is begun. RESOURCE_EXHAUSTED if it is one of a merge, and too early for another
  // attempt.
  absl::Status BeginTable() const;
  // A write of about `bytes` to a table, which can be repeated.
  absl::Status WriteTable(uint64_t bytes, absl::FunctionRef<absl::Status()> write);
  // Tables were merged.
  void Merged();
  // One was written from memory.
  void TableWritten();
  // Until one of these, or one begins to wait for room, or for a short time.
  void AwaitTable();

  // Tables wait for room: to be written, or to be merged.
  bool flush_waits() const;
  bool merge_waits() const;
  // Nothing waits or is kept, and the reserve is whole. Merges apart: a log can do without.
  bool has_room() const;

 private:
  void MergeRefused();
  bool AwaitRoom();

  DiskReserve reserve_;
  UnwrittenLog unwritten_;
  const SystemClock clock_{};
  const std::thread::id opener_ = std::this_thread::get_id();
  mutable Mutex mutex_;
  CondVar changed_;
  bool opening_ CAIRN_GUARDED_BY(mutex_) = true;
  bool closing_ CAIRN_GUARDED_BY(mutex_) = false;
  int flushes_waiting_ CAIRN_GUARDED_BY(mutex_) = 0;
  Duration merge_patience_ CAIRN_GUARDED_BY(mutex_);  // 0: the last one had room
  Instant merge_after_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_DATABASE_ROOM_H_

// UnwrittenLog: what RocksDB has written to its write-ahead log, and for which there is no room.

#ifndef STORAGE_ROCKSDB_UNWRITTEN_LOG_H_
#define STORAGE_ROCKSDB_UNWRITTEN_LOG_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "storage/file_system.h"
#include "storage/rocksdb/disk_reserve.h"

namespace cairn {

// RocksDB would take a write that finds no room for the end of its log, and of itself. So it is
// kept here, in memory, with all that comes behind it, in whichever file: no write of the log is
// ever in its file before one that came first. What is kept is in RocksDB's own memory as well, and
// read there; it is only not durable, and nothing that is not synced has to be.
//
// Threads: any.
class UnwrittenLog {
 public:
  // `reserve` outlives it.
  explicit UnwrittenLog(DiskReserve& reserve) : reserve_(reserve) {}

  // What is written from now on may have that much of the reserve.
  void SetClaim(DiskReserve::Claim claim);

  // As File::Write, but where there is no room the data is kept.
  absl::Status Write(const std::shared_ptr<File>& file, uint64_t offset, absl::string_view data);
  // Writes what is kept. RESOURCE_EXHAUSTED if some of it still is.
  absl::Status WriteOut();
  bool empty() const { return !keeps_; }
  // The file is removed.
  void Forget(const std::string& path);

 private:
  struct Piece {
    std::shared_ptr<File> file;
    uint64_t offset = 0;
    std::string data;
  };
  absl::Status WriteKept() CAIRN_REQUIRES(mutex_);
  absl::Status WriteNow(File& file, uint64_t offset, absl::string_view data) CAIRN_REQUIRES(mutex_);

  DiskReserve& reserve_;
  mutable Mutex mutex_;
  DiskReserve::Claim claim_ CAIRN_GUARDED_BY(mutex_) = DiskReserve::Claim::kDatabase;
  std::deque<Piece> kept_ CAIRN_GUARDED_BY(mutex_);
  std::atomic<bool> keeps_ = false;  // whoever asks does not wait for what is being written
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_UNWRITTEN_LOG_H_

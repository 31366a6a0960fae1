// DiskReserve: room on the disk that is kept, and given up bit by bit to what finds no other.

#ifndef STORAGE_ROCKSDB_DISK_RESERVE_H_
#define STORAGE_ROCKSDB_DISK_RESERVE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/mutex.h"
#include "storage/file_system.h"

namespace cairn {

// A file of zeros beside the log, which is made shorter by as much as a write lacks. Nothing that
// stands in it is ever read, and its loss harms nothing.
//
// Threads: any. A write that is given room may run beside others, which may take it away: it is
// given more then.
class DiskReserve {
 public:
  // Whose write it is. Each leaves some of the reserve to those behind it: a quarter, a sixteenth,
  // nothing.
  enum class Claim { kEntries, kRecords, kDatabase };

  // Of `bytes` when it is whole; 0: there is none. `file_system` outlives it.
  DiskReserve(FileSystem& file_system, std::string path, uint64_t bytes);

  // Finds what an earlier process left of it. Makes nothing.
  absl::Status Open();

  // Calls `write`, which needs about `bytes`. As often as that is RESOURCE_EXHAUSTED some of the
  // reserve is given up, and it is called again; so it must be one that can be repeated. Gives what
  // it gave last: RESOURCE_EXHAUSTED if nothing is left that the claim may have.
  absl::Status WithRoom(Claim claim, uint64_t bytes, absl::FunctionRef<absl::Status()> write);

  // Makes the reserve whole, if there is room for all of it.
  void Fill();
  // False: somebody found no room, and Fill has not made it whole since.
  bool is_whole() const { return !short_; }
  uint64_t bytes_left() const;

  // RESOURCE_EXHAUSTED if there is no room for so many bytes more. That is only known to who has
  // taken them: a file does, for a moment.
  absl::Status Probe(uint64_t bytes) const;

 private:
  bool GiveUp(Claim claim, uint64_t bytes);
  absl::Status Reopen() CAIRN_REQUIRES(mutex_);
  std::string probe_path() const { return path_ + ".probe"; }

  FileSystem& file_system_;
  const std::string path_;
  const uint64_t bytes_;
  mutable Mutex mutex_;
  std::unique_ptr<File> file_ CAIRN_GUARDED_BY(mutex_);
  uint64_t left_ CAIRN_GUARDED_BY(mutex_) = 0;
  std::atomic<bool> short_ = false;  // whoever asks does not wait for what is being written
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_DISK_RESERVE_H_

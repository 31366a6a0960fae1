// AckLedger: what the database must hold, written beside it. RocksDB takes the first record of its
// write-ahead log that it cannot read for the end of the log; the ledger knows better.
//
// FORMAT.md describes the files ("The ledger") and what recovery decides by them.

#ifndef STORAGE_ROCKSDB_ACK_LEDGER_H_
#define STORAGE_ROCKSDB_ACK_LEDGER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "base/types.h"
#include "storage/file_system.h"
#include "storage/rocksdb/disk_reserve.h"
#include "storage/rocksdb/log_keys.h"

namespace cairn {

// A group as a sync left it.
struct LedgerGroup {
  LogHead head;  // if dropped, its `change` alone counts
  std::vector<TermStart> starts;
  bool dropped = false;
  // Changes of the group up to this one were durable when the sync began, and may have been
  // acknowledged. Those after it too, if the sync came to its end.
  uint64_t durable_change = 0;
  uint64_t boot = 0;  // checksum of the boot id under which this was written
  // That change was the end of a life of the group before: of this one nothing was durable.
  bool began_anew = false;
  friend bool operator==(const LedgerGroup&, const LedgerGroup&) = default;
};
using LedgerGroups = std::map<GroupId, LedgerGroup>;

// Threads: one; Check on another one. After an error of Begin, Write or Sync it is of no use any
// more.
class AckLedger {
 public:
  // Reads what the directory, which is there, has of ledgers. Records that cannot be read are left
  // out and named in notes(): each record stands for itself. `reserve` outlives it, and is not
  // null if anything is written.
  static absl::StatusOr<std::unique_ptr<AckLedger>> Open(FileSystem& file_system,
                                                         std::string directory,
                                                         DiskReserve* reserve = nullptr);

  // There is a record that can be read. If not, nobody knows what the database must hold.
  bool was_there() const { return was_there_; }
  const LedgerGroups& groups() const { return groups_; }
  const std::vector<std::string>& notes() const { return notes_; }
  uint64_t boot() const { return boot_; }

  // Starts a file that says this of all groups; durable on return. The older files go.
  absl::Status Begin(LedgerGroups groups);
  // Adds what changed; durable after Sync. But NoRoomError if the disk is full and the reserve used
  // up: nothing was added then, and the same may be tried again.
  absl::Status Write(const LedgerGroups& changed);
  absl::Status Sync();

  struct Checked {
    uint64_t bytes = 0;   // read
    absl::Status status;  // DATA_LOSS: a record is bad; the next Write begins another file
  };
  // Reads what was written, past the page cache. Takes no lock that a write waits for.
  Checked Check();

 private:
  AckLedger(FileSystem& file_system, std::string directory, DiskReserve* reserve)
      : file_system_(file_system), directory_(std::move(directory)), reserve_(reserve) {}
  absl::Status ReadFiles();
  absl::Status ReadOne(const std::string& path);
  std::string PathOf(uint64_t number) const;
  std::string Encode(const LedgerGroups& groups);
  absl::Status StartFile(const LedgerGroups& groups, DiskReserve::Claim claim);
  absl::Status WriteTo(File& file, uint64_t offset, const std::string& bytes,
                       DiskReserve::Claim claim);
  absl::StatusOr<std::string> ReadWritten(const std::string& path, uint64_t end) const;
  void SetWritten(const std::string& path, uint64_t end);

  FileSystem& file_system_;
  const std::string directory_;
  DiskReserve* const reserve_;
  bool was_there_ = false;
  uint64_t boot_ = 0;
  LedgerGroups groups_;
  std::vector<std::string> notes_;
  std::vector<std::string> old_files_;
  uint64_t last_file_ = 0;
  uint64_t last_record_ = 0;
  std::unique_ptr<File> file_;
  uint64_t end_ = 0;
  struct Written {
    std::string path;
    uint64_t end = 0;
  };
  mutable Mutex mutex_;
  Written written_ CAIRN_GUARDED_BY(mutex_);
  std::atomic<bool> is_bad_ = false;
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_ACK_LEDGER_H_

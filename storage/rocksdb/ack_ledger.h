// AckLedger: what the database must hold, written beside it. RocksDB takes the first record of its
// write-ahead log that it cannot read for the end of the log; the ledger knows better.
//
// FORMAT.md describes the files ("The ledger") and what recovery decides by them.

#ifndef STORAGE_ROCKSDB_ACK_LEDGER_H_
#define STORAGE_ROCKSDB_ACK_LEDGER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "storage/block/block_header.h"
#include "storage/file_system.h"
#include "storage/rocksdb/disk_reserve.h"
#include "storage/rocksdb/ledger_record.h"

namespace cairn {

// Threads: one; Check on another one. After an error of Begin, Write or Sync it is of no use any
// more.
class AckLedger {
 public:
  // Reads what the directory, which is there, has of ledgers. Records that cannot be read are left
  // out and named in notes(): each record stands for itself. FAILED_PRECONDITION if there are
  // records of a newer format, or of two logs. `reserve` outlives it, and is not null if anything
  // is written.
  static absl::StatusOr<std::unique_ptr<AckLedger>> Open(FileSystem& file_system,
                                                         std::string directory,
                                                         DiskReserve* reserve = nullptr);

  // The directory, which is there, has a file of a ledger, whatever stands in it.
  static absl::StatusOr<bool> IsThere(FileSystem& file_system, const std::string& directory);

  // There is a record that can be read. If not, nobody knows what the database must hold.
  bool was_there() const { return was_there_; }
  // Whose log it is; nothing if no record can be read, or only ones of the format that did not say.
  const std::optional<LogIdentity>& identity() const { return identity_; }
  // All groups are known, each as the last sync left it. False where a record has rotted that no
  // later one repeats. What a power cut tore is no rot: nobody was told that it is there.
  bool complete() const { return complete_; }
  // The last record has rotted: nobody knows what the last sync brought.
  bool end_rotted() const { return end_rotted_; }
  const LedgerGroups& groups() const { return groups_; }
  const std::vector<std::string>& notes() const { return notes_; }
  uint64_t boot() const { return boot_; }

  // Starts a file that says this of all groups; durable on return. The older files go.
  absl::Status Begin(const LogIdentity& identity, LedgerGroups groups);
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
  absl::StatusOr<std::string> ReadWhatCanBeRead(const std::string& path, bool& notices_rot);
  absl::Status Take(LedgerRecord record, const std::string& path);
  std::string PathOf(uint64_t number) const;
  std::string Encode(const LedgerGroups& groups, bool of_all);
  absl::Status StartFile(const LedgerGroups& groups, DiskReserve::Claim claim);
  absl::Status WriteTo(File& file, uint64_t offset, const std::string& bytes,
                       DiskReserve::Claim claim);
  absl::StatusOr<std::string> ReadWritten(const std::string& path, uint64_t end) const;
  void SetWritten(const std::string& path, uint64_t end);

  FileSystem& file_system_;
  const std::string directory_;
  DiskReserve* const reserve_;
  bool was_there_ = false;
  bool complete_ = false;
  bool end_rotted_ = false;
  std::optional<LogIdentity> identity_;
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

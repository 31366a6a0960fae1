// RocksDbInspector: what stands in a log that is kept in RocksDB, for people and offline tools.
//
// Holds: it writes nothing and takes no lock. Database and ledger are compared as a start would
// compare them (FORMAT.md, "Recovery"), but nothing is written because of it.

#ifndef STORAGE_ROCKSDB_ROCKSDB_INSPECTOR_H_
#define STORAGE_ROCKSDB_ROCKSDB_INSPECTOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/block/block_header.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_verifier.h"
#include "storage/crypto/key_ring.h"
#include "storage/encrypted/encrypted_file_system.h"
#include "storage/file_system.h"
#include "storage/read_only_file_system.h"
#include "storage/rocksdb/ack_ledger.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/log_recovery.h"

namespace cairn {

// Threads: one at a time.
class RocksDbInspector {
 public:
  // `directory` is a node's data directory or the log in it. NOT_FOUND if there is no such log,
  // DATA_LOSS if there is a ledger and no database or RocksDB cannot open it. `file_system`
  // outlives the inspector.
  // `keys` are for what is encrypted; null: there are none. FAILED_PRECONDITION (IsMissingKey) if
  // one is missing.
  static absl::StatusOr<std::unique_ptr<RocksDbInspector>> Open(
      FileSystem& file_system, const std::string& directory,
      std::shared_ptr<const KeyRing> keys = nullptr);

  const std::string& directory() const { return directory_; }  // of the log
  std::string database_directory() const;
  // Nothing if it cannot be read.
  const std::optional<LogIdentity>& identity() const { return identity_; }
  // Who writes the log at this moment, as "process 17".
  const std::optional<std::string>& writer() const { return writer_; }
  // Without one the log is refused if it has groups.
  bool has_ledger() const { return ledger_->was_there(); }
  // What is to be said of the ledger, and of where it is ahead of the database.
  std::vector<std::string> notes() const;

  // As a start would find them.
  const std::map<GroupId, GroupLog>& groups() const { return found_.groups; }
  // What the ledger says of the group; null if nothing.
  const LedgerGroup* LedgerOf(GroupId group) const;
  // Groups whose log cannot be put together.
  const std::map<GroupId, absl::Status>& damaged() const { return found_.damaged; }

  // As LogInspector::Read.
  void Read(GroupId group, Index from, uint64_t count,
            const std::function<void(const RecordRun&)>& take,
            const std::function<void(const LogInspector::Unreadable&)>& unreadable) const;

  // Reads all entries. The database first, under the path of the log what is to be said of it as a
  // whole, if anything. RocksDB does not tell where in its files something stands.
  std::vector<VerifiedFile> Verify() const;

 private:
  RocksDbInspector(FileSystem& file_system, std::string directory,
                   std::shared_ptr<const KeyRing> keys)
      : read_only_(file_system),
        file_system_(read_only_, std::move(keys), {directory}),
        directory_(std::move(directory)) {}

  absl::Status Load();
  void VerifyGroup(GroupId group, const GroupLog& log, VerifiedFile& file) const;
  std::vector<LogFinding> FindingsOfWhole() const;

  ReadOnlyFileSystem read_only_;
  EncryptedFileSystem file_system_;
  const std::string directory_;
  std::optional<std::string> writer_;
  std::unique_ptr<AckLedger> ledger_;
  Database database_;
  std::optional<LogIdentity> identity_;
  std::string no_identity_;  // why there is none
  FoundGroups found_;
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_ROCKSDB_INSPECTOR_H_

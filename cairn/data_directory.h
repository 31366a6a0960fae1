// DataDirectory: everything a node keeps: its lock, its identity and its log.

#ifndef CAIRN_DATA_DIRECTORY_H_
#define CAIRN_DATA_DIRECTORY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/types.h"
#include "raft/core/configuration.h"
#include "raft/identity.h"
#include "storage/crypto/key_ring.h"
#include "storage/encrypted/encrypted_file_system.h"
#include "storage/file_system.h"
#include "storage/log_store.h"

namespace cairn {

// A cluster that a new node joins.
struct FormedCluster {
  ClusterId id;
  Configuration members;  // all of them as voters, by node
};

// What a log store of the program's own is opened with (docs/own-log-store.md).
struct LogPlace {
  FileSystem& file_system;  // outlives the log
  std::string directory;    // is there, and nobody else writes to it
  const NodeIdentity& identity;
};
using LogOpener = std::function<absl::StatusOr<std::unique_ptr<LogDisk>>(const LogPlace&)>;

struct DataDirectoryOptions {
  std::string path;
  NodeId node = NodeId::kNone;
  // Who the initial members are, incarnations not known. Without voters: as the disk says, which
  // then must say it.
  Configuration initial_members;
  std::string cluster_token;
  // Of a node that joins a running cluster instead of forming one: finds it, and is called only if
  // the directory holds no node yet. Its errors are those of Open.
  std::function<absl::StatusOr<FormedCluster>()> find_cluster;
  // "block", "rocksdb", "memory", or the name of a store of the program's own, which `open_log`
  // then opens.
  std::string log_store = "block";
  LogOpener open_log;
  uint64_t block_bytes = uint64_t{16} << 20;
  uint64_t reserve_bytes = 0;  // BlockLogOptions, RocksDbLogOptions
  // "none", or "zstd" with log store "block" only: what was written some time ago is compressed by
  // whoever calls log_disk().scrub()->Compress, as a Host does that scrubs.
  std::string log_compression = "none";
  // What the log, snapshots and what state machines keep are encrypted with
  // (storage/crypto/key_ring.h). Null: what is new is not, and nothing that is can be read.
  std::shared_ptr<const KeyRing> keys;
  // False: nothing is synced, and a power cut loses what was acknowledged.
  bool sync = true;
  // Where log blocks are prepared ahead of time; outlives the directory. May be null.
  Executor* background = nullptr;
  // Makes threads that read log blocks while the directory is opened; null: one after the other.
  std::function<std::unique_ptr<Executor>()> make_reader = nullptr;
};

// Threads: one.
class DataDirectory {
 public:
  // ALREADY_EXISTS if another process has it, NOT_FOUND if it cannot be made, PERMISSION_DENIED,
  // FAILED_PRECONDITION if it belongs to another cluster, node, log store or newer format (naming
  // both), DATA_LOSS if it is damaged beyond what can be read, its identity is gone while a log is
  // there, or the log is gone while the identity says that the node took part in its cluster,
  // INVALID_ARGUMENT for an unknown log store, a known one with `open_log`, one of the program's
  // own with keys, or another than "block" with compression; and errors of `open_log`. Of the
  // errors for a file that is encrypted with a key that is not given IsMissingKey
  // (storage/crypto/missing_key.h) is true.
  static absl::StatusOr<std::unique_ptr<DataDirectory>> Open(const DataDirectoryOptions& options);

  const std::string& path() const { return path_; }
  const NodeIdentity& identity() const { return identity_; }
  // Encrypts what state machines, snapshots and other logs than "block" write. Takes the keys they
  // use for used (KeyRing::Replace).
  EncryptedFileSystem& file_system() { return *file_system_; }
  LogDisk& log_disk() { return *log_disk_; }

 private:
  DataDirectory() = default;

  void OpenFileSystem(const DataDirectoryOptions& options);
  absl::StatusOr<NodeIdentity> MakeIdentity(const DataDirectoryOptions& options);
  absl::Status LoadIdentity(const DataDirectoryOptions& options);
  absl::Status CheckLogIsThere(const DataDirectoryOptions& options);
  absl::Status TakePart();
  absl::Status OpenLog(const DataDirectoryOptions& options);
  absl::Status OpenOwnLog(const LogOpener& open_log);
  absl::Status OpenBlockLog(const DataDirectoryOptions& options);
  absl::Status OpenRocksDbLog(const DataDirectoryOptions& options);
  absl::Status ForgetMachines();

  std::string path_;
  std::unique_ptr<FileSystem> disk_;
  std::unique_ptr<EncryptedFileSystem> file_system_;
  std::unique_ptr<KeyRing::User> keys_in_use_;
  std::unique_ptr<FileLock> lock_;
  NodeIdentity identity_;
  bool takes_part_ = false;  // has joined a cluster, and the disk does not say so yet
  std::unique_ptr<LogDisk> log_disk_;
};

}  // namespace cairn

#endif  // CAIRN_DATA_DIRECTORY_H_

#include "cairn/data_directory.h"

#include <sys/random.h>

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "cairn/unsynced_file_system.h"
#include "raft/lifecycle/tombstone.h"
#include "storage/block/block_log.h"
#include "storage/memory_log_store.h"
#include "storage/posix_file_system.h"
#include "storage/rocksdb/rocksdb_log.h"

namespace cairn {
namespace {

// A number no other data directory has, so that a wiped directory is told from what was there.
Incarnation DrawIncarnation() {
  uint64_t drawn = 0;
  while (drawn == 0) {
    CAIRN_CHECK_EQ(getrandom(&drawn, sizeof(drawn), 0), static_cast<ssize_t>(sizeof(drawn)));
  }
  return static_cast<Incarnation>(drawn);
}

std::string LogPath(const std::string& directory) { return directory + "/log"; }

// A log without an identity is no new node: somebody took the identity away.
absl::Status CheckNoLog(FileSystem& file_system, const std::string& directory) {
  absl::StatusOr<bool> there = file_system.Exists(LogPath(directory));
  if (!there.ok()) return there.status();
  if (!*there) return absl::OkStatus();
  absl::StatusOr<std::vector<std::string>> names = file_system.List(LogPath(directory));
  if (!names.ok()) return names.status();
  if (names->empty()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the identity files of ", directory,
                   " are gone, its log is there: restore "
                   "them, or remove the directory and bring the node back under a new id"));
}

// Whether one of Cairn's own stores has begun its log there.
absl::StatusOr<bool> HasLog(FileSystem& file_system, const std::string& directory,
                            const std::string& log_store) {
  const std::string log = LogPath(directory);
  if (log_store == "rocksdb") return RocksDbLog::IsThere(file_system, log);
  absl::StatusOr<bool> there = file_system.Exists(log);
  if (!there.ok() || !*there) return there;
  absl::StatusOr<std::vector<std::string>> names = file_system.List(log);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (name != "LOCK" && name != "lost+found") return true;  // those of an empty disk
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataDirectory>> DataDirectory::Open(
    const DataDirectoryOptions& options) {
  const bool is_known = options.log_store == "block" || options.log_store == "rocksdb" ||
                        options.log_store == "memory";
  if (is_known != (options.open_log == nullptr)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "log store ", options.log_store,
        is_known ? " is one of Cairn's and needs nobody to open it"
                 : " is none of Cairn's (block, rocksdb, memory), and nobody opens it"));
  }
  if (options.log_compression != "none" &&
      (options.log_compression != "zstd" || options.log_store != "block")) {
    return absl::InvalidArgumentError(absl::StrCat("log compression ", options.log_compression,
                                                   " with log store ", options.log_store,
                                                   ": none, or zstd with block"));
  }
  if (options.keys != nullptr && options.open_log != nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "log store ", options.log_store, " cannot be encrypted, only those of Cairn can"));
  }
  std::unique_ptr<DataDirectory> directory(new DataDirectory());
  directory->path_ = options.path;
  directory->OpenFileSystem(options);
  FileSystem& file_system = *directory->file_system_;
  absl::Status made = file_system.MakeDirectory(options.path);
  // A file in the way is nothing another node has written.
  if (absl::IsFailedPrecondition(made)) return absl::NotFoundError(made.message());
  if (!made.ok()) return made;
  absl::StatusOr<std::unique_ptr<FileLock>> lock = file_system.Lock(options.path + "/LOCK");
  if (!lock.ok()) return lock.status();
  directory->lock_ = *std::move(lock);
  absl::Status status = directory->file_system_->RemoveLeftovers();
  if (status.ok()) status = directory->file_system_->CheckKeys();
  if (status.ok()) status = directory->LoadIdentity(options);
  if (status.ok()) status = directory->OpenLog(options);
  if (status.ok()) status = directory->TakePart();
  if (!status.ok()) return status;
  return directory;
}

// The block log encrypts its blocks itself; all others write through this.
void DataDirectory::OpenFileSystem(const DataDirectoryOptions& options) {
  disk_ = std::make_unique<PosixFileSystem>();
  if (!options.sync) disk_ = std::make_unique<UnsyncedFileSystem>(std::move(disk_));
  std::vector<std::string> encrypted = {options.path + "/groups", options.path + "/snapshots"};
  if (options.log_store == "rocksdb") encrypted.push_back(LogPath(options.path));
  file_system_ = std::make_unique<EncryptedFileSystem>(*disk_, options.keys, std::move(encrypted));
  if (options.keys == nullptr) return;
  keys_in_use_ = std::make_unique<KeyRing::User>(
      *options.keys, [files = file_system_.get()] { return files->KeysInUse(); });
}

// Who a node is that starts for the first time.
absl::StatusOr<NodeIdentity> DataDirectory::MakeIdentity(const DataDirectoryOptions& options) {
  if (absl::Status fresh = CheckNoLog(*file_system_, options.path); !fresh.ok()) return fresh;
  NodeIdentity made;
  made.node = options.node;
  made.log_store = options.log_store;
  made.incarnation = DrawIncarnation();
  if (!options.initial_members.voters.empty()) {
    made.initial_members = options.initial_members;
    made.cluster = MakeClusterId(options.initial_members, options.cluster_token);
    return made;
  }
  if (options.find_cluster == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.path,
                     " holds no node yet, and neither the initial members nor a "
                     "cluster to join were given"));
  }
  absl::StatusOr<FormedCluster> cluster = options.find_cluster();
  if (!cluster.ok()) return cluster.status();
  made.cluster = cluster->id;
  made.initial_members = cluster->members;
  made.formed = true;
  return made;
}

absl::Status DataDirectory::LoadIdentity(const DataDirectoryOptions& options) {
  absl::StatusOr<NodeIdentity> found = cairn::LoadIdentity(*file_system_, options.path);
  if (absl::IsNotFound(found.status())) {
    absl::StatusOr<NodeIdentity> made = MakeIdentity(options);
    if (!made.ok()) return made.status();
    identity_ = *std::move(made);
    // On the disk nobody has formed before there is a log.
    takes_part_ = std::exchange(identity_.formed, false);
    return SaveIdentity(*file_system_, options.path, identity_);
  }
  if (!found.ok()) return found.status();
  NodeIdentity wanted;
  wanted.node = options.node;
  wanted.log_store = options.log_store;
  wanted.cluster = options.initial_members.voters.empty()
                       ? found->cluster
                       : MakeClusterId(options.initial_members, options.cluster_token);
  absl::Status same = CheckIdentity(*found, wanted);
  if (!same.ok()) return same;
  identity_ = *std::move(found);
  if (options.log_store != "memory") return CheckLogIsThere(options);
  // It remembers neither its votes nor its log: it is another disk under the same id.
  if (identity_.joined()) {
    return absl::FailedPreconditionError(
        absl::StrCat("MEMBER_AMNESIA: node ", ToInteger(identity_.node),
                     " joined with its log in memory, which has ended"));
  }
  identity_.incarnation = DrawIncarnation();
  identity_.formed = false;
  for (Member& member : identity_.initial_members.voters) {
    member.incarnation = Incarnation::kUnknown;
  }
  return absl::OkStatus();
}

// A node that took part in its cluster and finds no log has forgotten what it voted for: another
// one under its id. It may be that a disk was not mounted.
absl::Status DataDirectory::CheckLogIsThere(const DataDirectoryOptions& options) {
  if (!identity_.formed) {
    takes_part_ = identity_.joined();
    return absl::OkStatus();
  }
  if (options.open_log != nullptr) return absl::OkStatus();  // keeps it where it likes
  absl::StatusOr<bool> there = HasLog(*file_system_, path_, options.log_store);
  if (!there.ok() || *there) return there.status();
  return absl::DataLossError(
      absl::StrCat(LogPath(path_),
                   ": the log of a node that takes part in its cluster is gone: mount its disk, "
                   "or restore it; if it is lost, remove this member and add it under a new id"));
}

// Of a node that joins a cluster: it counts as formed from its first start, once it has a log.
absl::Status DataDirectory::TakePart() {
  if (!takes_part_) return absl::OkStatus();
  identity_.formed = true;
  return SaveIdentity(*file_system_, path_, identity_);
}

absl::Status DataDirectory::OpenLog(const DataDirectoryOptions& options) {
  if (options.log_store == "memory") {
    log_disk_ = std::make_unique<MemoryLogDisk>();
    return ForgetMachines();
  }
  if (options.open_log != nullptr) return OpenOwnLog(options.open_log);
  return options.log_store == "rocksdb" ? OpenRocksDbLog(options) : OpenBlockLog(options);
}

absl::Status DataDirectory::OpenOwnLog(const LogOpener& open_log) {
  const std::string path = LogPath(path_);
  if (absl::Status made = file_system_->MakeDirectory(path); !made.ok()) return made;
  absl::StatusOr<std::unique_ptr<LogDisk>> log = open_log({*file_system_, path, identity_});
  if (!log.ok()) return log.status();
  log_disk_ = *std::move(log);
  return absl::OkStatus();
}

absl::Status DataDirectory::OpenBlockLog(const DataDirectoryOptions& options) {
  BlockLogOptions block;
  block.directory = LogPath(options.path);
  block.identity = {identity_.cluster, identity_.node, identity_.incarnation};
  block.geometry.block_bytes = options.block_bytes;
  block.reserve_bytes = options.reserve_bytes;
  if (options.log_compression == "zstd") block.compression = LogCompression::kZstd;
  block.keys = options.keys;
  block.background = options.background;
  block.make_reader = options.make_reader;
  absl::StatusOr<std::unique_ptr<BlockLog>> log = BlockLog::Open(*file_system_, std::move(block));
  if (!log.ok()) return log.status();
  log_disk_ = *std::move(log);
  return absl::OkStatus();
}

absl::Status DataDirectory::OpenRocksDbLog(const DataDirectoryOptions& options) {
  RocksDbLogOptions rocksdb;
  rocksdb.directory = LogPath(path_);
  rocksdb.identity = {identity_.cluster, identity_.node, identity_.incarnation};
  rocksdb.reserve_bytes = options.reserve_bytes;
  absl::StatusOr<std::unique_ptr<RocksDbLog>> log =
      RocksDbLog::Open(*file_system_, std::move(rocksdb));
  if (!log.ok()) return log.status();
  log_disk_ = *std::move(log);
  return absl::OkStatus();
}

// What state machines keep here, and snapshots, was made from a log that is forgotten.
absl::Status DataDirectory::ForgetMachines() {
  for (const char* kept : {"/groups", "/snapshots"}) {
    const std::string path = absl::StrCat(path_, kept);
    absl::StatusOr<bool> there = file_system_->Exists(path);
    if (!there.ok()) return there.status();
    if (!*there) continue;
    absl::StatusOr<std::vector<std::string>> names = file_system_->List(path);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      uint64_t group = 0;
      if (!absl::SimpleAtoi(name, &group)) continue;  // not ours
      absl::Status removed = RemoveGroupFiles(*file_system_, path_, GroupId{group});
      if (!removed.ok()) return removed;
    }
  }
  return absl::OkStatus();
}

}  // namespace cairn

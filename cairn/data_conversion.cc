#include "cairn/data_conversion.h"

#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "storage/block/block_log.h"
#include "storage/encrypted/encrypted_file_system.h"
#include "storage/offline/file_copy.h"
#include "storage/offline/log_view.h"
#include "storage/read_only_file_system.h"
#include "storage/rocksdb/rocksdb_log.h"

namespace cairn {
namespace {

constexpr char kLock[] = "LOCK";
constexpr char kLog[] = "log";

// What a data directory holds besides, which goes with the node as it is, is not named here: what
// later versions add goes with it, too.
const std::set<std::string>& NotCopied() {
  static const auto* const kNames =
      new std::set<std::string>{kLock, kLog, "identity", "identity.copy", "lost+found"};
  return *kNames;
}

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

LogIdentity LogIdentityOf(const NodeIdentity& identity) {
  return {identity.cluster, identity.node, identity.incarnation};
}

class Conversion {
 public:
  Conversion(FileSystem& file_system, const DataConversionOptions& options)
      : file_system_(file_system),
        source_(file_system),
        options_(options),
        from_(WithoutSlash(options.from)),
        to_(WithoutSlash(options.to)),
        unfinished_(UnfinishedConversion(to_)),
        new_log_files_(file_system, options.keys, {absl::StrCat(unfinished_, "/", kLog)}) {}

  absl::StatusOr<DataConversion> Run() {
    absl::Status status = CheckOptions();
    if (status.ok()) status = OpenSource();
    if (status.ok()) status = CheckDestination();
    if (status.ok()) status = CheckWhole(*log_);
    if (status.ok()) status = Write();
    if (!status.ok()) return status;
    return std::move(done_);
  }

 private:
  absl::Status CheckOptions() const {
    if (options_.log_store != "block" && options_.log_store != "rocksdb") {
      return absl::InvalidArgumentError(absl::StrCat(
          "a log cannot be converted to ", options_.log_store, ", only to block or rocksdb"));
    }
    BlockGeometry geometry = BlockLogOptions().geometry;
    geometry.block_bytes = options_.block_bytes;
    if (options_.log_store == "block" && !geometry.IsValid()) {
      return absl::InvalidArgumentError(absl::StrCat("block_bytes: ", options_.block_bytes,
                                                     ": must be a multiple of ", kBlockAlignment,
                                                     " and at least ", 16 * geometry.unit_bytes));
    }
    if (absl::StartsWith(to_ + "/", from_ + "/")) {
      return absl::FailedPreconditionError(absl::StrCat(to_, " is in ", from_));
    }
    return absl::OkStatus();
  }

  // The lock is held until the end, so that no node starts meanwhile.
  absl::Status OpenSource() {
    absl::StatusOr<NodeIdentity> identity = ReadIdentity(source_, from_);
    if (!identity.ok()) return identity.status();
    done_.identity = *std::move(identity);
    done_.from_store = std::exchange(done_.identity.log_store, options_.log_store);
    if (done_.from_store != "block" && done_.from_store != "rocksdb") {
      return absl::FailedPreconditionError(absl::StrCat(
          from_, " keeps its log in ", done_.from_store, ", which cannot be read offline"));
    }
    absl::StatusOr<std::unique_ptr<FileLock>> lock =
        file_system_.Lock(absl::StrCat(from_, "/", kLock));
    if (!lock.ok()) return lock.status();
    source_lock_ = *std::move(lock);
    absl::StatusOr<std::unique_ptr<LogView>> log =
        OpenLogView(source_, absl::StrCat(from_, "/", kLog), options_.keys);
    if (!log.ok()) return log.status();
    log_ = *std::move(log);
    if (log_->writer()) {
      return absl::AlreadyExistsError(
          absl::StrCat(*log_->writer(), " has ", log_->directory(), " open"));
    }
    // Not what the identity names where a salvaged log has taken the place of a damaged one.
    done_.from_store = log_->store();
    if (!log_->identity()) return absl::OkStatus();  // CheckWhole will say it
    return CheckLogIdentity(*log_->identity(), LogIdentityOf(done_.identity), log_->directory());
  }

  absl::Status CheckDestination() const {
    absl::StatusOr<bool> there = file_system_.Exists(to_);
    if (!there.ok()) return there.status();
    if (*there) {
      const auto names = file_system_.List(to_);
      if (!names.ok()) return names.status();
      if (!names->empty()) {
        return absl::FailedPreconditionError(absl::StrCat(to_, " is not empty"));
      }
    }
    there = file_system_.Exists(unfinished_);
    if (!there.ok()) return there.status();
    if (!*there) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat(unfinished_,
                     " is left of a conversion that did not come to its end, and no node's "
                     "directory: remove it"));
  }

  absl::Status Write() {
    absl::Status status = file_system_.MakeDirectory(unfinished_);
    if (!status.ok()) return status;
    absl::StatusOr<std::unique_ptr<FileLock>> lock =
        file_system_.Lock(absl::StrCat(unfinished_, "/", kLock));
    if (!lock.ok()) return lock.status();
    // The log first: a log without an identity is no node, not even a new one.
    status = WriteLog();
    if (status.ok()) status = ReadLogBack();
    if (status.ok()) status = CopyTheRest();
    if (status.ok()) status = SaveIdentity(file_system_, unfinished_, done_.identity);
    if (status.ok()) status = file_system_.Rename(unfinished_, to_);
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat(status.message(), "; ", unfinished_,
                                                      " is not whole, remove it"));
    }
    return file_system_.SyncDirectory(DirectoryOf(to_));
  }

  absl::StatusOr<std::unique_ptr<LogDisk>> OpenLog() {
    const std::string directory = absl::StrCat(unfinished_, "/", kLog);
    if (options_.log_store == "rocksdb") {
      RocksDbLogOptions rocksdb;
      rocksdb.directory = directory;
      rocksdb.identity = LogIdentityOf(done_.identity);
      rocksdb.new_groups_are_lost = Forgets(*log_);
      return RocksDbLog::Open(new_log_files_, std::move(rocksdb));
    }
    BlockLogOptions block;
    block.directory = directory;
    block.identity = LogIdentityOf(done_.identity);
    block.geometry.block_bytes = options_.block_bytes;
    block.keys = options_.keys;
    block.new_groups_are_lost = Forgets(*log_);
    return BlockLog::Open(file_system_, std::move(block));
  }

  absl::Status WriteLog() {
    uint64_t entries = 0;
    for (const auto& [id, group] : log_->Groups()) entries += group.last.index - group.base.index;
    absl::StatusOr<std::unique_ptr<LogDisk>> disk = OpenLog();
    if (!disk.ok()) return disk.status();
    absl::StatusOr<CopiedGroups> copied =
        CopyLog(*log_, **disk, [&](uint64_t done) { Tell("copied", done, entries); });
    if (!copied.ok()) return copied.status();
    done_.groups = *std::move(copied);
    return absl::OkStatus();
  }

  // As a start would find it.
  absl::Status ReadLogBack() {
    ReadOnlyFileSystem written(file_system_);
    absl::StatusOr<std::unique_ptr<LogView>> copy =
        OpenLogView(written, absl::StrCat(unfinished_, "/", kLog), options_.keys);
    if (!copy.ok()) return copy.status();
    uint64_t entries = 0;
    for (const auto& [id, group] : done_.groups) entries += group.entries;
    return CheckCopy(done_.groups, **copy,
                     [&](uint64_t done) { Tell("read back", done, entries); });
  }

  absl::Status CopyTheRest() {
    const absl::StatusOr<std::vector<std::string>> names = source_.List(from_);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (NotCopied().contains(name)) continue;
      absl::Status copied = CopyTree(source_, absl::StrCat(from_, "/", name), file_system_,
                                     absl::StrCat(unfinished_, "/", name));
      if (!copied.ok()) return copied;
    }
    return file_system_.SyncDirectory(unfinished_);
  }

  void Tell(absl::string_view step, uint64_t done, uint64_t total) const {
    if (options_.progress != nullptr) options_.progress(step, done, total);
  }

  FileSystem& file_system_;
  ReadOnlyFileSystem source_;
  const DataConversionOptions& options_;
  const std::string from_;
  const std::string to_;
  const std::string unfinished_;
  EncryptedFileSystem new_log_files_;  // of a log in RocksDB
  std::unique_ptr<FileLock> source_lock_;
  std::unique_ptr<LogView> log_;
  DataConversion done_;
};

}  // namespace

std::string UnfinishedConversion(const std::string& to) { return WithoutSlash(to) + ".converting"; }

absl::StatusOr<DataConversion> ConvertDataDirectory(FileSystem& file_system,
                                                    const DataConversionOptions& options) {
  return Conversion(file_system, options).Run();
}

}  // namespace cairn

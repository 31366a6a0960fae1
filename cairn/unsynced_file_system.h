// UnsyncedFileSystem: a file system whose syncs do nothing. For experiments only (--fsync=never): a
// power cut loses what was acknowledged.

#ifndef CAIRN_UNSYNCED_FILE_SYSTEM_H_
#define CAIRN_UNSYNCED_FILE_SYSTEM_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/file_system.h"

namespace cairn {

// Everything but the syncs is `real`'s. Threads: as FileSystem.
class UnsyncedFileSystem final : public FileSystem {
 public:
  explicit UnsyncedFileSystem(std::unique_ptr<FileSystem> real) : real_(std::move(real)) {}

  void Sync(File&, SyncDone done) override { done(absl::OkStatus()); }
  absl::Status SyncNow(File&) override { return absl::OkStatus(); }
  absl::Status SyncDirectory(const std::string&) override { return absl::OkStatus(); }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             OpenOptions options) override {
    return real_->Open(path, options);
  }
  absl::Status Preallocate(File& file, uint64_t length) override {
    return real_->Preallocate(file, length);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return real_->Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override { return real_->Remove(path); }
  absl::Status MakeDirectory(const std::string& path) override {
    return real_->MakeDirectory(path);
  }
  absl::StatusOr<bool> Exists(const std::string& path) override { return real_->Exists(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    return real_->List(directory);
  }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    return real_->Lock(path);
  }
  absl::StatusOr<std::optional<std::string>> LockHolder(const std::string& path) override {
    return real_->LockHolder(path);
  }
  absl::StatusOr<std::string> BootId() override { return real_->BootId(); }

 private:
  const std::unique_ptr<FileSystem> real_;
};

}  // namespace cairn

#endif  // CAIRN_UNSYNCED_FILE_SYSTEM_H_

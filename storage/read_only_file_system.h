// ReadOnlyFileSystem: a file system through which nothing can be changed, for what looks at files
// that belong to somebody else.

#ifndef STORAGE_READ_ONLY_FILE_SYSTEM_H_
#define STORAGE_READ_ONLY_FILE_SYSTEM_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/file_system.h"

namespace cairn {

// What reads is `real`'s. All else, a lock too, is PERMISSION_DENIED and does not reach it.
// Threads: as FileSystem. `real` outlives this.
class ReadOnlyFileSystem final : public FileSystem {
 public:
  // Hears how many bytes were read, after each read, on the thread that did it.
  using OnRead = std::function<void(size_t bytes)>;

  // `on_read` may be null; files that were opened here call it, and must be gone before what it
  // uses is.
  explicit ReadOnlyFileSystem(FileSystem& real, OnRead on_read = nullptr)
      : real_(real), on_read_(std::move(on_read)) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) override;
  absl::Status Preallocate(File& file, uint64_t length) override;  // ReserveZeroes, too
  void Sync(File& file, SyncDone done) override;
  absl::Status SyncNow(File& file) override;
  absl::Status SyncDirectory(const std::string& directory) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

  absl::StatusOr<bool> Exists(const std::string& path) override { return real_.Exists(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    return real_.List(directory);
  }
  absl::StatusOr<std::optional<std::string>> LockHolder(const std::string& path) override {
    return real_.LockHolder(path);
  }
  absl::StatusOr<std::string> BootId() override { return real_.BootId(); }

 private:
  FileSystem& real_;
  const OnRead on_read_;
};

}  // namespace cairn

#endif  // STORAGE_READ_ONLY_FILE_SYSTEM_H_

// PosixFileSystem: FileSystem on the machine's own file systems.

#ifndef STORAGE_POSIX_FILE_SYSTEM_H_
#define STORAGE_POSIX_FILE_SYSTEM_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/file_system.h"

namespace cairn {

// Holds, besides what FileSystem promises:
// - A File whose Write, Resize or Sync failed gives that error to every later one (fault catalogue
//   D5: a second fsync says OK about pages the first one lost). But not a Write that found the disk
//   or the quota full.
// - Files are made with mode 0600 and directories with 0700, whatever the umask allows beyond.
// - Sync calls `done` before it returns.
// - Open with `direct` gives UNIMPLEMENTED where the file system refuses O_DIRECT. A file made by
//   that very Open with kCreate is removed again.
// - Remove also removes a directory that is empty.
//
// Preallocate, Sync and SyncNow take files this class opened, not those of another FileSystem.
class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) override;
  absl::Status Preallocate(File& file, uint64_t length) override;
  absl::Status ReserveZeroes(File& file, uint64_t length) override;
  void Sync(File& file, SyncDone done) override;
  absl::Status SyncNow(File& file) override;
  absl::Status SyncDirectory(const std::string& directory) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::StatusOr<bool> Exists(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;
  absl::StatusOr<std::optional<std::string>> LockHolder(const std::string& path) override;
  absl::StatusOr<std::string> BootId() override;
};

}  // namespace cairn

#endif  // STORAGE_POSIX_FILE_SYSTEM_H_

#include "storage/read_only_file_system.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace cairn {
namespace {

absl::Status Refuse(absl::string_view what, const std::string& path) {
  return absl::PermissionDeniedError(absl::StrCat(what, " ", path, ": it is only to be read"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<File>> ReadOnlyFileSystem::Open(const std::string& path,
                                                               OpenOptions options) {
  if (options.mode != OpenMode::kRead) return Refuse("open to write", path);
  return real_.Open(path, options);
}

absl::Status ReadOnlyFileSystem::Preallocate(File& file, uint64_t) {
  return Refuse("preallocate", file.path());
}

void ReadOnlyFileSystem::Sync(File& file, SyncDone done) {
  std::move(done)(Refuse("sync", file.path()));
}

absl::Status ReadOnlyFileSystem::SyncNow(File& file) { return Refuse("sync", file.path()); }

absl::Status ReadOnlyFileSystem::SyncDirectory(const std::string& directory) {
  return Refuse("sync", directory);
}

absl::Status ReadOnlyFileSystem::Rename(const std::string& from, const std::string&) {
  return Refuse("rename", from);
}

absl::Status ReadOnlyFileSystem::Remove(const std::string& path) { return Refuse("remove", path); }

absl::Status ReadOnlyFileSystem::MakeDirectory(const std::string& path) {
  return Refuse("make directory", path);
}

absl::StatusOr<std::unique_ptr<FileLock>> ReadOnlyFileSystem::Lock(const std::string& path) {
  return Refuse("lock", path);
}

}  // namespace cairn

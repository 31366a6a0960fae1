#include "storage/file_system.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

absl::Status WriteAndSync(FileSystem& file_system, const std::string& path,
                          absl::string_view content) {
  auto file = file_system.Open(path, {.mode = FileSystem::OpenMode::kOpenOrCreate});
  if (!file.ok()) return file.status();
  // What a power cut left of an earlier attempt may be longer.
  if (absl::Status status = (*file)->Resize(0); !status.ok()) return status;
  if (absl::Status status = (*file)->Write(0, content); !status.ok()) return status;
  return file_system.SyncNow(**file);
}

}  // namespace

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::StatusOr<std::string> ReadWholeFile(FileSystem& file_system, const std::string& path) {
  auto file = file_system.Open(path, {.mode = FileSystem::OpenMode::kRead});
  if (!file.ok()) return file.status();
  const auto size = (*file)->Size();
  if (!size.ok()) return size.status();
  std::string content(*size, '\0');
  const auto length = (*file)->Read(0, content.size(), content.data());
  if (!length.ok()) return length.status();
  content.resize(*length);
  return content;
}

absl::Status WriteFileAtomically(FileSystem& file_system, const std::string& path,
                                 absl::string_view content) {
  const std::string temporary = absl::StrCat(path, ".tmp");
  absl::Status status = WriteAndSync(file_system, temporary, content);
  if (status.ok()) status = file_system.Rename(temporary, path);
  if (!status.ok()) {
    // Gives the space back where it ran out; the next attempt would take the name over anyway.
    file_system.Remove(temporary).IgnoreError();
    return status;
  }
  return file_system.SyncDirectory(DirectoryOf(path));
}

}  // namespace cairn

#include "storage/offline/file_copy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace cairn {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

absl::Status CopyFile(const File& from, FileSystem& to_system, const std::string& to) {
  auto opened = to_system.Open(to, {.mode = FileSystem::OpenMode::kCreate});
  if (!opened.ok()) return opened.status();
  File& copy = **opened;
  std::string piece(kPieceBytes, '\0');
  for (uint64_t at = 0;;) {
    const absl::StatusOr<size_t> read = from.Read(at, piece.size(), piece.data());
    if (!read.ok()) return read.status();
    if (*read == 0) break;
    absl::Status written = copy.Write(at, absl::string_view(piece.data(), *read));
    if (!written.ok()) return written;
    copy.StartWriteback(at, *read);
    at += *read;
  }
  return to_system.SyncNow(copy);
}

}  // namespace

absl::Status CopyTree(FileSystem& from_system, const std::string& from, FileSystem& to_system,
                      const std::string& to) {
  const absl::StatusOr<std::vector<std::string>> names = from_system.List(from);
  if (!names.ok()) {
    // A file, or what says better than List why it cannot be read.
    auto file = from_system.Open(from, {.mode = FileSystem::OpenMode::kRead});
    return file.ok() ? CopyFile(**file, to_system, to) : file.status();
  }
  absl::Status status = to_system.MakeDirectory(to);
  for (const std::string& name : *names) {
    if (!status.ok()) return status;
    status = CopyTree(from_system, absl::StrCat(from, "/", name), to_system,
                      absl::StrCat(to, "/", name));
  }
  return status.ok() ? to_system.SyncDirectory(to) : status;
}

}  // namespace cairn

#include "storage/stream/files_aside.h"

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace cairn {

absl::Status SetFilesAside(FileSystem& file_system, const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = file_system.List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    // What is temporary was never anything.
    if (absl::EndsWith(name, kAsideSuffix) || absl::EndsWith(name, ".tmp")) continue;
    const std::string path = absl::StrCat(directory, "/", name);
    absl::Status status = file_system.Rename(path, absl::StrCat(path, kAsideSuffix));
    if (!status.ok()) return status;
  }
  return file_system.SyncDirectory(directory);
}

}  // namespace cairn

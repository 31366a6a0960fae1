// FileCopy: files and directories, copied byte by byte.

#ifndef STORAGE_OFFLINE_FILE_COPY_H_
#define STORAGE_OFFLINE_FILE_COPY_H_

#include <string>

#include "absl/status/status.h"
#include "storage/file_system.h"

namespace cairn {

// Copies the file, or the directory with all below it, to `to`, which is not there. The file
// systems may be the same; `to` is not below `from`. What was copied survives a power cut on
// return, but for the entry of `to` itself if it is a file: that is for the caller to sync.
absl::Status CopyTree(FileSystem& from_system, const std::string& from, FileSystem& to_system,
                      const std::string& to);

}  // namespace cairn

#endif  // STORAGE_OFFLINE_FILE_COPY_H_

// Sets the files of a store aside that are of no use to it any more, and perhaps to people.

#ifndef STORAGE_STREAM_FILES_ASIDE_H_
#define STORAGE_STREAM_FILES_ASIDE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "storage/file_system.h"

namespace cairn {

inline constexpr absl::string_view kAsideSuffix = ".lost";

// Renames each file of `directory` to its name with kAsideSuffix; durably when this returns. One
// that was set aside before under that name gives way. Cut short, it may be done again.
absl::Status SetFilesAside(FileSystem& file_system, const std::string& directory);

}  // namespace cairn

#endif  // STORAGE_STREAM_FILES_ASIDE_H_

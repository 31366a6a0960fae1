// The directory of a log: which files there are, and whose log it is.

#ifndef STORAGE_BLOCK_LOG_DIRECTORY_H_
#define STORAGE_BLOCK_LOG_DIRECTORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/block/block_header.h"
#include "storage/file_system.h"

namespace cairn {

inline constexpr char kLockFileName[] = "LOCK";

struct LogFiles {
  std::vector<uint64_t> blocks;         // in order
  std::vector<uint64_t> spares;         // in order
  std::vector<std::string> unfinished;  // names of files that mean nothing, to be removed
  std::vector<std::string> foreign;     // names that are none of the log's; left alone
};
absl::StatusOr<LogFiles> ListLogFiles(FileSystem& file_system, const std::string& directory);

// The manifest says whose log the directory holds. Written once, after the first block, into two
// files; either serves.
struct LogManifest {
  LogIdentity identity;
  bool good[2] = {false, false};
};

// NOT_FOUND if neither file is there, DATA_LOSS if none is good, FAILED_PRECONDITION if one is of a
// newer format. Names the files.
absl::StatusOr<LogManifest> LoadManifest(FileSystem& file_system, const std::string& directory);

// Writes the copies that are not good.
absl::Status SaveManifest(FileSystem& file_system, const std::string& directory,
                          const LogManifest& manifest);

}  // namespace cairn

#endif  // STORAGE_BLOCK_LOG_DIRECTORY_H_

// The mark of a failed sync: which batch one process could not make durable, for the next process
// of the same boot.
//
// A process that merely ends loses nothing it wrote, so recovery takes a hole in the last batch for
// damage unless the machine was started again since. A sync that failed makes such a hole too
// (fault catalogue D5, D6): without the mark the node would halt over entries that nobody was ever
// promised. The mark is not synced. Its reader is a process of the same boot, which sees what was
// written, and for one of a later boot the boot id says enough.

#ifndef STORAGE_BLOCK_FAILED_SYNC_H_
#define STORAGE_BLOCK_FAILED_SYNC_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "storage/file_system.h"

namespace cairn {

inline constexpr char kFailedSyncFileName[] = "FAILED_SYNC";

// Leaves the mark in the log's directory, unless there is one of this boot for a later batch.
// `boot`: checksum of the boot id. On a disk that takes no writes there will be none, and recovery
// decides as if the sync had not failed: it halts.
void MarkFailedSync(FileSystem& file_system, const std::string& directory, uint64_t boot,
                    uint64_t batch);

// The batch that a mark of this boot names; nothing if there is no such mark, or it is damaged.
std::optional<uint64_t> FindFailedSync(FileSystem& file_system, const std::string& directory,
                                       uint64_t boot);

// Removes the mark, once what was decided because of it is durable: its batch number will be used
// again. Fine if there is none.
absl::Status ForgetFailedSync(FileSystem& file_system, const std::string& directory);

}  // namespace cairn

#endif  // STORAGE_BLOCK_FAILED_SYNC_H_

// ScannedBlocks: the blocks of a log as recovery finds them, read side by side.

#ifndef STORAGE_BLOCK_SCANNED_BLOCK_H_
#define STORAGE_BLOCK_SCANNED_BLOCK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "storage/block/block_file.h"
#include "storage/block/block_walk.h"
#include "storage/crypto/key_ring.h"
#include "storage/file_system.h"

namespace cairn {

struct ScannedBlock {
  std::shared_ptr<BlockFile> file;
  FoundSeal seal;
  std::optional<BlockFooter> footer;
  std::optional<BlockWalk> walk;  // null where the footer said enough
};

using ScannedBlocks = std::map<uint64_t, ScannedBlock>;

// Blocks of which there is a file and nothing can be believed: cut short, without a header, or
// batches that contradict each other. Why, naming the file.
using LostBlocks = std::map<uint64_t, std::string>;

// Where blocks stand, and whose they are. `keys` may be null.
struct BlockSource {
  FileSystem& file_system;
  const std::string& directory;
  const LogIdentity& identity;
  const KeyRing* keys = nullptr;
  FileSystem::OpenMode mode = FileSystem::OpenMode::kRead;
};

// Who reads blocks beside the caller; may be empty. They change nothing of what is found: the
// errors and notes below are those of blocks that were read one after the other.
using ReadHelpers = std::vector<std::unique_ptr<Executor>>;

// Of each block headers and seal. FAILED_PRECONDITION as ScanLog. Adds to `lost` and `notes`.
absl::StatusOr<ScannedBlocks> OpenBlocks(const BlockSource& source,
                                         const std::vector<uint64_t>& ids,
                                         const ReadHelpers& helpers, LostBlocks* lost,
                                         std::vector<std::string>* notes);

// Walks block `id` of `blocks`, which says of the one before how its batches go on. False if it is
// lost.
absl::StatusOr<bool> WalkOne(uint64_t id, ScannedBlocks& blocks, LostBlocks* lost);

// Of those that were not walked the footer, or what their id records say where there is no good
// one. What is held of them in memory to be walked is bounded. Adds to `lost` and `notes`.
absl::Status ReadFootersOrWalk(ScannedBlocks& blocks, const ReadHelpers& helpers, LostBlocks* lost,
                               std::vector<std::string>* notes);

}  // namespace cairn

#endif  // STORAGE_BLOCK_SCANNED_BLOCK_H_

#include "tests/raft/repair/lost_end.h"

#include "absl/status/statusor.h"
#include "storage/block/block_walk.h"
#include "storage/block/log_directory.h"
#include "storage/block/log_scan.h"

namespace cairn {
namespace {

absl::StatusOr<LogScan> Scan(FileSystem& files, const std::string& directory) {
  const absl::StatusOr<LogManifest> manifest = LoadManifest(files, directory);
  if (!manifest.ok()) return manifest.status();
  const absl::StatusOr<LogFiles> found = ListLogFiles(files, directory);
  if (!found.ok()) return found.status();
  return ScanLog({.file_system = files, .directory = directory, .identity = manifest->identity},
                 found->blocks);
}

void FlipBoth(SimulatedFileSystem& files, const std::string& path, const IdRecord& id) {
  for (const uint64_t begin : {id.data_begin, id.id_begin}) files.FlipBits(path, begin + 20, 0x10);
}

}  // namespace

absl::Status LoseEndOfLog(SimulatedFileSystem& files, const std::string& directory) {
  const absl::StatusOr<LogScan> scan = Scan(files, directory);
  if (!scan.ok()) return scan.status();
  const ScannedBlock& head = scan->blocks.at(scan->head);
  if (head.walk->batches.empty()) return absl::NotFoundError("no batch in the last block");
  FlipBoth(files, head.file->path(), head.walk->batches.back().id);
  const absl::StatusOr<LogScan> damaged = Scan(files, directory);
  if (!damaged.ok()) return damaged.status();
  return damaged->end_lost ? absl::OkStatus() : absl::InternalError("the end is not lost");
}

absl::Status LoseBatch(SimulatedFileSystem& files, const std::string& directory, uint64_t number) {
  const absl::StatusOr<LogScan> scan = Scan(files, directory);
  if (!scan.ok()) return scan.status();
  for (const auto& [id, block] : scan->blocks) {
    const absl::StatusOr<BlockWalk> walk = WalkBlock(*block.file, block.seal.seal, 0);
    if (!walk.ok()) return walk.status();
    for (const FoundBatch& batch : walk->batches) {
      if (batch.id.batch != number) continue;
      FlipBoth(files, block.file->path(), batch.id);
      return absl::OkStatus();
    }
  }
  return absl::NotFoundError("no such batch");
}

}  // namespace cairn

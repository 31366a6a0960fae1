#include "tests/raft/repair/lost_end.h"

#include "absl/status/statusor.h"
#include "storage/block/log_directory.h"
#include "storage/block/log_scan.h"

namespace cairn {
namespace {

absl::StatusOr<LogScan> Scan(FileSystem& files, const std::string& directory) {
  const absl::StatusOr<LogManifest> manifest = LoadManifest(files, directory);
  if (!manifest.ok()) return manifest.status();
  const absl::StatusOr<LogFiles> found = ListLogFiles(files, directory);
  if (!found.ok()) return found.status();
  return ScanLog(files, directory, manifest->identity, found->blocks, nullptr,
                 FileSystem::OpenMode::kRead);
}

}  // namespace

absl::Status LoseEndOfLog(SimulatedFileSystem& files, const std::string& directory) {
  const absl::StatusOr<LogScan> scan = Scan(files, directory);
  if (!scan.ok()) return scan.status();
  const ScannedBlock& head = scan->blocks.at(scan->head);
  if (head.walk->batches.empty()) return absl::NotFoundError("no batch in the last block");
  const IdRecord& last = head.walk->batches.back().id;
  for (const uint64_t begin : {last.data_begin, last.id_begin}) {
    files.FlipBits(head.file->path(), begin + 20, 0x10);
  }
  const absl::StatusOr<LogScan> damaged = Scan(files, directory);
  if (!damaged.ok()) return damaged.status();
  return damaged->end_lost ? absl::OkStatus() : absl::InternalError("the end is not lost");
}

}  // namespace cairn

#include "storage/block/recovery.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/block/block_bytes.h"
#include "storage/block/failed_sync.h"
#include "storage/block/log_directory.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

class Recovery {
 public:
  Recovery(FileSystem& file_system, const BlockSet::Options& options, const ReadHelpers& helpers)
      : file_system_(file_system), options_(options), helpers_(helpers) {}

  absl::StatusOr<RecoveredDisk> Run() {
    absl::Status status = file_system_.MakeDirectory(options_.directory);
    if (!status.ok()) return status;
    absl::StatusOr<std::unique_ptr<FileLock>> lock =
        file_system_.Lock(JoinPath(options_.directory, kLockFileName));
    if (!lock.ok()) return lock.status();
    absl::StatusOr<LogFiles> files = ListLogFiles(file_system_, options_.directory);
    if (!files.ok()) return files.status();
    files_ = *std::move(files);
    // They mean nothing; one that stays costs its room only.
    for (const std::string& name : files_.unfinished) {
      file_system_.Remove(JoinPath(options_.directory, name)).IgnoreError();
    }

    absl::StatusOr<LogManifest> manifest = LoadManifest(file_system_, options_.directory);
    if (absl::IsNotFound(manifest.status())) {
      status = Format();
    } else if (!manifest.ok()) {
      status = manifest.status();
    } else {
      status = CheckManifest(*manifest);
    }
    if (!status.ok()) return status;
    absl::StatusOr<RecoveredDisk> disk = Load(*std::move(lock));
    if (!disk.ok()) return disk.status();
    for (const std::string& name : files_.foreign) {
      disk->notes.push_back(
          absl::StrCat(JoinPath(options_.directory, name), ": not a file of the log, left alone"));
    }
    return disk;
  }

 private:
  absl::Status Format();
  absl::Status CheckManifest(const LogManifest& manifest);
  absl::StatusOr<RecoveredDisk> Load(std::unique_ptr<FileLock> lock);
  absl::Status SyncEnd(const LogScan& scan);
  static absl::Status HealTables(BlockFile& block);
  absl::Status Heal(LogScan& scan);
  absl::Status GoOn(const LogScan& scan, BlockSet& blocks, LogEnd& end);
  absl::Status SealHead(const LogScan& scan, LogEnd& end);

  FileSystem& file_system_;
  const BlockSet::Options options_;
  const ReadHelpers& helpers_;
  LogFiles files_;
  std::vector<std::string> notes_;
  uint64_t boot_ = 0;  // checksum of the boot id
};

// The first block is there before the manifest is: a log that has a manifest has blocks. Without a
// manifest there may be a first block that a crash left behind; nothing was ever written to it.
absl::Status Recovery::Format() {
  for (uint64_t block : files_.blocks) {
    const std::string path = JoinPath(options_.directory, BlockFileName(block));
    absl::StatusOr<std::unique_ptr<File>> file =
        file_system_.Open(path, {.mode = FileSystem::OpenMode::kRead});
    if (!file.ok()) return file.status();
    absl::StatusOr<uint64_t> size = (*file)->Size();
    if (!size.ok()) return size.status();
    BlockImage image(**file, *size);
    // The header is in the first and in the last unit.
    const uint64_t ends = std::min(kBlockAlignment, options_.geometry.data_begin());
    const bool unused =
        block == 1 && *size > 2 * ends && image.FirstNonZero(ends, *size - ends) == *size - ends;
    if (!unused) {
      return absl::DataLossError(absl::StrCat(
          path,
          ": there are blocks, but the manifest is missing: bring it back, or remove this "
          "member and add it under a new id"));
    }
    const uint64_t spare = files_.spares.empty()
                               ? 1
                               : *std::max_element(files_.spares.begin(), files_.spares.end()) + 1;
    absl::Status status =
        file_system_.Rename(path, JoinPath(options_.directory, SpareFileName(spare)));
    if (status.ok()) status = file_system_.SyncDirectory(options_.directory);
    if (!status.ok()) return status;
    files_.spares.push_back(spare);
  }
  BlockSet blocks(file_system_, options_, files_.spares);
  if (absl::Status status = blocks.Prepare(1); !status.ok()) return status;
  absl::Status status =
      SaveManifest(file_system_, options_.directory, {.identity = options_.identity});
  if (!status.ok()) return status;
  absl::StatusOr<LogFiles> files = ListLogFiles(file_system_, options_.directory);
  if (!files.ok()) return files.status();
  files_ = *std::move(files);
  return absl::OkStatus();
}

absl::Status Recovery::CheckManifest(const LogManifest& manifest) {
  absl::Status status = CheckLogIdentity(manifest.identity, options_.identity, options_.directory);
  if (!status.ok()) return status;
  if (files_.blocks.empty()) {
    return absl::DataLossError(
        absl::StrCat(options_.directory,
                     ": the log has a manifest but no blocks: restore the files, or remove "
                     "this member and add it under a new id"));
  }
  if (!manifest.good[0] || !manifest.good[1]) {
    notes_.push_back(absl::StrCat(options_.directory, ": one copy of the manifest was bad"));
  }
  return SaveManifest(file_system_, options_.directory, manifest);
}

absl::StatusOr<RecoveredDisk> Recovery::Load(std::unique_ptr<FileLock> lock) {
  absl::StatusOr<LogScan> scan = ScanLog({.file_system = file_system_,
                                          .directory = options_.directory,
                                          .identity = options_.identity,
                                          .keys = options_.keys.get(),
                                          .mode = FileSystem::OpenMode::kReadWrite},
                                         files_.blocks, helpers_);
  if (!scan.ok()) return scan.status();
  absl::StatusOr<std::string> boot = file_system_.BootId();
  if (!boot.ok()) return boot.status();
  boot_ = Checksum(*boot);
  if (absl::Status status = Heal(*scan); !status.ok()) return status;

  auto blocks = std::make_shared<BlockSet>(file_system_, options_, files_.spares);
  for (auto& [id, block] : scan->blocks) blocks->Add(block.file);
  LogEnd end(boot_, scan->last_batch, scan->last_id_hash);
  if (absl::Status status = GoOn(*scan, *blocks, end); !status.ok()) return status;
  RecoveredDisk disk = {.lock = std::move(lock),
                        .blocks = std::move(blocks),
                        .usage = std::move(scan->usage),
                        .groups = std::move(scan->groups),
                        .end = std::move(end),
                        .write_checkpoint = scan->repairs.write_checkpoint,
                        .lost_files = {},
                        .lost_batches = scan->lost_batches,
                        .torn_bytes = scan->torn_bytes,
                        .torn = std::move(scan->torn),
                        .notes = std::move(scan->notes)};
  disk.notes.insert(disk.notes.end(), notes_.begin(), notes_.end());
  for (const auto& [id, why] : scan->lost_blocks) {
    disk.lost_files.push_back(JoinPath(options_.directory, BlockFileName(id)));
  }
  return disk;
}

// A process that died may have written without a sync. Comes first: writing to the block syncs its
// header, if it is encrypted.
absl::Status Recovery::SyncEnd(const LogScan& scan) {
  if (scan.head == 0) return absl::OkStatus();
  absl::Status status = file_system_.SyncNow(scan.blocks.at(scan.head).file->file());
  if (!status.ok()) MarkFailedSync(file_system_, options_.directory, boot_, scan.last_batch);
  return status;
}

// Where neither copy is good the entries of the block are, and nothing is written.
absl::Status Recovery::HealTables(BlockFile& block) {
  const auto& good = block.good_tables();
  return good[0] == good[1] ? absl::OkStatus() : block.RestoreTables().status();
}

// Makes the end of the log durable, and writes what is bad where a good copy is at hand.
absl::Status Recovery::Heal(LogScan& scan) {
  if (absl::Status status = SyncEnd(scan); !status.ok()) return status;
  std::set<uint64_t> written;
  for (auto& [id, block] : scan.blocks) {
    const auto& good = block.file->good_headers();
    if (!good[0] || !good[1]) {
      if (absl::Status status = block.file->HealHeaders(); !status.ok()) return status;
      written.insert(id);
    }
    if (absl::Status status = HealTables(*block.file); !status.ok()) return status;
    for (int copy : {0, 1}) {
      if (!block.seal.seal || block.seal.good[copy]) continue;
      absl::Status status = block.file->WriteSeal(*block.seal.seal, copy);
      if (!status.ok()) return status;
      written.insert(id);
    }
  }
  for (const LogScan::Repairs::IdRecordCopy& record : scan.repairs.id_records) {
    BlockFile& block = *scan.blocks.at(record.block).file;
    std::string bytes = record.bytes;
    bytes.resize(block.geometry().RoundUp(bytes.size()), kFiller);
    absl::Status status = block.Write(record.offset, bytes);
    if (!status.ok()) return status;
    written.insert(record.block);
  }
  for (uint64_t id : written) {
    absl::Status status = file_system_.SyncNow(scan.blocks.at(id).file->file());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// In the head of the log, or behind it.
absl::Status Recovery::GoOn(const LogScan& scan, BlockSet& blocks, LogEnd& end) {
  bool is_open = false;
  if (scan.head != 0) {
    const ScannedBlock& head = scan.blocks.at(scan.head);
    is_open = !head.seal.seal;
    blocks.Continue(scan.head);
    end.Continue(head.file, head.walk->batches.empty() ? 0 : head.walk->batches.front().id.batch,
                 scan.data_end, scan.id_begin);
  }
  if (is_open && !scan.repairs.seal_head) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<BlockFile>> next =
      blocks.Begin(scan.next, 0, BlockSet::Reserve::kTake);
  if (!next.ok()) return next.status();
  if (is_open) {
    if (absl::Status status = SealHead(scan, end); !status.ok()) return status;
  }
  end.Begin(*std::move(next));
  return absl::OkStatus();
}

// What stands behind the end of the log stays there, but counts for nothing any more.
absl::Status Recovery::SealHead(const LogScan& scan, LogEnd& end) {
  const std::shared_ptr<BlockFile> head = end.block();
  const BlockFooter footer = MakeFooter(
      *head, scan.groups, [](const WrittenLog& log) -> const WrittenLog& { return log; });
  const uint64_t unit = head->geometry().unit_bytes;
  return end.Seal(file_system_, footer,
                  {.has_bad_entries = scan.repairs.head_has_bad_entries,
                   .last_is_faulty = scan.repairs.head_is_faulty,
                   .end_lost = scan.end_lost},
                  std::max(scan.repairs.free_begin, scan.data_end + unit),
                  std::min(scan.repairs.free_end, scan.id_begin - unit));
}

}  // namespace

absl::StatusOr<RecoveredDisk> RecoverLog(FileSystem& file_system, const BlockSet::Options& options,
                                         const ReadHelpers& helpers) {
  return Recovery(file_system, options, helpers).Run();
}

}  // namespace cairn

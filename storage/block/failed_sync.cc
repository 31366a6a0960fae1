#include "storage/block/failed_sync.h"

#include <memory>

#include "absl/status/statusor.h"
#include "base/coding.h"
#include "storage/block/block_file.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr uint32_t kMagic = 0x5fa11e0d;

}  // namespace

void MarkFailedSync(FileSystem& file_system, const std::string& directory, uint64_t boot,
                    uint64_t batch) {
  if (FindFailedSync(file_system, directory, boot).value_or(0) >= batch) return;
  std::string bytes;
  AppendLittleEndian(&bytes, kMagic);
  AppendLittleEndian(&bytes, boot);
  AppendLittleEndian(&bytes, batch);
  AppendLittleEndian(&bytes, Checksum(bytes));
  absl::StatusOr<std::unique_ptr<File>> file = file_system.Open(
      JoinPath(directory, kFailedSyncFileName), {.mode = FileSystem::OpenMode::kOpenOrCreate});
  // The disk has failed, which is what the caller reports; there is nobody else to tell.
  if (file.ok()) (*file)->Write(0, bytes).IgnoreError();
}

std::optional<uint64_t> FindFailedSync(FileSystem& file_system, const std::string& directory,
                                       uint64_t boot) {
  absl::StatusOr<std::string> bytes =
      ReadWholeFile(file_system, JoinPath(directory, kFailedSyncFileName));
  if (!bytes.ok()) return std::nullopt;
  Decoder decoder(*bytes);
  const bool is_mark = decoder.Read<uint32_t>() == kMagic;
  const uint64_t marked_boot = decoder.Read<uint64_t>();
  const uint64_t batch = decoder.Read<uint64_t>();
  const uint64_t checksum = decoder.Read<uint64_t>();
  if (!decoder.Done() || !is_mark || marked_boot != boot) return std::nullopt;
  const absl::string_view covered = absl::string_view(*bytes).substr(0, bytes->size() - 8);
  if (checksum != Checksum(covered)) return std::nullopt;
  return batch;
}

absl::Status ForgetFailedSync(FileSystem& file_system, const std::string& directory) {
  const std::string path = JoinPath(directory, kFailedSyncFileName);
  absl::StatusOr<bool> exists = file_system.Exists(path);
  if (!exists.ok()) return exists.status();
  if (!*exists) return absl::OkStatus();
  absl::Status status = file_system.Remove(path);
  if (status.ok()) status = file_system.SyncDirectory(directory);
  return status;
}

}  // namespace cairn

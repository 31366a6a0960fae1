#include "storage/rocksdb/log_owner.h"

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "storage/rocksdb/log_keys.h"

namespace cairn {
namespace {

// What RocksDB puts before the first record of a file's first batch: a piece's head (checksum, u16
// length, type), and the batch's (u64 sequence, u32 count). Then u8 kind of record, and for one
// that is only logged its length, a byte where that is less than 128, and its bytes.
constexpr size_t kBatchAt = 7;
constexpr size_t kRecordAt = kBatchAt + 8 + 4;
constexpr char kOnlyLogged = 3;
constexpr size_t kBytesAt = kRecordAt + 2;
constexpr size_t kMostBytes = 127;

// Has a checksum, so whatever else may stand there is not taken for it.
std::optional<LogIdentity> OwnerOf(absl::string_view file) {
  if (file.size() <= kBytesAt || file[kRecordAt] != kOnlyLogged) return std::nullopt;
  const auto length = static_cast<unsigned char>(file[kRecordAt + 1]);
  if (length > kMostBytes || file.size() < kBytesAt + length) return std::nullopt;
  const absl::StatusOr<LogIdentity> owner = DecodeLogIdentity(file.substr(kBytesAt, length));
  return owner.ok() ? std::optional(*owner) : std::nullopt;
}

}  // namespace

rocksdb::WriteBatch BeginBatch(const LogIdentity& identity) {
  rocksdb::WriteBatch batch;
  batch.PutLogData(EncodeLogIdentity(identity));
  return batch;
}

absl::Status CheckLogOwner(FileSystem& file_system, const std::string& database_directory,
                           const LogIdentity& identity) {
  const absl::StatusOr<bool> there = file_system.Exists(database_directory);
  if (!there.ok() || !*there) return there.status();
  const absl::StatusOr<std::vector<std::string>> names = file_system.List(database_directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!absl::EndsWith(name, ".log")) continue;
    const std::string path = absl::StrCat(database_directory, "/", name);
    const auto file = file_system.Open(path, {.mode = FileSystem::OpenMode::kRead});
    if (!file.ok()) continue;
    std::array<char, kBytesAt + kMostBytes> bytes;
    const absl::StatusOr<size_t> read = (*file)->Read(0, bytes.size(), bytes.data());
    if (!read.ok()) continue;
    const std::optional<LogIdentity> owner = OwnerOf(absl::string_view(bytes.data(), *read));
    if (!owner) continue;
    if (absl::Status same = CheckLogIdentity(*owner, identity, path); !same.ok()) return same;
  }
  return absl::OkStatus();
}

}  // namespace cairn

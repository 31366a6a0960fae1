#include "storage/rocksdb/log_owner.h"

#include <array>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
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

absl::StatusOr<std::string> BeginningOf(FileSystem& file_system, const std::string& path) {
  const auto file = file_system.Open(path, {.mode = FileSystem::OpenMode::kRead});
  if (!file.ok()) return file.status();
  std::array<char, kBytesAt + kMostBytes> bytes;
  absl::StatusOr<size_t> read = (*file)->Read(0, bytes.size(), bytes.data());
  if (!read.ok()) read = (*file)->Read(0, bytes.size(), bytes.data());
  if (!read.ok()) return read.status();
  return std::string(bytes.data(), *read);
}

}  // namespace

rocksdb::WriteBatch BeginBatch(const LogIdentity& identity) {
  rocksdb::WriteBatch batch;
  batch.PutLogData(EncodeLogIdentity(identity));
  return batch;
}

// What is there has a checksum, so whatever else may stand there is not taken for it.
std::optional<LogIdentity> OwnerOf(absl::string_view piece) {
  if (piece.size() <= kBytesAt || piece[kRecordAt] != kOnlyLogged) return std::nullopt;
  const auto length = static_cast<unsigned char>(piece[kRecordAt + 1]);
  if (length > kMostBytes || piece.size() < kBytesAt + length) return std::nullopt;
  const absl::StatusOr<LogIdentity> owner = DecodeLogIdentity(piece.substr(kBytesAt, length));
  return owner.ok() ? std::optional(*owner) : std::nullopt;
}

absl::StatusOr<std::vector<std::string>> CheckLogOwner(FileSystem& file_system,
                                                       const std::vector<std::string>& paths,
                                                       const LogIdentity& identity) {
  std::vector<std::string> notes;
  for (const std::string& path : paths) {
    const absl::StatusOr<std::string> beginning = BeginningOf(file_system, path);
    if (!beginning.ok()) {
      notes.push_back(absl::StrCat(path, ": it could not be read whose it is (",
                                   beginning.status().message(), ")"));
      continue;
    }
    const std::optional<LogIdentity> owner = OwnerOf(*beginning);
    if (!owner) continue;
    if (absl::Status same = CheckLogIdentity(*owner, identity, path); !same.ok()) return same;
  }
  return notes;
}

}  // namespace cairn

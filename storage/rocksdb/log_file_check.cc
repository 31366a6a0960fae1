#include "storage/rocksdb/log_file_check.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "storage/block/block_header.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/log_owner.h"

namespace cairn {
namespace {

// The format, which RocksDB has kept from its beginning: blocks of 32 KiB, of pieces that do not
// cross them: u32 checksum of what follows the length, u16 length, u8 type, the bytes. Where no
// head fits into a block's end there are zeros. Files are not used again and not compressed here,
// so there are no other types.
constexpr uint64_t kBlockBytes = 32 << 10;
constexpr uint64_t kHeadBytes = 7;
constexpr uint64_t kTypeAt = 6;
constexpr uint8_t kFirstType = 1;
constexpr uint8_t kLastType = 4;
constexpr uint8_t kLastBeginning = 2;  // of a batch: the whole of it, and its first part
constexpr uint64_t kPageBytes = 4096;

constexpr std::array<uint32_t, 256> Crc32cTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78u : 0u);
    table[byte] = value;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrc32c = Crc32cTable();

// As RocksDB stores it: rotated and moved, so that a checksum of checksums is one, too.
uint32_t StoredChecksum(absl::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char c : bytes) crc = (crc >> 8) ^ kCrc32c[(crc ^ static_cast<uint8_t>(c)) & 0xFF];
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

uint32_t LittleEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[i - 1]);
  return value;
}

bool IsForeign(absl::string_view piece, absl::string_view identity) {
  if (static_cast<uint8_t>(piece[kTypeAt]) > kLastBeginning) return false;
  const std::optional<LogIdentity> owner = OwnerOf(piece);
  return owner && EncodeLogIdentity(*owner) != identity;
}

// How far the pieces of a block are good, and whether what follows is not for want of bytes.
struct Good {
  uint64_t bytes = 0;
  bool bad = false;
};

Good GoodPieces(absl::string_view block, absl::string_view identity) {
  Good good;
  while (good.bytes < block.size()) {
    const absl::string_view rest = block.substr(good.bytes);
    const uint64_t left = kBlockBytes - good.bytes;
    if (left < kHeadBytes) {
      good.bad = rest.find_first_not_of('\0') != absl::string_view::npos;
      if (!good.bad) good.bytes = block.size();
      return good;
    }
    if (rest.size() < kHeadBytes) return good;
    const uint64_t length = LittleEndian(rest.substr(4, 2));
    const uint8_t type = static_cast<uint8_t>(rest[kTypeAt]);
    good.bad = kHeadBytes + length > left || type < kFirstType || type > kLastType;
    if (good.bad || rest.size() < kHeadBytes + length) return good;
    good.bad = StoredChecksum(rest.substr(kTypeAt, length + 1)) != LittleEndian(rest.substr(0, 4));
    good.bad |= IsForeign(rest.substr(0, kHeadBytes + length), identity);
    if (good.bad) return good;
    good.bytes += kHeadBytes + length;
  }
  return good;
}

using Pages = std::unique_ptr<char, decltype(&std::free)>;

absl::StatusOr<absl::string_view> ReadBlock(const File& file, uint64_t at, uint64_t size,
                                            char* pages) {
  const uint64_t length = std::min(kBlockBytes, size - at);
  const uint64_t whole = (length + kPageBytes - 1) / kPageBytes * kPageBytes;
  const absl::StatusOr<size_t> read = file.ReadDirect(at, whole, pages);
  if (!read.ok()) return read.status();
  return absl::string_view(pages, std::min<uint64_t>(*read, length));
}

// `written`: so much of the file is in pieces that are in it whole.
absl::Status CheckBlock(const File& file, absl::string_view identity, uint64_t at, uint64_t size,
                        uint64_t written, char* pages) {
  const absl::StatusOr<absl::string_view> block = ReadBlock(file, at, size, pages);
  if (!block.ok()) {
    return absl::DataLossError(absl::StrCat(file.path(), ": the write-ahead log cannot be read at ",
                                            at, " (", block.status().message(), ")"));
  }
  const Good good = GoodPieces(*block, identity);
  const uint64_t end = at + good.bytes;
  const bool cut = good.bytes != std::min(kBlockBytes, size - at);
  if (!good.bad && !(cut && end < written)) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(file.path(), ": the write-ahead log has rotted at ", end));
}

}  // namespace

LogFileCheck CheckLogFile(FileSystem& file_system, const std::string& path,
                          absl::string_view identity, uint64_t offset, uint64_t max_bytes,
                          absl::FunctionRef<bool()> write_out) {
  LogFileCheck check;
  const auto file = file_system.Open(path, {.mode = FileSystem::OpenMode::kRead});
  const absl::StatusOr<uint64_t> before = file.ok() ? (*file)->Size() : file.status();
  if (!before.ok()) {
    check.status = before.status();
    return check;
  }
  const uint64_t written = write_out() ? *before : 0;
  // Pieces that were begun before may end behind it.
  const absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) {
    check.status = size.status();
    return check;
  }
  const Pages pages(static_cast<char*>(std::aligned_alloc(kPageBytes, kBlockBytes)), &std::free);
  check.next = offset / kBlockBytes * kBlockBytes;
  while (check.next < *size && (check.bytes == 0 || check.bytes < max_bytes)) {
    check.status = CheckBlock(**file, identity, check.next, *size, written, pages.get());
    // A disk may be better at the second attempt.
    if (!check.status.ok()) {
      check.status = CheckBlock(**file, identity, check.next, *size, written, pages.get());
    }
    check.bytes += std::min(kBlockBytes, *size - check.next);
    if (!check.status.ok()) return check;
    check.next += kBlockBytes;
  }
  check.ended = check.next >= *size;
  return check;
}

}  // namespace cairn

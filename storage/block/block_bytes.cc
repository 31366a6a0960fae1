#include "storage/block/block_bytes.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"

namespace cairn {
namespace {

constexpr uint64_t kDirectPiece = 1 << 20;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr uint64_t kWindowBytes = 128 << 10;
// Less, because all of it is decrypted.
constexpr uint64_t kEncryptedWindowBytes = 32 << 10;

// Reads a piece, or page by page what can be read of it.
void ReadPiece(const File& file, uint64_t offset, size_t length, char* to) {
  absl::StatusOr<size_t> read = file.ReadDirect(offset, length, to);
  if (read.ok()) {
    std::memset(to + *read, kUnreadableByte, length - *read);
    return;
  }
  std::memset(to, kUnreadableByte, length);
  if (length == kBlockAlignment) return;
  for (size_t at = 0; at < length; at += kBlockAlignment) {
    ReadPiece(file, offset + at, kBlockAlignment, to + at);
  }
}

// Reads through the page cache what can be read, down to a sector.
void ReadAround(const File& file, uint64_t offset, size_t length, char* to) {
  const absl::StatusOr<size_t> read = file.Read(offset, length, to);
  if (read.ok()) {
    std::memset(to + *read, kUnreadableByte, length - *read);
    return;
  }
  uint64_t middle = (offset + length / 2) / kSectorBytes * kSectorBytes;
  if (middle <= offset) middle += kSectorBytes;
  const size_t half = middle - offset;
  if (half >= length) {
    std::memset(to, kUnreadableByte, length);
    return;
  }
  ReadAround(file, offset, half, to);
  ReadAround(file, middle, length - half, to + half);
}

}  // namespace

bool BlockBytes::HasZeroSector(uint64_t begin, uint64_t end) {
  const uint64_t chunk = chunk_bytes();
  for (uint64_t at = begin / chunk * chunk; at < std::min(end, size()); at += chunk) {
    if (ZeroSectors(at) != 0) return true;
  }
  return false;
}

uint64_t BlockBytes::FirstNonZero(uint64_t begin, uint64_t end) {
  for (uint64_t at = begin; at < end; at += chunk_bytes()) {
    const uint8_t zero = ZeroSectors(at);
    for (int sector = 0; sector < sectors_per_chunk(); ++sector) {
      if ((zero >> sector & 1) == 0) return at + static_cast<uint64_t>(sector) * kSectorBytes;
    }
  }
  return end;
}

uint64_t BlockBytes::NonZeroBytes(uint64_t begin, uint64_t end) {
  uint64_t count = 0;
  for (uint64_t at = begin; at < end; at += chunk_bytes()) {
    count += static_cast<uint64_t>(sectors_per_chunk() - std::popcount(ZeroSectors(at)));
  }
  return count * kSectorBytes;
}

AlignedBuffer::AlignedBuffer(size_t bytes)
    : size_((bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment) {
  const bool is_large = size_ >= 2 * kHugePage;
  void* memory = nullptr;
  const int error = posix_memalign(&memory, is_large ? kHugePage : kBlockAlignment, size_);
  CAIRN_CHECK(error == 0) << "out of memory";
  data_.reset(static_cast<char*>(memory));
  // Else most of the time of reading a block goes into its pages. It may be refused.
  if (is_large) madvise(memory, size_, MADV_HUGEPAGE);
}

Bytes ReadDirectly(const File& file, uint64_t offset, uint64_t length) {
  const uint64_t begin = offset / kBlockAlignment * kBlockAlignment;
  auto buffer = std::make_shared<AlignedBuffer>(offset + length - begin);
  for (uint64_t at = 0; at < buffer->size(); at += kDirectPiece) {
    size_t piece = std::min<uint64_t>(kDirectPiece, buffer->size() - at);
    ReadPiece(file, begin + at, piece, buffer->data() + at);
  }
  absl::string_view view(buffer->data() + (offset - begin), length);
  return Bytes(std::move(buffer), view);
}

BlockImage::BlockImage(const File& file, uint64_t bytes, std::unique_ptr<UnitCipher> cipher)
    : cipher_(std::move(cipher)) {
  if (cipher_ == nullptr) {
    bytes_ = ReadDirectly(file, 0, bytes);
    return;
  }
  // In pieces, so that ciphertext and plaintext are not both here as a whole.
  const uint64_t unit = cipher_->stored_bytes();
  std::string plain;
  plain.reserve(bytes / unit * cipher_->plain_bytes());
  for (uint64_t at = 0; at < bytes; at += kDirectPiece) {
    const Bytes piece = ReadDirectly(file, at, std::min(kDirectPiece, bytes - at));
    const OpenedUnits opened = cipher_->Open(at / unit, piece.view());
    plain.append(opened.plain.data(), opened.plain.size());
    zero_sectors_.insert(zero_sectors_.end(), opened.zero_sectors.begin(),
                         opened.zero_sectors.end());
  }
  bytes_ = Bytes::Take(std::move(plain));
}

uint64_t BlockImage::chunk_bytes() const {
  return cipher_ == nullptr ? kSectorBytes : cipher_->plain_bytes();
}

int BlockImage::sectors_per_chunk() const {
  return cipher_ == nullptr ? 1 : static_cast<int>(cipher_->stored_bytes() / kSectorBytes);
}

uint8_t BlockImage::ZeroSectors(uint64_t begin) {
  if (cipher_ != nullptr) return zero_sectors_.at(begin / cipher_->plain_bytes());
  return IsZero(bytes_.view().substr(begin, kSectorBytes)) ? 1 : 0;
}

BlockWindow::BlockWindow(const File& file, uint64_t bytes, std::unique_ptr<UnitCipher> cipher,
                         ReadBehind* behind)
    : file_(file),
      cipher_(std::move(cipher)),
      size_(cipher_ == nullptr ? bytes : bytes / cipher_->stored_bytes() * cipher_->plain_bytes()),
      behind_(behind) {}

Bytes BlockWindow::View(uint64_t offset, uint64_t length) {
  if (offset >= size_) return Bytes();
  length = std::min(length, size_ - offset);
  if (offset < window_begin_ || offset + length > window_begin_ + window_.size()) {
    Leave();
    Load(offset, length);
  }
  viewed_end_ = std::max(viewed_end_, offset + length);
  return window_.Slice(offset - window_begin_, length);
}

// Makes the window one that holds these bytes, and some behind them.
void BlockWindow::Load(uint64_t offset, uint64_t length) {
  const uint64_t plain_unit = cipher_ == nullptr ? 1 : cipher_->plain_bytes();
  const uint64_t stored_unit = cipher_ == nullptr ? 1 : cipher_->stored_bytes();
  const uint64_t first = offset / plain_unit;
  const uint64_t end = (offset + length + plain_unit - 1) / plain_unit;
  const uint64_t wanted = (end - first) * stored_unit;
  const uint64_t begin = first * stored_unit;
  const uint64_t window_bytes = cipher_ == nullptr ? kWindowBytes : kEncryptedWindowBytes;
  const uint64_t rest = size_ / plain_unit * stored_unit - begin;
  Bytes stored = ReadFile(begin, wanted, std::min(std::max(wanted, window_bytes), rest));
  window_begin_ = first * plain_unit;
  viewed_end_ = window_begin_;
  if (cipher_ == nullptr) {
    window_ = std::move(stored);
    return;
  }
  OpenedUnits opened = cipher_->Open(first, stored.view());
  window_ = std::move(opened.plain);
  zero_sectors_ = std::move(opened.zero_sectors);
}

// `length` bytes from `begin` on, or only those that are `wanted`.
Bytes BlockWindow::ReadFile(uint64_t begin, uint64_t wanted, uint64_t length) const {
  std::shared_ptr<char[]> bytes(new char[length]);
  const absl::StatusOr<size_t> read = file_.Read(begin, length, bytes.get());
  if (read.ok()) {
    std::memset(bytes.get() + *read, kUnreadableByte, length - *read);
  } else {
    // Perhaps only something behind what is wanted cannot be read.
    length = wanted;
    ReadAround(file_, begin, length, bytes.get());
  }
  const absl::string_view view(bytes.get(), length);
  return Bytes(std::move(bytes), view);
}

void BlockWindow::Leave() {
  if (behind_ == nullptr || viewed_end_ == window_begin_) return;
  const uint64_t plain_unit = cipher_ == nullptr ? 1 : cipher_->plain_bytes();
  const uint64_t stored_unit = cipher_ == nullptr ? 1 : cipher_->stored_bytes();
  behind_->Viewed(file_, window_begin_ / plain_unit * stored_unit,
                  viewed_end_ / plain_unit * stored_unit);
}

uint64_t BlockWindow::chunk_bytes() const {
  return cipher_ == nullptr ? kSectorBytes : cipher_->plain_bytes();
}

int BlockWindow::sectors_per_chunk() const {
  return cipher_ == nullptr ? 1 : static_cast<int>(cipher_->stored_bytes() / kSectorBytes);
}

uint8_t BlockWindow::ZeroSectors(uint64_t begin) {
  const Bytes chunk = View(begin, chunk_bytes());
  if (cipher_ == nullptr) return IsZero(chunk.view()) ? 1 : 0;
  return zero_sectors_.at((begin - window_begin_) / chunk_bytes());
}

}  // namespace cairn

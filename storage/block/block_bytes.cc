#include "storage/block/block_bytes.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"
#include "storage/block/layout.h"

namespace cairn {
namespace {

constexpr uint64_t kDirectPiece = 1 << 20;
constexpr uint64_t kWindowBytes = 128 << 10;

bool IsZero(absl::string_view bytes) {
  return bytes.empty() ||
         (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// Reads a piece, or page by page what can be read of it.
void ReadPiece(const File& file, uint64_t offset, size_t length, char* to) {
  absl::StatusOr<size_t> read = file.ReadDirect(offset, length, to);
  if (read.ok()) {
    std::memset(to + *read, kUnreadable, length - *read);
    return;
  }
  std::memset(to, kUnreadable, length);
  if (length == kBlockAlignment) return;
  for (size_t at = 0; at < length; at += kBlockAlignment) {
    ReadPiece(file, offset + at, kBlockAlignment, to + at);
  }
}

}  // namespace

bool BlockBytes::HasZeroSector(uint64_t begin, uint64_t end) {
  begin = begin / kSectorBytes * kSectorBytes;
  end = std::min((end + kSectorBytes - 1) / kSectorBytes * kSectorBytes, size());
  if (begin >= end) return false;
  Bytes bytes = View(begin, end - begin);
  for (size_t at = 0; at < bytes.size(); at += kSectorBytes) {
    if (IsZero(bytes.view().substr(at, kSectorBytes))) return true;
  }
  return false;
}

uint64_t BlockBytes::FirstNonZero(uint64_t begin, uint64_t end) {
  Bytes bytes = View(begin, end - begin);
  absl::string_view view = bytes.view();
  size_t at = 0;
  while (at + kSectorBytes <= view.size() && IsZero(view.substr(at, kSectorBytes))) {
    at += kSectorBytes;
  }
  while (at < view.size() && view[at] == 0) ++at;
  return begin + at;
}

uint64_t BlockBytes::NonZeroBytes(uint64_t begin, uint64_t end) {
  Bytes bytes = View(begin, end - begin);
  uint64_t count = 0;
  for (size_t at = 0; at < bytes.size(); at += kSectorBytes) {
    if (!IsZero(bytes.view().substr(at, kSectorBytes))) count += kSectorBytes;
  }
  return count;
}

AlignedBuffer::AlignedBuffer(size_t bytes)
    : size_((bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment),
      data_(static_cast<char*>(std::aligned_alloc(kBlockAlignment, size_))) {
  CAIRN_CHECK(size_ == 0 || data_ != nullptr) << "out of memory";
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

Bytes BlockWindow::View(uint64_t offset, uint64_t length) {
  if (offset >= size_) return Bytes();
  length = std::min(length, size_ - offset);
  if (offset < window_begin_ || offset + length > window_begin_ + window_.size()) {
    std::string window(std::min(std::max(length, kWindowBytes), size_ - offset), kUnreadable);
    absl::StatusOr<size_t> read = file_.Read(offset, window.size(), window.data());
    if (!read.ok()) {
      // Perhaps only something behind what is wanted cannot be read.
      window.assign(length, kUnreadable);
      read = file_.Read(offset, length, window.data());
      if (!read.ok()) std::fill(window.begin(), window.end(), kUnreadable);
    }
    window_begin_ = offset;
    window_ = Bytes::Take(std::move(window));
  }
  return window_.Slice(offset - window_begin_, length);
}

}  // namespace cairn

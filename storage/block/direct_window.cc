#include "storage/block/direct_window.h"

#include <algorithm>
#include <utility>

namespace cairn {
namespace {

constexpr uint64_t kWindowBytes = 64 << 10;

}  // namespace

Bytes DirectWindow::View(uint64_t offset, uint64_t length) {
  if (offset >= size()) return Bytes();
  length = std::min(length, size() - offset);
  for (size_t at : {last_, 1 - last_}) {
    if (!windows_[at].Holds(offset, length)) continue;
    last_ = at;
    return windows_[at].bytes.Slice(offset - windows_[at].begin, length);
  }
  // Id records are read one below the other.
  for (size_t at : {size_t{0}, size_t{1}}) {
    const Window& window = windows_[at];
    const bool below = !window.bytes.empty() && offset < window.begin &&
                       window.begin - offset <= kWindowBytes && length <= kWindowBytes;
    if (!below) continue;
    const uint64_t end = offset + length;
    const uint64_t begin = end - std::min(end, kWindowBytes);
    Load(at, begin, end - begin);
    return windows_[at].bytes.Slice(offset - begin, length);
  }
  const size_t at = 1 - last_;
  Load(at, offset, std::min(std::max(length, kWindowBytes), size() - offset));
  return windows_[at].bytes.Slice(0, length);
}

void DirectWindow::Load(size_t at, uint64_t begin, uint64_t length) {
  windows_[at] = {begin, file_.ReadStored(begin, length)};
  bytes_read_ += length;
  last_ = at;
}

uint8_t DirectWindow::ZeroSectors(uint64_t begin) {
  return IsZero(View(begin, chunk_bytes()).view()) ? 1 : 0;
}

DirectBlock::DirectBlock(const BlockFile& file) {
  auto window = std::make_unique<DirectWindow>(file);
  window_ = window.get();
  bytes_ = file.Expand(std::move(window));
}

}  // namespace cairn

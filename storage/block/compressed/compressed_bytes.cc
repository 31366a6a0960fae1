#include "storage/block/compressed/compressed_bytes.h"

#include <algorithm>
#include <string>
#include <utility>

#include "storage/checksum.h"

namespace cairn {

CompressedBytes::CompressedBytes(std::unique_ptr<BlockBytes> stored, const CompressedLayout& layout,
                                 std::shared_ptr<const FrameTable> table)
    : stored_(std::move(stored)), layout_(layout), table_(std::move(table)) {}

Bytes CompressedBytes::View(uint64_t offset, uint64_t length) {
  if (offset >= size()) return Bytes();
  length = std::min(length, size() - offset);
  CompressedLayout::Part part = layout_.PartAt(offset);
  if (length <= part.end - offset) return Piece(part, offset, length);
  std::string all;
  all.reserve(length);
  while (all.size() < length) {
    const uint64_t at = offset + all.size();
    part = layout_.PartAt(at);
    const Bytes piece = Piece(part, at, std::min(part.end - at, length - all.size()));
    all.append(piece.data(), piece.size());
  }
  return Bytes::Take(std::move(all));
}

// `length` bytes that the part has.
Bytes CompressedBytes::Piece(const CompressedLayout::Part& part, uint64_t offset, uint64_t length) {
  switch (part.kind) {
    case CompressedLayout::Part::Kind::kFrame:
      return Frame(part.frame).Slice(offset - part.begin, length);
    case CompressedLayout::Part::Kind::kStored:
      return stored_->View(part.stored + (offset - part.begin), length);
    case CompressedLayout::Part::Kind::kZero:
      break;
  }
  return Bytes::Take(std::string(length, '\0'));
}

Bytes CompressedBytes::Frame(uint64_t frame) {
  for (size_t at : {last_, 1 - last_}) {
    if (expanded_[at].bytes.empty() || expanded_[at].frame != frame) continue;
    last_ = at;
    return expanded_[at].bytes;
  }
  last_ = 1 - last_;
  expanded_[last_] = {frame, Expand(frame)};
  return expanded_[last_].bytes;
}

Bytes CompressedBytes::Expand(uint64_t frame) {
  const uint64_t length = layout_.FrameEnd(frame) - layout_.FrameBegin(frame);
  std::string plain(length, kUnreadableByte);
  if (table_ != nullptr) {
    const FrameTable::Frame& entry = table_->frames[frame];
    const Bytes stored = stored_->View(layout_.frames_at() + entry.begin, entry.bytes);
    const bool good = stored.size() == entry.bytes && Checksum(stored.view()) == entry.checksum &&
                      expander_.Expand(stored.view(), plain.data(), length);
    if (!good) plain.assign(length, kUnreadableByte);
  }
  return Bytes::Take(std::move(plain));
}

uint8_t CompressedBytes::ZeroSectors(uint64_t begin) {
  if (layout_.PartAt(begin).kind == CompressedLayout::Part::Kind::kFrame) return 0;
  return IsZero(View(begin, kSectorBytes).view()) ? 1 : 0;
}

}  // namespace cairn

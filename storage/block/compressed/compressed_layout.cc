#include "storage/block/compressed/compressed_layout.h"

#include <algorithm>

namespace cairn {

bool CompressedLayout::IsValid() const {
  const uint64_t unit = geometry_.unit_bytes;
  for (uint64_t at : {at_.data_end, at_.footer_begin, at_.footer_bytes, at_.id_begin}) {
    if (at > geometry_.block_bytes || at % unit != 0) return false;
  }
  if (at_.data_end < geometry_.data_begin() || at_.data_end > at_.id_begin) return false;
  if (at_.id_begin > geometry_.id_end()) return false;
  if (at_.footer_bytes != 0 &&
      (at_.footer_begin < at_.data_end || at_.footer_begin + at_.footer_bytes > at_.id_begin)) {
    return false;
  }
  if (at_.frames_bytes > at_.data_end - geometry_.data_begin()) return false;
  return at_.file_bytes % kBlockAlignment == 0 && at_.file_bytes >= LeastFileBytes() &&
         at_.file_bytes <= uint64_t{1} << 41;
}

uint64_t CompressedLayout::LeastFileBytes() const {
  const uint64_t text = tables_end() + geometry_.block_bytes - at_.id_begin;
  const uint64_t file = text / geometry_.unit_bytes * unit_bytes_;
  const uint64_t aligned = (file + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
  return std::max(aligned, 16 * unit_bytes_);
}

CompressedLayout::Part CompressedLayout::PartAt(uint64_t offset) const {
  const auto stored = [](uint64_t begin, uint64_t end, uint64_t at) {
    return Part{.kind = Part::Kind::kStored, .begin = begin, .end = end, .stored = at};
  };
  const auto zero = [](uint64_t begin, uint64_t end) { return Part{.begin = begin, .end = end}; };
  if (offset < geometry_.data_begin()) return stored(0, geometry_.data_begin(), 0);
  if (offset < at_.data_end) {
    const uint64_t frame = (offset - geometry_.data_begin()) / kFrameBytes;
    return {.kind = Part::Kind::kFrame,
            .begin = FrameBegin(frame),
            .end = FrameEnd(frame),
            .frame = frame};
  }
  if (offset >= at_.id_begin) return stored(at_.id_begin, geometry_.block_bytes, ids_at());
  if (at_.footer_bytes == 0) return zero(at_.data_end, at_.id_begin);
  const uint64_t footer_end = at_.footer_begin + at_.footer_bytes;
  if (offset < at_.footer_begin) return zero(at_.data_end, at_.footer_begin);
  if (offset < footer_end) return stored(at_.footer_begin, footer_end, footer_at());
  return zero(footer_end, at_.id_begin);
}

std::optional<uint64_t> CompressedLayout::StoredAt(uint64_t offset, uint64_t bytes) const {
  if (offset >= geometry_.block_bytes) return std::nullopt;
  const Part part = PartAt(offset);
  if (part.kind != Part::Kind::kStored || bytes > part.end - offset) return std::nullopt;
  return part.stored + (offset - part.begin);
}

}  // namespace cairn

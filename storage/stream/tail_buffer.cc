#include "storage/stream/tail_buffer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cairn {

char* TailBuffer::Reserve(Place place, size_t bytes) {
  CAIRN_CHECK_EQ(reserved_, size_t{0});
  if (chunks_.empty() || chunks_.back().start.block != place.block ||
      chunks_.back().capacity - chunks_.back().size < bytes) {
    const size_t capacity = std::max(bytes, kChunkBytes);
    chunks_.push_back({.start = place,
                       .bytes = std::shared_ptr<char[]>(new char[capacity]),
                       .capacity = capacity});
    memory_bytes_ += capacity;
  }
  Chunk& chunk = chunks_.back();
  CAIRN_CHECK_EQ(chunk.start.offset + chunk.size, size_t{place.offset});
  reserved_ = bytes;
  return chunk.bytes.get() + chunk.size;
}

void TailBuffer::Commit() {
  chunks_.back().size += reserved_;
  unwritten_bytes_ += reserved_;
  reserved_ = 0;
}

std::optional<Place> TailBuffer::begin() const {
  if (chunks_.empty() || chunks_.front().size == 0) return std::nullopt;
  return chunks_.front().start;
}

std::optional<Bytes> TailBuffer::From(Place place) const {
  auto behind =
      std::upper_bound(chunks_.begin(), chunks_.end(), place,
                       [](Place wanted, const Chunk& chunk) { return wanted < chunk.start; });
  if (behind == chunks_.begin()) return std::nullopt;
  const Chunk& chunk = *(behind - 1);
  if (chunk.start.block != place.block) return std::nullopt;
  const size_t skip = place.offset - chunk.start.offset;
  if (skip >= chunk.size) return std::nullopt;
  return Bytes(chunk.bytes, {chunk.bytes.get() + skip, chunk.size - skip});
}

std::vector<TailBuffer::Piece> TailBuffer::Unwritten() const {
  std::vector<Piece> pieces;
  for (const Chunk& chunk : chunks_) {
    if (chunk.written == chunk.size) continue;
    const auto skip = static_cast<uint32_t>(chunk.written);
    pieces.push_back({{chunk.start.block, chunk.start.offset + skip},
                      Bytes(chunk.bytes, {chunk.bytes.get() + skip, chunk.size - skip})});
  }
  return pieces;
}

void TailBuffer::Written(const std::vector<Piece>& pieces) {
  auto piece = pieces.begin();
  for (Chunk& chunk : chunks_) {
    if (piece == pieces.end()) break;
    // Where this one ends the next one may begin.
    if (chunk.written == chunk.size) continue;
    const Place next{chunk.start.block, chunk.start.offset + static_cast<uint32_t>(chunk.written)};
    if (piece->place != next) continue;
    chunk.written += piece->bytes.size();
    unwritten_bytes_ -= piece->bytes.size();
    ++piece;
  }
  CAIRN_CHECK(piece == pieces.end());
  Evict();
}

void TailBuffer::Evict() {
  while (chunks_.size() > 1 && memory_bytes_ > keep_bytes_ &&
         chunks_.front().written == chunks_.front().size) {
    memory_bytes_ -= chunks_.front().capacity;
    chunks_.pop_front();
  }
}

}  // namespace cairn

// CompressedLayout: where things stand in the file of a block that was compressed. FORMAT.md,
// "Compressed blocks".
//
//   header | seal | frame table | frames | footer | frame table | filler | id region | seal |
//   header
//
// Offsets in a block stay what they were before. This class says where the bytes of an offset are
// now: in a frame, as they were but elsewhere, or nowhere, because they were zero or without a
// meaning.

#ifndef STORAGE_BLOCK_COMPRESSED_COMPRESSED_LAYOUT_H_
#define STORAGE_BLOCK_COMPRESSED_COMPRESSED_LAYOUT_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "storage/block/layout.h"

namespace cairn {

// Plain text that is compressed by itself, so that one bad byte takes no more than this along.
inline constexpr uint64_t kFrameBytes = 64 << 10;

// What the header of a compressed block says of it. All but `file_bytes` are lengths and offsets of
// plain text, those of the block before it was compressed.
struct BlockCompression {
  uint64_t file_bytes = 0;    // length of the file; 0: the block is not compressed
  uint64_t data_end = 0;      // the batches end here; they are what is compressed
  uint64_t footer_begin = 0;  // in whole units, as it was; `footer_bytes` 0: there is none
  uint64_t footer_bytes = 0;
  uint64_t id_begin = 0;      // from here on all is as it was
  uint64_t frames_bytes = 0;  // of all frames, as they are stored
  friend bool operator==(const BlockCompression&, const BlockCompression&) = default;
};

// All of this, what is *stored* too, is plain text: of an encrypted block the text inside its
// units.
class CompressedLayout {
 public:
  // `geometry`: of the plain text of the block as it was. `unit_bytes`: of the file.
  CompressedLayout(const BlockGeometry& geometry, const BlockCompression& compression,
                   uint64_t unit_bytes)
      : geometry_(geometry), at_(compression), unit_bytes_(unit_bytes) {}

  // False if what stands in a header cannot be.
  bool IsValid() const;

  // Length of what the file stores.
  uint64_t stored_bytes() const { return at_.file_bytes / unit_bytes_ * geometry_.unit_bytes; }
  // What `compression` must say of the file's length so that all this has its place in it.
  uint64_t LeastFileBytes() const;

  uint64_t frames() const {
    return (at_.data_end - geometry_.data_begin() + kFrameBytes - 1) / kFrameBytes;
  }
  // Plain text of a frame: all but the last have kFrameBytes.
  uint64_t FrameBegin(uint64_t frame) const { return geometry_.data_begin() + frame * kFrameBytes; }
  uint64_t FrameEnd(uint64_t frame) const { return std::min(FrameBegin(frame + 1), at_.data_end); }

  // Where things are stored.
  uint64_t table_bytes() const { return kTableBytes + frames() * kTableBytesOfFrame; }
  uint64_t table_at(int copy) const {
    return copy == 0 ? geometry_.data_begin() : footer_at() + at_.footer_bytes;
  }
  uint64_t frames_at() const { return geometry_.data_begin() + geometry_.RoundUp(table_bytes()); }
  uint64_t footer_at() const { return frames_at() + geometry_.RoundUp(at_.frames_bytes); }
  uint64_t ids_at() const { return stored_bytes() - (geometry_.block_bytes - at_.id_begin); }

  // What stands from an offset of the block on.
  struct Part {
    enum class Kind { kFrame, kStored, kZero };
    Kind kind = Kind::kZero;
    uint64_t begin = 0;   // in the block
    uint64_t end = 0;     // the same
    uint64_t frame = 0;   // which one
    uint64_t stored = 0;  // where `begin` is stored
  };
  // `offset` is before the block's end.
  Part PartAt(uint64_t offset) const;
  // Where [offset, offset + bytes) is stored as it was; nothing if it is not.
  std::optional<uint64_t> StoredAt(uint64_t offset, uint64_t bytes) const;

  const BlockGeometry& geometry() const { return geometry_; }
  const BlockCompression& compression() const { return at_; }

  // A frame table: magic, number of frames, tag, seal, checksum; and for each frame its length and
  // checksum.
  static constexpr uint64_t kSealBytes = 96;
  static constexpr uint64_t kTableBytes = 4 + 4 + 8 + kSealBytes + 8;
  static constexpr uint64_t kTableBytesOfFrame = 4 + 8;

 private:
  uint64_t tables_end() const { return table_at(1) + geometry_.RoundUp(table_bytes()); }

  BlockGeometry geometry_;
  BlockCompression at_;
  uint64_t unit_bytes_;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_COMPRESSED_COMPRESSED_LAYOUT_H_

// CompressedBytes: the bytes of a block that is compressed, as they were before.

#ifndef STORAGE_BLOCK_COMPRESSED_COMPRESSED_BYTES_H_
#define STORAGE_BLOCK_COMPRESSED_COMPRESSED_BYTES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "storage/block/block_bytes.h"
#include "storage/block/compressed/compressed_layout.h"
#include "storage/block/compressed/frame_codec.h"
#include "storage/block/compressed/frame_table.h"

namespace cairn {

// A frame that is bad reads as kUnreadableByte; so do all of them without a table. No sector of the
// batches counts as one that never reached the disk: all of the file did before it was the block's.
//
// The last frames that were looked at are kept, so whoever reads on expands each once.
// Threads: one at a time.
class CompressedBytes final : public BlockBytes {
 public:
  // `stored`: what the file has. `table` may be null.
  CompressedBytes(std::unique_ptr<BlockBytes> stored, const CompressedLayout& layout,
                  std::shared_ptr<const FrameTable> table);

  uint64_t size() const override { return layout_.geometry().block_bytes; }
  Bytes View(uint64_t offset, uint64_t length) override;
  uint64_t chunk_bytes() const override { return stored_->chunk_bytes(); }

 private:
  uint8_t ZeroSectors(uint64_t begin) override;
  Bytes Piece(const CompressedLayout::Part& part, uint64_t offset, uint64_t length);
  Bytes Frame(uint64_t frame);
  Bytes Expand(uint64_t frame);

  const std::unique_ptr<BlockBytes> stored_;
  const CompressedLayout layout_;
  const std::shared_ptr<const FrameTable> table_;
  FrameExpander expander_;
  struct Expanded {
    uint64_t frame = 0;
    Bytes bytes = {};  // empty: none
  };
  std::array<Expanded, 2> expanded_;
  size_t last_ = 0;  // the one that was used last
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_COMPRESSED_COMPRESSED_BYTES_H_

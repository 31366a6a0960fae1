// FrameTable: what a compressed block says of its frames, and of its seal once more. In two places.

#ifndef STORAGE_BLOCK_COMPRESSED_FRAME_TABLE_H_
#define STORAGE_BLOCK_COMPRESSED_FRAME_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/block/block_header.h"
#include "storage/block/compressed/compressed_layout.h"

namespace cairn {

struct FrameTable {
  struct Frame {
    uint64_t begin = 0;     // behind the first one
    uint32_t bytes = 0;     // as it is stored
    uint64_t checksum = 0;  // of these bytes
  };
  // A compressed block is always sealed: nobody takes it for one that can be written to, also where
  // both copies of the seal are bad.
  BlockSeal seal;
  std::vector<Frame> frames;

  void Add(absl::string_view frame);
  uint64_t frames_bytes() const {
    return frames.empty() ? 0 : frames.back().begin + frames.back().bytes;
  }

  // CompressedLayout::table_bytes of them. The tag is that of the seal.
  std::string Encode() const;
  // DATA_LOSS if the bytes are no table of this layout, of the block with this tag.
  static absl::StatusOr<FrameTable> Decode(absl::string_view bytes, const CompressedLayout& layout,
                                           uint64_t tag);
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_COMPRESSED_FRAME_TABLE_H_

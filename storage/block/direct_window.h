// DirectWindow: what a block's file stores, past the page cache, without having all of it in
// memory.

#ifndef STORAGE_BLOCK_DIRECT_WINDOW_H_
#define STORAGE_BLOCK_DIRECT_WINDOW_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "storage/block/block_bytes.h"
#include "storage/block/block_file.h"

namespace cairn {

// Two windows, because a walk over batches goes forward in the data and backward in the id records.
// Threads: one at a time.
class DirectWindow final : public BlockBytes {
 public:
  // `file` outlives the object.
  explicit DirectWindow(const BlockFile& file) : file_(file) {}
  uint64_t size() const override { return file_.stored_bytes(); }
  Bytes View(uint64_t offset, uint64_t length) override;

  uint64_t bytes_read() const { return bytes_read_; }

 private:
  struct Window {
    uint64_t begin = 0;
    Bytes bytes = {};
    bool Holds(uint64_t offset, uint64_t length) const {
      return offset >= begin && offset + length <= begin + bytes.size();
    }
  };

  // Of the plain text, so in an encrypted block it tells less than those of other views.
  uint8_t ZeroSectors(uint64_t begin) override;
  void Load(size_t at, uint64_t begin, uint64_t length);

  const BlockFile& file_;
  std::array<Window, 2> windows_;
  size_t last_ = 0;  // the window that was used last
  uint64_t bytes_read_ = 0;
};

// A block as it reads, through such windows of its file.
// Threads: one at a time.
class DirectBlock {
 public:
  // `file` outlives the object.
  explicit DirectBlock(const BlockFile& file);
  BlockBytes& bytes() { return *bytes_; }
  uint64_t bytes_read() const { return window_->bytes_read(); }

 private:
  const DirectWindow* window_;  // under `bytes_`
  std::unique_ptr<BlockBytes> bytes_;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_DIRECT_WINDOW_H_

// BlockBytes: the bytes of one block file, as recovery and readers look at them.

#ifndef STORAGE_BLOCK_BLOCK_BYTES_H_
#define STORAGE_BLOCK_BLOCK_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "storage/file_system.h"

namespace cairn {

// What cannot be read reads as this: it passes no check and is no zero sector either.
inline constexpr char kUnreadable = '\xee';

// Threads: one at a time.
class BlockBytes {
 public:
  virtual ~BlockBytes() = default;
  virtual uint64_t size() const = 0;
  // The bytes [offset, offset + length), cut to what there is. The buffer lives as long as the
  // result.
  virtual Bytes View(uint64_t offset, uint64_t length) = 0;

  // True if one of the sectors that [begin, end) touches is all zero.
  bool HasZeroSector(uint64_t begin, uint64_t end);
  // The offset of the first byte in [begin, end) that is not zero; `end` if there is none.
  uint64_t FirstNonZero(uint64_t begin, uint64_t end);
  // The bytes of the sectors between these multiples of 512 that are not all zero.
  uint64_t NonZeroBytes(uint64_t begin, uint64_t end);
};

// Memory whose address is a multiple of 4096, as direct reads need it.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(size_t bytes);
  char* data() { return data_.get(); }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  size_t size_;
  std::unique_ptr<char[], Free> data_;
};

// Reads [offset, offset + length) past the page cache. What fails or is not there is kUnreadable.
Bytes ReadDirectly(const File& file, uint64_t offset, uint64_t length);

// All of a file as the disk holds it.
class BlockImage final : public BlockBytes {
 public:
  // `bytes`: what the file should be long.
  BlockImage(const File& file, uint64_t bytes) : bytes_(ReadDirectly(file, 0, bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Bytes View(uint64_t offset, uint64_t length) override { return bytes_.Slice(offset, length); }

 private:
  Bytes bytes_;
};

// Reads a file in windows, through the page cache.
class BlockWindow final : public BlockBytes {
 public:
  // `file` outlives the object.
  BlockWindow(const File& file, uint64_t bytes) : file_(file), size_(bytes) {}
  uint64_t size() const override { return size_; }
  Bytes View(uint64_t offset, uint64_t length) override;

 private:
  const File& file_;
  const uint64_t size_;
  uint64_t window_begin_ = 0;
  Bytes window_;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_BYTES_H_

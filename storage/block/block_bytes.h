// BlockBytes: the bytes of one block file, as recovery and readers look at them: decrypted, if the
// block is encrypted.

#ifndef STORAGE_BLOCK_BLOCK_BYTES_H_
#define STORAGE_BLOCK_BLOCK_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "storage/block/layout.h"
#include "storage/block/read_behind.h"
#include "storage/block/unit_cipher.h"
#include "storage/file_system.h"

namespace cairn {

// Threads: one at a time.
class BlockBytes {
 public:
  virtual ~BlockBytes() = default;
  virtual uint64_t size() const = 0;
  // The bytes [offset, offset + length), cut to what there is. The buffer lives as long as the
  // result.
  virtual Bytes View(uint64_t offset, uint64_t length) = 0;

  // What is good or bad as a whole: a sector, or a unit if the block is encrypted. What follows is
  // said of the sectors on the disk.
  virtual uint64_t chunk_bytes() const { return kSectorBytes; }

  // True if one of the sectors of the chunks that [begin, end) touches is all zero.
  bool HasZeroSector(uint64_t begin, uint64_t end);
  // Between two multiples of chunks: where the first sector begins that is not all zero, counted
  // from the beginning of its chunk; `end` if there is none.
  uint64_t FirstNonZero(uint64_t begin, uint64_t end);
  // The bytes of the sectors between two multiples of chunks that are not all zero.
  uint64_t NonZeroBytes(uint64_t begin, uint64_t end);

 private:
  // Which sectors of the chunk that begins there are all zero, the first one lowest.
  virtual uint8_t ZeroSectors(uint64_t begin) = 0;
  virtual int sectors_per_chunk() const { return 1; }
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

// Reads [offset, offset + length) past the page cache. What fails or is not there is
// kUnreadableByte.
Bytes ReadDirectly(const File& file, uint64_t offset, uint64_t length);

// All of a file as the disk holds it.
class BlockImage final : public BlockBytes {
 public:
  // `bytes`: what the file should be long.
  BlockImage(const File& file, uint64_t bytes, std::unique_ptr<UnitCipher> cipher = nullptr);
  uint64_t size() const override { return bytes_.size(); }
  Bytes View(uint64_t offset, uint64_t length) override { return bytes_.Slice(offset, length); }
  uint64_t chunk_bytes() const override;

 private:
  uint8_t ZeroSectors(uint64_t begin) override;
  int sectors_per_chunk() const override;

  const std::unique_ptr<UnitCipher> cipher_;
  Bytes bytes_;
  std::vector<uint8_t> zero_sectors_;  // of each chunk, if the block is encrypted
};

// Reads a file in windows, through the page cache.
class BlockWindow final : public BlockBytes {
 public:
  // `file` outlives the object, and `behind`, which is told what was viewed; it may be null.
  BlockWindow(const File& file, uint64_t bytes, std::unique_ptr<UnitCipher> cipher = nullptr,
              ReadBehind* behind = nullptr);
  ~BlockWindow() override { Leave(); }
  uint64_t size() const override { return size_; }
  Bytes View(uint64_t offset, uint64_t length) override;
  uint64_t chunk_bytes() const override;

 private:
  uint8_t ZeroSectors(uint64_t begin) override;
  int sectors_per_chunk() const override;
  void Load(uint64_t offset, uint64_t length);
  Bytes ReadFile(uint64_t begin, uint64_t wanted, uint64_t length) const;
  void Leave();

  const File& file_;
  const std::unique_ptr<UnitCipher> cipher_;
  const uint64_t size_;
  ReadBehind* const behind_;
  uint64_t window_begin_ = 0;
  uint64_t viewed_end_ = 0;
  Bytes window_;
  std::vector<uint8_t> zero_sectors_;  // of each chunk of the window, if the block is encrypted
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_BYTES_H_

// TailBuffer: the end of a sequence of blocks in memory, until it is in the files and a little
// longer.

#ifndef STORAGE_STREAM_TAIL_BUFFER_H_
#define STORAGE_STREAM_TAIL_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "storage/stream/stream_record.h"

namespace cairn {

// Holds: what it has is a contiguous end of what was appended, block by block; nothing that was not
// written leaves it.
//
// Threads: one at a time, except that the memory Reserve gives is the appender's until Commit.
class TailBuffer {
 public:
  static constexpr size_t kChunkBytes = size_t{64} << 10;

  // Keeps about `keep_bytes` of what was written.
  explicit TailBuffer(size_t keep_bytes) : keep_bytes_(keep_bytes) {}

  // Memory for `bytes` bytes at `place`, which follows what was committed or begins a block.
  char* Reserve(Place place, size_t bytes);
  // The reserved bytes are there.
  void Commit();

  // The first byte in memory; nullopt if there is none. From there on all is in memory.
  std::optional<Place> begin() const;
  // Bytes from `place` on, one at least, as many as stand together; nullopt if the byte is not in
  // memory.
  std::optional<Bytes> From(Place place) const;

  // What is to be written, in order.
  struct Piece {
    Place place;
    Bytes bytes;
  };
  std::vector<Piece> Unwritten() const;
  // The pieces of the last Unwritten() are in the files, or given up.
  void Written(const std::vector<Piece>& pieces);
  size_t unwritten_bytes() const { return unwritten_bytes_; }
  size_t memory_bytes() const { return memory_bytes_; }

 private:
  struct Chunk {
    Place start;
    std::shared_ptr<char[]> bytes;
    size_t capacity = 0;
    size_t size = 0;
    size_t written = 0;
  };
  void Evict();

  const size_t keep_bytes_;
  std::deque<Chunk> chunks_;
  size_t reserved_ = 0;  // in the last chunk, behind its size
  size_t unwritten_bytes_ = 0;
  size_t memory_bytes_ = 0;
};

}  // namespace cairn

#endif  // STORAGE_STREAM_TAIL_BUFFER_H_

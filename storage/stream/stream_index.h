// StreamIndex and AcceptedEntries: where a stream's messages stand in the group's log. They are
// rebuilt by applying the log, so nothing of them is on disk.

#ifndef STORAGE_STREAM_STREAM_INDEX_H_
#define STORAGE_STREAM_STREAM_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/types.h"

namespace cairn {

// Which entries of a log hold messages of some stream: commands that were applied and accepted, as
// against those that were refused, repeated, or are something else. One bit an index, from the
// first one added on: 128 KiB for a million entries.
//
// Threads: one at a time.
class AcceptedEntries {
 public:
  // `index` is above all added before.
  void Add(Index index);
  bool Contains(Index index) const;
  size_t memory_bytes() const { return words_.capacity() * sizeof(uint64_t); }

 private:
  Index base_ = 0;  // index of bit 0
  std::vector<uint64_t> words_;
};

// From a sequence to a place in the log from which it is found by reading on. Sparse: a mark every
// so many entries of the stream, or where the log has gone on far without the stream. A full index
// drops every other mark, so memory is bounded (1 MiB a stream) and the way to read from a mark to
// any message grows in step with the stream.
//
// Threads: one at a time.
class StreamIndex {
 public:
  struct Mark {
    uint64_t sequence = 0;  // of the first message of the entry
    Index index = 0;        // of the entry
  };

  // The stream's next entry: its first sequence and its index, both above those added before.
  void Add(uint64_t first_sequence, Index index);

  // The last mark whose sequence is not above `sequence`; {} if there is none.
  Mark Before(uint64_t sequence) const;

  size_t memory_bytes() const { return marks_.capacity() * sizeof(Mark); }

 private:
  static constexpr size_t kMaxMarks = 64 * 1024;
  std::vector<Mark> marks_;
  uint64_t entries_since_mark_ = 0;
  uint64_t entries_per_mark_ = 64;
  uint64_t indexes_per_mark_ = 1024;
};

}  // namespace cairn

#endif  // STORAGE_STREAM_STREAM_INDEX_H_

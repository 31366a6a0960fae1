// StreamIndex: where in the blocks the messages of each stream stand, sparsely.

#ifndef STORAGE_STREAM_STREAM_INDEX_H_
#define STORAGE_STREAM_STREAM_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "storage/stream/stream_record.h"

namespace cairn {

// Which records of a stream get a mark: the first, and then one after about so many bytes or
// records of the stream. What stands on the disk depends on it: FORMAT.md.
inline constexpr uint64_t kBytesPerMark = uint64_t{8} << 10;
inline constexpr uint32_t kRecordsPerMark = 64;

// The marks of all streams of a group, in memory: 16 bytes each, 32 bytes a stream. Where there are
// too many every other one of each stream is dropped, from then on only every second, fourth, … is
// taken, and the way from a mark to a message grows in step.
//
// Threads: one at a time.
class StreamIndex {
 public:
  struct Mark {
    uint64_t sequence = 0;  // of the first message of the record; 0: no mark
    Place place;
  };

  // 2 Mi marks, 32 MiB, are all of 16 GiB.
  explicit StreamIndex(size_t max_marks = size_t{2} << 20) : max_marks_(max_marks) {}

  // The stream's next marked record; sequence and place are above those added before.
  void Add(StreamId stream, Mark mark);

  // The last mark whose sequence is not above `sequence`; {} if there is none.
  Mark AtOrBefore(StreamId stream, uint64_t sequence) const;
  // The first mark whose sequence is above `sequence`; {} if there is none.
  Mark Behind(StreamId stream, uint64_t sequence) const;

  size_t marks() const { return marks_; }
  size_t memory_bytes() const;

 private:
  struct List {
    std::vector<Mark> marks;
    uint64_t seen = 0;  // marks added, those not taken included
  };
  const List* Find(StreamId stream) const;
  void Thin();

  size_t max_marks_;
  std::vector<List> lists_;  // by id, from 1
  size_t marks_ = 0;
  uint64_t every_ = 1;  // only each so-many-th is taken
};

}  // namespace cairn

#endif  // STORAGE_STREAM_STREAM_INDEX_H_

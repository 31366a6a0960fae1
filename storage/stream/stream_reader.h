// StreamReader: one read of a stream's records, between two marks at a time.

#ifndef STORAGE_STREAM_STREAM_READER_H_
#define STORAGE_STREAM_STREAM_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "storage/stream/stream_blocks.h"
#include "storage/stream/stream_index.h"
#include "storage/stream/stream_record.h"

namespace cairn {

// The records of a stream from the last mark at or before a sequence up to the next mark, or to the
// stream's end.
struct StreamWindow {
  std::shared_ptr<const StreamBlocks> blocks;
  StreamIndex::Mark mark;     // missing where the index lost it with what it was read from
  StreamIndex::Mark behind;   // missing: the window goes to the end
  Place last;                 // the stream's last record
  uint64_t end_sequence = 0;  // behind the window
};

// Holds: records are visited in order, none left out; each is checked to follow the one before.
//
// Where the records of a window stand close together they are read in one go, together with what
// is between them; else they are found from the last to the first, by the place each has of the one
// before it, however far apart they are.
class StreamReader {
 public:
  using Visitor = absl::FunctionRef<bool(const StoredStreamRecord&)>;

  // As StreamStore::Read.
  StreamReader(StreamId stream, uint64_t from, size_t max_bytes, Visitor visit)
      : stream_(stream), next_(from), bytes_left_(max_bytes), visit_(visit) {}

  // The sequence to find a window for.
  uint64_t next() const { return next_; }
  // The visitor has enough, or the limit is reached.
  bool done() const { return done_; }

  // Reads on in a window that holds next(). DATA_LOSS if it cannot be read.
  absl::Status ReadWindow(const StreamWindow& window);

 private:
  absl::Status ReadTogether(const StreamWindow& window, Place end);
  absl::Status ReadMarked(const StreamWindow& window);
  absl::Status ReadByLinks(const StreamWindow& window);
  void Visit(const StoredStreamRecord& stored);
  absl::Status Broken(Place place, absl::string_view why) const;

  const StreamId stream_;
  uint64_t next_;
  size_t bytes_left_;
  const Visitor visit_;
  bool done_ = false;
};

}  // namespace cairn

#endif  // STORAGE_STREAM_STREAM_READER_H_

// StreamTable: what a store knows of each stream beside its records.

#ifndef STORAGE_STREAM_STREAM_TABLE_H_
#define STORAGE_STREAM_STREAM_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "storage/stream/stream_record.h"

namespace cairn {

struct StreamRow {
  // What the stream is, in the words of who creates it. Never null, shared by all copies.
  std::shared_ptr<const std::string> definition;
  uint64_t last_sequence = 0;  // sequences count from 1
  uint64_t bytes = 0;          // as the appender counts them
  WallTime create_time;
  WallTime last_time;  // of the last record
  Place last;          // the last record
  // Since the last mark, its record included.
  uint64_t bytes_since_mark = 0;
  uint32_t records_since_mark = 0;
};

// Rows by StreamId, from 1 on; streams are not taken away. Rows stand in pages that a frozen copy
// shares until they are changed, so that freezing costs a pointer for 64 streams.
//
// Threads: one at a time; a frozen copy is another object.
class StreamTable {
 public:
  size_t size() const { return size_; }
  // CHECKs that the stream is there.
  const StreamRow& operator[](StreamId stream) const;

  StreamId Add(StreamRow row);
  StreamRow& Change(StreamId stream);

  // A copy that only reads.
  StreamTable Freeze();

 private:
  static constexpr size_t kPageRows = 64;
  struct Page {
    uint64_t epoch = 0;  // written only in this one
    std::vector<StreamRow> rows;
  };
  Page& WritablePage(size_t page);

  std::vector<std::shared_ptr<Page>> pages_;
  size_t size_ = 0;
  uint64_t epoch_ = 0;  // one more with each Freeze
};

}  // namespace cairn

#endif  // STORAGE_STREAM_STREAM_TABLE_H_

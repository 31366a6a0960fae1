// WriteBehind: what becomes of written bytes between a write and its sync.

#ifndef STORAGE_STREAM_WRITE_BEHIND_H_
#define STORAGE_STREAM_WRITE_BEHIND_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "storage/file_system.h"

namespace cairn {

// Has the disk begin with what was written, so that the sync at a checkpoint does not keep the
// log's syncs waiting. Of what is written in bulk, by a member that catches up or under a load
// nobody reads along with, the system's memory keeps little: to find ever new pages for it costs
// more processor time than all else that becomes of it.
//
// Threads: one at a time.
class WriteBehind {
 public:
  // The disk begins with so much at once: with less the calls cost more than the writing, and
  // behind more the log's syncs wait for longer.
  static constexpr size_t kBegunBytes = size_t{256} << 10;
  // So much of what was written in bulk stays cached: the disk has the rest by then.
  static constexpr size_t kCachedBytes = size_t{8} << 20;

  // `bulk`: together with so much else that it is not read soon.
  void Written(std::shared_ptr<File> file, uint64_t offset, uint64_t length, bool bulk);
  // Nothing more is written for now: the disk begins with what is left.
  void Pause();

 private:
  struct Run {
    std::shared_ptr<File> file;
    uint64_t offset = 0;
    uint64_t length = 0;
  };
  static bool Follows(const Run& run, const std::shared_ptr<File>& file, uint64_t offset) {
    return run.file == file && run.offset + run.length == offset;
  }
  void Keep(std::shared_ptr<File> file, uint64_t offset, uint64_t length);

  Run next_;                // the disk has not begun with it
  std::deque<Run> cached_;  // written in bulk, in order
  uint64_t cached_bytes_ = 0;
};

}  // namespace cairn

#endif  // STORAGE_STREAM_WRITE_BEHIND_H_

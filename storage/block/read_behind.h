// ReadBehind: keeps what is read of a block, once and in order, from filling the page cache.

#ifndef STORAGE_BLOCK_READ_BEHIND_H_
#define STORAGE_BLOCK_READ_BEHIND_H_

#include <cstdint>

#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "storage/file_system.h"

namespace cairn {

// Members that are behind are fed from blocks, and seldom two of them at a time. To find pages for
// what is read, and on a virtual machine memory of its host, costs several times what it takes to
// copy it; so the pages behind the reader are given back. But those that are there when a block is
// read for the first time may be there for others, and stay.
//
// Threads: any.
class ReadBehind {
 public:
  // So much is given back at once: the system reads ahead by what it sees behind the reader.
  static constexpr uint64_t kCachedBytes = uint64_t{4} << 20;

  // Somebody begins to read at `offset`. True if what is read shall be told by Viewed.
  bool Begin(const File& file, uint64_t offset);
  // What was written of the block has left the cache already.
  void DropAll();
  // [begin, end) of the file was looked at.
  void Viewed(const File& file, uint64_t begin, uint64_t end);

 private:
  enum class Cached { kUnknown, kYes, kNo };

  Mutex mutex_;
  Cached cached_ CAIRN_GUARDED_BY(mutex_) = Cached::kUnknown;
  // Looked at, and still cached; far from everything before there is something.
  uint64_t begin_ CAIRN_GUARDED_BY(mutex_) = uint64_t{1} << 62;
  uint64_t end_ CAIRN_GUARDED_BY(mutex_) = begin_;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_READ_BEHIND_H_

#include "storage/block/read_behind.h"

#include <algorithm>

namespace cairn {

bool ReadBehind::Begin(const File& file, uint64_t offset) {
  MutexLock lock(mutex_);
  if (cached_ == Cached::kUnknown) {
    cached_ = file.IsCached(offset) ? Cached::kYes : Cached::kNo;
  }
  return cached_ == Cached::kNo;
}

void ReadBehind::DropAll() {
  MutexLock lock(mutex_);
  cached_ = Cached::kNo;
}

void ReadBehind::Viewed(const File& file, uint64_t begin, uint64_t end) {
  uint64_t drop_begin = 0;
  uint64_t drop_end = 0;
  {
    MutexLock lock(mutex_);
    // A batch is begun with again for each part of it that is read; but elsewhere there is another
    // reader.
    if (begin + kCachedBytes < begin_ || begin > end_ + kCachedBytes) {
      begin_ = begin;
      end_ = begin;
    }
    end_ = std::max(end_, end);
    if (end_ - begin_ < kCachedBytes) return;
    drop_begin = begin_;
    drop_end = end_;
    begin_ = end_;
  }
  file.DropCached(drop_begin, drop_end - drop_begin);
}

}  // namespace cairn

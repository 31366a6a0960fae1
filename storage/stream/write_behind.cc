#include "storage/stream/write_behind.h"

#include <utility>

namespace cairn {

void WriteBehind::Written(std::shared_ptr<File> file, uint64_t offset, uint64_t length, bool bulk) {
  file->StartWriteback(offset, length);
  if (!bulk) return;
  cached_bytes_ += length;
  if (!cached_.empty() && cached_.back().file == file &&
      cached_.back().offset + cached_.back().length == offset &&
      cached_.back().length < kCachedBytes / 8) {
    cached_.back().length += length;
  } else {
    cached_.push_back({std::move(file), offset, length});
  }
  while (cached_bytes_ > kCachedBytes) {
    const Run& oldest = cached_.front();
    oldest.file->DropCached(oldest.offset, oldest.length);
    cached_bytes_ -= oldest.length;
    cached_.pop_front();
  }
}

}  // namespace cairn

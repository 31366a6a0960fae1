#include "storage/stream/write_behind.h"

#include <utility>

namespace cairn {

void WriteBehind::Written(std::shared_ptr<File> file, uint64_t offset, uint64_t length, bool bulk) {
  if (!Follows(next_, file, offset) || next_.length >= kBegunBytes) {
    Pause();
    next_ = {file, offset, 0};
  }
  next_.length += length;
  if (bulk) Keep(std::move(file), offset, length);
}

void WriteBehind::Pause() {
  if (next_.file != nullptr) next_.file->StartWriteback(next_.offset, next_.length);
  next_ = {};
}

void WriteBehind::Keep(std::shared_ptr<File> file, uint64_t offset, uint64_t length) {
  cached_bytes_ += length;
  if (!cached_.empty() && Follows(cached_.back(), file, offset) &&
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

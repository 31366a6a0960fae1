// PageCache: recently read pages of stream blocks.

#ifndef STORAGE_STREAM_PAGE_CACHE_H_
#define STORAGE_STREAM_PAGE_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace cairn {

// Each page has one slot it may be in; a page that comes later drives out the one that is there.
// So it is bounded, costs one lock and keeps no order. Threads: any.
class PageCache {
 public:
  static constexpr size_t kPageBytes = size_t{8} << 10;

  // At most `pages` pages, at least 1.
  explicit PageCache(size_t pages) : slots_(pages) {}

  // Page `page` (from 0) of the file `block`; empty if it is not here.
  Bytes Find(uint32_t block, uint32_t page) const {
    MutexLock lock(mutex_);
    const Slot& slot = slots_[SlotOf(block, page)];
    return slot.block == block && slot.page == page ? slot.bytes : Bytes();
  }
  // What never changes again.
  void Keep(uint32_t block, uint32_t page, Bytes bytes) {
    MutexLock lock(mutex_);
    slots_[SlotOf(block, page)] = {block, page, std::move(bytes)};
  }

  // What stands in the file is not what it was.
  void Forget(uint32_t block) {
    MutexLock lock(mutex_);
    for (Slot& slot : slots_) {
      if (slot.block == block) slot = Slot();
    }
  }

 private:
  struct Slot {
    uint32_t block = 0;
    uint32_t page = 0;
    Bytes bytes;
  };
  size_t SlotOf(uint32_t block, uint32_t page) const CAIRN_REQUIRES(mutex_) {
    return (uint64_t{block} * 4099 + page) % slots_.size();
  }

  mutable Mutex mutex_;
  std::vector<Slot> slots_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // STORAGE_STREAM_PAGE_CACHE_H_

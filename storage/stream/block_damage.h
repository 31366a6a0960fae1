// BlockDamage: which of a store's files are known to be damaged.

#ifndef STORAGE_STREAM_BLOCK_DAMAGE_H_
#define STORAGE_STREAM_BLOCK_DAMAGE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace cairn {

// Files go by the number of their block; 0 is the checkpoint. Threads: any.
class BlockDamage {
 public:
  // Told each time a file is found damaged that was not known to be: how many are now, and why the
  // last one; and OK where one has healed. Quick, and calls nothing of the store.
  using Tell = std::function<void(size_t files, const absl::Status& why)>;

  explicit BlockDamage(Tell tell) : tell_(std::move(tell)) {}

  void Add(uint32_t block, const absl::Status& why) {
    MutexLock lock(mutex_);
    if (!damaged_.insert(block).second || tell_ == nullptr) return;
    tell_(damaged_.size(), why);
  }
  void Remove(uint32_t block) {
    MutexLock lock(mutex_);
    damaged_.erase(block);
  }
  // As Remove, where nobody mends it, who would know.
  void Healed(uint32_t block) {
    MutexLock lock(mutex_);
    if (damaged_.erase(block) > 0 && tell_ != nullptr) tell_(damaged_.size(), absl::OkStatus());
  }
  bool Has(uint32_t block) const {
    MutexLock lock(mutex_);
    return damaged_.contains(block);
  }
  std::set<uint32_t> all() const {
    MutexLock lock(mutex_);
    return damaged_;
  }
  // A block goes on, or has ended, without the marks of what could not be read at the start; a
  // footer made of them is not that of the others, though it fits.
  void SetLacksMarks(uint32_t block, bool lacks) {
    MutexLock lock(mutex_);
    if (lacks) {
      lacks_marks_.insert(block);
    } else {
      lacks_marks_.erase(block);
    }
  }
  bool LacksMarks(uint32_t block) const {
    MutexLock lock(mutex_);
    return lacks_marks_.contains(block);
  }
  // Nobody wants to know any more; no call is under way when it returns.
  void Silence() {
    MutexLock lock(mutex_);
    tell_ = nullptr;
  }

 private:
  mutable Mutex mutex_;
  Tell tell_ CAIRN_GUARDED_BY(mutex_);
  std::set<uint32_t> damaged_ CAIRN_GUARDED_BY(mutex_);
  std::set<uint32_t> lacks_marks_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // STORAGE_STREAM_BLOCK_DAMAGE_H_

// CacheShare: what the groups of a host may keep of their recent entries in memory, together.

#ifndef RAFT_CACHE_CACHE_SHARE_H_
#define RAFT_CACHE_CACHE_SHARE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace cairn {

// All groups have the same share, however much they write: a host with a thousand of them must not
// need a thousand times the memory of one. Nobody takes entries from a group that rests; it gives
// them up when it writes next.
//
// Threads: any.
class CacheShare {
 public:
  // Nobody has less: what a member misses for a moment is read from memory.
  static constexpr size_t kLeastBytes = size_t{256} << 10;

  // `bytes`: of all groups, unless that is less than kLeastBytes for each.
  explicit CacheShare(size_t bytes) : bytes_(bytes) { SetGroups(1); }

  // So many there are.
  void SetGroups(size_t groups) {
    each_.store(std::max(bytes_ / std::max<size_t>(groups, 1), kLeastBytes),
                std::memory_order_relaxed);
  }
  // Of one group.
  size_t bytes_of_each() const { return each_.load(std::memory_order_relaxed); }

 private:
  const size_t bytes_;
  std::atomic<size_t> each_;
};

}  // namespace cairn

#endif  // RAFT_CACHE_CACHE_SHARE_H_

// LogCache: the recent entries of a group in memory.

#ifndef RAFT_CACHE_LOG_CACHE_H_
#define RAFT_CACHE_LOG_CACHE_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "base/types.h"
#include "raft/cache/cache_share.h"
#include "storage/record.h"

namespace cairn {

// Holds: the cached entries stand in a row and end with the last entry of the log (the cache may be
// empty). Every entry that is not known to be in the LogStore yet is cached, so an entry below
// first() can be read from the store, and an entry from first() on must not be: the store may still
// have one that was truncated.
//
// Threads: one at a time.
class LogCache {
 public:
  // Keeps at most `max_bytes` of what the store has too, and no more than its share if there is
  // one, which outlives it.
  explicit LogCache(size_t max_bytes, const CacheShare* share = nullptr)
      : max_bytes_(max_bytes), share_(share) {}

  // Entries of the log batch `ticket`; CHECKs that they follow those cached.
  void Append(RecordRun run, Ticket ticket);
  // Entries from `from` on are gone.
  void Truncate(Index from);
  // The log batches up to `ticket` are in the store.
  void Written(Ticket ticket);

  // Entries first.. up to `last` (cut to what there is), at least one and then at most `max_bytes`.
  // Empty if `first` is not cached.
  std::vector<RecordRun> Read(Index first, Index last, size_t max_bytes) const;
  std::optional<EntryHash> HashAt(Index index) const;

  bool empty() const { return runs_.empty(); }
  Index first() const { return runs_.empty() ? 0 : runs_.front().run.first().index; }
  size_t bytes() const { return bytes_; }

 private:
  struct CachedRun {
    RecordRun run;
    Ticket ticket = 0;
  };
  using Place = std::deque<CachedRun>::const_iterator;

  // The run that holds `index`, or end().
  Place Find(Index index) const;
  void Evict();

  const size_t max_bytes_;
  const CacheShare* const share_;
  std::deque<CachedRun> runs_;
  size_t bytes_ = 0;
  Ticket written_ = 0;
};

// The longest front part of `run` of at most `max_bytes`, at least its first entry.
RecordRun CutToBytes(const RecordRun& run, size_t max_bytes);

}  // namespace cairn

#endif  // RAFT_CACHE_LOG_CACHE_H_

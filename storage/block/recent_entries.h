// RecentEntries: the last entries of each group in memory, so that sending and applying them does
// not go to the disk. Bounded over all groups; the oldest go first.

#ifndef STORAGE_BLOCK_RECENT_ENTRIES_H_
#define STORAGE_BLOCK_RECENT_ENTRIES_H_

#include <cstddef>
#include <deque>
#include <map>
#include <vector>

#include "base/types.h"
#include "storage/record.h"

namespace cairn {

// The records first..last of `run` as far as `max_bytes` go, at least one.
RecordRun TakeUpTo(const RecordRun& run, Index first, Index last, size_t max_bytes);

// Threads: one at a time.
class RecentEntries {
 public:
  explicit RecentEntries(size_t max_bytes) : max_bytes_(max_bytes) {}

  // The run follows what is kept of the group, or replaces it.
  void Add(GroupId group, const RecordRun& run);
  void TruncateFrom(GroupId group, Index from);

  // Entries first.. up to `last` that stand in one run; an empty run if `first` is not kept.
  RecordRun Find(GroupId group, Index first, Index last, size_t max_bytes) const;

  size_t bytes() const { return bytes_; }

 private:
  void PopBack(std::deque<RecordRun>& runs);
  void Evict();

  const size_t max_bytes_;
  size_t bytes_ = 0;
  std::map<GroupId, std::deque<RecordRun>> groups_;
  std::deque<GroupId> order_;  // one for each run added; its group's first run is due
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_RECENT_ENTRIES_H_

#include "storage/rocksdb/unreadable_entries.h"

#include <limits>

namespace cairn {

bool UnreadableEntries::Add(GroupId group, Index first, Index last) {
  FaultyRanges& known = entries_[group];
  const bool is_new = !known.Contains(first);
  known.Add({.first = {first, 0}, .last = last});
  return is_new;
}

void UnreadableEntries::Forget(GroupId group, Index first, Index last) {
  const auto found = entries_.find(group);
  if (found == entries_.end() || first > last) return;
  found->second.Remove(first, last);
  if (found->second.empty()) entries_.erase(found);
}

Index UnreadableEntries::First(GroupId group) const {
  const auto found = entries_.find(group);
  if (found == entries_.end()) return std::numeric_limits<Index>::max();
  return found->second.first();
}

}  // namespace cairn

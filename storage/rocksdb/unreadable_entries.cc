#include "storage/rocksdb/unreadable_entries.h"

#include <limits>

namespace cairn {

void UnreadableEntries::Forget(GroupId group, Index first, Index last) {
  const auto found = entries_.find(group);
  if (found == entries_.end() || first > last) return;
  std::set<Index>& indexes = found->second;
  indexes.erase(indexes.lower_bound(first), indexes.upper_bound(last));
  if (indexes.empty()) entries_.erase(found);
}

Index UnreadableEntries::First(GroupId group) const {
  const auto found = entries_.find(group);
  if (found == entries_.end()) return std::numeric_limits<Index>::max();
  return *found->second.begin();
}

}  // namespace cairn

// OpenEntries: entries that are damaged, and nothing has become of them yet.

#ifndef STORAGE_OPEN_ENTRIES_H_
#define STORAGE_OPEN_ENTRIES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "base/types.h"

namespace cairn {

// Consecutive entries. None if the first is 0, or behind the last, as a file that rots may say.
struct OpenRange {
  Index first = 0;
  Index last = 0;
  bool empty() const { return first == 0 || first > last; }
  friend bool operator==(const OpenRange&, const OpenRange&) = default;
};

// A set of entries of each group, kept as ranges: those that touch are one. Memory goes with the
// number of ranges, not with that of entries; a call costs the logarithm of it and, over all calls,
// a constant for each range that was ever added or cut.
//
// A value. Threads: one at a time.
class OpenEntries {
 public:
  bool Has(GroupId group) const { return groups_.contains(group); }
  // All of the range; false for none.
  bool Contains(GroupId group, OpenRange range) const;
  // In order, none next to another.
  std::vector<OpenRange> Of(GroupId group) const;
  uint64_t size() const { return size_; }  // entries of all groups
  size_t ranges() const;                   // held

  void Add(GroupId group, OpenRange range);
  void Remove(GroupId group, OpenRange range);

 private:
  using Ranges = std::map<Index, Index>;  // first to last

  // Takes one out of the set; gives the one behind it.
  Ranges::iterator Take(Ranges& ranges, Ranges::iterator at);
  // Puts it in front of `behind`; gives its place.
  Ranges::iterator Put(Ranges& ranges, Ranges::iterator behind, OpenRange range);

  std::map<GroupId, Ranges> groups_;  // none of them empty
  uint64_t size_ = 0;
};

}  // namespace cairn

#endif  // STORAGE_OPEN_ENTRIES_H_

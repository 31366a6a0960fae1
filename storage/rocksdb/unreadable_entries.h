// UnreadableEntries: entries of which it was found out since they were opened that they cannot be
// read. Reading them may go well again; the next start reads them in any case.

#ifndef STORAGE_ROCKSDB_UNREADABLE_ENTRIES_H_
#define STORAGE_ROCKSDB_UNREADABLE_ENTRIES_H_

#include <map>

#include "base/types.h"
#include "storage/faulty_ranges.h"

namespace cairn {

// A value. Threads: one at a time.
class UnreadableEntries {
 public:
  // False if `first` was known.
  bool Add(GroupId group, Index first, Index last);
  // They were written again, or are gone.
  void Forget(GroupId group, Index first, Index last);
  void ForgetGroup(GroupId group) { entries_.erase(group); }
  // Behind all indexes if there is none.
  Index First(GroupId group) const;

 private:
  std::map<GroupId, FaultyRanges> entries_;  // which, and no more
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_UNREADABLE_ENTRIES_H_

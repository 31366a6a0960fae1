// FaultyRanges: entries of a log that cannot be read, kept as ranges.

#ifndef STORAGE_FAULTY_RANGES_H_
#define STORAGE_FAULTY_RANGES_H_

#include <map>
#include <vector>

#include "base/types.h"
#include "storage/log_store.h"

namespace cairn {

// Memory and cost go with the number of ranges, not with that of entries. Those that touch, and of
// which the same is said without a place of their own (offset 0), are one.
//
// A value. Threads: one at a time.
class FaultyRanges {
 public:
  bool empty() const { return ranges_.empty(); }
  Index first() const { return ranges_.begin()->first; }  // not of none
  bool Contains(Index index) const;
  // In order.
  std::vector<FaultyEntries> Ranges() const;

  // Takes the place of what is there of the same entries.
  void Add(FaultyEntries entries);
  // What is left of a range in front of which entries go has no offset.
  void Remove(Index first, Index last);
  void Clear() { ranges_.clear(); }

 private:
  std::map<Index, FaultyEntries> ranges_;  // by the first one
};

}  // namespace cairn

#endif  // STORAGE_FAULTY_RANGES_H_

// Holes: the entries of a log that cannot be read.

#ifndef RAFT_CORE_HOLES_H_
#define RAFT_CORE_HOLES_H_

#include <map>
#include <vector>

#include "base/types.h"

namespace cairn {

// Consecutive entries.
struct HoleRange {
  Index first = 0;
  Index last = 0;
  friend bool operator==(const HoleRange&, const HoleRange&) = default;
};

// A set of indexes, kept as ranges. Memory and cost go with the number of ranges.
// Threads: one at a time.
class Holes {
 public:
  bool empty() const { return ranges_.empty(); }
  // The first and the last index; not of an empty set.
  Index first() const { return ranges_.begin()->first; }
  Index last() const { return ranges_.rbegin()->second; }
  bool Contains(Index index) const;
  // The first index in the set at or behind `from`; 0 if there is none.
  Index FirstFrom(Index from) const;
  // The first range that ends at or behind `from`; {0, 0} if there is none.
  HoleRange RangeFrom(Index from) const;
  // In order, none next to another.
  std::vector<HoleRange> Ranges() const;
  Index size() const;  // indexes

  void Add(HoleRange range);
  void Remove(HoleRange range);

 private:
  std::map<Index, Index> ranges_;  // first to last
};

}  // namespace cairn

#endif  // RAFT_CORE_HOLES_H_

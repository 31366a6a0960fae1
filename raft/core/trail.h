// Trail: the shape of a log. It knows the term of every entry, and which of them cannot be read.

#ifndef RAFT_CORE_TRAIL_H_
#define RAFT_CORE_TRAIL_H_

#include <optional>
#include <vector>

#include "base/types.h"
#include "raft/core/holes.h"

namespace cairn {

// The position before the first entry kept (`base`) and the runs of equal terms behind it.
// Memory and the cost of each call depend on the number of runs, never on that of entries: lookups
// are a binary search over the runs.
//
// Holds: terms never fall; runs are not empty, and neighbouring runs have different terms.
//
// A shape that is handed in (`runs` behind `previous`) grows the same way; terms of neighbouring
// runs may be equal. The caller has validated it; what breaks it fails a CHECK.
class Trail {
 public:
  Trail() = default;
  Trail(LogPosition base, const std::vector<TermRun>& runs);

  LogPosition base() const { return base_; }
  // The last entry; base() of an empty log.
  LogPosition last() const;
  bool empty() const { return runs_.empty(); }
  const std::vector<TermRun>& runs() const { return runs_; }

  // The entries that are here and cannot be read; none where the log was cut.
  const Holes& holes() const { return holes_; }
  // Cut to what is here.
  void AddHole(HoleRange range);
  void FillHole(HoleRange range) { holes_.Remove(range); }

  // The term at `index`, also at base(); 0 before the base and behind the last entry.
  Term TermAt(Index index) const;
  // The last of the entries in a row that are of the term of the one at `index`, which is here.
  Index LastOfTerm(Index index) const;
  // True if the entry at `position` is here, or `position` is base() (paper figure 2,
  // AppendEntries receiver 2). False for positions before the base, of which nothing is known.
  bool Matches(LogPosition position) const;

  // Adds entries behind the last one; the first new one stands at last().index + 1.
  void Append(const std::vector<TermRun>& runs);
  void Append(TermRun run);
  // Removes the entries from `first_removed` on; base() < first_removed. Nothing happens if there
  // are none.
  void TruncateFrom(Index first_removed);
  // Forgets the entries up to `new_base`, which is in [base(), last()] and becomes the base.
  void Compact(Index new_base);

  // The first of the entries `runs` behind `previous` that is not here: in conflict (another term
  // stands in its place) if it is <= last().index, new otherwise. nullopt if all are here. Entries
  // up to the base count as here, since only what is committed is compacted. Matches(previous) or
  // previous < base() holds.
  std::optional<Index> FirstMissing(LogPosition previous, const std::vector<TermRun>& runs) const;

  // The last position of this log that another log could contain too, if that log has the entry
  // `other` and may share anything before it: the largest position with neither a larger index nor
  // a larger term (paper 5.3 end, by whole runs). Not before base().
  //
  // A follower that refuses `previous` answers with LastSharedWith(previous) as its hint, and the
  // leader continues at its own LastSharedWith(hint). So each round trip skips a whole term.
  LogPosition LastSharedWith(LogPosition other) const;

  // The shape of the entries first..last, which are all here; empty if first == last + 1.
  std::vector<TermRun> RunsBetween(Index first, Index last) const;

 private:
  // The run that contains `index`; end() if it is behind the last entry.
  std::vector<TermRun>::const_iterator Find(Index index) const;

  LogPosition base_;
  std::vector<TermRun> runs_;
  Holes holes_;
};

}  // namespace cairn

#endif  // RAFT_CORE_TRAIL_H_

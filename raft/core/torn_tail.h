// TornTail: the last entries of a log whose id records survived a power cut but whose records did
// not, until they are written again or known to be nobody's.

#ifndef RAFT_CORE_TORN_TAIL_H_
#define RAFT_CORE_TORN_TAIL_H_

#include <vector>

#include "base/types.h"

namespace cairn {

// What the entries might be: written and never synced (a torn tail: never acknowledged, may be
// forgotten), or acknowledged and rotten (must not be forgotten). This node cannot tell, so it
// claims them in election comparisons and never acknowledges or applies them; it does not campaign
// either, because it could not hand them on. Two things decide:
//  - a leader sends entries for their place: they are written again, or it shows they were never
//    committed;
//  - all other voters answer one query (raft/core/entry_query.h), and nobody holds them.
//
// The entries are not in the Trail: the log ends at its last good entry.
class TornTail {
 public:
  TornTail() = default;
  // `runs` is the shape of the undecided entries, which begin at `from`.
  TornTail(Index from, std::vector<TermRun> runs);

  bool empty() const { return runs_.empty(); }
  // The first undecided entry. Not empty only, as for the next two.
  Index from() const { return from_; }
  LogPosition last() const { return {runs_.back().last_index, runs_.back().term}; }
  const std::vector<TermRun>& runs() const { return runs_; }
  Term TermAt(Index index) const;  // 0 outside
  // True while the log store holds id records of them: the next append has to truncate them first.
  bool on_disk() const { return on_disk_; }

  // Entries up to `last` were written from from() on. They settle the undecided ones they stand in
  // for, and all if they differ (log matching: then those were never committed). What is left is
  // still claimed, though no longer on the disk.
  void Rewrite(LogPosition last);
  // Forgets the undecided entries from `first` on.
  void Forget(Index first);

 private:
  Index from_ = 0;
  std::vector<TermRun> runs_;
  bool on_disk_ = false;
};

}  // namespace cairn

#endif  // RAFT_CORE_TORN_TAIL_H_

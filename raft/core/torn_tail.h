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
// either, because it could not hand them on. Three things decide:
//  - a leader sends entries for their place: they are written again, or it shows they were never
//    committed;
//  - there is no leader, and somebody answers the query (raft/core/entry_query.h) that it holds
//    all of them: it is asked for them, and they are written again. Maybe only this node can lead.
//    Who gave nothing, having compacted them, is asked again when all others have failed, too;
//  - all other voters answer the query, and nobody holds them.
//
// Why they may be taken from anybody, in any term: what has the index and the term of an undecided
// entry is that entry, behind equal logs (paper 5.3), so this log becomes what it was before the
// power cut, as if the write that was cut off were done now, and claims no more in elections than
// it did all the time. Had it acknowledged them, it owes them; had it not, a follower may have more
// than it has acknowledged. If others were committed in their place meanwhile, a majority has
// those, of a higher term, and elects nobody whose log ends with these, however far behind whoever
// gave them is. What comes when they are no longer claimed, since a leader has overwritten them or
// nobody held them, is void.
//
// They are taken all at once: to write the first ones cuts off what the disk knows of the rest, and
// a second power cut would forget that they were claimed.
//
// The entries are not in the Trail: the log ends at its last good entry.
class TornTail {
 public:
  TornTail() = default;
  // `runs` is the shape of the undecided entries, which begin at `from`.
  TornTail(Index from, const std::vector<TermRun>& runs);

  bool empty() const { return runs_.empty(); }
  // The first undecided entry. Not empty only, as for the next two.
  Index from() const { return from_; }
  LogPosition last() const { return {runs_.back().last_index, runs_.back().term}; }
  // Terms of neighbours differ.
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

// TornTail: the last entries of a log whose id records survived a power cut but whose records did
// not, until they are written again or known to be nobody's.

#ifndef RAFT_CORE_TORN_TAIL_H_
#define RAFT_CORE_TORN_TAIL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "base/types.h"
#include "raft/core/messages.h"

namespace cairn {

// What the entries might be: written and never synced (a torn tail: never acknowledged, may be
// forgotten), or acknowledged and rotten (must not be forgotten). This node cannot tell, so it
// claims them in election comparisons and never acknowledges or applies them; it does not campaign
// either, because it could not hand them on. Two things decide:
//  - a leader sends entries for their place: they are written again, or it shows they were never
//    committed;
//  - all other voters answer one query, and nobody holds them: they were acknowledged by nobody
//    else, so they were not committed, unless somebody knows better (then they are lost).
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

  // Queries of the other voters. Only the answers to the last query begun count.
  void StartQuery(uint64_t query);
  uint64_t query() const { return query_; }

  struct Wait {};  // not everybody has answered, or every entry is held by somebody
  struct Lost {    // first..last are held by nobody, and somebody knows them committed
    Index first = 0;
    Index last = 0;
    Index known_commit = 0;
  };
  struct Drop {  // from here on nobody holds anything, and nobody was promised anything
    Index first = 0;
  };
  using Verdict = std::variant<Wait, Lost, Drop>;
  void Answer(NodeId voter, const TailReply& reply);
  // `voters` are the other voters of the configuration in force, `own_commit` what this node
  // itself knows committed.
  Verdict Decide(const std::vector<NodeId>& voters, Index own_commit) const;

 private:
  Index from_ = 0;
  std::vector<TermRun> runs_;
  bool on_disk_ = false;
  uint64_t query_ = 0;
  struct Holding {
    Index have_through = 0;
    Index known_commit = 0;
  };
  std::map<NodeId, Holding> answers_;
};

}  // namespace cairn

#endif  // RAFT_CORE_TORN_TAIL_H_

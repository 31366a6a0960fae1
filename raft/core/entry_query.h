// EntryQuery: what the members say of entries that one of them claims and cannot read.

#ifndef RAFT_CORE_ENTRY_QUERY_H_
#define RAFT_CORE_ENTRY_QUERY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/types.h"
#include "raft/core/messages.h"

namespace cairn {

// An entry that may have been acknowledged must not be forgotten, and one that was not must not be
// waited for for ever. Who holds it can hand it on; so a decision is needed only where nobody does,
// and it takes the answers of all voters (fault catalogue 6.5), and to
// be lost those of the learners, too:
//  - somebody knows the entry committed: it is lost;
//  - those who may have acknowledged it (the asker, and who claims it and cannot read it either)
//    could not have committed it: it is dropped, with what stands behind it;
//  - they could, but each of them, of one half of a joint configuration too, may only have been cut
//    off in writing it by a power cut: dropped too, since all of them losing the very last write
//    otherwise is not to be believed;
//  - else it is lost, unless somebody comes to lead who has other entries in its place.
//
// Answers are to the last question only. Threads: one at a time.
class EntryQuery {
 public:
  void Start(uint64_t id);  // 0: nobody is asked, and nothing was answered
  uint64_t id() const { return id_; }
  void Answer(NodeId voter, const TailReply& reply);
  const std::map<NodeId, TailReply>& answers() const { return answers_; }

  // What the asker cannot read.
  struct Doubt {
    NodeId self = NodeId::kNone;
    bool votes = false;  // a learner's copy committed nothing
    Index first = 0;
    Index last = 0;     // first alone is in doubt if it is a hole, all up to here if they are torn
    bool torn = false;  // a power cut can have done it
    Index known_commit = 0;
  };
  struct Wait {};  // somebody has not answered, or can hand it on
  struct Lost {    // first..last are held by nobody
    Index first = 0;
    Index last = 0;
    Index known_commit = 0;  // below first: they may have been committed
  };
  struct Drop {  // from here on nobody holds anything, and nobody was promised anything
    Index first = 0;
  };
  using Verdict = std::variant<Wait, Lost, Drop>;
  // Who may have acknowledged an entry and cannot read it.
  struct Claims {
    std::set<NodeId> faulty;
    std::set<NodeId> torn;  // or may have been cut off in writing it
  };
  // Whether they could have committed the entry at this index by themselves, and none of the
  // majorities that takes is one of torn ones only.
  using CouldCommit = absl::FunctionRef<bool(const Claims&, Index)>;
  // `voters` are the other voters of the configuration in force, `learners` the other members: one
  // may be the last to hold an entry.
  Verdict Decide(const Doubt& doubt, const std::vector<NodeId>& voters,
                 const std::vector<NodeId>& learners, CouldCommit could_commit) const;

 private:
  uint64_t id_ = 0;
  std::map<NodeId, TailReply> answers_;
};

}  // namespace cairn

#endif  // RAFT_CORE_ENTRY_QUERY_H_

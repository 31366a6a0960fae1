// EntryQuery: what the voters say of entries that one of them claims and cannot read.

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
// and it takes the answers of all voters (fault catalogue 6.5):
//  - somebody knows the entry committed: it is lost;
//  - those who may have acknowledged it (the asker, and who claims it and cannot read it either)
//    could not have committed it: it is dropped, with what stands behind it;
//  - they could, but each of them may only have been cut off in writing it by a power cut: dropped
//    too, since all of them losing the very last write otherwise is not to be believed;
//  - else it is lost.
//
// Answers are to the last question only. Threads: one at a time.
class EntryQuery {
 public:
  void Start(uint64_t id);  // 0: nobody is asked, and nothing was answered
  uint64_t id() const { return id_; }
  void Answer(NodeId voter, const TailReply& reply);

  // What the asker cannot read.
  struct Doubt {
    NodeId self = NodeId::kNone;
    Index first = 0;
    Index last = 0;     // first alone is in doubt if it is a hole, all up to here if they are torn
    bool torn = false;  // a power cut can have done it
    Index known_commit = 0;
  };
  struct Wait {};  // not everybody has answered, or somebody can hand it on
  struct Lost {    // first..last are held by nobody
    Index first = 0;
    Index last = 0;
    Index known_commit = 0;  // below first: they may have been committed
  };
  struct Drop {  // from here on nobody holds anything, and nobody was promised anything
    Index first = 0;
  };
  using Verdict = std::variant<Wait, Lost, Drop>;
  // `voters` are the other voters of the configuration in force; `could_commit` tells whether these
  // nodes could have committed an entry by themselves.
  Verdict Decide(const Doubt& doubt, const std::vector<NodeId>& voters,
                 absl::FunctionRef<bool(const std::set<NodeId>&)> could_commit) const;

 private:
  uint64_t id_ = 0;
  std::map<NodeId, TailReply> answers_;
};

}  // namespace cairn

#endif  // RAFT_CORE_ENTRY_QUERY_H_

// Torn tails: the questions of a node that cannot read its last entries, and the answers. See
// torn_tail.h.
//
// Neither message changes anybody's term. The asker may carry a term that a stable leader does
// not know, and must not depose it for being damaged; and what the answer says of entries holds
// in any term, because an entry that was committed before the question stays committed.

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "raft/core/state.h"

namespace cairn {

void Raft::State::QueryTail() {
  torn_.StartQuery(random_.Next() | 1);
  Trace("asks who holds entries ", torn_.from(), "..", torn_.last().index);
  for (const NodeId voter : OtherVoters(membership_.in_force(), node())) {
    Send(voter, TailQuery{.term = ballot_.state.term,
                          .query = torn_.query(),
                          .good = trail_.last(),
                          .torn = torn_.runs()});
  }
}

void Raft::State::Handle(NodeId from, const TailQuery& query) {
  const Index held = HeldOf(query);
  // What the state machine has applied was committed, also where the log has lost it. But where
  // this log has another entry than the asker, what is committed there is not the asker's.
  const bool differs = held < trail_.last().index;
  const Index known_commit = differs ? std::min(held, commit_) : std::max(commit_, applied_);
  Trace("tells ", ToInteger(from), ": holds through ", held, ", commit ", known_commit);
  Send(from, TailReply{.term = ballot_.state.term,
                       .query = query.query,
                       .have_through = held,
                       .known_commit = known_commit});
}

// The last of the asked entries that is in this log; its own undecided ones are not. Entries not
// durable here count as held: their leader may still count the asker's old acknowledgement, and
// the asker, told that nobody holds them, would forget what then becomes committed. If they are
// lost after all, the asker's next question finds out.
Index Raft::State::HeldOf(const TailQuery& query) const {
  for (auto run = query.torn.rbegin(); run != query.torn.rend(); ++run) {
    const Index before =
        std::next(run) == query.torn.rend() ? query.good.index : std::next(run)->last_index;
    // The last own entry that could be of this run; equal logs up to it if it is (paper 5.3).
    const LogPosition shared = trail_.LastSharedWith({run->last_index, run->term});
    if (shared.index > before && shared.term == run->term) return shared.index;
    // What was compacted here was committed: held, for all the asker may conclude.
    if (base().index > before) return std::min(base().index, run->last_index);
  }
  return query.good.index;
}

void Raft::State::Handle(NodeId from, const TailReply& reply) {
  if (torn_.empty()) return;
  torn_.Answer(from, reply);
  DecideTail();
}

void Raft::State::DecideTail() {
  const auto verdict =
      torn_.Decide(OtherVoters(membership_.in_force(), node()), std::max(commit_, applied_));
  if (const auto* lost = std::get_if<TornTail::Lost>(&verdict)) {
    RaiseFence(Fence::Reason::kDataLoss,
               absl::StrCat("entries ", lost->first, "..", lost->last,
                            " are held by no voter; committed up to ", lost->known_commit));
  } else if (const auto* drop = std::get_if<TornTail::Drop>(&verdict)) {
    Trace("drops undecided entries ", drop->first, "..", torn_.last().index,
          ": no voter holds them");
    // The log can be cut behind a good entry only. Until what is left in front is decided, the end
    // is forgotten in memory; a restart finds it again, and asks again.
    if (torn_.on_disk() && drop->first == torn_.from()) {
      TruncateLog(drop->first);
    } else {
      torn_.Forget(drop->first);
    }
  }
}

}  // namespace cairn

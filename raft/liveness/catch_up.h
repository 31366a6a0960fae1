// CatchUp: whether this member has what its group has, as far as it can be told from here.

#ifndef RAFT_LIVENESS_CATCH_UP_H_
#define RAFT_LIVENESS_CATCH_UP_H_

#include <cstdint>

#include "base/types.h"
#include "raft/core/messages.h"

namespace cairn {

// A member catches up until it has applied everything that was committed when it began, as its
// leader says, and lags no further then than the bound; otherwise it begins again, up to what is
// committed by then. One that has caught up stays so until it lags further than the bound, so that
// a busy group's members, which are always a little behind, do not count as lagging.
//
// What is committed the leader says only to who asks, as for a linearizable read. Its other
// messages raise what is known and prove nothing: an append may have been on its way while this
// member was away, and a heartbeat names no more than the leader knows this member to hold. Who has
// lost its leader knows nothing any more.
//
// Threads: one at a time.
class CatchUp {
 public:
  // `max_lag` in entries.
  explicit CatchUp(uint64_t max_lag) : max_lag_(max_lag) {}

  // A message came in; those of leaders count, of the latest term there is.
  void Hear(const MessageBody& message);
  // The leader offers a snapshot of `index`, which this member needs; there may be more behind it.
  void OnOffer(Term term, Index index);

  // The leader, which has spoken, is to be asked for its commit index; Asked follows, and then one
  // of the other two.
  bool wants_to_ask() const { return !informed_ && spoken_ && asked_in_ != term_; }
  void Asked() { asked_in_ = term_; }
  // The leader of `term` says that entries up to `index` were committed after it was asked.
  void OnAnswer(Term term, Index index);
  void OnNoAnswer() { asked_in_ = 0; }

  struct View {
    Term term = 0;
    Index commit = 0;      // known here
    Term commit_term = 0;  // of that entry
    Index applied = 0;     // what the state machine shows
    bool leader_known = true;
    bool leads = false;
    bool paused = false;  // an operator's: nothing may be pending then
  };
  // To be called whenever one of them has changed.
  void Look(const View& view);

  bool caught_up() const { return caught_up_; }
  // Entries known to be committed up to here.
  Index committed() const { return committed_; }
  uint64_t max_lag() const { return max_lag_; }

 private:
  void HearOf(Term term, Index commit);
  void Enter(Term term);
  void Forget();

  const uint64_t max_lag_;
  Term term_ = 0;
  Index heard_ = 0;        // committed, said in term_
  bool spoken_ = false;    // the leader, since this member is not informed
  bool informed_ = false;  // heard_ is all there was when this member asked
  Term asked_in_ = 0;      // 0: no answer is awaited
  Index committed_ = 0;
  Index target_ = 0;  // to catch up to; 0: not known
  bool caught_up_ = false;
};

}  // namespace cairn

#endif  // RAFT_LIVENESS_CATCH_UP_H_

// Rejoin: how a member that cannot tell what it has promised comes to be counted again.
//
// Its disk has lost a batch that was synced (two faults, fault catalogue 6.4: FENCED, and the
// loss of both copies of term and vote). So it may have voted in a term, and acknowledged entries,
// of which it knows nothing any more; it is *unsure*. What it does know is true, and older.
//
// Unsure, it neither votes nor pre-votes nor campaigns, confirms no round of reads, promises no
// lease and says nothing of what it lacks (TailReply), but does where it has all that is asked for.
// It takes nothing into its log, cuts nothing off and acknowledges nothing, until the leader of its
// term has named a *barrier*: an entry n of the leader's own term U, appended after the member's
// question (with a number drawn since its start) had come in, and durable on a quorum Q without the
// member. Then it takes entries and
// acknowledges them like any other; once it holds everything up to n durably under that very
// leader, with its vote of term U spent, it is a member as before. A later term begins it anew.
//
// Why that is enough. n is committed by Q, so whoever leads a term above U has n (paper 5.4.3; the
// node in which Q and an electing quorum meet is in Q, so it is not the member):
//  - Forgotten acknowledgements, of a term T. T > U: that leader would have been elected before n
//    was there, and n is in its log. So T <= U, and what they committed or may still commit is in
//    the log of U's leader, in front of n: by leader completeness for T < U, in which the member
//    acted while it still knew, and as n comes after them in the same log for T = U.
//  - Forgotten votes, for X in a term T. T <= U: it votes in none of these again. T > U: X asked
//    with a log that ends before n was there, so it does not win T, with or without the vote; the
//    member may vote in T once more. The same holds of its own candidacy.
//  - Whoever is unsure is in no Q, as it acknowledges nothing; nor is n worth less where somebody
//    of Q becomes unsure later, since it then comes back with all it ever acknowledged.
// Where an unsafe override lets quorums be counted that need not meet, no barrier is named.
//
// A group whose sure voters are no quorum has no leader, and stays down; nobody may guess there.

#ifndef RAFT_CORE_REJOIN_H_
#define RAFT_CORE_REJOIN_H_

#include <cstdint>

#include "base/types.h"

namespace cairn {

// The member's side. Threads: one at a time.
class Rejoin {
 public:
  explicit Rejoin(bool unsure = false) : unsure_(unsure) {}

  bool unsure() const { return unsure_; }
  // Unsure, and no leader of `term` has named a barrier: keep off the log.
  bool silent(Term term) const { return unsure_ && !answered(term); }
  bool answered(Term term) const { return barrier_ != 0 && term_ == term; }
  Index barrier() const { return barrier_; }  // 0: none

  // The number to ask the leader of `term` with; `drawn`, which is not 0, if the term is a new one.
  uint64_t Ask(Term term, uint64_t drawn);
  // False: an answer to another question, an earlier process's or an earlier term's; it says
  // nothing.
  bool Answer(Term term, uint64_t nonce, Index barrier);
  // Entries are equal to the leader's up to `verified`, it says at a heartbeat. True if that was
  // so at the last one: the leader may think that they are there, and is to be told.
  bool Stalls(Index verified);
  void Finish() { *this = Rejoin(); }

 private:
  bool unsure_ = false;
  Term term_ = 0;  // of the question
  uint64_t nonce_ = 0;
  Index barrier_ = 0;
  Index verified_ = 0;
};

// What a leader knows of a member's question.
struct RejoinBarrier {
  uint64_t nonce = 0;  // 0: none
  Index index = 0;
};

}  // namespace cairn

#endif  // RAFT_CORE_REJOIN_H_

// ElectionClock: when a node that hears nothing takes matters into its own hands, and whom it
// refuses until then.

#ifndef RAFT_CORE_ELECTION_CLOCK_H_
#define RAFT_CORE_ELECTION_CLOCK_H_

#include <optional>

#include "base/random.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/core/options.h"

namespace cairn {

class ElectionClock {
 public:
  // The node starts at `now`, in `term`.
  ElectionClock(const RaftOptions& options, Random random, Instant now, Term term);

  // Draws a new deadline: `now` plus a random time of [T, 1.5T) (paper 5.2), plus T/2 for each step
  // of priority below the highest, where T is the election timeout.
  void Restart(Instant now);
  // The same for a campaign that begins now. It is over in a round trip and a sync, or will not
  // succeed: two candidates were in each other's way, or somebody still waited for the dead leader.
  // So the first tries follow each other closely: T in the deadline is a quarter of the election
  // timeout, then a half, then all of it. Hearing of a leader begins anew.
  void StartCampaign(Instant now);
  // The same campaign asks for votes now, after the pre-votes; as long as those might have taken.
  void ContinueCampaign(Instant now) { Draw(now, campaign_, campaign_); }
  Instant deadline() const { return deadline_; }

  // No deadline any more, until one is drawn. Meanwhile the leader counts as live.
  void Stop() { deadline_ = kDistantFuture; }
  bool stopped() const { return deadline_ == kDistantFuture; }
  // The leader is known to be gone: what is left of the election timeout since it was heard of has
  // to pass, since that was promised, and then the random part, so that not all campaign at once.
  void LeaderGone(Instant now);

  // A message of the current term's leader has come in; also draws a new deadline.
  void HeardLeader(Instant now);
  std::optional<Instant> last_heard() const { return last_heard_; }  // since the start
  // True for an election timeout after hearing from a leader: then nobody else gets a vote
  // (thesis 4.2.3).
  bool LeaderIsLive(Instant now) const;
  // True for the first election timeout of a node that has just started: before its restart it may
  // have made a leader a promise that it still counts on (HeartbeatReply::promise). In term 0 it
  // had heard of no leader.
  bool Embargoed(Instant now) const { return now < embargo_end_; }

 private:
  // `least` from now on, and a random part of [0, timeout / 2).
  void Draw(Instant now, Duration least, Duration timeout);

  const Duration timeout_;
  const Duration handicap_;  // of the priority
  Random random_;
  Instant deadline_;
  std::optional<Instant> last_heard_;
  int campaigns_ = 0;  // since a leader was heard of, as far as they matter
  Duration campaign_;  // T of the last one
  Instant embargo_end_;
};

}  // namespace cairn

#endif  // RAFT_CORE_ELECTION_CLOCK_H_

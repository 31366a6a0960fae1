// ElectionClock: when a node that hears nothing takes matters into its own hands, and whom it
// refuses until then.

#ifndef RAFT_CORE_ELECTION_CLOCK_H_
#define RAFT_CORE_ELECTION_CLOCK_H_

#include <optional>

#include "base/random.h"
#include "base/time.h"
#include "raft/core/options.h"

namespace cairn {

class ElectionClock {
 public:
  // The node starts at `now`.
  ElectionClock(const RaftOptions& options, Random random, Instant now);

  // Draws a new deadline: `now` plus a random time of [T, 2T) (paper 5.2), plus T/2 for each step
  // of priority below the highest, where T is the election timeout.
  void Restart(Instant now);
  Instant deadline() const { return deadline_; }

  // A message of the current term's leader has come in; also draws a new deadline.
  void HeardLeader(Instant now);
  // True for an election timeout after hearing from a leader: then nobody else gets a vote
  // (thesis 4.2.3).
  bool LeaderIsLive(Instant now) const;
  // True for the first election timeout of a node of a group with leases: before its restart it
  // may have answered a leader that counts on it for that long.
  bool Embargoed(Instant now) const { return now < embargo_end_; }

 private:
  const Duration timeout_;
  const Duration handicap_;  // of the priority
  Random random_;
  Instant deadline_;
  std::optional<Instant> last_heard_;
  Instant embargo_end_;
};

}  // namespace cairn

#endif  // RAFT_CORE_ELECTION_CLOCK_H_

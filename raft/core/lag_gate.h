// LagGate: whether a learner has caught up with its leader (thesis 4.2.1).

#ifndef RAFT_CORE_LAG_GATE_H_
#define RAFT_CORE_LAG_GATE_H_

#include <optional>

#include "base/time.h"
#include "base/types.h"

namespace cairn {

// Lag is measured in time, so that one bound fits every load: a learner lags by as much as the log
// it holds is older than the leader's. It is told in rounds: a round ends when the learner holds
// what the leader's log held when the round began, and the next one begins.
//
// Threads: one at a time. Instants never go back.
class LagGate {
 public:
  // The learner holds the entries up to `match`, the leader's log ends at `last`.
  void Look(Index match, Index last, Instant now);
  // The learner holds everything that was in the leader's log some time within `bound` before now.
  bool CaughtUp(Instant now, Duration bound) const;

 private:
  Index match_ = 0;                    // at the last look
  std::optional<Instant> held_as_of_;  // it holds what the log held then
  Index round_end_ = 0;                // 0: no round has begun
  Instant round_began_;
};

}  // namespace cairn

#endif  // RAFT_CORE_LAG_GATE_H_

#include "raft/core/election_clock.h"

#include <cstdint>

namespace cairn {

ElectionClock::ElectionClock(const RaftOptions& options, Random random, Instant now)
    : timeout_(options.election_timeout),
      handicap_(options.election_timeout * int64_t{options.priority} / 2),
      random_(random),
      embargo_end_(options.lease ? now + options.election_timeout : now) {
  Restart(now);
}

void ElectionClock::Restart(Instant now) {
  const auto spread = static_cast<uint64_t>(timeout_.nanoseconds);
  deadline_ = now + timeout_ + Nanoseconds(static_cast<int64_t>(random_.Below(spread))) + handicap_;
}

void ElectionClock::HeardLeader(Instant now) {
  last_heard_ = now;
  Restart(now);
}

bool ElectionClock::LeaderIsLive(Instant now) const {
  return last_heard_ && now - *last_heard_ < timeout_;
}

}  // namespace cairn

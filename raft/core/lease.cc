#include "raft/core/lease.h"

#include <algorithm>

#include "raft/core/mutants.h"
#include "raft/core/quorum.h"

namespace cairn {

void ClockWatch::Sample(Instant sent, Instant received, Instant theirs) {
  const Seen seen = {.sent = sent, .received = received, .theirs = theirs};
  if (!anchor_) anchor_ = seen;
  if (!next_anchor_) next_anchor_ = seen;
  if (last_ && sent < last_->sent) return;  // late or repeated
  last_ = seen;
  if (sent - next_anchor_->sent >= kWindow) {
    anchor_ = next_anchor_;
    next_anchor_ = seen;
  }
}

bool ClockWatch::Exceeds(int64_t per_mille) const {
  if (!last_) return false;
  const Duration theirs = last_->theirs - anchor_->theirs;
  const Duration most = last_->received - anchor_->sent;
  // Below zero if the answers may have been given the other way round.
  const Duration least = last_->sent - anchor_->received;
  const Duration slowest = least - std::max(least, Duration{}) / 1000 * per_mille;
  return theirs > most + most / 1000 * per_mille || theirs < slowest;
}

bool Lease::Promised(NodeId voter, Instant sent, Duration promise, Instant clock, Instant now) {
  // Nobody honest echoes a time to come.
  if (ended_ || sent > now) return true;
  Promise& known = promises_[voter];
  known.clock.Sample(sent, now, clock);
  if (known.clock.Exceeds(max_drift_per_mille_)) {
    End();
    return false;
  }
  const Instant from = MutantEnabled(Mutant::kLeaseFromReply) ? now : sent;
  known.until = std::max(known.until, from + (promise - promise * max_drift_per_mille_ / 1000));
  return true;
}

Instant Lease::Until(const Configuration& configuration, NodeId self) const {
  if (ended_) return {};
  return QuorumContact(configuration, [&](NodeId voter) {
    if (voter == self) return kDistantFuture;
    const auto promise = promises_.find(voter);
    return promise == promises_.end() ? Instant() : promise->second.until;
  });
}

}  // namespace cairn

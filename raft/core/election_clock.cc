#include "raft/core/election_clock.h"

#include <algorithm>
#include <cstdint>

namespace cairn {

ElectionClock::ElectionClock(const RaftOptions& options, Random random, Instant now, Term term)
    : timeout_(options.election_timeout),
      handicap_(options.election_timeout * int64_t{options.priority} / 2),
      random_(random),
      embargo_end_(term > 0 ? now + options.election_timeout : now) {
  Restart(now);
}

void ElectionClock::Draw(Instant now, Duration least, Duration timeout) {
  const auto spread = static_cast<uint64_t>(timeout.nanoseconds / 2);
  deadline_ = now + least + Nanoseconds(static_cast<int64_t>(random_.Below(spread))) + handicap_;
}

void ElectionClock::Restart(Instant now) { Draw(now, timeout_, timeout_); }

void ElectionClock::StartCampaign(Instant now) {
  constexpr int kShortened = 2;  // the first one by 2^2
  campaign_ = timeout_ / (int64_t{1} << (kShortened - campaigns_));
  Draw(now, campaign_, campaign_);
  campaigns_ = std::min(campaigns_ + 1, kShortened);
}

void ElectionClock::LeaderGone(Instant now) {
  const Instant kept = last_heard_ ? std::max(now, *last_heard_ + timeout_) : now;
  Draw(kept, Duration{}, timeout_);
}

void ElectionClock::HeardLeader(Instant now) {
  last_heard_ = now;
  campaigns_ = 0;
  Restart(now);
}

bool ElectionClock::LeaderIsLive(Instant now) const {
  return last_heard_ && now - *last_heard_ < timeout_;
}

}  // namespace cairn

#include "tests/sim/sim_clock.h"

#include <algorithm>

#include "base/check.h"

namespace cairn::sim {

SimClock::SimClock(const EventQueue& events, const Options& options)
    : events_(events),
      origin_(events.now()),
      boot_(options.boot),
      rate_per_mille_(options.rate_per_mille),
      wall_(options.wall) {
  CAIRN_CHECK_GT(rate_per_mille_, 0);
}

Duration SimClock::SinceBoot() const { return (events_.now() - origin_) * rate_per_mille_ / 1000; }

Instant SimClock::Now() const { return boot_ + SinceBoot(); }

WallTime SimClock::WallNow() const { return {wall_.nanoseconds + SinceBoot().nanoseconds}; }

Instant SimClock::ToVirtual(Instant local) const {
  // Beyond any run; keeps the multiplication in range.
  constexpr Duration kLongest = Seconds(1'000'000);
  Duration wait = std::min(local - boot_, kLongest);
  if (wait.nanoseconds <= 0) return origin_;
  // Rounded up, so that Now() has reached `local` then.
  return origin_ + Nanoseconds((wait.nanoseconds * 1000 + rate_per_mille_ - 1) / rate_per_mille_);
}

}  // namespace cairn::sim

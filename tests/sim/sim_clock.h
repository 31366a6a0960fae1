// SimClock: the clock of one simulated machine.

#ifndef TESTS_SIM_SIM_CLOCK_H_
#define TESTS_SIM_SIM_CLOCK_H_

#include <cstdint>

#include "base/time.h"
#include "tests/sim/event_queue.h"

namespace cairn::sim {

// Starts where the machine's boot put it and runs at its own rate. One thread.
class SimClock final : public Clock {
 public:
  struct Options {
    Instant boot;                   // what Now says at construction
    int64_t rate_per_mille = 1000;  // of virtual time
    WallTime wall;                  // what WallNow says at construction
  };
  SimClock(const EventQueue& events, const Options& options);

  Instant Now() const override;
  WallTime WallNow() const override;

  // The first virtual time at which Now() is at least `local`.
  Instant ToVirtual(Instant local) const;
  // Somebody sets the machine's wall clock.
  void JumpWall(Duration jump) { wall_.nanoseconds += jump.nanoseconds; }

 private:
  Duration SinceBoot() const;

  const EventQueue& events_;
  Instant origin_;  // virtual time at construction
  Instant boot_;
  int64_t rate_per_mille_;
  WallTime wall_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_SIM_CLOCK_H_

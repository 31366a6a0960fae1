// SystemClock: the machine's own clocks.

#ifndef BASE_SYSTEM_CLOCK_H_
#define BASE_SYSTEM_CLOCK_H_

#include "base/time.h"

namespace cairn {

// Now is CLOCK_BOOTTIME: it runs while the machine is suspended, so a lease ends during a sleep.
// WallNow is CLOCK_REALTIME. Threads: any.
class SystemClock final : public Clock {
 public:
  Instant Now() const override;
  WallTime WallNow() const override;
};

}  // namespace cairn

#endif  // BASE_SYSTEM_CLOCK_H_

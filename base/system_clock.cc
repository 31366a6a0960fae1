#include "base/system_clock.h"

#include <time.h>

#include "base/check.h"

namespace cairn {
namespace {

int64_t ReadNanoseconds(clockid_t clock) {
  timespec time;
  CAIRN_CHECK_EQ(clock_gettime(clock, &time), 0);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Instant SystemClock::Now() const { return {ReadNanoseconds(CLOCK_BOOTTIME)}; }

WallTime SystemClock::WallNow() const { return {ReadNanoseconds(CLOCK_REALTIME)}; }

}  // namespace cairn

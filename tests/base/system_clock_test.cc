#include "base/system_clock.h"

#include <time.h>

#include <chrono>

#include "gtest/gtest.h"

namespace cairn {
namespace {

int64_t Nanoseconds(clockid_t clock) {
  timespec time;
  EXPECT_EQ(clock_gettime(clock, &time), 0);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

TEST(SystemClockTest, NowIsTheTimeSinceBootSleepsIncluded) {
  const SystemClock clock;
  const int64_t before = Nanoseconds(CLOCK_BOOTTIME);
  const Instant now = clock.Now();
  EXPECT_GE(now.nanoseconds, before);
  EXPECT_LE(now.nanoseconds, Nanoseconds(CLOCK_BOOTTIME));
}

TEST(SystemClockTest, NowNeverGoesBack) {
  const SystemClock clock;
  Instant last = clock.Now();
  for (int i = 0; i < 10'000; ++i) {
    const Instant now = clock.Now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(SystemClockTest, WallNowCountsFrom1970) {
  const SystemClock clock;
  const auto since_1970 = [] {
    return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
  };
  const int64_t before = since_1970();
  const WallTime now = clock.WallNow();
  EXPECT_GE(now.nanoseconds, before);
  EXPECT_LE(now.nanoseconds, since_1970());
}

}  // namespace
}  // namespace cairn

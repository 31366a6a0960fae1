// Instants and durations as plain numbers, so that virtual time costs nothing.

#ifndef BASE_TIME_H_
#define BASE_TIME_H_

#include <compare>
#include <cstdint>
#include <limits>

namespace cairn {

// A length of time in nanoseconds. May be negative.
struct Duration {
  int64_t nanoseconds = 0;
  friend auto operator<=>(const Duration&, const Duration&) = default;
  friend constexpr Duration operator+(Duration a, Duration b) {
    return {a.nanoseconds + b.nanoseconds};
  }
  friend constexpr Duration operator-(Duration a, Duration b) {
    return {a.nanoseconds - b.nanoseconds};
  }
  friend constexpr Duration operator*(Duration a, int64_t factor) {
    return {a.nanoseconds * factor};
  }
  friend constexpr Duration operator/(Duration a, int64_t divisor) {
    return {a.nanoseconds / divisor};
  }
};

constexpr Duration Nanoseconds(int64_t n) { return {n}; }
constexpr Duration Microseconds(int64_t n) { return {n * 1'000}; }
constexpr Duration Milliseconds(int64_t n) { return {n * 1'000'000}; }
constexpr Duration Seconds(int64_t n) { return {n * 1'000'000'000}; }
constexpr int64_t ToMilliseconds(Duration d) { return d.nanoseconds / 1'000'000; }

// A point on a clock that never goes back and runs while the machine sleeps (CLOCK_BOOTTIME).
// Instants of different machines or boots cannot be compared.
struct Instant {
  int64_t nanoseconds = 0;
  friend auto operator<=>(const Instant&, const Instant&) = default;
  friend constexpr Instant operator+(Instant a, Duration b) {
    return {a.nanoseconds + b.nanoseconds};
  }
  friend constexpr Instant operator-(Instant a, Duration b) {
    return {a.nanoseconds - b.nanoseconds};
  }
  friend constexpr Duration operator-(Instant a, Instant b) {
    return {a.nanoseconds - b.nanoseconds};
  }
};

inline constexpr Instant kDistantFuture = {std::numeric_limits<int64_t>::max()};

// Nanoseconds since 1970 UTC, by a clock people set. Only for what people read, and for the
// timestamps the leader proposes.
struct WallTime {
  int64_t nanoseconds = 0;
  friend auto operator<=>(const WallTime&, const WallTime&) = default;
};

// Where time comes from. Threads: any.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant Now() const = 0;
  virtual WallTime WallNow() const = 0;
};

}  // namespace cairn

#endif  // BASE_TIME_H_

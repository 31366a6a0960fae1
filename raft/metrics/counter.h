// Counter and DurationHistogram: what has happened since the start, counted where it happens and
// read by whoever asks.

#ifndef RAFT_METRICS_COUNTER_H_
#define RAFT_METRICS_COUNTER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace cairn {

// Relaxed: no lock, and no order between counters. Threads: any.
class Counter {
 public:
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

// The upper ends of the buckets; what is longer is in one more.
inline constexpr std::array<Duration, 14> kDurationBuckets = {
    Microseconds(100), Microseconds(250), Microseconds(500),  Milliseconds(1),   Microseconds(2500),
    Milliseconds(5),   Milliseconds(10),  Milliseconds(25),   Milliseconds(50),  Milliseconds(100),
    Milliseconds(250), Milliseconds(500), Milliseconds(1000), Milliseconds(2500)};

struct DurationCounts {
  std::array<uint64_t, kDurationBuckets.size() + 1> buckets = {};  // each counts its own only
  Duration sum;

  uint64_t count() const;
};

// Threads: any. What is read while something is added may have it in the buckets and not in the
// sum.
class DurationHistogram {
 public:
  void Add(Duration duration);
  DurationCounts counts() const;

 private:
  std::array<Counter, kDurationBuckets.size() + 1> buckets_;
  Counter nanoseconds_;
};

}  // namespace cairn

#endif  // RAFT_METRICS_COUNTER_H_

// Random: the only source of randomness in deterministic code. Seeded, the same on every platform.

#ifndef BASE_RANDOM_H_
#define BASE_RANDOM_H_

#include <cstdint>

#include "base/check.h"

namespace cairn {

// splitmix64 (Steele, Lea, Flood 2014). Not for secrets. Threads: one at a time.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // Uniform in [0, bound). `bound` must not be 0. The bias of the multiplication is below
  // bound / 2^64.
  uint64_t Below(uint64_t bound) {
    CAIRN_CHECK_NE(bound, uint64_t{0});
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }

  // True in `numerator` of `denominator` cases.
  bool OneIn(uint64_t denominator) { return Below(denominator) == 0; }
  bool Chance(uint64_t numerator, uint64_t denominator) { return Below(denominator) < numerator; }

  // A generator of its own, so that drawing from one does not shift the other.
  Random Fork() { return Random(Next()); }

 private:
  uint64_t state_;
};

}  // namespace cairn

#endif  // BASE_RANDOM_H_

// SubSeed: the seeds of the parts of a run, so that one part drawing more does not shift another.

#ifndef TESTS_SIM_SUB_SEED_H_
#define TESTS_SIM_SUB_SEED_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/random.h"

namespace cairn::sim {

// A seed for the `number`th of the parts named `part`. The same on every platform.
inline uint64_t SubSeed(uint64_t seed, absl::string_view part, uint64_t number = 0) {
  uint64_t mixed = Random(seed).Next() ^ Random(number + 1).Next();
  for (char letter : part) {
    mixed = (mixed ^ static_cast<unsigned char>(letter)) * 0x100000001b3;  // FNV-1a
  }
  return Random(mixed).Next();
}

}  // namespace cairn::sim

#endif  // TESTS_SIM_SUB_SEED_H_

// SimKeys: what a simulated node encrypts its log with, from start to start.

#ifndef TESTS_SIM_SIM_KEYS_H_
#define TESTS_SIM_SIM_KEYS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.h"
#include "storage/crypto/key_ring.h"

namespace cairn::sim {

// One node in four has keys. Each of its processes may begin with a new one, and with another
// cipher or none; what was written before is read with the old ones. One thread.
class SimKeys {
 public:
  explicit SimKeys(uint64_t seed);

  // For a process that starts. Null: no keys.
  std::shared_ptr<const KeyRing> Next();
  // Those of the process that started last.
  const std::shared_ptr<const KeyRing>& current() const { return current_; }

 private:
  Random random_;
  const bool used_;
  SeededRandomBytes bytes_;
  std::vector<MasterKey> keys_;  // the newest first
  std::shared_ptr<const KeyRing> current_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_SIM_KEYS_H_

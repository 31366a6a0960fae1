// RandomBytes: where keys and salts come from.

#ifndef STORAGE_CRYPTO_RANDOM_BYTES_H_
#define STORAGE_CRYPTO_RANDOM_BYTES_H_

#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "base/random.h"

namespace cairn {

// Threads: any.
class RandomBytes {
 public:
  virtual ~RandomBytes() = default;
  virtual void Fill(uint8_t* to, size_t bytes) = 0;
};

// The kernel's generator. What it gives nobody can guess.
class SystemRandomBytes final : public RandomBytes {
 public:
  void Fill(uint8_t* to, size_t bytes) override;
};

// The same bytes for the same seed: for simulations. Not for secrets.
class SeededRandomBytes final : public RandomBytes {
 public:
  explicit SeededRandomBytes(uint64_t seed) : random_(seed) {}
  void Fill(uint8_t* to, size_t bytes) override;

 private:
  Mutex mutex_;
  Random random_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // STORAGE_CRYPTO_RANDOM_BYTES_H_

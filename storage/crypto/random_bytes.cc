#include "storage/crypto/random_bytes.h"

#include <sys/random.h>
#include <sys/types.h>

#include "base/check.h"

namespace cairn {

void SystemRandomBytes::Fill(uint8_t* to, size_t bytes) {
  // Whole and without interruption for up to 256 bytes.
  constexpr size_t kAtOnce = 256;
  while (bytes > 0) {
    const size_t piece = bytes < kAtOnce ? bytes : kAtOnce;
    CAIRN_CHECK_EQ(getrandom(to, piece, 0), static_cast<ssize_t>(piece)) << "no random bytes";
    to += piece;
    bytes -= piece;
  }
}

void SeededRandomBytes::Fill(uint8_t* to, size_t bytes) {
  MutexLock lock(mutex_);
  for (size_t i = 0; i < bytes; ++i) to[i] = static_cast<uint8_t>(random_.Next() >> 56);
}

}  // namespace cairn

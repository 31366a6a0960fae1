// UnitCipher: how the units of an encrypted block stand on the disk. FORMAT.md, "Encryption".

#ifndef STORAGE_BLOCK_UNIT_CIPHER_H_
#define STORAGE_BLOCK_UNIT_CIPHER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "storage/crypto/aead.h"

namespace cairn {

// Units as they are read: those that were never written are zero, those that are not as they were
// written are kUnreadableByte.
struct OpenedUnits {
  Bytes plain;
  // For each unit, which of its sectors stand on the disk as zeros, the first one lowest.
  std::vector<uint8_t> zero_sectors;
};

// A stored unit: u32 revision, ciphertext, tag. The nonce is revision and number of the unit, and
// both are authenticated together with the number of the block.
// Threads: one at a time; several objects may have the same key.
class UnitCipher {
 public:
  static constexpr uint64_t kOverhead = sizeof(uint32_t) + Aead::kTagBytes;

  UnitCipher(Cipher cipher, const SecretKey& key, uint64_t block, uint64_t unit_bytes)
      : aead_(cipher, key), block_(block), unit_bytes_(unit_bytes) {}

  uint64_t stored_bytes() const { return unit_bytes_; }
  uint64_t plain_bytes() const { return unit_bytes_ - kOverhead; }

  // Units `first`.. of the block, whose number `plain` gives, as they are to be stored. The caller
  // sees to it that no unit is written twice under one revision, unless with the same bytes.
  std::string Seal(uint32_t revision, uint64_t first, absl::string_view plain);
  OpenedUnits Open(uint64_t first, absl::string_view stored);

 private:
  bool OpenUnit(uint64_t unit, absl::string_view stored, char* to);

  Aead aead_;
  const uint64_t block_;
  const uint64_t unit_bytes_;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_UNIT_CIPHER_H_

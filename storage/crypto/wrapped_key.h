// WrappedKey: a data key as it stands in the header of a block, readable with the master key only.

#ifndef STORAGE_CRYPTO_WRAPPED_KEY_H_
#define STORAGE_CRYPTO_WRAPPED_KEY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "storage/crypto/aead.h"
#include "storage/crypto/random_bytes.h"

namespace cairn {

struct WrappedKey {
  std::array<uint8_t, 16> salt = {};
  std::array<uint8_t, SecretKey::kBytes> sealed = {};
  std::array<uint8_t, Aead::kTagBytes> tag = {};
  friend bool operator==(const WrappedKey&, const WrappedKey&) = default;
};

// AES-256-GCM under a key that is used this once: derived from the master key, `place` and a salt
// that is drawn. So there is no nonce that could be used again, however many blocks a master key
// serves. `place` says whose data key it is; it opens nowhere else.
WrappedKey WrapKey(const SecretKey& master, absl::string_view place, const SecretKey& data_key,
                   RandomBytes& random);

// Nothing if it was wrapped with another master key or for another place, or is damaged.
std::optional<SecretKey> UnwrapKey(const SecretKey& master, absl::string_view place,
                                   const WrappedKey& wrapped);

}  // namespace cairn

#endif  // STORAGE_CRYPTO_WRAPPED_KEY_H_

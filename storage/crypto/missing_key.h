// Master keys that are looked for and not there.

#ifndef STORAGE_CRYPTO_MISSING_KEY_H_
#define STORAGE_CRYPTO_MISSING_KEY_H_

#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/crypto/key_ring.h"

namespace cairn {

// The master key that something says it is encrypted with. FAILED_PRECONDITION naming the id, and
// what there is instead, if `keys`, which may be null, has not got it, or another one with that id.
absl::StatusOr<MasterKey> FindMasterKey(const KeyRing* keys, uint64_t id,
                                        const std::array<uint8_t, 16>& check);

// True for the error of a key that is missing or another one, and for no other.
bool IsMissingKey(const absl::Status& status);

// The same error, with `what` said before.
absl::Status MissingKeyOf(absl::string_view what, const absl::Status& status);

}  // namespace cairn

#endif  // STORAGE_CRYPTO_MISSING_KEY_H_

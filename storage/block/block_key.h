// The data key of a block: made, recovered and wrapped again.

#ifndef STORAGE_BLOCK_BLOCK_KEY_H_
#define STORAGE_BLOCK_BLOCK_KEY_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/block/block_header.h"
#include "storage/crypto/key_ring.h"
#include "storage/crypto/missing_key.h"

namespace cairn {

// Draws a data key for the block of `header`, which has all but what says how it is encrypted, and
// puts it into the header, wrapped by `master`.
SecretKey MakeBlockKey(BlockHeader& header, Cipher cipher, const MasterKey& master,
                       RandomBytes& random);

// The data key of an encrypted block. FAILED_PRECONDITION naming the id of the master key if
// `keys`, which may be null, has not got it (IsMissingKey). DATA_LOSS if it has and the wrapped key
// is damaged.
absl::StatusOr<SecretKey> RecoverBlockKey(const BlockHeader& header, const KeyRing* keys);

// Wraps `data_key`, the block's own, by another master key.
void RewrapBlockKey(BlockHeader& header, const SecretKey& data_key, const MasterKey& master,
                    RandomBytes& random);

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_KEY_H_

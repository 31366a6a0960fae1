// Key rings for tests.

#ifndef TESTS_STORAGE_BLOCK_TEST_KEYS_H_
#define TESTS_STORAGE_BLOCK_TEST_KEYS_H_

#include <memory>
#include <vector>

#include "storage/crypto/key_ring.h"

namespace cairn {

// The master key of this number.
MasterKey TestKey(uint8_t number);

// The keys of these numbers; the first one is for new blocks. All rings draw from one source, so
// no two blocks of a test have the same data key.
std::shared_ptr<KeyRing> TestRing(Cipher cipher, const std::vector<uint8_t>& keys = {1});

}  // namespace cairn

#endif  // TESTS_STORAGE_BLOCK_TEST_KEYS_H_

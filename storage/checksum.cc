#include "storage/checksum.h"

// In line, so that the short inputs (headers) cost no dispatch.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace cairn {

uint64_t Checksum(absl::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

EntryHash Hash128(absl::string_view bytes) {
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

}  // namespace cairn

// The one checksum and the one hash of Cairn's own formats: XXH3 with 64 and with 128 bits.

#ifndef STORAGE_CHECKSUM_H_
#define STORAGE_CHECKSUM_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/types.h"

namespace cairn {

// Against accidents, not against people who can choose the bytes. Threads: any.
uint64_t Checksum(absl::string_view bytes);
EntryHash Hash128(absl::string_view bytes);

}  // namespace cairn

#endif  // STORAGE_CHECKSUM_H_

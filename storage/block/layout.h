// Where things stand in a block file. FORMAT.md has the whole grammar.
//
//   header | seal | data region ->    gap    <- id region | seal | header
//
// Records grow from the front and id records from the back, so that neither region needs a size of
// its own. The gap is never used up: a batch's records and its id record stay far apart.

#ifndef STORAGE_BLOCK_LAYOUT_H_
#define STORAGE_BLOCK_LAYOUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"
#include "storage/file_system.h"

namespace cairn {

inline constexpr uint32_t kBlockFormatVersion = 1;
// Of a block that is encrypted.
inline constexpr uint32_t kEncryptedBlockFormatVersion = 2;
// Of one that is compressed, encrypted or not.
inline constexpr uint32_t kCompressedBlockFormatVersion = 3;

// Fills what is left of the last unit of a write. Not zero: a zero sector says that a write never
// reached the disk.
inline constexpr char kFiller = '\x5a';

// What cannot be read reads as this: it passes no check and is no zero sector either.
inline constexpr char kUnreadableByte = '\xee';

inline bool IsZero(absl::string_view bytes) {
  return bytes.empty() ||
         (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// Files are this much aligned, because ReadDirect is.
inline constexpr uint64_t kBlockAlignment = 4096;

// How a file that becomes a block gets its zeros. Written ones make every later sync cheap; where
// few syncs are to come, promised ones (FileSystem::ReserveZeroes) save the disk half of its work.
enum class Zeroes { kWritten, kReserved };

struct BlockGeometry {
  uint64_t block_bytes = 0;
  // What is written at once and never again: 4096 through a page cache, 512 where single sectors
  // are written (the simulator; direct writes).
  uint64_t unit_bytes = 0;

  bool IsValid() const {
    return (unit_bytes == 512 || unit_bytes == 4096) && block_bytes % kBlockAlignment == 0 &&
           block_bytes >= 16 * unit_bytes && block_bytes <= uint64_t{1} << 40;
  }

  uint64_t RoundUp(uint64_t bytes) const {
    return (bytes + unit_bytes - 1) / unit_bytes * unit_bytes;
  }
  uint64_t data_begin() const { return 2 * unit_bytes; }
  uint64_t id_end() const { return block_bytes - 2 * unit_bytes; }
  uint64_t gap_bytes() const {
    return RoundUp(std::clamp<uint64_t>(block_bytes / 16, 3 * unit_bytes, uint64_t{1} << 20));
  }

  // The two places of the header and of the seal.
  uint64_t header_at(int copy) const { return copy == 0 ? 0 : block_bytes - unit_bytes; }
  uint64_t seal_at(int copy) const { return copy == 0 ? unit_bytes : block_bytes - 2 * unit_bytes; }

  // True if a batch of these lengths fits behind `data_end` and before `id_begin`.
  bool Fits(uint64_t data_end, uint64_t id_begin, uint64_t data_bytes, uint64_t id_bytes) const {
    return data_end + RoundUp(data_bytes) + gap_bytes() + RoundUp(id_bytes) <= id_begin;
  }
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_LAYOUT_H_

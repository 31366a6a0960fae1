// BlockHeader and BlockSeal: the first and the last thing written to a block, each in two places.

#ifndef STORAGE_BLOCK_BLOCK_HEADER_H_
#define STORAGE_BLOCK_BLOCK_HEADER_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/types.h"
#include "storage/block/compressed/compressed_layout.h"
#include "storage/block/layout.h"
#include "storage/block/unit_cipher.h"
#include "storage/crypto/wrapped_key.h"

namespace cairn {

// Whose log it is.
struct LogIdentity {
  ClusterId cluster;
  NodeId node = NodeId::kNone;
  Incarnation incarnation = Incarnation::kUnknown;
  friend bool operator==(const LogIdentity&, const LogIdentity&) = default;
};

// "cluster 0011…, node 3, incarnation 77", for errors.
std::string ToString(const LogIdentity& identity);

// FAILED_PRECONDITION naming both and the place if they differ.
absl::Status CheckLogIdentity(const LogIdentity& found, const LogIdentity& wanted,
                              const std::string& path);

// How a block is encrypted that is.
struct BlockEncryption {
  Cipher cipher = Cipher::kNone;
  // Grows by one each time the header is written; the greatest of those that stand in a block's two
  // copies counts. A process writes under one that it made durable first, so no other ever did.
  uint32_t revision = 0;
  WrappedKey data_key;
  friend bool operator==(const BlockEncryption&, const BlockEncryption&) = default;
};

// Header and seal fill one sector each: a power cut leaves a copy whole or not at all.
struct BlockHeader {
  LogIdentity identity;
  uint64_t block = 0;      // grows by one a block and is never used again
  BlockGeometry geometry;  // of a compressed block: as it was before
  uint64_t key = 0;        // id of the master key; 0: not encrypted
  std::array<uint8_t, 16> key_check = {};
  BlockEncryption encryption = {};
  BlockCompression compression = {};

  // One sector.
  std::string Encode() const;
  // DATA_LOSS if the bytes are no header, FAILED_PRECONDITION if they are one of a newer format or
  // of a cipher that is not known.
  static absl::StatusOr<BlockHeader> Decode(absl::string_view sector);

  // Stands in every id record of the block, so that one of another block, node or life of the file
  // is no valid one.
  uint64_t Tag() const;

  bool is_encrypted() const { return key != 0; }
  bool is_compressed() const { return compression.file_bytes != 0; }
  // Of the file.
  BlockGeometry FileGeometry() const;
  // What is read and written: the lengths without what encryption adds to each unit.
  BlockGeometry PlainGeometry() const;
  // Of a compressed block.
  CompressedLayout Layout() const {
    return CompressedLayout(PlainGeometry(), compression, geometry.unit_bytes);
  }
  // Whose the data key is; it is wrapped for this place.
  std::string KeyPlace() const;
};

// Ends a block. What stands behind `data_end` and before `id_begin`, footer apart, counts for
// nothing.
struct BlockSeal {
  uint64_t tag = 0;
  uint64_t first_batch = 0;  // 0 if the block holds none
  uint64_t last_batch = 0;
  uint64_t data_end = 0;
  uint64_t id_begin = 0;
  EntryHash last_id_hash;     // of the id record of the last batch in the log so far
  uint64_t footer_begin = 0;  // 0: no footer
  uint64_t footer_bytes = 0;
  uint64_t footer_checksum = 0;
  // The block holds entries that could not be read when it was sealed. They are looked for again
  // whenever the log is opened, and that the block is sealed does not prove its last batch synced.
  bool has_bad_entries = false;
  // What of the last batch could not be read then may have been acknowledged (with
  // has_bad_entries): that was decided, on grounds that may be gone.
  bool last_is_faulty = false;
  // What stands behind the last batch may have been one that was synced (with has_bad_entries).
  bool end_lost = false;

  // In an encrypted block, so much that it fits into the smallest unit there is.
  static constexpr size_t kEncryptedBytes = kSectorBytes - UnitCipher::kOverhead;

  // `size` bytes: a sector, or kEncryptedBytes.
  std::string Encode(size_t size = kSectorBytes) const;
  // DATA_LOSS if the bytes are no seal of the block with this tag.
  static absl::StatusOr<BlockSeal> Decode(absl::string_view bytes, uint64_t tag);
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_HEADER_H_

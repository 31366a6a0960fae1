// CompressedBlockWriter: makes the file that takes the place of a sealed block.

#ifndef STORAGE_BLOCK_COMPRESSED_COMPRESSED_BLOCK_WRITER_H_
#define STORAGE_BLOCK_COMPRESSED_COMPRESSED_BLOCK_WRITER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/block/block_file.h"
#include "storage/block/block_header.h"
#include "storage/block/compressed/frame_codec.h"
#include "storage/block/compressed/frame_table.h"
#include "storage/block/unit_cipher.h"
#include "storage/crypto/key_ring.h"
#include "storage/file_system.h"

namespace cairn {

// The file is encrypted as `keys` say, with a data key of its own, and each unit of it is written
// once: so no nonce is used twice. One that is not finished means nothing and is to be removed.
//
// Threads: one at a time.
class CompressedBlockWriter {
 public:
  // For the block of `from`, whose seal is good. The file at `path` must not be there. `keys` may
  // be null; what they and `file_system` are outlives the writer.
  static absl::StatusOr<std::unique_ptr<CompressedBlockWriter>> Create(FileSystem& file_system,
                                                                       const std::string& path,
                                                                       const BlockFile& from,
                                                                       const BlockSeal& seal,
                                                                       const KeyRing* keys);

  // Adds the next frame of `from`, past the page cache. There is one if not all_frames().
  absl::Status AddFrame(const BlockFile& from);
  bool all_frames() const { return table_.frames.size() == LayoutNow().frames(); }
  // Adds all else, and syncs. There are all frames.
  absl::Status Finish(const BlockFile& from);

  // The length the file will have, as far as that is known.
  uint64_t file_bytes() const { return LayoutNow().LeastFileBytes(); }
  // Read and written so far.
  uint64_t bytes() const { return bytes_; }

 private:
  CompressedBlockWriter(FileSystem& file_system, std::unique_ptr<File> file,
                        const BlockHeader& header, const BlockSeal& seal, const KeyRing* keys);

  CompressedLayout LayoutNow() const;
  absl::Status Put(absl::string_view text);
  absl::Status FillUp(uint64_t to);
  absl::Status PutUnits(uint64_t bytes);
  absl::Status WriteUnits(uint64_t offset, absl::string_view text);
  absl::Status CopyStored(const BlockFile& from, uint64_t begin, uint64_t end);
  absl::Status WriteHeaders();

  FileSystem& file_system_;
  const std::unique_ptr<File> file_;
  const KeyRing* const keys_;
  std::optional<SecretKey> data_key_;
  std::unique_ptr<UnitCipher> cipher_;  // null: not encrypted
  BlockHeader header_;
  FrameTable table_;
  FrameCompressor compressor_;
  uint64_t position_ = 0;  // where `pending_` is to be written
  std::string pending_;
  uint64_t bytes_ = 0;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_COMPRESSED_COMPRESSED_BLOCK_WRITER_H_

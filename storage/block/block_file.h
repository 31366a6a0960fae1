// BlockFile: one open block of the log.

#ifndef STORAGE_BLOCK_BLOCK_FILE_H_
#define STORAGE_BLOCK_BLOCK_FILE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/mutex.h"
#include "storage/block/block_bytes.h"
#include "storage/block/block_header.h"
#include "storage/block/compressed/compressed_layout.h"
#include "storage/block/compressed/frame_table.h"
#include "storage/block/read_behind.h"
#include "storage/block/unit_cipher.h"
#include "storage/crypto/key_ring.h"
#include "storage/crypto/random_bytes.h"
#include "storage/file_system.h"

namespace cairn {

// Names in the log's directory. A block has a good header as long as it is named a block; whatever
// is named a spare may be overwritten.
std::string BlockFileName(uint64_t block);
std::string SpareFileName(uint64_t number);
// A block that is being compressed; means nothing.
std::string CompressedFileName(uint64_t block);
// The number in such a name, nullopt if it is none.
std::optional<uint64_t> ParseBlockFileName(absl::string_view name);
std::optional<uint64_t> ParseSpareFileName(absl::string_view name);
std::optional<uint64_t> ParseCompressedFileName(absl::string_view name);

std::string JoinPath(const std::string& directory, const std::string& name);

// What an encrypted block is written like is between this class and UnitCipher: all that is read
// and written through it is plain text, at offsets of PlainGeometry. Headers alone are not
// encrypted.
//
// What a compressed block is like is between this class and CompressedBytes: what is read and
// written through it has the offsets it had before. Its batches cannot be written any more.
//
// Threads: as File; Rewrap, RestoreHeaders, RestoreTables and PutBack beside anything, but for
// Write.
class BlockFile {
 public:
  // A block that was just made by FormatBlock. If it is encrypted: `data_key`, and `random`, which
  // outlives it, for its revisions.
  BlockFile(FileSystem& file_system, std::unique_ptr<File> file, const BlockHeader& header,
            std::optional<SecretKey> data_key, RandomBytes* random);

  // What stands in the two places of the header.
  struct Headers {
    std::optional<BlockHeader> header;
    std::optional<SecretKey> data_key;  // if the block is encrypted
    bool good[2] = {false, false};
  };

  // Opens block `block` of `identity`, or of whomever if there is none, and checks that it is
  // whole: FAILED_PRECONDITION for another identity, a newer format or a key that `keys`, which may
  // be null, has not got, DATA_LOSS if no copy of the header is good, the file is cut short or it
  // is another block. A copy that is another block's is as a bad one if the other is right. Names
  // the file.
  static absl::StatusOr<std::unique_ptr<BlockFile>> Open(FileSystem& file_system,
                                                         const std::string& path, uint64_t block,
                                                         const std::optional<LogIdentity>& identity,
                                                         const KeyRing* keys,
                                                         FileSystem::OpenMode mode);
  // Which copies of the header were good as found by Open; for healing.
  const bool (&good_headers() const)[2] { return good_headers_; }
  // The same of the frame tables of a compressed block.
  const bool (&good_tables() const)[2] { return good_tables_; }

  // What was written there is synced and not read soon, nor does the page cache keep what else is
  // read of this block.
  void DropCached(uint64_t offset, uint64_t length) const;
  // For syncs.
  File& file() const { return *file_; }
  const std::string& path() const { return file_->path(); }
  BlockHeader header() const;
  const BlockGeometry& geometry() const { return geometry_; }
  uint64_t block() const { return block_; }
  uint64_t tag() const { return tag_; }
  bool is_compressed() const { return layout_.has_value(); }
  // Of a compressed block; null if it is not, or neither copy is good.
  const FrameTable* frame_table() const { return table_.get(); }

  // Writes `bytes` at `offset`, which is that of a unit. In an encrypted block the last unit is
  // filled up; the first time after Open the header gets a new revision before, which is synced.
  absl::Status Write(uint64_t offset, absl::string_view bytes);
  absl::Status WriteSeal(const BlockSeal& seal, int copy);
  uint64_t seal_bytes() const {
    return cipher_ == nullptr ? kSectorBytes : BlockSeal::kEncryptedBytes;
  }
  // Past the page cache; what fails or is not there is kUnreadableByte.
  Bytes ReadDirect(uint64_t offset, uint64_t length) const;
  // All of it as the disk holds it; in windows through the page cache. The window must not outlive
  // the block.
  std::unique_ptr<BlockBytes> Image() const;
  std::unique_ptr<BlockBytes> Window() const;
  // The same for who reads on from `offset` and does not come back (ReadBehind).
  std::unique_ptr<BlockBytes> WindowFrom(uint64_t offset) const;

  // What the file stores, decrypted; of a block that is not compressed that is all there is to it.
  uint64_t stored_bytes() const {
    return layout_ ? layout_->stored_bytes() : geometry_.block_bytes;
  }
  Bytes ReadStored(uint64_t offset, uint64_t length) const;
  // The bytes of the block, for whoever has those that the file stores.
  std::unique_ptr<BlockBytes> Expand(std::unique_ptr<BlockBytes> stored) const;

  // Writes the copies of the header that are not good. Not synced.
  absl::Status HealHeaders();

  // For a block that is sealed, to which nobody else writes any more. Each syncs; after an error
  // nothing of the kind is written to this block again.
  //
  // Writes those copies of the header that are not on the disk as they should be. True if some were
  // not.
  absl::StatusOr<bool> RestoreHeaders();
  // The same of the frame tables of a compressed block, if there are any. DATA_LOSS if neither copy
  // is good.
  absl::StatusOr<bool> RestoreTables();
  // Writes again what was found rotten, at the offset of a unit. In an encrypted block the header
  // gets a new revision before, so no nonce is used twice; there `bytes` are whole units. DATA_LOSS
  // for what is compressed.
  absl::Status PutBack(uint64_t offset, absl::string_view bytes);
  // The file is better not used for another block: something of it could not be put back, or a
  // write or sync of it has failed.
  void Distrust() { trusted_.store(false, std::memory_order_relaxed); }
  bool trusted() const { return trusted_.load(std::memory_order_relaxed); }

  // Wraps the data key of an encrypted block by the newest key of `keys`, unless it is already:
  // one copy of the header, synced, and then the other one. A crash anywhere leaves a copy that the
  // old or the new key opens.
  absl::Status Rewrap(const KeyRing& keys);

 private:
  std::unique_ptr<UnitCipher> NewCipher() const;
  uint64_t FileOffset(uint64_t offset) const;
  std::optional<FrameTable> ReadTable(int copy) const;
  void LoadTables();
  absl::Status PutBackStored(uint64_t offset, absl::string_view bytes);
  absl::Status BeginWriting() CAIRN_REQUIRES(mutex_);
  absl::Status WriteHeaders(const BlockHeader& header) CAIRN_REQUIRES(mutex_);
  absl::Status RefuseToWrite() const;

  FileSystem& file_system_;
  const std::unique_ptr<File> file_;
  const uint64_t block_;
  const uint64_t tag_;
  const BlockGeometry stored_geometry_;
  const BlockGeometry geometry_;
  const std::optional<SecretKey> data_key_;
  RandomBytes* const random_;
  const std::optional<CompressedLayout> layout_;  // of a compressed block
  std::shared_ptr<const FrameTable> table_;       // of one that can be read
  bool good_tables_[2] = {true, true};
  bool good_headers_[2] = {true, true};
  std::atomic<bool> trusted_ = true;
  mutable ReadBehind read_behind_;
  mutable Mutex mutex_;
  BlockHeader header_ CAIRN_GUARDED_BY(mutex_);
  // Under which this process writes; 0: it has not begun to.
  uint32_t revision_ CAIRN_GUARDED_BY(mutex_) = 0;
  // A write beside those of batches has failed: there are no more of them.
  bool header_failed_ CAIRN_GUARDED_BY(mutex_) = false;
  const std::unique_ptr<UnitCipher> cipher_;  // for writing
};

// Makes the file at `path` a block that holds nothing: all of it zero and synced, then the header,
// synced as well. `create`: the file is not there yet.
absl::Status FormatBlock(FileSystem& file_system, const std::string& path, bool create,
                         const BlockHeader& header, Zeroes zeroes);

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_FILE_H_

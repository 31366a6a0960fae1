// BlockCompressor: puts compressed files in the place of blocks that were sealed some time ago.

#ifndef STORAGE_BLOCK_COMPRESSED_BLOCK_COMPRESSOR_H_
#define STORAGE_BLOCK_COMPRESSED_BLOCK_COMPRESSOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "storage/block/batch_walker.h"
#include "storage/block/block_set.h"
#include "storage/block/compressed/compressed_block_writer.h"
#include "storage/block/direct_window.h"
#include "storage/crypto/key_ring.h"
#include "storage/file_system.h"
#include "storage/log_scrub.h"

namespace cairn {

// A block is written anew beside the log, read back and verified, and only then renamed over the
// old file. So a crash leaves one of the two whole. What cannot be read as it was written, does not
// get smaller by an eighth, or is nearly empty stays as it is.
//
// Between two steps nothing of the block is held. If it was released meanwhile, what was made of it
// is thrown away: whether it still is there is asked once more, so that nobody can release it, when
// its name is taken (BlockSet::Replace).
//
// Threads: one at a time, beside all use of the log.
class BlockCompressor {
 public:
  struct Parts {
    FileSystem* file_system = nullptr;
    std::string directory;
    std::shared_ptr<BlockSet> blocks;
    std::shared_ptr<const KeyRing> keys;  // may be null
    // Bytes of the entries in use in a block. Any thread.
    std::function<uint64_t(uint64_t block)> bytes_in_use;
    // So far behind the block that is written to.
    uint64_t distance = 1;
  };
  explicit BlockCompressor(Parts parts) : parts_(std::move(parts)) {}

  // Reads and writes about `max_bytes`. The blocks before `head` are sealed. Nothing is done on a
  // disk that is full, until the log has got on; nothing at all after a write or sync failed.
  CompressStep Step(uint64_t head, uint64_t max_bytes);

 private:
  // The file is written and now is read: all that stands in it.
  struct Check {
    explicit Check(std::unique_ptr<BlockFile> written);
    std::unique_ptr<BlockFile> file;
    DirectBlock block;
    BatchWalker walker;
    uint64_t next_batch = 0;
    std::optional<EntryHash> previous = std::nullopt;
  };
  struct Job {
    uint64_t block = 0;
    const BlockFile* from = nullptr;  // to compare with, not to use
    std::string path = {};
    BlockSeal seal = {};
    std::unique_ptr<CompressedBlockWriter> writer = nullptr;
    std::unique_ptr<Check> check = nullptr;
    uint64_t bytes() const;
  };

  bool Begin(uint64_t head);
  bool IsWorthIt(const BlockFile& block) const;
  void Advance();
  absl::Status Write(const BlockFile& from);
  absl::Status OpenWritten();
  absl::Status CheckSome();
  absl::Status Commit(const std::shared_ptr<BlockFile>& from);
  void Failed(const absl::Status& status);
  void Abandon();

  const Parts parts_;
  std::optional<Job> job_;
  std::set<uint64_t> skipped_;  // blocks that stay as they are
  uint64_t head_ = 0;
  uint64_t full_at_ = 0;  // there was no room while this was the head
  bool ended_ = false;
  std::vector<std::string> problems_;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_COMPRESSED_BLOCK_COMPRESSOR_H_

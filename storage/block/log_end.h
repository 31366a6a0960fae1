// LogEnd: the place the next batch goes to.

#ifndef STORAGE_BLOCK_LOG_END_H_
#define STORAGE_BLOCK_LOG_END_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "storage/block/block_file.h"
#include "storage/block/block_footer.h"
#include "storage/block/span_index.h"
#include "storage/block/sync_batch.h"

namespace cairn {

// Threads: one at a time.
class LogEnd {
 public:
  // What the log holds so far. `boot` goes into every batch.
  LogEnd(uint64_t boot, uint64_t last_batch, EntryHash last_id_hash)
      : boot_(boot), last_batch_(last_batch), last_id_hash_(last_id_hash) {}

  // Goes on in `block`, whose first batch is `first_batch` (0: it holds none yet), at these places.
  void Continue(std::shared_ptr<BlockFile> block, uint64_t first_batch, uint64_t data_end,
                uint64_t id_begin);
  // Goes on in a block that holds nothing.
  void Begin(std::shared_ptr<BlockFile> block);

  const std::shared_ptr<BlockFile>& block() const { return block_; }
  // The next batch is the first one of its block.
  bool at_block_begin() const { return first_batch_ == 0; }
  uint64_t last_batch() const { return last_batch_; }
  uint64_t batches_in_block() const {
    return at_block_begin() ? 0 : last_batch_ - first_batch_ + 1;
  }
  uint64_t boot() const { return boot_; }

  bool Fits(const SyncBatch& batch) const;
  // True if so many bytes are left behind it.
  bool FitsBefore(const SyncBatch& batch, uint64_t bytes) const;
  // True if both fit, one behind the other.
  bool Fit(const SyncBatch& first, const SyncBatch& second) const;
  // Length of a block that would hold the batch.
  uint64_t BlockBytesFor(const SyncBatch& batch) const;

  // Gives the batch its number and place.
  void Place(SyncBatch& batch) const;

  // Writes the batch, which has been placed: first its records, then its id record. Not synced.
  absl::Status Write(const SyncBatch& batch);
  // The last batch was synced.
  void Synced() const;
  // Where the batch stands that is placed but not yet written.
  BatchPlace place() const {
    return {.block = block_->block(), .data_begin = data_end_, .id_end = id_begin_};
  }

  // BlockSeal::has_bad_entries, last_is_faulty and end_lost.
  struct SealMarks {
    bool has_bad_entries = false;
    bool last_is_faulty = false;
    bool end_lost = false;
  };
  // Writes the seal and then the footer, each synced: nothing comes behind the last batch. The
  // footer goes to [free_begin, free_end) if it fits there, or nowhere.
  absl::Status Seal(FileSystem& file_system, const BlockFooter& footer, SealMarks marks,
                    uint64_t free_begin, uint64_t free_end);
  // As above, with the footer behind the last batch.
  absl::Status Seal(FileSystem& file_system, const BlockFooter& footer);

 private:
  const uint64_t boot_;
  uint64_t last_batch_;
  EntryHash last_id_hash_;
  std::shared_ptr<BlockFile> block_;
  uint64_t first_batch_ = 0;
  uint64_t data_end_ = 0;
  uint64_t id_begin_ = 0;
  uint64_t last_bytes_ = 0;  // of the last batch's records, if this object wrote it
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_LOG_END_H_

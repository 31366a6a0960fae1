// BlockScrub: reads the sealed blocks of a log that is in use, and what stands twice in it.

#ifndef STORAGE_BLOCK_BLOCK_SCRUB_H_
#define STORAGE_BLOCK_BLOCK_SCRUB_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "storage/block/block_set.h"
#include "storage/block/compressed/block_compressor.h"
#include "storage/block/span_index.h"
#include "storage/file_system.h"
#include "storage/log_scrub.h"

namespace cairn {

// A round looks at the manifest and then at the sealed blocks, oldest first: of each the headers,
// the seals, the footer, both id records of each batch (their chain, too) and every record. Reads
// past the page cache, but for the manifest.
//
// What is bad:
// - an entry that is in the log and stands there: is told. One that is in the log no more is not.
// - one copy of header, seal, id record, frame table or manifest: is written again from the other
//   one, synced.
// - what has no second copy of the same kind, a footer or both id records of a batch, or cannot be
//   written, as a head in a compressed frame: the block is to be avoided, which the log's writer
//   hears.
//
// Threads: Step and Compress as LogScrub says; the rest from any.
class BlockScrub final : public LogScrub {
 public:
  struct Parts {
    FileSystem* file_system = nullptr;
    std::string directory;
    std::shared_ptr<BlockSet> blocks;
    // The span in which the entry stands; nothing if it is not in the log, not in a block, or may
    // be torn. Any thread.
    std::function<std::optional<Span>(GroupId, LogPosition)> find;
    // What is in use in a block, by group. Any thread.
    std::function<std::vector<std::pair<GroupId, Span>>(uint64_t block)> spans_in;
    // Makes sealed blocks smaller; null: they stay as they are.
    std::unique_ptr<BlockCompressor> compressor = nullptr;
  };

  // The blocks before `head` are sealed.
  BlockScrub(Parts parts, uint64_t head) : parts_(std::move(parts)), head_(head) {}

  ScrubStep Step(ScrubPosition& position, uint64_t max_bytes) override;
  bool compresses() const override { return parts_.compressor != nullptr; }
  CompressStep Compress(uint64_t max_bytes) override;

  // The log goes on in this block.
  void SetHead(uint64_t head) { head_.store(head, std::memory_order_release); }
  // Somebody else came upon an entry in `span` that is in the log and cannot be read: the next Step
  // tells.
  void Found(GroupId group, const Span& span, Index index, const absl::Status& why);
  // Blocks found to be avoided since the last call: what is in use in them is better copied away.
  std::set<uint64_t> TakeAvoided();

 private:
  class Pass;

  void CheckManifest(ScrubStep& step);
  void Avoid(uint64_t block);

  const Parts parts_;
  std::atomic<uint64_t> head_;
  std::atomic<bool> has_avoided_ = false;
  Mutex mutex_;
  std::set<uint64_t> avoided_ CAIRN_GUARDED_BY(mutex_);
  std::vector<ScrubFinding> found_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_SCRUB_H_

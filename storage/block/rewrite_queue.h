// RewriteQueue: blocks whose entries are to be written anew in other ones, and what of these cannot
// be read.

#ifndef STORAGE_BLOCK_REWRITE_QUEUE_H_
#define STORAGE_BLOCK_REWRITE_QUEUE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/types.h"
#include "storage/block/span_index.h"

namespace cairn {

// A block stays in the queue until nothing in it is in use any more. An entry that cannot be read
// waits there for somebody who has it from elsewhere (BlockLog::Repair), and holds up no other.
// Threads: one at a time.
class RewriteQueue {
 public:
  void Add(uint64_t block) { blocks_.try_emplace(block); }
  void Remove(uint64_t block) { blocks_.erase(block); }
  bool Contains(uint64_t block) const { return blocks_.contains(block); }
  std::vector<uint64_t> Blocks() const;

  // The entry cannot be read where it stands. The block is in the queue.
  void AddUnreadable(uint64_t block, GroupId group, Index index);
  bool IsUnreadable(uint64_t block, GroupId group, Index index) const;

  // Nothing can be done for the block, which is in the queue, as long as so much of it is in use.
  void Wait(uint64_t block, BlockUsage::Usage usage) { blocks_.at(block).waits = usage; }
  bool IsWaiting(uint64_t block, BlockUsage::Usage usage) const;

 private:
  struct Block {
    std::set<std::pair<GroupId, Index>> unreadable;
    std::optional<BlockUsage::Usage> waits;
  };
  std::map<uint64_t, Block> blocks_;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_REWRITE_QUEUE_H_

#include "storage/block/rewrite_queue.h"

namespace cairn {

std::vector<uint64_t> RewriteQueue::Blocks() const {
  std::vector<uint64_t> ids;
  for (const auto& [id, block] : blocks_) ids.push_back(id);
  return ids;
}

void RewriteQueue::AddUnreadable(uint64_t block, GroupId group, Index index) {
  blocks_.at(block).unreadable.emplace(group, index);
}

bool RewriteQueue::IsUnreadable(uint64_t block, GroupId group, Index index) const {
  auto found = blocks_.find(block);
  return found != blocks_.end() && found->second.unreadable.contains({group, index});
}

bool RewriteQueue::IsWaiting(uint64_t block, BlockUsage::Usage usage) const {
  auto found = blocks_.find(block);
  return found != blocks_.end() && found->second.waits == usage;
}

}  // namespace cairn

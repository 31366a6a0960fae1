#include "storage/block/block_log_store.h"

namespace cairn {

absl::Status BlockLogStore::Append(const LogAppend& append) { return log_.Append(group_, append); }

absl::Status BlockLogStore::Repair(const std::vector<RecordRun>& runs) {
  return log_.Repair(group_, runs);
}

absl::StatusOr<std::vector<RecordRun>> BlockLogStore::Read(Index first, Index last,
                                                           size_t max_bytes) const {
  return log_.Read(group_, first, last, max_bytes);
}

Index BlockLogStore::UnreadableThrough(Index first, Index last) const {
  return log_.UnreadableThrough(group_, first, last);
}

absl::StatusOr<EntryHash> BlockLogStore::HashAt(Index index) const {
  return log_.HashAt(group_, index);
}

LogPosition BlockLogStore::base() const { return log_.BaseOf(group_); }

LogPosition BlockLogStore::last() const { return log_.LastOf(group_); }

absl::Status BlockLogStore::DropPrefix(Index up_to) { return log_.DropPrefix(group_, up_to); }

absl::Status BlockLogStore::Reset(LogPosition base, EntryHash hash) {
  return log_.Reset(group_, base, hash);
}

}  // namespace cairn

// BlockLogStore: one group's view of a BlockLog.

#ifndef STORAGE_BLOCK_BLOCK_LOG_STORE_H_
#define STORAGE_BLOCK_BLOCK_LOG_STORE_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/block/block_log.h"
#include "storage/log_store.h"

namespace cairn {

class BlockLogStore final : public LogStore {
 public:
  // Both outlive the store.
  BlockLogStore(BlockLog& log, GroupState& group) : log_(log), group_(group) {}

  absl::Status Append(const LogAppend& append) override;
  absl::Status Repair(const std::vector<RecordRun>& runs) override;
  absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last,
                                              size_t max_bytes) const override;
  Index UnreadableThrough(Index first, Index last) const override;
  absl::StatusOr<EntryHash> HashAt(Index index) const override;
  LogPosition base() const override;
  LogPosition last() const override;
  absl::Status DropPrefix(Index up_to) override;
  absl::Status Reset(LogPosition base, EntryHash hash) override;

 private:
  BlockLog& log_;
  GroupState& group_;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_LOG_STORE_H_

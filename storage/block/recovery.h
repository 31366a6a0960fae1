// Recovery: from the files of a directory to a log that can be written.

#ifndef STORAGE_BLOCK_RECOVERY_H_
#define STORAGE_BLOCK_RECOVERY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/block/block_footer.h"
#include "storage/block/block_set.h"
#include "storage/block/log_end.h"
#include "storage/block/log_scan.h"
#include "storage/block/written_log.h"
#include "storage/file_system.h"

namespace cairn {

struct RecoveredDisk {
  std::unique_ptr<FileLock> lock;
  std::shared_ptr<BlockSet> blocks;
  std::unique_ptr<BlockUsage> usage;
  std::map<GroupId, WrittenLog> groups;
  LogEnd end;
  // A checkpoint has to be written and synced before anything else, so that what was decided about
  // the last batch is not decided again on other grounds.
  bool write_checkpoint = false;

  std::vector<std::string> lost_files;  // of blocks that cannot be read
  bool lost_batches = false;
  uint64_t torn_bytes = 0;
  std::map<GroupId, TornEntries> torn;
  std::vector<std::string> notes;
};

// Takes the lock of the directory, makes the log if there is none, or scans it and writes what
// LogScan::repairs asks for. It may be interrupted anywhere and started again. Errors: see
// BlockLog::Open.
absl::StatusOr<RecoveredDisk> RecoverLog(FileSystem& file_system, const BlockSet::Options& options,
                                         const ReadHelpers& helpers = {});

// What a seal of `block` needs to know of the groups: what stands in it, and which entries are in
// no block. What told of these may be cut off by now, and then nobody finds them by it again.
template <typename Groups, typename LogOf>
BlockFooter MakeFooter(const BlockFile& block, const Groups& groups, const LogOf& log_of) {
  BlockFooter footer = {.tag = block.tag(), .spans = {}};
  for (const auto& [id, group] : groups) {
    for (const Span& span : log_of(group).spans.spans()) {
      if (span.is_in_block() && span.block != block.block()) continue;
      footer.spans[id].push_back(span);
      footer.spans[id].back().copied |= !span.is_in_block();  // what stands behind them stays
    }
  }
  return footer;
}

}  // namespace cairn

#endif  // STORAGE_BLOCK_RECOVERY_H_

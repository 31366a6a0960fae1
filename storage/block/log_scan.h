// LogScan: the state of the log in a directory, found by reading alone.
//
// Holds: scanning writes nothing, so what it finds is the same however often it is done. What has
// to be written because of it stands in `repairs`; recovery.h does that, offline tools do not.

#ifndef STORAGE_BLOCK_LOG_SCAN_H_
#define STORAGE_BLOCK_LOG_SCAN_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/block/scanned_block.h"
#include "storage/block/written_log.h"

namespace cairn {

// What a cut batch held of a group.
struct TornEntries {
  Index first = 0;
  Index last = 0;
};

struct LogScan {
  ScannedBlocks blocks;
  std::unique_ptr<BlockUsage> usage;
  std::map<GroupId, WrittenLog> groups;
  // What of a group's log was given up, because nobody can tell what stood before it. What is left
  // may be older than what was acknowledged (hard_state_lost).
  std::map<GroupId, LogBreak> given_up;
  LostBlocks lost_blocks;
  // Files that are not there and without which something is missing; not all if they are many.
  std::vector<std::string> missing;
  // A batch that was synced is lost, nobody knows what of.
  bool lost_batches = false;
  // The last batch, which may have been synced, is lost: behind the end stands what no power cut
  // leaves, or the blocks that followed cannot be read.
  bool end_lost = false;

  // The end of the log: the next batch goes to `head` at these places, or, if that is sealed or 0
  // (none is left), to the beginning of `next`.
  uint64_t head = 0;
  uint64_t next = 0;  // goes on behind `head`
  uint64_t last_batch = 0;
  EntryHash last_id_hash;
  uint64_t data_end = 0;
  uint64_t id_begin = 0;

  // What the last batch leaves to be done.
  struct Repairs {
    // Id records to be written again: block, offset, bytes.
    struct IdRecordCopy {
      uint64_t block = 0;
      uint64_t offset = 0;
      std::string bytes;
    };
    std::vector<IdRecordCopy> id_records;
    bool seal_head = false;  // something stands behind the end
    bool head_has_bad_entries = false;
    bool head_is_faulty = false;    // what is bad of its last batch may have been acknowledged
    bool write_checkpoint = false;  // to keep what was decided
    uint64_t free_begin = 0;        // place for a footer
    uint64_t free_end = 0;
  };
  Repairs repairs;

  uint64_t torn_bytes = 0;
  std::map<GroupId, TornEntries> torn;
  std::vector<std::string> notes;

  // Nothing is missing that others would have to supply, so files that are lost held nothing that
  // is still in use.
  bool whole() const;
};

// Scans the blocks of a log, which has a manifest of this identity and these blocks.
// FAILED_PRECONDITION for blocks of another identity or format, or encrypted with a key that is not
// given. Whatever else is wrong with them is no error: what they held is lost. The same whoever
// helps to read.
absl::StatusOr<LogScan> ScanLog(const BlockSource& source, const std::vector<uint64_t>& blocks,
                                const ReadHelpers& helpers = {});

}  // namespace cairn

#endif  // STORAGE_BLOCK_LOG_SCAN_H_

// BatchWalker: goes from batch to batch of a block, by whichever of the two copies of each id
// record is good.

#ifndef STORAGE_BLOCK_BATCH_WALKER_H_
#define STORAGE_BLOCK_BATCH_WALKER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"
#include "storage/block/block_bytes.h"
#include "storage/block/id_record.h"
#include "storage/block/layout.h"
#include "storage/record.h"

namespace cairn {

// An entry that its id record names and that is not there as it says.
struct BadEntry {
  GroupId group = GroupId::kNone;
  LogPosition at;
  uint64_t offset = 0;
  uint64_t length = 0;
  bool has_zero_sector = false;  // something of it never reached the disk
};

struct FoundBatch {
  IdRecord id;
  uint64_t id_bytes = 0;  // of the encoded id record
  EntryHash hash;         // of the encoded id record
  bool head_good = false;
  bool id_good = false;
};

// Where the records of `ids` begin in the block.
inline uint64_t RecordsBegin(const FoundBatch& batch, const EntryIds& ids) {
  return batch.id.data_begin + batch.id_bytes + ids.offset;
}

// Threads: one at a time.
class BatchWalker {
 public:
  // `bytes` outlives the walker.
  BatchWalker(BlockBytes& bytes, const BlockGeometry& geometry, uint64_t tag);

  // Where the next batch would stand.
  uint64_t data_end() const { return data_end_; }
  uint64_t id_begin() const { return id_begin_; }
  void MoveTo(uint64_t data_end, uint64_t id_begin);
  void MoveBehind(const FoundBatch& batch);

  // The batch that stands next, whatever its number; nullopt if neither copy is good. Does not
  // move. `compare`: look at both copies even if the first one is good.
  std::optional<FoundBatch> Peek(bool compare = true);
  // The batch with the lowest number from `batch` on that stands anywhere between data_end and
  // id_begin: for going on behind one that was lost.
  std::optional<FoundBatch> FindLater(uint64_t batch);

  // The entries of `ids` that are not as the id record says, in order.
  std::vector<BadEntry> Verify(const FoundBatch& batch, GroupId group, const EntryIds& ids);
  // Those of all groups, by offset.
  std::vector<BadEntry> Verify(const FoundBatch& batch);

 private:
  // The id record at `offset`, if there is a good one of this block whose batch lies between
  // data_end and id_begin.
  std::optional<FoundBatch> DecodeAt(uint64_t offset);
  std::optional<FoundBatch> FindIdRecord();
  bool IsSound(const FoundBatch& batch) const;
  void CompareCopies(FoundBatch& batch);

  BlockBytes& bytes_;
  const BlockGeometry geometry_;
  const uint64_t tag_;
  uint64_t data_end_;
  uint64_t id_begin_;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_BATCH_WALKER_H_

// Reading entries back from a block.

#ifndef STORAGE_BLOCK_LOG_READER_H_
#define STORAGE_BLOCK_LOG_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/block/batch_walker.h"
#include "storage/block/block_bytes.h"
#include "storage/block/block_file.h"
#include "storage/block/span_index.h"
#include "storage/record.h"

namespace cairn {

// The batch that was read last, for who reads on: its id record is long, and its records are read
// in parts.
struct LastBatch {
  uint64_t block = 0;
  std::shared_ptr<const FoundBatch> found;  // null: none
};

// Entries first..last of `group`, which stand in one span of the block, from the batch of `mark`
// on: at least one, and then at most `max_bytes` of them. Each is what its id record promises and
// follows the one before. DATA_LOSS naming file, offset and index if `first` is not intact; a later
// one that is not ends what is returned. `last_batch`, unless it is null: the batch that may hold
// `first`, and then the one that holds the last entry given.
absl::StatusOr<std::vector<RecordRun>> ReadEntries(const BlockFile& block, const Mark& mark,
                                                   GroupId group, Index first, Index last,
                                                   size_t max_bytes,
                                                   LastBatch* last_batch = nullptr);

// The same, from the bytes of the block as another one has them.
absl::StatusOr<std::vector<RecordRun>> ReadEntries(const BlockFile& block, BlockBytes& bytes,
                                                   const Mark& mark, GroupId group, Index first,
                                                   Index last, size_t max_bytes);

// OK if the id records, from the batch of `mark` on, name the entries of `run`, which stand in one
// span of the block: by length and the part of the hash they keep. DATA_LOSS if they name others,
// NOT_FOUND if one stood in a batch of which both are bad.
absl::Status CheckEntries(const BlockFile& block, const Mark& mark, const RecordRun& run);

}  // namespace cairn

#endif  // STORAGE_BLOCK_LOG_READER_H_

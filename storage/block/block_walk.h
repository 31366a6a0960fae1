// BlockWalk: everything that stands in one block, verified.

#ifndef STORAGE_BLOCK_BLOCK_WALK_H_
#define STORAGE_BLOCK_BLOCK_WALK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/block/batch_walker.h"
#include "storage/block/block_file.h"
#include "storage/block/block_footer.h"
#include "storage/block/tail.h"

namespace cairn {

// The seal of a block. Nothing if no copy is good; a compressed block has a third one.
struct FoundSeal {
  std::optional<BlockSeal> seal;
  bool good[2] = {false, false};
};
FoundSeal ReadSeal(const BlockFile& file);

// The footer a good seal names. DATA_LOSS if there is none or it is bad.
absl::StatusOr<BlockFooter> ReadFooter(const BlockFile& file, const BlockSeal& seal);

struct BlockWalk {
  std::vector<FoundBatch> batches;
  // By place in `batches`: the bad entries of a batch, by offset.
  std::map<size_t, std::vector<BadEntry>> bad;
  // Places in `batches` before which some are missing that must have been there.
  std::vector<size_t> lost_before;
  // Behind the last batch.
  uint64_t data_end = 0;
  uint64_t id_begin = 0;
  Remainder remainder;  // of a sealed block: empty
  // The greatest stretch of zeros in the remainder, in whole units.
  uint64_t free_begin = 0;
  uint64_t free_end = 0;
};

// Reads the block past the page cache. `first_batch`: the number its first batch must have, 0 if
// that is not known. DATA_LOSS naming the file if batches contradict each other.
absl::StatusOr<BlockWalk> WalkBlock(const BlockFile& file, const std::optional<BlockSeal>& seal,
                                    uint64_t first_batch);
// The same, of a block that was read before.
absl::StatusOr<BlockWalk> WalkBlock(const BlockFile& file, BlockBytes& image,
                                    const std::optional<BlockSeal>& seal, uint64_t first_batch);

// True if nothing was ever written to the block but its header, by a look at where the first batch
// would be.
bool LooksUnused(const BlockFile& file);

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_WALK_H_

// BlockFooter: what a sealed block holds, so that opening the log need not read its id records.

#ifndef STORAGE_BLOCK_BLOCK_FOOTER_H_
#define STORAGE_BLOCK_BLOCK_FOOTER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/types.h"
#include "storage/block/span_index.h"

namespace cairn {

// The spans of each group that were in use in this block when it was sealed, by index. Bounds and
// hard states are not here: the first batch of the next block has them.
struct BlockFooter {
  uint64_t tag = 0;
  std::map<GroupId, std::vector<Span>> spans;

  std::string Encode() const;
  // DATA_LOSS if the bytes are not the footer of the block with this tag. The seal has the
  // checksum of the whole; it was compared before.
  static absl::StatusOr<BlockFooter> Decode(absl::string_view bytes, uint64_t tag);
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_FOOTER_H_

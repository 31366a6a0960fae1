// CheckEndOfBlocks: whether a checkpoint of the streams agrees with itself, and with the disk,
// about where the last block ends.

#ifndef STORAGE_STREAM_CHECKPOINT_END_H_
#define STORAGE_STREAM_CHECKPOINT_END_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "storage/file_system.h"
#include "storage/stream/stream_image.h"

namespace cairn {

// A checkpoint says twice where the blocks end: in their lengths, and by the last record of all
// streams, which ends there. Nothing of what is behind the end is kept, and what comes is written
// there, so one that contradicts itself is not to be believed: DATA_LOSS naming the block. Where
// the record cannot be read, that is damage of its block and no contradiction. An error of the disk
// is given as it is. `path_of` names the file of a block.
absl::Status CheckEndOfBlocks(FileSystem& file_system, const StreamImage& image,
                              absl::FunctionRef<std::string(uint32_t block)> path_of);

}  // namespace cairn

#endif  // STORAGE_STREAM_CHECKPOINT_END_H_

// StreamScrub: reads the files of a store, a piece at a time, to find what has rotted.

#ifndef STORAGE_STREAM_STREAM_SCRUB_H_
#define STORAGE_STREAM_STREAM_SCRUB_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "storage/stream/stream_blocks.h"

namespace cairn {

// Reads past caches; takes no lock that the appender waits for while it does. What has rotted and
// is still right in memory is written again; else it is noted as damage of the blocks, and the rest
// of that block is not looked at. Threads: one at a time.
class StreamScrub {
 public:
  struct Step {
    uint64_t bytes = 0;
    bool ended = false;               // all blocks were read
    std::vector<std::string> healed;  // what was written again, a sentence each
  };

  // Reads about `max_bytes`, more where a record has more, of the block `block` and those behind it
  // (0: the first), and moves it. It goes on within a block where the last step did; any other
  // block is read from its beginning.
  Step Go(const std::shared_ptr<StreamBlocks>& blocks, uint64_t& block, uint64_t max_bytes);

 private:
  // Of one block: false once it is done, or damaged.
  bool ReadOn(StreamBlocks& blocks, Step& step, uint64_t max_bytes);
  absl::Status ReadEnds(const StreamBlocks& blocks, Step& step);
  absl::Status ReadRecords(const StreamBlocks& blocks, Step& step, uint64_t max_bytes);

  std::weak_ptr<StreamBlocks> of_;
  uint32_t block_ = 0;
  uint64_t next_ = 0;      // byte of the block; 0: nothing of it was read
  uint64_t data_end_ = 0;  // by its footer; 0: that was not there yet
};

}  // namespace cairn

#endif  // STORAGE_STREAM_STREAM_SCRUB_H_

// Frames: a row of entries, cut into pieces to be sent.

#ifndef RAFT_FRAMES_H_
#define RAFT_FRAMES_H_

#include <cstddef>
#include <vector>

#include "base/types.h"
#include "storage/record.h"

namespace cairn {

// Small enough that a frame of bulk on its way delays a heartbeat little.
inline constexpr size_t kFrameBytes = size_t{256} << 10;

struct EntryFrame {
  LogPosition previous;  // the entry before the first one
  std::vector<RecordRun> entries;
  size_t bytes = 0;

  LogPosition last() const { return entries.back().last(); }
};

// The entries of `runs`, which follow `previous`, in frames of at most `frame_bytes` each unless
// one entry is larger.
std::vector<EntryFrame> CutFrames(LogPosition previous, std::vector<RecordRun> runs,
                                  size_t frame_bytes);

}  // namespace cairn

#endif  // RAFT_FRAMES_H_

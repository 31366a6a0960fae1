#include "raft/frames.h"

#include <utility>

#include "raft/cache/log_cache.h"

namespace cairn {

std::vector<EntryFrame> CutFrames(LogPosition previous, std::vector<RecordRun> runs,
                                  size_t frame_bytes) {
  std::vector<EntryFrame> frames;
  for (RecordRun& rest : runs) {
    while (!rest.empty()) {
      if (frames.empty()) frames.push_back({previous, {}, 0});
      EntryFrame& frame = frames.back();
      size_t room = frame_bytes - std::min(frame_bytes, frame.bytes);
      if (frame.bytes > 0 && rest[0].bytes().size() > room) {
        LogPosition last = frame.last();
        frames.push_back({last, {}, 0});
        continue;
      }
      RecordRun part = CutToBytes(rest, room);
      Index behind = part.last().index + 1;
      rest = part.size() == rest.size() ? RecordRun() : rest.Slice(behind, rest.last().index);
      frame.bytes += part.byte_size();
      frame.entries.push_back(std::move(part));
    }
  }
  return frames;
}

}  // namespace cairn

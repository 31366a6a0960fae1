// PieceWindow: how much of a snapshot is under way to a receiver.

#ifndef RAFT_SNAPSHOTS_PIECE_WINDOW_H_
#define RAFT_SNAPSHOTS_PIECE_WINDOW_H_

#include <cstddef>

#include "base/time.h"

namespace cairn {

// What is under way waits in the buffers of the link, and so does what shares it: votes,
// heartbeats, entries. So the receiver asks for no more than the link carries in its own delay and
// kTarget, which it learns from how long answers take: a queue of kTarget is what a snapshot may
// cost the others (the aim of LEDBAT, RFC 6817; the step is that of FAST TCP, to the window that
// would have had the delay wanted).
//
// The delay of the link is the least that was seen in the last one to two kMemory. So that a queue
// that always stands is not taken for it, the window begins small once in kMemory.
class PieceWindow {
 public:
  static constexpr Duration kTarget = Milliseconds(100);
  static constexpr Duration kMemory = Seconds(30);
  static constexpr size_t kLeast = size_t{8} << 10;
  static constexpr size_t kFirst = size_t{16} << 10;
  static constexpr size_t kMost = size_t{1} << 20;

  explicit PieceWindow(Instant now = Instant()) : since_(now) {}

  // So many bytes may be under way.
  size_t bytes() const { return static_cast<size_t>(window_); }
  // One more piece may be asked for.
  bool HasRoom(size_t under_way) const;
  // How much is asked for at once: a multiple of kSnapshotGrainBytes, at most kSnapshotPieceBytes.
  size_t piece() const;
  // `bytes` came, so long after they were asked for.
  void Arrived(size_t bytes, Duration delay, Instant now);

 private:
  static constexpr Duration kDistantDelay = Seconds(1000);

  double window_ = double{kFirst};
  Instant since_;
  Duration before_ = kDistantDelay;  // the least delay of the last kMemory
  Duration lately_ = kDistantDelay;  // and of this one
};

}  // namespace cairn

#endif  // RAFT_SNAPSHOTS_PIECE_WINDOW_H_

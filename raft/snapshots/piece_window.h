// PieceWindow: how much of a snapshot is under way to a receiver.

#ifndef RAFT_SNAPSHOTS_PIECE_WINDOW_H_
#define RAFT_SNAPSHOTS_PIECE_WINDOW_H_

#include <cstddef>

#include "base/delay_window.h"
#include "base/time.h"

namespace cairn {

// The receiver pulls, so it sees how long each answer takes, and asks for no more than the link
// carries without delaying what shares it: votes, heartbeats, entries.
class PieceWindow {
 public:
  explicit PieceWindow(Instant now = Instant()) : window_(now) {}

  // So many bytes may be under way.
  size_t bytes() const { return window_.bytes(); }
  // One more piece may be asked for.
  bool HasRoom(size_t under_way) const;
  // How much is asked for at once: a multiple of kSnapshotGrainBytes, at most kSnapshotPieceBytes.
  size_t piece() const;
  // `bytes` came, so long after they were asked for, which was as soon as there was room.
  void Arrived(size_t bytes, Duration delay, Instant now) {
    window_.Arrived({.bytes = bytes, .under_way = window_.bytes(), .delay = delay}, now);
  }

 private:
  DelayWindow window_;
};

}  // namespace cairn

#endif  // RAFT_SNAPSHOTS_PIECE_WINDOW_H_

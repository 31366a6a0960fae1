// PieceWindow: how much of a snapshot is under way to a receiver.

#ifndef RAFT_SNAPSHOTS_PIECE_WINDOW_H_
#define RAFT_SNAPSHOTS_PIECE_WINDOW_H_

#include <cstddef>

#include "base/delay_window.h"
#include "base/time.h"

namespace cairn {

// The receiver pulls, so it sees how long each answer takes, and asks for no more than the link
// carries without delaying what shares it: votes, heartbeats, entries.
//
// What a piece waits for is one of two things. A queue of what was asked for gets shorter if less
// is: in the network, its buffers at the sender included, and in the sender's throttle
// (ByteBudget), so that no more is asked for than the throttle lets through and members that share
// it wait little for each other. A busy thread, or disk, at either end does not: that is `held`,
// and makes the window no smaller (DelayWindow).
class PieceWindow {
 public:
  explicit PieceWindow(Instant now = Instant()) : window_(now) {}

  // So many bytes may be under way.
  size_t bytes() const { return window_.bytes(); }
  // One more piece may be asked for.
  bool HasRoom(size_t under_way) const;
  // How much is asked for at once: a multiple of kSnapshotGrainBytes, at most kSnapshotPieceBytes.
  size_t piece() const;
  // `bytes` came, so long after they were asked for, which was as soon as there was room. For
  // `held` of that the nodes at the ends had not come to them.
  void Arrived(size_t bytes, Duration delay, Duration held, Instant now) {
    window_.Arrived({.bytes = bytes, .under_way = window_.bytes(), .delay = delay, .held = held},
                    now);
  }

 private:
  DelayWindow window_;
};

}  // namespace cairn

#endif  // RAFT_SNAPSHOTS_PIECE_WINDOW_H_

#include "raft/snapshots/piece_window.h"

#include <algorithm>
#include <utility>

#include "raft/envelope.h"
#include "raft/snapshots/chunk_assembly.h"

namespace cairn {

bool PieceWindow::HasRoom(size_t under_way) const {
  return under_way == 0 || under_way + piece() <= bytes();
}

// Some pieces make up a window, or the link would be idle between them.
size_t PieceWindow::piece() const {
  const size_t grains = bytes() / 4 / kSnapshotGrainBytes;
  return std::clamp(grains * kSnapshotGrainBytes, kSnapshotGrainBytes, kSnapshotPieceBytes);
}

void PieceWindow::Arrived(size_t bytes, Duration delay, Instant now) {
  const auto nanoseconds = [](Duration each) { return static_cast<double>(each.nanoseconds); };
  delay = std::max(delay, Nanoseconds(1));
  if (now - since_ >= kMemory) {
    window_ = double{kLeast};
    before_ = std::exchange(lately_, kDistantDelay);
    since_ = now;
  }
  lately_ = std::min(lately_, delay);
  const Duration least = std::min(before_, lately_);
  // At most twice as much a round trip.
  const double factor = std::min(2.0, nanoseconds(least + kTarget) / nanoseconds(delay));
  window_ = std::clamp(window_ + static_cast<double>(bytes) * (factor - 1), double{kLeast},
                       double{kMost});
}

}  // namespace cairn

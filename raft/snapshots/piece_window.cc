#include "raft/snapshots/piece_window.h"

#include <algorithm>

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

}  // namespace cairn

#include "raft/core/disk_lag.h"

namespace cairn {

void DiskLag::Look(Index commit, Index durable, Instant now) {
  if (watched_ > durable) return;
  const bool behind = commit > durable;
  watched_ = behind ? commit : 0;
  if (behind) since_ = now;
}

}  // namespace cairn

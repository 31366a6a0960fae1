// DiskLag: for how long a leader's disk has been behind those of its quorum.

#ifndef RAFT_CORE_DISK_LAG_H_
#define RAFT_CORE_DISK_LAG_H_

#include "base/time.h"
#include "base/types.h"

namespace cairn {

// A quorum commits without the leader's disk, but the leader applies and answers only what its own
// disk has: with a slow one it is the wrong leader. Watches one committed entry at a time, the
// last one there was when the one before was durable: so the lag told is never more than the true
// one.
//
// Threads: one at a time. Instants never go back.
class DiskLag {
 public:
  // Entries are committed up to `commit`, and durable here up to `durable`.
  void Look(Index commit, Index durable, Instant now);
  // The instant since when an entry has been committed that is not durable here; kDistantFuture if
  // there is none.
  Instant behind_since() const { return watched_ == 0 ? kDistantFuture : since_; }
  // Counts from now on.
  void Restart(Instant now) { since_ = now; }

 private:
  Index watched_ = 0;  // 0: none
  Instant since_;
};

}  // namespace cairn

#endif  // RAFT_CORE_DISK_LAG_H_

// ApplyFeed: hands committed entries to the applier, as many as it can hold.

#ifndef RAFT_APPLY_FEED_H_
#define RAFT_APPLY_FEED_H_

#include <algorithm>
#include <memory>

#include "base/types.h"
#include "raft/applier.h"
#include "raft/group_log.h"
#include "raft/pending_proposals.h"

namespace cairn {

// Holds: each entry is submitted once, in order. What is not in memory any more the applier reads
// from the store itself, so that the runner neither waits for the disk nor holds a long log.
//
// Threads: the runner's sequence.
class ApplyFeed {
 public:
  // All outlive the feed. Everything up to `submitted` is applied already.
  ApplyFeed(Applier* applier, const GroupLog* log, PendingProposals* pending, Index submitted)
      : applier_(applier), log_(log), pending_(pending), submitted_(submitted) {}

  // Entries up to `index` are committed, and durable here.
  void Reach(Index index) { reached_ = std::max(reached_, index); }
  // The log gave way to a snapshot: what was not submitted is not there any more.
  void Stop() {
    reached_ = submitted_;
    applier_->ExpectRestore();
  }
  // The state comes from `snapshot` now, which is further on.
  void Restore(std::shared_ptr<const StoredSnapshot> snapshot);
  // Submits what fits.
  void Advance();

 private:
  Applier* const applier_;
  const GroupLog* const log_;
  PendingProposals* const pending_;
  Index submitted_;
  Index reached_ = 0;
};

}  // namespace cairn

#endif  // RAFT_APPLY_FEED_H_

#include "raft/apply_feed.h"

#include <utility>

namespace cairn {

void ApplyFeed::Advance() {
  while (submitted_ < reached_ && !applier_->full()) {
    ApplyWork work;
    work.first = submitted_ + 1;
    if (work.first >= log_->first_cached()) {
      work.runs = log_->ReadCached(work.first, reached_, Applier::kPieceBytes);
      work.last = work.runs.back().last().index;
    } else {
      work.last = std::min(reached_, log_->first_cached() - 1);
    }
    work.spans = pending_->TakeUpTo(work.last);
    submitted_ = work.last;
    applier_->Submit(std::move(work));
  }
}

}  // namespace cairn

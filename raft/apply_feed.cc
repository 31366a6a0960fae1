#include "raft/apply_feed.h"

#include <memory>
#include <utility>

#include "base/check.h"

namespace cairn {

void ApplyFeed::Restore(std::shared_ptr<const StoredSnapshot> snapshot) {
  const Index index = snapshot->position().index;
  CAIRN_CHECK_GT(index, submitted_);
  for (PlacedSpan& placed : pending_->TakeUpTo(index)) {
    placed.AnswerUnknown("a snapshot stands for it here");
  }
  submitted_ = reached_ = index;
  ApplyWork work;
  work.first = work.last = index;
  work.restore = std::move(snapshot);
  applier_->Submit(std::move(work));
}

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

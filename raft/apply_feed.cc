#include "raft/apply_feed.h"

#include "base/check.h"

namespace cairn {

void ApplyFeed::Stop() {
  reached_ = submitted_;
  restore_.reset();  // a later one follows
  applier_->ExpectRestore();
}

void ApplyFeed::GoBackTo(Index index) {
  submitted_ = std::min(submitted_, index - 1);
  applier_->ExpectRestore();
}

void ApplyFeed::Restore(std::shared_ptr<const StoredSnapshot> snapshot) {
  const Index index = snapshot->position().index;
  CAIRN_CHECK_GT(index, submitted_);
  for (PlacedSpan& placed : pending_->TakeUpTo(index)) {
    placed.AnswerUnknown("a snapshot stands for it here");
  }
  reached_ = std::max(reached_, index);
  restore_ = std::move(snapshot);
  if (!paused_) Advance();
}

void ApplyFeed::Submit(Index index, std::shared_ptr<const StoredSnapshot> snapshot, bool again) {
  ApplyWork work;
  work.first = work.last = index;
  work.restore = std::move(snapshot);
  work.again = again;
  applier_->Submit(std::move(work));
}

void ApplyFeed::Advance() {
  if (paused_) return;
  if (replay_.snapshot != nullptr) {
    Submit(replay_.from, std::exchange(replay_.snapshot, nullptr), /*again=*/true);
    if (replay_.from < submitted_) {
      ApplyWork work;
      work.first = replay_.from + 1;
      work.last = submitted_;
      applier_->Submit(std::move(work));
    }
  }
  if (restore_ != nullptr) {
    submitted_ = restore_->position().index;
    Submit(submitted_, std::exchange(restore_, nullptr), /*again=*/false);
  }
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

void ApplyFeed::Pause(Done done) {
  paused_ = true;
  pauses_.push_back(std::move(done));
  NoteApplied();
}

void ApplyFeed::Resume() {
  paused_ = false;
  EndPauses(absl::CancelledError("applying was resumed"));
}

void ApplyFeed::NoteApplied() {
  if (pauses_.empty() || applier_->applied() < submitted_ || applier_->replaying()) return;
  EndPauses(absl::OkStatus());
}

void ApplyFeed::EndPauses(const absl::Status& status) {
  for (Done& done : std::exchange(pauses_, {})) done(status);
}

void ApplyFeed::Replay(std::shared_ptr<const StoredSnapshot> snapshot, Done done) {
  CAIRN_CHECK_EQ(replay_.from, Index{0});
  CAIRN_CHECK_LE(snapshot->position().index, submitted_);
  replay_ = {snapshot->position().index, std::move(snapshot), std::move(done)};
}

void ApplyFeed::ReplayEnded(const absl::Status& status) {
  if (replay_.from == 0) return;
  std::exchange(replay_, {}).done(status);
}

void ApplyFeed::GiveUp(const absl::Status& why) {
  EndPauses(why);
  ReplayEnded(why);
}

}  // namespace cairn

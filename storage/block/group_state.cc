#include "storage/block/group_state.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cairn {
GroupState::GroupState(GroupId group, WrittenLog written)
    : group_(group),
      written_(std::move(written)),
      hard_state_(written_.hard_state),
      hard_state_lost_(written_.hard_state_lost),
      base_(written_.base),
      base_hash_(written_.base_hash),
      last_(written_.last),
      last_hash_(written_.last_hash),
      commit_(written_.commit),
      issued_(written_.last.index),
      durable_(written_.last.index) {
  if (written_.torn_from) issued_ = durable_ = *written_.torn_from - 1;
}

Term GroupState::TermAt(Index index) const {
  if (index == last_.index) return last_.term;
  if (index == base_.index) return base_.term;
  if (index > last_.index || index < base_.index) return 0;
  if (const RecordRun* run = FindPending(index)) return run->At(index).position().term;
  return written_.spans.TermAt(index);
}

const RecordRun* GroupState::FindPending(Index index) const {
  for (const RecordRun& run : pending_) {
    if (run.first().index <= index && index <= run.last().index) return &run;
  }
  return nullptr;
}

Index GroupState::first_pending() const {
  return pending_.empty() ? last_.index + 1 : pending_.front().first().index;
}

void GroupState::LoseHardState() { hard_state_lost_ = written_.hard_state_lost = dirty_ = true; }

bool GroupState::empty() const {
  return !hard_state_lost_ && hard_state_ == HardState() && base_ == LogPosition() &&
         last_ == LogPosition();
}

Index GroupState::EndFor(const LogAppend& append) const { return cairn::EndFor(extent(), append); }

absl::Status GroupState::CheckFits(const LogAppend& append, EntryHash hash) const {
  return cairn::CheckFits(extent(), append, hash, [this](Index index) { return TermAt(index); });
}

void GroupState::Append(const LogAppend& append, EntryHash hash) {
  if (append.sure && hard_state_lost_) {
    hard_state_lost_ = false;
    dirty_ = true;
  }
  if (append.hard_state && *append.hard_state != hard_state_) {
    hard_state_ = *append.hard_state;
    dirty_ = true;
  }
  commit_ = std::max(commit_, append.commit);
  const Index end = EndFor(append);
  if (end < last_.index) Truncate(end + 1, hash);
  for (const RecordRun& run : append.runs) {
    if (run.empty()) continue;
    CAIRN_CHECK_EQ(run.first().index, last_.index + 1);
    pending_.push_back(run);
    last_ = run.last();
    last_hash_ = run.last_hash();
    dirty_ = true;
  }
}

void GroupState::Truncate(Index from, EntryHash hash_before) {
  CAIRN_CHECK_GT(from, base_.index);
  const Term term = TermAt(from - 1);
  if (from <= written_.last.index) {
    // Of several truncations of one batch the lowest stays; the entries between were never written.
    if (!truncation_ || from <= truncation_->from) {
      truncation_ = Truncation{.from = from, .hash_before = hash_before};
    }
    dirty_ = true;
  }
  while (!pending_.empty() && pending_.back().first().index >= from) pending_.pop_back();
  if (!pending_.empty() && pending_.back().last().index >= from) {
    pending_.back() = pending_.back().Slice(pending_.back().first().index, from - 1);
  }
  last_ = {from - 1, term};
  last_hash_ = hash_before;
  issued_ = std::min(issued_, from - 1);
  durable_ = std::min(durable_, from - 1);
}

void GroupState::DropPrefix(Index up_to, EntryHash hash) {
  if (up_to <= base_.index) return;
  CAIRN_CHECK_LE(up_to, last_.index);
  base_ = {up_to, TermAt(up_to)};
  base_hash_ = hash;
  base_moved_ = true;
  dirty_ = true;
}

// In the id record: a truncation of all there is, then a base behind or before what was its end.
void GroupState::Reset(LogPosition base, EntryHash hash) {
  CAIRN_CHECK_GE(base.index, base_.index);
  Truncate(base_.index + 1, base_hash_);
  pending_.clear();  // also what was dropped before it was written
  base_ = last_ = base;
  base_hash_ = last_hash_ = hash;
  base_moved_ = true;
  dirty_ = true;
}

void GroupState::Drop() {
  hard_state_ = HardState();
  hard_state_lost_ = false;
  base_ = last_ = LogPosition();
  base_hash_ = last_hash_ = EntryHash();
  commit_ = issued_ = durable_ = 0;
  truncation_.reset();
  base_moved_ = false;
  pending_.clear();
  dropped_ = dirty_ = true;
}

void GroupState::AddTo(SyncBatch& batch, bool checkpoint) const {
  GroupSection& section = batch.AddSection(group_);
  section.hard_state = hard_state_;
  section.hard_state_lost = hard_state_lost_;
  section.durable = durable_;
  section.commit = std::min(commit_, durable_);
  if (checkpoint) section.bounds = written_.bounds();
  section.dropped = dropped_;
  section.truncation = truncation_;
  if (!pending_.empty()) section.appended = batch.AddRuns(pending_);
  if (base_moved_) section.base = {.base = base_, .hash = base_hash_};
}

GroupSection& GroupState::AddBoundsTo(SyncBatch& batch) const {
  GroupSection& section = batch.AddSection(group_);
  section.hard_state = written_.hard_state;
  section.hard_state_lost = written_.hard_state_lost;
  section.durable = durable_;
  section.commit = std::min(commit_, durable_);
  section.bounds = written_.bounds();
  return section;
}

std::vector<RecordRun> GroupState::Written(const GroupSection& section, const BatchPlace& place) {
  written_.Apply(section, place);
  issued_ = last_.index;
  if (written_.torn_from) issued_ = std::min(issued_, *written_.torn_from - 1);
  dirty_ = false;
  truncation_.reset();
  base_moved_ = false;
  dropped_ = false;
  return std::exchange(pending_, {});
}

}  // namespace cairn

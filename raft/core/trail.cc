#include "raft/core/trail.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace cairn {

Trail::Trail(LogPosition base, const std::vector<TermRun>& runs) : base_(base) { Append(runs); }

LogPosition Trail::last() const {
  return runs_.empty() ? base_ : LogPosition{runs_.back().last_index, runs_.back().term};
}

std::vector<TermRun>::const_iterator Trail::Find(Index index) const {
  return std::lower_bound(runs_.begin(), runs_.end(), index,
                          [](const TermRun& run, Index i) { return run.last_index < i; });
}

Term Trail::TermAt(Index index) const {
  if (index == base_.index) return base_.term;
  if (index < base_.index) return 0;
  auto run = Find(index);
  return run == runs_.end() ? 0 : run->term;
}

Index Trail::LastOfTerm(Index index) const {
  CAIRN_CHECK(index > base_.index && index <= last().index) << index;
  return Find(index)->last_index;
}

bool Trail::Matches(LogPosition position) const {
  return position.index >= base_.index && position.index <= last().index &&
         TermAt(position.index) == position.term;
}

void Trail::Append(const std::vector<TermRun>& runs) {
  for (const TermRun& run : runs) Append(run);
}

void Trail::Append(TermRun run) {
  CAIRN_CHECK_GT(run.last_index, last().index);
  CAIRN_CHECK_GE(run.term, last().term);
  if (!runs_.empty() && runs_.back().term == run.term) {
    runs_.back().last_index = run.last_index;
  } else {
    runs_.push_back(run);
  }
}

void Trail::TruncateFrom(Index first_removed) {
  CAIRN_CHECK_GT(first_removed, base_.index);
  holes_.Remove({first_removed, kMaxIndex});
  auto run = Find(first_removed);
  if (run == runs_.end()) return;
  auto cut = runs_.begin() + std::distance(runs_.cbegin(), run);
  Index before = cut == runs_.begin() ? base_.index : std::prev(cut)->last_index;
  // The run that contains first_removed keeps what stands before it.
  if (before + 1 < first_removed) {
    cut->last_index = first_removed - 1;
    ++cut;
  }
  runs_.erase(cut, runs_.end());
}

void Trail::Compact(Index new_base) {
  CAIRN_CHECK_GE(new_base, base_.index);
  CAIRN_CHECK_LE(new_base, last().index);
  base_ = {new_base, TermAt(new_base)};
  holes_.Remove({1, new_base});
  auto kept = std::upper_bound(runs_.begin(), runs_.end(), new_base,
                               [](Index i, const TermRun& run) { return i < run.last_index; });
  runs_.erase(runs_.begin(), kept);
}

void Trail::AddHole(HoleRange range) {
  range.first = std::max(range.first, base_.index + 1);
  range.last = std::min(range.last, last().index);
  if (range.first <= range.last) holes_.Add(range);
}

std::optional<Index> Trail::FirstMissing(LogPosition previous,
                                         const std::vector<TermRun>& runs) const {
  CAIRN_CHECK(previous.index < base_.index || Matches(previous)) << ToString(previous);
  // Invariant: everything before `first` is here.
  Index first = std::max(previous.index, base_.index) + 1;
  auto own = Find(first);
  for (const TermRun& run : runs) {
    while (first <= run.last_index) {
      if (own == runs_.end() || own->term != run.term) return first;
      first = std::min(run.last_index, own->last_index) + 1;
      if (first > own->last_index) ++own;
    }
  }
  return std::nullopt;
}

LogPosition Trail::LastSharedWith(LogPosition other) const {
  // Of the runs with no larger term, the last one.
  auto behind = std::upper_bound(runs_.begin(), runs_.end(), other.term,
                                 [](Term term, const TermRun& run) { return term < run.term; });
  Index last = behind == runs_.begin() ? base_.index : std::prev(behind)->last_index;
  Index shared = std::clamp(other.index, base_.index, last);
  return {shared, TermAt(shared)};
}

std::vector<TermRun> Trail::RunsBetween(Index first, Index last) const {
  CAIRN_CHECK_GT(first, base_.index);
  CAIRN_CHECK_LE(first, last + 1);
  CAIRN_CHECK_LE(last, this->last().index);
  std::vector<TermRun> runs;
  for (auto run = Find(first); first <= last; ++run) {
    runs.push_back({run->term, std::min(run->last_index, last)});
    first = run->last_index + 1;
  }
  return runs;
}

}  // namespace cairn

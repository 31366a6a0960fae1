#include "storage/rocksdb/group_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/check.h"

namespace cairn {
namespace {

absl::Status DoesNotFit(const RecordRun& run, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("append from ", ToString(run.first()), ": ", why));
}

const RecordRun* FirstOf(const LogAppend& append) {
  for (const RecordRun& run : append.runs) {
    if (!run.empty()) return &run;
  }
  return nullptr;
}

}  // namespace

GroupLog::GroupLog(GroupId group, LogHead head, std::vector<TermStart> starts)
    : group_(group), head_(head), starts_(std::move(starts)), told_commit_(head.known_commit) {}

Term GroupLog::TermAt(Index index) const {
  if (index == head_.base.index) return head_.base.term;
  const auto behind =
      std::upper_bound(starts_.begin(), starts_.end(), index,
                       [](Index wanted, const TermStart& start) { return wanted < start.first; });
  CAIRN_CHECK(behind != starts_.begin()) << index;
  return std::prev(behind)->term;
}

std::vector<TermRun> GroupLog::Runs() const {
  std::vector<TermRun> runs;
  for (size_t i = 0; i < starts_.size(); ++i) {
    const Index last = i + 1 < starts_.size() ? starts_[i + 1].first - 1 : head_.last.index;
    if (last > head_.base.index) runs.push_back({starts_[i].term, last});
  }
  return runs;
}

Index GroupLog::EndFor(const LogAppend& append) const {
  Index end = head_.last.index;
  if (append.truncate_from) end = std::min(end, std::max<Index>(*append.truncate_from, 1) - 1);
  if (const RecordRun* first = FirstOf(append); first != nullptr) {
    end = std::min(end, std::max<Index>(first->first().index, 1) - 1);
  }
  return std::max(end, head_.base.index);
}

absl::Status GroupLog::CheckFirst(const RecordRun& run, Index end, EntryHash hash) const {
  const LogPosition first = run.first();
  if (first.index <= head_.base.index) return DoesNotFit(run, "the log begins behind it");
  if (first.index > end + 1) return DoesNotFit(run, absl::StrCat("the log ends at ", end));
  if (first.index == end + 1 && first.term < TermAt(end)) {
    return DoesNotFit(run, "the entry before it has a higher term");
  }
  if (first.index <= end && first.term <= TermAt(first.index)) {
    return DoesNotFit(run, "the entry there has no lower term");
  }
  if (run.previous_hash() != hash) return DoesNotFit(run, "it follows another entry");
  return absl::OkStatus();
}

absl::Status GroupLog::CheckFits(const LogAppend& append, EntryHash hash) const {
  Index end = head_.last.index;
  if (append.truncate_from) {
    if (*append.truncate_from <= head_.base.index) {
      return absl::FailedPreconditionError(
          absl::StrCat("truncate from ", *append.truncate_from, ": the log begins behind it"));
    }
    end = std::min(end, *append.truncate_from - 1);
  }
  const RecordRun* before = nullptr;
  for (const RecordRun& run : append.runs) {
    if (run.empty()) continue;
    if (run[0].group() != group_) return DoesNotFit(run, "it is of another group");
    if (before == nullptr) {
      if (absl::Status status = CheckFirst(run, end, hash); !status.ok()) return status;
    } else if (run.first().index != before->last().index + 1 ||
               run.first().term < before->last().term ||
               run.previous_hash() != before->last_hash()) {
      return DoesNotFit(run, "it does not follow the run before it");
    }
    before = &run;
  }
  return absl::OkStatus();
}

void GroupLog::TruncateTo(Index last, EntryHash hash) {
  if (last >= head_.last.index) return;
  head_.last = {last, TermAt(last)};
  head_.last_hash = hash;
  head_.known_commit = std::min(head_.known_commit, last);
  if (head_.torn_from > last) head_.torn_from = 0;
  faulty_.erase(faulty_.upper_bound(last), faulty_.end());
  while (!starts_.empty() && starts_.back().first > last) starts_.pop_back();
}

void GroupLog::Append(const LogAppend& append, EntryHash hash) {
  if (append.hard_state) head_.hard_state = *append.hard_state;
  // Evidence is about what was there before: entries of this batch may be lost with it.
  told_commit_ = std::max(told_commit_, append.commit);
  const Index before = head_.last.index;
  const RecordRun* first = FirstOf(append);
  if (first != nullptr || append.hard_state || append.truncate_from) {
    head_.known_commit = std::max(head_.known_commit, std::min(told_commit_, before));
  }
  TruncateTo(EndFor(append), hash);
  for (const RecordRun& run : append.runs) {
    if (run.empty()) continue;
    Index start = run.first().index;
    for (const TermRun& terms : run.TermRuns()) {
      if (starts_.empty() || head_.last.index == head_.base.index ||
          starts_.back().term != terms.term) {
        if (head_.last.index == head_.base.index) starts_.clear();
        starts_.push_back({start, terms.term});
      }
      start = terms.last_index + 1;
      head_.last = {terms.last_index, terms.term};
    }
    head_.last_hash = run.last_hash();
  }
}

void GroupLog::ForgetStarts() {
  size_t gone = 0;
  while (gone + 1 < starts_.size() && starts_[gone + 1].first <= head_.base.index + 1) ++gone;
  if (head_.last.index == head_.base.index) gone = starts_.size();
  starts_.erase(starts_.begin(), starts_.begin() + static_cast<std::ptrdiff_t>(gone));
}

void GroupLog::DropPrefix(Index up_to, EntryHash hash) {
  const Term term = TermAt(up_to);
  head_.base = {up_to, term};
  head_.base_hash = hash;
  if (head_.torn_from != 0 && head_.torn_from <= up_to) head_.torn_from = 0;
  faulty_.erase(faulty_.begin(), faulty_.upper_bound(up_to));
  ForgetStarts();
}

void GroupLog::Reset(LogPosition base, EntryHash hash) {
  head_.base = head_.last = base;
  head_.base_hash = head_.last_hash = hash;
  head_.known_commit = std::min(head_.known_commit, base.index);
  head_.torn_from = 0;
  faulty_.clear();
  starts_.clear();
}

}  // namespace cairn

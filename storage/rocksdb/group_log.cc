#include "storage/rocksdb/group_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/check.h"

namespace cairn {
namespace {

const RecordRun* FirstOf(const LogAppend& append) {
  for (const RecordRun& run : append.runs) {
    if (!run.empty()) return &run;
  }
  return nullptr;
}

}  // namespace

GroupLog::GroupLog(GroupId group, LogHead head, std::vector<TermStart> starts)
    : group_(group),
      head_(head),
      starts_(std::move(starts)),
      told_commit_(head.known_commit),
      verified_(head.base.index, head.base_hash) {}

Term GroupLog::TermAt(Index index) const {
  if (index == head_.base.index) return head_.base.term;
  const auto behind =
      std::upper_bound(starts_.begin(), starts_.end(), index,
                       [](Index wanted, const TermStart& start) { return wanted < start.first; });
  CAIRN_CHECK(behind != starts_.begin()) << index;
  return std::prev(behind)->term;
}

Index GroupLog::LastOfTerm(Index entry) const {
  const auto behind =
      std::upper_bound(starts_.begin(), starts_.end(), entry,
                       [](Index wanted, const TermStart& start) { return wanted < start.first; });
  return behind == starts_.end() ? head_.last.index : behind->first - 1;
}

std::vector<TermRun> GroupLog::Runs() const {
  std::vector<TermRun> runs;
  for (size_t i = 0; i < starts_.size(); ++i) {
    const Index last = i + 1 < starts_.size() ? starts_[i + 1].first - 1 : head_.last.index;
    if (last > head_.base.index) runs.push_back({starts_[i].term, last});
  }
  return runs;
}

Index GroupLog::EndFor(const LogAppend& append) const { return cairn::EndFor(extent(), append); }

absl::Status GroupLog::CheckFits(const LogAppend& append, EntryHash hash) const {
  return cairn::CheckFits(extent(), append, hash, [this](Index index) { return TermAt(index); });
}

// The hash of an entry covers those before it, so that of the last one proves the whole run. Where
// nobody knows it, the entry it follows does, with the terms: one index and term is one entry.
absl::Status GroupLog::CheckRepair(const RecordRun& run, const HashAt& hash_at) const {
  const auto refuse = [&](absl::string_view why) {
    return absl::FailedPreconditionError(
        absl::StrCat("repair of ", ToString(run.first()), "..", ToString(run.last()), ": ", why));
  };
  if (run.empty() || run[0].group() != group_) return refuse("it is of another group");
  if (absl::Status whole = CheckHeaders(run); !whole.ok()) return refuse(whole.message());
  const Index end = LastWhole() + 1;
  if (run.first().index <= head_.base.index || run.last().index >= end) {
    return refuse(absl::StrCat("the log holds ", head_.base.index + 1, "..", end - 1));
  }
  for (size_t i = 0; i < run.size(); ++i) {
    const LogPosition at = run[i].position();
    if (TermAt(at.index) != at.term) return refuse("another entry stands there");
  }
  const absl::StatusOr<EntryHash> before = hash_at(run.first().index - 1);
  if (before.ok() && *before != run.previous_hash()) return refuse("it follows another entry");
  const absl::StatusOr<EntryHash> last = hash_at(run.last().index);
  if (last.ok() && *last != run.last_hash()) return refuse("another entry stood there");
  if (!before.ok() && !last.ok()) return refuse("nothing is left to know it by");
  return absl::OkStatus();
}

void GroupLog::TruncateTo(Index last, EntryHash hash) {
  if (last >= head_.last.index) return;
  head_.last = {last, TermAt(last)};
  head_.last_hash = hash;
  head_.known_commit = std::min(head_.known_commit, last);
  if (head_.torn_from > last) head_.torn_from = 0;
  faulty_.Remove(last + 1, kMaxIndex);
  while (!starts_.empty() && starts_.back().first > last) starts_.pop_back();
  verified_.TruncateTo(last, hash);
}

void GroupLog::Append(const LogAppend& append, EntryHash hash) {
  if (append.hard_state) head_.hard_state = *append.hard_state;
  if (append.sure) head_.unsure = false;
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
    verified_.Add(run);
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
  faulty_.Remove(0, up_to);
  verified_.DropPrefix(up_to, hash);
  ForgetStarts();
}

void GroupLog::Reset(LogPosition base, EntryHash hash) {
  head_.base = head_.last = base;
  head_.base_hash = head_.last_hash = hash;
  head_.known_commit = std::min(head_.known_commit, base.index);
  head_.torn_from = 0;
  faulty_.Clear();
  starts_.clear();
  verified_ = VerifiedPart(base.index, hash);
}

void GroupLog::Repaired(const RecordRun& run) {
  faulty_.Remove(run.first().index, run.last().index);
  verified_.AddRepaired(run);
}

void GroupLog::BeginVerified(const std::optional<VerifiedMark>& mark) {
  verified_ = mark ? VerifiedPart(*mark) : VerifiedPart(head_.base.index, head_.base_hash);
}

Index GroupLog::LastGood(Index unreadable) const {
  if (!faulty_.empty()) unreadable = std::min(unreadable, faulty_.first());
  return std::min(LastWhole(), unreadable - 1);
}

void GroupLog::AdvanceMark(size_t walked_bytes, Index unreadable) {
  verified_.Advance(walked_bytes, LastGood(unreadable));
}

std::optional<VerifiedMark> GroupLog::Mark(Index unreadable) const {
  const Index index = verified_.mark();
  if (index <= head_.base.index || index > LastGood(unreadable)) return std::nullopt;
  return VerifiedMark{.change = head_.change,
                      .at = {index, TermAt(index)},
                      .hash = verified_.mark_hash(),
                      .configurations = verified_.ConfigurationsOfMark()};
}

}  // namespace cairn

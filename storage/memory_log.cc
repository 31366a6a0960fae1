#include "storage/memory_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/append_fit.h"

namespace cairn {
bool MemoryLog::empty() const {
  return hard_state_ == HardState() && base_ == LogPosition() && runs_.empty();
}

size_t MemoryLog::RunOf(Index index) const {
  const auto behind = std::upper_bound(
      runs_.begin(), runs_.end(), index,
      [](Index wanted, const RecordRun& run) { return wanted < run.first().index; });
  CAIRN_CHECK(behind != runs_.begin()) << index;
  return static_cast<size_t>(behind - runs_.begin()) - 1;
}

Term MemoryLog::TermAt(Index index) const {
  return index == base_.index ? base_.term : runs_[RunOf(index)].At(index).position().term;
}

absl::StatusOr<EntryHash> MemoryLog::HashAt(Index index) const {
  if (index == base_.index) return base_hash_;
  if (index < base_.index || index > last().index) return NotInLog(index);
  if (index == last().index) return last_hash();
  return runs_[RunOf(index)].At(index).hash();
}

absl::Status MemoryLog::CheckRepair(const std::vector<RecordRun>& runs) const {
  for (const RecordRun& run : runs) {
    const bool here = !run.empty() && run[0].group() == group_ && run.first().index > base_.index &&
                      run.last().index <= last().index &&
                      HashAt(run.last().index).value() == run.last_hash();
    if (!here) return absl::FailedPreconditionError("repair of entries that are not in the log");
  }
  return absl::OkStatus();
}

absl::Status MemoryLog::NotInLog(Index index) const {
  return absl::OutOfRangeError(absl::StrCat("index ", index, " is not in the log, which holds ",
                                            base_.index + 1, "..", last().index));
}

absl::Status MemoryLog::CheckFits(const LogAppend& append) const {
  const LogExtent extent = {group_, base_.index, last().index};
  return cairn::CheckFits(extent, append, HashAt(EndFor(extent, append)).value(),
                          [this](Index index) { return TermAt(index); });
}

absl::Status MemoryLog::Append(const LogAppend& append) {
  if (absl::Status status = CheckFits(append); !status.ok()) return status;
  if (append.hard_state) hard_state_ = *append.hard_state;
  // Evidence is about what was there before: entries of this batch may be lost with it.
  told_commit_ = std::max(told_commit_, append.commit);
  known_commit_ = std::max(known_commit_, std::min(told_commit_, last().index));
  if (append.truncate_from) TruncateFrom(*append.truncate_from);
  for (const RecordRun& run : append.runs) {
    if (run.empty()) continue;
    TruncateFrom(run.first().index);
    runs_.push_back(run);
  }
  return absl::OkStatus();
}

void MemoryLog::TruncateFrom(Index from) {
  while (!runs_.empty() && runs_.back().first().index >= from) runs_.pop_back();
  if (!runs_.empty() && runs_.back().last().index >= from) {
    runs_.back() = runs_.back().Slice(runs_.back().first().index, from - 1);
  }
  known_commit_ = std::min(known_commit_, last().index);
}

absl::Status MemoryLog::DropPrefix(Index up_to) {
  if (up_to <= base_.index) return absl::OkStatus();
  if (up_to > last().index) return NotInLog(up_to);
  const LogPosition base = {up_to, TermAt(up_to)};
  base_hash_ = HashAt(up_to).value();
  base_ = base;
  while (!runs_.empty() && runs_.front().last().index <= up_to) runs_.pop_front();
  if (!runs_.empty() && runs_.front().first().index <= up_to) {
    runs_.front() = runs_.front().Slice(up_to + 1, runs_.front().last().index);
  }
  return absl::OkStatus();
}

absl::Status MemoryLog::Reset(LogPosition base, EntryHash hash) {
  if (base.index < base_.index) {
    return absl::FailedPreconditionError(
        absl::StrCat("reset to ", ToString(base), ": the log begins behind ", ToString(base_)));
  }
  runs_.clear();
  base_ = base;
  base_hash_ = hash;
  known_commit_ = std::min(known_commit_, base.index);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RecordRun>> MemoryLog::Read(Index first, Index to,
                                                       size_t max_bytes) const {
  if (first <= base_.index || first > last().index) return NotInLog(first);
  if (to < first) {
    return absl::OutOfRangeError(absl::StrCat("read from ", first, " to ", to));
  }
  to = std::min(to, last().index);
  std::vector<RecordRun> read;
  size_t bytes = 0;
  for (size_t at = RunOf(first); at < runs_.size() && first <= to; ++at) {
    const RecordRun& run = runs_[at];
    Index end = first;  // behind the last one taken
    while (end <= std::min(to, run.last().index)) {
      const size_t next = run.At(end).bytes().size();
      const bool is_first = read.empty() && end == first;
      if (!is_first && next > max_bytes - bytes) break;
      bytes = std::min(bytes + next, max_bytes);
      ++end;
    }
    if (end > first) read.push_back(run.Slice(first, end - 1));
    if (end <= run.last().index) break;
    first = end;
  }
  return read;
}

RecoveredLog MemoryLog::Recovered() const {
  RecoveredLog recovered;
  recovered.hard_state = hard_state_;
  recovered.base = base_;
  recovered.base_hash = base_hash_;
  recovered.last_hash = last_hash();
  recovered.known_commit = known_commit_;
  for (const RecordRun& run : runs_) {
    for (const TermRun& term_run : run.TermRuns()) {
      if (!recovered.runs.empty() && recovered.runs.back().term == term_run.term) {
        recovered.runs.back().last_index = term_run.last_index;
      } else {
        recovered.runs.push_back(term_run);
      }
    }
    for (size_t i = 0; i < run.size(); ++i) {
      if (run[i].type() == EntryType::kConfiguration) {
        recovered.configurations.push_back({run[i].position(), run[i].Payload(run.bytes())});
      }
    }
    recovered.report.entries += run.size();
  }
  return recovered;
}

size_t PartsOf(const LogAppend& append) {
  size_t parts = (append.hard_state ? 1u : 0u) + (append.truncate_from ? 1u : 0u);
  for (const RecordRun& run : append.runs) parts += run.size();
  return parts + (append.commit != 0 ? 1u : 0u);
}

LogAppend FirstParts(const LogAppend& append, size_t parts) {
  LogAppend first;
  if (parts >= PartsOf(append)) return append;
  if (append.hard_state && parts > 0) {
    first.hard_state = append.hard_state;
    --parts;
  }
  if (append.truncate_from && parts > 0) {
    first.truncate_from = append.truncate_from;
    --parts;
  }
  for (const RecordRun& run : append.runs) {
    if (run.empty()) continue;
    const Index start = run.first().index;
    const size_t kept = std::min(parts, run.size());
    if (kept > 0) first.runs.push_back(run.Slice(start, start + kept - 1));
    parts -= kept;
  }
  return first;
}

}  // namespace cairn

#include "storage/append_fit.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "storage/record.h"

namespace cairn {
namespace {

absl::Status DoesNotFit(const RecordRun& run, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("append from ", ToString(run.first()), ": ", why));
}

// Of the first run, where truncate_from leaves the log up to `end`.
absl::Status CheckFirst(const LogExtent& log, const RecordRun& run, Index end, EntryHash hash,
                        absl::FunctionRef<Term(Index)> term_at) {
  const LogPosition first = run.first();
  if (first.index <= log.base) return DoesNotFit(run, "the log begins behind it");
  if (first.index > end + 1) return DoesNotFit(run, absl::StrCat("the log ends at ", end));
  if (first.index == end + 1 && first.term < term_at(end)) {
    return DoesNotFit(run, "the entry before it has a higher term");
  }
  if (first.index <= end && first.term <= term_at(first.index)) {
    return DoesNotFit(run, "the entry there has no lower term");
  }
  if (run.previous_hash() != hash) return DoesNotFit(run, "it follows another entry");
  return absl::OkStatus();
}

bool Follows(const RecordRun& run, const RecordRun& before) {
  return run.first().index == before.last().index + 1 && run.first().term >= before.last().term &&
         run.previous_hash() == before.last_hash();
}

}  // namespace

// What has changed in memory since it was made would make the log claim another entry, that nobody
// has. A payload that has changed is found when it is read, and harms that entry alone.
absl::Status CheckHeaders(const RecordRun& run) {
  for (size_t i = 0; i < run.size(); ++i) {
    const absl::StatusOr<size_t> length = RecordLength(run[i].bytes());
    if (length.ok() && *length == run[i].bytes().size()) continue;
    return absl::FailedPreconditionError(absl::StrCat("the header of entry ", i + 1, " of ",
                                                      run.size(),
                                                      " has changed in memory since it was made"));
  }
  return absl::OkStatus();
}

absl::Status CheckHeaders(const std::vector<RecordRun>& runs) {
  for (const RecordRun& run : runs) {
    if (absl::Status whole = CheckHeaders(run); !whole.ok()) return whole;
  }
  return absl::OkStatus();
}

Index EndFor(const LogExtent& log, const LogAppend& append) {
  // Entries before 1 are none; CheckFits refuses what names them.
  auto before = [](Index index) { return std::max<Index>(index, 1) - 1; };
  Index end = log.last;
  if (append.truncate_from) end = std::min(end, before(*append.truncate_from));
  for (const RecordRun& run : append.runs) {
    if (run.empty()) continue;
    end = std::min(end, before(run.first().index));
    break;
  }
  return std::max(end, log.base);
}

absl::Status CheckFits(const LogExtent& log, const LogAppend& append, EntryHash hash,
                       absl::FunctionRef<Term(Index)> term_at) {
  Index end = log.last;
  if (append.truncate_from) {
    if (*append.truncate_from <= log.base) {
      return absl::FailedPreconditionError(
          absl::StrCat("truncate from ", *append.truncate_from, ": the log begins behind it"));
    }
    end = std::min(end, *append.truncate_from - 1);
  }
  const RecordRun* before = nullptr;
  for (const RecordRun& run : append.runs) {
    if (run.empty()) continue;
    if (run[0].group() != log.group) return DoesNotFit(run, "it is of another group");
    if (before == nullptr) {
      absl::Status status = CheckFirst(log, run, end, hash, term_at);
      if (!status.ok()) return status;
    } else if (!Follows(run, *before)) {
      return DoesNotFit(run, "it does not follow the run before it");
    }
    before = &run;
  }
  return absl::OkStatus();
}

}  // namespace cairn

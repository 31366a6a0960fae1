#include "raft/repair/torn_gift.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace cairn {
namespace {

// Of so many questions late answers are taken.
constexpr size_t kMaxAsked = 8;

}  // namespace

TermRun TornGift::RunAt(Index index) const {
  const auto run = std::find_if(ask_.runs.begin(), ask_.runs.end(),
                                [&](const TermRun& each) { return each.last_index >= index; });
  return run == ask_.runs.end() ? TermRun() : *run;
}

void TornGift::Want(AskTorn ask, EntryHash before) {
  const bool same = ask.first == ask_.first && before == before_;
  ask_ = std::move(ask);
  before_ = before;
  // Equal terms at one index mean equal logs up to there (paper 5.3).
  if (!same || (!parts_.empty() && RunAt(next() - 1).term != parts_.back().last().term)) {
    parts_.clear();
  }
  if (asked_.size() == kMaxAsked) asked_.erase(asked_.begin());
  asked_.emplace_back(ask_.to, ask_.request);
}

std::optional<EntryRequest> TornGift::Request() const {
  if (whole()) return std::nullopt;
  EntryRequest request = {.request = ask_.request, .wanted = {}};
  for (Index index = next(); index <= last() && request.wanted.size() < kMaxEntryRanges;) {
    const TermRun run = RunAt(index);
    request.wanted.push_back({index, run.last_index, run.term});
    index = run.last_index + 1;
  }
  return request;
}

bool TornGift::Awaits(NodeId from, const EntryReply& reply) const {
  return std::find(asked_.begin(), asked_.end(), std::pair(from, reply.request)) != asked_.end();
}

absl::StatusOr<bool> TornGift::Take(const std::vector<RecordRun>& entries) {
  bool taken = false;
  for (const RecordRun& run : entries) {
    while (next() <= last() && run.first().index <= next() && next() <= run.last().index) {
      const Index first = next();
      const RecordView record = run.At(first);
      const TermRun wanted = RunAt(first);
      const bool joins = record.previous_hash() == (parts_.empty() ? before_ : last_hash());
      if (!joins || record.position().term != wanted.term) {
        // It may be what came before that is of another log.
        if (!joins) parts_.clear();
        return absl::FailedPreconditionError(
            absl::StrCat("entry ", first, " is not the one that may be torn here"));
      }
      Index end = first;
      while (end < std::min(run.last().index, wanted.last_index) &&
             run.At(end + 1).position().term == wanted.term) {
        ++end;
      }
      parts_.push_back(run.Slice(first, end));
      taken = true;
    }
  }
  return taken;
}

TornEntriesGiven TornGift::Given(LogPosition previous) const {
  CAIRN_CHECK(whole());
  return {.from = ask_.to,
          .request = ask_.request,
          .payload = 0,
          .previous = previous,
          .runs = ask_.runs,
          .configurations = {}};
}

}  // namespace cairn

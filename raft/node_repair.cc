// The part of Node that deals with entries that cannot be read: its own, and those of others.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "raft/core/configuration.h"
#include "raft/node.h"

namespace cairn {
namespace {

// What one answer brings, at most.
constexpr size_t kGivenBytes = size_t{512} << 10;
// Where one entry is bad, its neighbours often are: so many behind it are looked at.
constexpr Index kLookedAt = 256;

std::vector<std::pair<LogPosition, Configuration>> ConfigurationsIn(const RecordRun& run) {
  std::vector<std::pair<LogPosition, Configuration>> found;
  for (size_t i = 0; i < run.size(); ++i) {
    if (run[i].type() != EntryType::kConfiguration) continue;
    absl::StatusOr<Configuration> configuration =
        DecodeConfiguration(run[i].Payload(run.bytes()).view());
    if (configuration.ok()) found.emplace_back(run[i].position(), *std::move(configuration));
  }
  return found;
}

}  // namespace

void Node::Damaged(Instant now, Index index, const absl::Status& why) {
  if (fenced_ || raft_.holes().Contains(index) || raft_.TermAt(index) == 0) return;
  Index last = index;
  while (last < std::min(raft_.durable(), index + kLookedAt) && last + 1 < log_.first_cached() &&
         absl::IsDataLoss(dependencies_.store->Read(last + 1, last + 1, 1).status())) {
    ++last;
  }
  dependencies_.log->Log(
      LogLevel::kWarning,
      absl::StrCat("group ", ToInteger(settings_.group), ": entries ", index, " to ", last,
                   " cannot be read and are asked of the other members: ", why.message()));
  if (told_.damage.empty()) told_.damage = std::string(why.message());
  Report({.kind = LossEvent::Kind::kDamaged,
          .first = index,
          .last = last,
          .term = raft_.TermAt(index),
          .text = std::string(why.message())});
  raft_.Step(now, EntriesDamaged{{index, last}});
}

void Node::Report(LossEvent event) const {
  if (dependencies_.losses == nullptr) return;
  event.group = settings_.group;
  dependencies_.losses->Add(event);
}

void Node::DriveRepair(Instant now) {
  if (std::exchange(told_.had_holes, !raft_.holes().empty()) && raft_.holes().empty() &&
      dependencies_.losses != nullptr) {
    dependencies_.losses->Close(settings_.group, kMaxIndex);
  }
  if (std::optional<EntryRepair::Asking> asking = repair_.Next(now, raft_)) {
    Send(asking->to, std::move(asking->request));
  }
  const std::optional<Index> nowhere = repair_.TakeNowhere();
  if (!nowhere) return;
  Complain(now, absl::StrCat("entry ", *nowhere, " cannot be read, and no other member has it"));
  if (*nowhere <= compaction_.durable()) {
    // The state has it, safe outside the log.
    Report({.kind = LossEvent::Kind::kCovered,
            .first = *nowhere,
            .last = *nowhere,
            .text = "no other member has it; the state has what it did, safe outside the log"});
    raft_.Step(now, Compact{*nowhere});
    compaction_.Dropped(raft_.base().index);
  } else {
    raft_.Step(now, EntryNowhere{*nowhere});
    if (raft_.holes().Contains(*nowhere)) return;
    Report({.kind = LossEvent::Kind::kDropped,
            .first = *nowhere,
            .last = *nowhere,
            .text = "no other member has it, and it was not committed"});
  }
}

// Another member cannot read these.
void Node::GiveEntries(Instant now, NodeId to, const EntryRequest& request) {
  if (!raft_.configuration().IsMember(to)) return;
  std::vector<RecordRun> given;
  size_t bytes = 0;
  for (const EntryRange& range : request.wanted) {
    Index next = range.first;
    while (next <= range.last && bytes < kGivenBytes) {
      const bool here = next > raft_.base().index && next <= log_.last_index() &&
                        next < raft_.torn_from().value_or(kMaxIndex) &&
                        !raft_.holes().Contains(next) && raft_.TermAt(next) == range.term;
      if (!here) break;
      absl::StatusOr<std::vector<RecordRun>> runs =
          log_.Read(next, range.last, kGivenBytes - bytes);
      if (!runs.ok()) {
        if (absl::IsDataLoss(runs.status())) Damaged(now, next, runs.status());
        break;
      }
      for (RecordRun& run : *runs) {
        if (run.last().term != range.term) break;
        bytes += run.byte_size();
        next = run.last().index + 1;
        given.push_back(std::move(run));
      }
    }
  }
  Send(to, EntryReply{request.request}, std::move(given));
}

void Node::TakeEntries(NodeId from, const EntryReply& reply,
                       const std::vector<RecordRun>& entries) {
  std::vector<RecordRun> runs = repair_.Take(from, reply, entries, raft_);
  if (runs.empty()) return;
  told_.repaired_by = from;
  dependencies_.repair(std::move(runs));
}

void Node::Repaired(Instant now, const std::vector<RecordRun>& runs, const absl::Status& status) {
  if (fenced_) return;
  repair_.Written(status.ok());
  if (absl::IsUnimplemented(status)) {
    return StopServing(NodeState::kHalted, absl::DataLossError(absl::StrCat(
                                               "entry ", runs.front().first().index,
                                               " cannot be read, and ", status.message())));
  }
  if (!status.ok()) return Complain(now, status.ToString());
  for (const RecordRun& run : runs) {
    dependencies_.log->Log(LogLevel::kInfo, absl::StrCat("group ", ToInteger(settings_.group),
                                                         ": entries ", run.first().index, " to ",
                                                         run.last().index, " are repaired"));
    Report({.kind = LossEvent::Kind::kRepaired,
            .first = run.first().index,
            .last = run.last().index,
            .term = run.first().term,
            .from = told_.repaired_by,
            .text = "another member had them"});
    log_.Repaired(run);
    raft_.Step(now, EntriesRepaired{{run.first().index, run.last().index}, ConfigurationsIn(run)});
  }
  entry_clock_.Saw(log_.last_timestamp());
  dependencies_.applier->Resume();
}

}  // namespace cairn

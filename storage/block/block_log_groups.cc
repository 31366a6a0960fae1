// The part of BlockLog that opens, closes and forgets groups.

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/block/block_log.h"
#include "storage/block/block_log_store.h"
#include "storage/faulty_ranges.h"

namespace cairn {

std::vector<GroupId> BlockLog::Groups() const {
  MutexLock lock(mutex_);
  std::vector<GroupId> ids;
  for (const auto& [id, group] : groups_) {
    if (!group->empty()) ids.push_back(id);
  }
  return ids;
}

GroupState& BlockLog::StateOf(GroupId group) {
  std::unique_ptr<GroupState>& state = groups_[group];
  if (state == nullptr) state = std::make_unique<GroupState>(group, WrittenLog(usage_.get()));
  return *state;
}

absl::StatusOr<OpenedLog> BlockLog::OpenGroup(GroupId group) {
  CAIRN_CHECK(group != GroupId::kNone);
  GroupState* state = nullptr;
  LogStore* opened = nullptr;
  bool is_new = false;
  {
    MutexLock lock(mutex_);
    CAIRN_CHECK(!stores_.contains(group)) << "group " << ToInteger(group) << " is open";
    is_new = !groups_.contains(group);
    state = &StateOf(group);
    if (is_new && findings_.lost_batches) {
      state->LoseHardState();
      dirty_.insert(group);
    }
    auto& store = stores_[group];
    store = std::make_unique<BlockLogStore>(*this, *state);
    opened = store.get();
  }
  return OpenedLog{.store = opened, .recovered = Describe(*state)};
}

void BlockLog::CloseGroup(GroupId group) {
  MutexLock lock(mutex_);
  stores_.erase(group);
}

absl::Status BlockLog::DropGroup(GroupId group) {
  MutexLock lock(mutex_);
  CAIRN_CHECK(!stores_.contains(group)) << "group " << ToInteger(group) << " is open";
  if (!failed_.ok()) return failed_;
  if (!groups_.contains(group)) return absl::OkStatus();
  StateOf(group).Drop();
  cached_.recent.TruncateFrom(group, 0);
  dirty_.insert(group);
  return absl::OkStatus();
}

RecoveredLog BlockLog::Describe(GroupState& group) {
  const WrittenLog& log = group.written();
  RecoveredLog recovered;
  std::vector<LogPosition> configurations;
  FaultyRanges faulty;
  std::optional<Index> torn_from;
  {
    MutexLock lock(mutex_);
    recovered.hard_state = log.hard_state;
    recovered.hard_state_lost = log.hard_state_lost;
    recovered.base = log.base;
    recovered.base_hash = log.base_hash;
    recovered.runs = log.spans.TermRuns();
    recovered.last_hash = log.last_hash;
    recovered.known_commit = log.commit;
    recovered.torn_from = torn_from = log.torn_from;
    recovered.report.entries = log.last.index - log.base.index;
    configurations = log.spans.Configurations();
    faulty = log.faulty;
  }
  // Without the lock: other groups are written, and opened, meanwhile.
  for (LogPosition at : configurations) {
    if (faulty.Contains(at.index) || (torn_from && at.index >= *torn_from)) continue;
    absl::StatusOr<std::vector<RecordRun>> runs = ReadPiece(group, at.index, at.index, 1);
    if (!runs.ok()) {
      faulty.Add({.first = at,
                  .last = at.index,
                  .file = options_.directory,
                  .reason = std::string(runs.status().message())});
      continue;
    }
    const RecordRun& run = runs->front();
    recovered.configurations.push_back({.at = at, .body = run[0].Payload(run.bytes())});
  }
  recovered.faulty = faulty.Ranges();
  recovered.report.torn_bytes = findings_.torn_bytes;
  auto torn = findings_.torn.find(group.group());
  if (torn != findings_.torn.end()) {
    recovered.report.torn_first = torn->second.first;
    recovered.report.torn_last = torn->second.last;
  }
  recovered.report.blocks = blocks_->Ids().size();
  recovered.report.notes = notes_;
  return recovered;
}

// Those of a batch that is lost. Of what stands in a block nothing is known before it is read.
Index BlockLog::UnreadableThrough(const GroupState& group, Index first, Index last) const {
  MutexLock lock(mutex_);
  const Index end = group.first_pending();
  if (first <= group.base().index || first >= end) return first;
  const Span* span = group.written().spans.Find(first);
  if (span == nullptr || span->is_in_block()) return first;
  return std::max(first, std::min({last, span->last, end - 1}));
}

}  // namespace cairn

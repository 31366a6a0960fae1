#include "tests/raft/fake_log_disk.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/no_room.h"

namespace cairn {

absl::Status FakeLogStore::Append(const LogAppend& append) {
  MutexLock lock(mutex_);
  if (!append_status_.ok()) return append_status_;
  ++appends_;
  if (append.hard_state.has_value()) content_.hard_state = *append.hard_state;
  if (append.sure) content_.hard_state_lost = false;
  if (append.truncate_from.has_value()) {
    content_.entries.resize(*append.truncate_from - 1);
    damaged_.erase(damaged_.lower_bound(*append.truncate_from), damaged_.end());
    if (torn_from_ >= append.truncate_from) torn_from_.reset();
  }
  for (const RecordRun& run : append.runs) {
    CAIRN_CHECK_EQ(run.first().index, content_.entries.size() + 1);
    if (!content_.entries.empty()) {
      CAIRN_CHECK(run.previous_hash() == content_.entries.back().last_hash());
    }
    for (Index index = run.first().index; index <= run.last().index; ++index) {
      content_.entries.push_back(run.Slice(index, index));
    }
  }
  content_.commit = std::max(content_.commit, append.commit);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RecordRun>> FakeLogStore::Read(Index first, Index last,
                                                          size_t max_bytes) const {
  MutexLock lock(mutex_);
  if (first == 0 || first > content_.entries.size()) {
    return absl::OutOfRangeError(absl::StrCat("entry ", first));
  }
  std::vector<RecordRun> found;
  size_t bytes = 0;
  for (Index index = first; index <= std::min<Index>(last, content_.entries.size()); ++index) {
    if (damaged_.contains(index) || index >= torn_from_.value_or(kMaxIndex)) {
      if (!found.empty()) break;
      if (on_bad_read_ != nullptr) on_bad_read_();
      return absl::DataLossError(absl::StrCat("entry ", index));
    }
    const RecordRun& run = content_.entries[index - 1];
    if (!found.empty() && bytes + run.byte_size() > max_bytes) break;
    bytes += run.byte_size();
    found.push_back(run);
  }
  if (!whole_runs_) return found;
  std::string whole;
  for (const RecordRun& run : found) whole += std::string(run.bytes().view());
  absl::StatusOr<RecordRun> run =
      RecordRun::Parse(found[0][0].group(), Bytes::Take(std::move(whole)));
  if (!run.ok()) return run.status();
  return std::vector<RecordRun>{*std::move(run)};
}

Index FakeLogStore::UnreadableThrough(Index first, Index last) const {
  MutexLock lock(mutex_);
  while (knows_gaps_ && first < last && damaged_.contains(first + 1)) ++first;
  return first;
}

absl::StatusOr<EntryHash> FakeLogStore::HashAt(Index index) const {
  MutexLock lock(mutex_);
  if (index == 0) return EntryHash{};
  if (index > content_.entries.size()) return absl::OutOfRangeError(absl::StrCat("entry ", index));
  return content_.entries[index - 1].last_hash();
}

LogPosition FakeLogStore::last() const {
  MutexLock lock(mutex_);
  return content_.entries.empty() ? LogPosition{} : content_.entries.back().last();
}

absl::Status FakeLogStore::DropPrefix(Index) {
  return absl::UnimplementedError("the fake store keeps everything");
}

absl::Status FakeLogStore::Reset(LogPosition, EntryHash) {
  return absl::UnimplementedError("the fake store keeps everything");
}

void FakeLogStore::FailAppends(absl::Status status) {
  MutexLock lock(mutex_);
  append_status_ = std::move(status);
}

void FakeLogStore::Damage(Index index, bool found_later) {
  MutexLock lock(mutex_);
  damaged_[index] = found_later;
}

void FakeLogStore::RefuseRepairs() {
  MutexLock lock(mutex_);
  repairs_ = false;
}

void FakeLogStore::ReadWholeRuns() {
  MutexLock lock(mutex_);
  whole_runs_ = true;
}

void FakeLogStore::KnowGaps() {
  MutexLock lock(mutex_);
  knows_gaps_ = true;
}

void FakeLogStore::OnBadRead(std::function<void()> on_bad_read) {
  MutexLock lock(mutex_);
  on_bad_read_ = std::move(on_bad_read);
}

std::set<Index> FakeLogStore::damaged() const {
  MutexLock lock(mutex_);
  std::set<Index> damaged;
  for (const auto& [index, found_later] : damaged_) damaged.insert(index);
  return damaged;
}

size_t FakeLogStore::repaired() const {
  MutexLock lock(mutex_);
  return repaired_;
}

absl::Status FakeLogStore::Repair(const std::vector<RecordRun>& runs) {
  MutexLock lock(mutex_);
  if (!repairs_) return absl::UnimplementedError("the fake store was told to repair nothing");
  for (const RecordRun& run : runs) {
    for (Index index = run.first().index; index <= run.last().index; ++index) {
      if (index > content_.entries.size() ||
          content_.entries[index - 1].last_hash() != run.At(index).hash()) {
        return absl::FailedPreconditionError(absl::StrCat("entry ", index, " is another one"));
      }
    }
  }
  for (const RecordRun& run : runs) {
    for (Index index = run.first().index; index <= run.last().index; ++index) {
      repaired_ += damaged_.erase(index);
    }
  }
  return absl::OkStatus();
}

void FakeLogStore::Tear(Index from) {
  MutexLock lock(mutex_);
  torn_from_ = from;
}

void FakeLogStore::LoseHardState() {
  MutexLock lock(mutex_);
  content_.hard_state_lost = durable_.hard_state_lost = true;
}

size_t FakeLogStore::appends() const {
  MutexLock lock(mutex_);
  return appends_;
}

HardState FakeLogStore::hard_state() const {
  MutexLock lock(mutex_);
  return content_.hard_state;
}

RecoveredLog FakeLogStore::Recover() const {
  MutexLock lock(mutex_);
  RecoveredLog recovered;
  recovered.hard_state = content_.hard_state;
  recovered.hard_state_lost = content_.hard_state_lost;
  recovered.known_commit = content_.commit;
  recovered.torn_from = torn_from_;
  for (const RecordRun& run : content_.entries) {
    LogPosition at = run.last();
    if (recovered.runs.empty() || recovered.runs.back().term != at.term) {
      recovered.runs.push_back({at.term, at.index});
    }
    recovered.runs.back().last_index = at.index;
    recovered.last_hash = run.last_hash();
    const auto damaged = damaged_.find(at.index);
    if (damaged != damaged_.end() && !damaged->second) {
      recovered.faulty.push_back({at, at.index, "fake", 0, "damaged"});
    } else if (run[0].type() == EntryType::kConfiguration) {
      recovered.configurations.push_back({at, run[0].Payload(run.bytes())});
    }
  }
  return recovered;
}

absl::StatusOr<OpenedLog> FakeLogDisk::OpenGroup(GroupId group) {
  std::unique_ptr<FakeLogStore>& store = stores_[group];
  if (store == nullptr) store = std::make_unique<FakeLogStore>();
  OpenedLog opened;
  opened.store = store.get();
  opened.recovered = store->Recover();
  return opened;
}

absl::Status FakeLogDisk::DropGroup(GroupId group) {
  auto found = stores_.find(group);
  if (found == stores_.end()) return absl::OkStatus();
  MutexLock lock(found->second->mutex_);
  found->second->content_ = FakeLogStore::Content();
  return absl::OkStatus();
}

std::vector<GroupId> FakeLogDisk::Groups() const {
  std::vector<GroupId> groups;
  for (const auto& [group, store] : stores_) groups.push_back(group);
  return groups;
}

void FakeLogDisk::Sync(absl::AnyInvocable<void(absl::Status)> done) {
  CAIRN_CHECK(!waiting_.has_value()) << "two syncs at a time";
  ++syncs_;
  if (refuses_) return done(NoRoomError("the fake disk is full"));
  Captured captured;
  for (const auto& [group, store] : stores_) {
    MutexLock lock(store->mutex_);
    captured[group] = store->content_;
  }
  if (held_) {
    waiting_.emplace(std::move(captured), std::move(done));
    return;
  }
  absl::Status status;
  {
    MutexLock lock(mutex_);
    status = sync_status_;
  }
  Finish(std::move(captured), std::move(done), status);
}

void FakeLogDisk::Finish(Captured captured, absl::AnyInvocable<void(absl::Status)> done,
                         const absl::Status& status) {
  if (status.ok()) {
    for (auto& [group, content] : captured) {
      FakeLogStore& store = *stores_.at(group);
      MutexLock lock(store.mutex_);
      store.durable_ = std::move(content);
    }
  }
  done(status);
}

void FakeLogDisk::ReleaseSyncs() {
  held_ = false;
  if (waiting_.has_value()) EndSync();
}

void FakeLogDisk::EndSync(absl::Status status) {
  CAIRN_CHECK(waiting_.has_value());
  auto [captured, done] = *std::exchange(waiting_, std::nullopt);
  Finish(std::move(captured), std::move(done), status);
}

void FakeLogDisk::MakeUpkeepDue(size_t pieces, absl::Status then) {
  upkeep_.pieces = pieces;
  upkeep_.then = std::move(then);
}

absl::StatusOr<bool> FakeLogDisk::Upkeep() {
  CAIRN_CHECK(!sync_waits());
  ++upkeep_.asked;
  if (upkeep_.pieces == 0 && !upkeep_.then.ok()) return upkeep_.then;
  if (upkeep_.pieces > 0) --upkeep_.pieces;
  return upkeep_.pieces > 0;
}

void FakeLogDisk::FailSyncs(absl::Status status) {
  MutexLock lock(mutex_);
  sync_status_ = std::move(status);
}

void FakeLogDisk::PowerCut() {
  waiting_.reset();
  for (const auto& [group, store] : stores_) {
    MutexLock lock(store->mutex_);
    store->content_ = store->durable_;
  }
}

}  // namespace cairn

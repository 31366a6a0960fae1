#include "storage/memory_log_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/append_fit.h"

namespace cairn {

size_t MemoryLogMedium::PendingParts() const {
  MutexLock lock(mutex_);
  size_t parts = 0;
  for (const Change& change : pending_) {
    const auto* append = std::get_if<LogAppend>(&change.what);
    parts += append != nullptr ? PartsOf(*append) : 1;
  }
  return parts;
}

MemoryLog& MemoryLogMedium::LogOf(Logs& logs, GroupId group) {
  return logs.try_emplace(group, group).first->second;
}

absl::Status MemoryLogMedium::Apply(const Change& change, Logs& logs) {
  if (std::holds_alternative<Forget>(change.what)) {
    logs.erase(change.group);
    return absl::OkStatus();
  }
  MemoryLog& log = LogOf(logs, change.group);
  if (const auto* append = std::get_if<LogAppend>(&change.what); append != nullptr) {
    return log.Append(*append);
  }
  if (const auto* reset = std::get_if<Reset>(&change.what); reset != nullptr) {
    return log.Reset(reset->base, reset->hash);
  }
  return log.DropPrefix(std::get<Drop>(change.what).up_to);
}

MemoryLogMedium::Logs MemoryLogMedium::AfterCrash(size_t kept) const {
  Logs logs = durable_;
  for (const Change& change : pending_) {
    if (kept == 0) break;
    Change part = change;
    size_t parts = 1;
    if (auto* append = std::get_if<LogAppend>(&part.what); append != nullptr) {
      parts = std::min(kept, PartsOf(*append));
      *append = FirstParts(*append, parts);
    }
    const absl::Status status = Apply(part, logs);
    CAIRN_CHECK(status.ok()) << status;
    kept -= parts;
  }
  return logs;
}

void MemoryLogMedium::MakeDurable(uint64_t end) {
  const auto count = static_cast<std::ptrdiff_t>(end - durable_changes_);
  for (auto change = pending_.begin(); change != pending_.begin() + count; ++change) {
    const absl::Status status = Apply(*change, durable_);
    CAIRN_CHECK(status.ok()) << status;
  }
  pending_.erase(pending_.begin(), pending_.begin() + count);
  durable_changes_ = end;
}

std::optional<MemoryLogMedium::SyncUnderWay> MemoryLogMedium::EndProcess() {
  ++epoch_;
  failure_ = absl::OkStatus();
  return std::exchange(sync_, std::nullopt);
}

absl::Status MemoryLogMedium::Usable(uint64_t epoch) const {
  if (epoch != epoch_) return absl::UnavailableError("memory log: another process has it open");
  return failure_;
}

void MemoryLogMedium::Crash(size_t kept) {
  std::optional<SyncUnderWay> dropped;  // destroyed unlocked: what it owns may call back
  MutexLock lock(mutex_);
  durable_ = AfterCrash(kept);
  written_ = durable_;
  durable_changes_ += pending_.size();
  pending_.clear();
  dropped = EndProcess();
}

void MemoryLogMedium::RestartProcess() {
  std::optional<SyncUnderWay> dropped;
  MutexLock lock(mutex_);
  dropped = EndProcess();
}

std::unique_ptr<MemoryLogMedium> MemoryLogMedium::CrashImage(size_t kept) const {
  auto image = std::make_unique<MemoryLogMedium>();
  MutexLock lock(mutex_);
  MutexLock image_lock(image->mutex_);
  image->durable_ = AfterCrash(kept);
  image->written_ = image->durable_;
  return image;
}

void MemoryLogMedium::FailWrites(absl::Status status) {
  MutexLock lock(mutex_);
  failure_ = std::move(status);
}

uint64_t MemoryLogMedium::Open() {
  std::optional<SyncUnderWay> dropped;
  MutexLock lock(mutex_);
  MakeDurable(durable_changes_ + pending_.size());
  dropped = EndProcess();
  return epoch_;
}

std::vector<GroupId> MemoryLogMedium::Groups() const {
  MutexLock lock(mutex_);
  std::vector<GroupId> groups;
  for (const auto& [group, log] : written_) {
    if (!log.empty()) groups.push_back(group);
  }
  return groups;
}

RecoveredLog MemoryLogMedium::Recover(GroupId group) {
  MutexLock lock(mutex_);
  return LogOf(written_, group).Recovered();
}

absl::Status MemoryLogMedium::Write(uint64_t epoch, Change change, absl::Status whole) {
  MutexLock lock(mutex_);
  if (absl::Status status = Usable(epoch); !status.ok()) return status;
  absl::Status status = whole.ok() ? Apply(change, written_) : std::move(whole);
  if (status.ok()) {
    pending_.push_back(std::move(change));
  } else if (std::holds_alternative<LogAppend>(change.what)) {
    failure_ = status;
  }
  return status;
}

void MemoryLogMedium::Sync(uint64_t epoch, SyncDone done, std::shared_ptr<MemoryLogMedium> self) {
  uint64_t id = 0;
  {
    MutexLock lock(mutex_);
    if (epoch == epoch_) {
      CAIRN_CHECK(!sync_) << "a sync is under way";
      id = ++syncs_begun_;
      sync_ = SyncUnderWay{id, durable_changes_ + pending_.size(), std::move(done)};
    }
  }
  if (id == 0) {
    done(absl::UnavailableError("memory log: another process has it open"));
  } else if (options_.schedule == nullptr) {
    EndSync(id);
  } else {
    options_.schedule([medium = std::weak_ptr<MemoryLogMedium>(self), id] {
      if (const auto alive = medium.lock(); alive != nullptr) alive->EndSync(id);
    });
  }
}

void MemoryLogMedium::EndSync(uint64_t id) {
  SyncDone done;
  absl::Status status;
  {
    MutexLock lock(mutex_);
    if (!sync_ || sync_->id != id) return;  // a power cut came between
    done = std::move(sync_->done);
    status = failure_;
    if (status.ok()) MakeDurable(sync_->end);
    sync_.reset();
  }
  done(std::move(status));
}

template <typename Read>
auto MemoryLogMedium::WithLog(GroupId group, Read read) const {
  MutexLock lock(mutex_);
  const auto log = written_.find(group);
  if (log != written_.end()) return read(log->second);
  return read(MemoryLog(group));
}

// A group's view of a medium.
class MemoryLogStore final : public LogStore {
 public:
  MemoryLogStore(std::shared_ptr<MemoryLogMedium> medium, uint64_t epoch, GroupId group)
      : medium_(std::move(medium)), epoch_(epoch), group_(group) {}

  absl::Status Append(const LogAppend& append) override {
    return medium_->Write(epoch_, {group_, append}, CheckHeaders(append.runs));
  }
  // Memory does not rot: what would be written stands there.
  absl::Status Repair(const std::vector<RecordRun>& runs) override {
    return medium_->WithLog(group_, [&](const MemoryLog& log) { return log.CheckRepair(runs); });
  }
  absl::Status DropPrefix(Index up_to) override {
    return medium_->Write(epoch_, {group_, MemoryLogMedium::Drop{up_to}});
  }
  absl::Status Reset(LogPosition base, EntryHash hash) override {
    return medium_->Write(epoch_, {group_, MemoryLogMedium::Reset{base, hash}});
  }
  absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last,
                                              size_t max_bytes) const override {
    return medium_->WithLog(group_,
                            [&](const MemoryLog& log) { return log.Read(first, last, max_bytes); });
  }
  absl::StatusOr<EntryHash> HashAt(Index index) const override {
    return medium_->WithLog(group_, [&](const MemoryLog& log) { return log.HashAt(index); });
  }
  LogPosition base() const override {
    return medium_->WithLog(group_, [](const MemoryLog& log) { return log.base(); });
  }
  LogPosition last() const override {
    return medium_->WithLog(group_, [](const MemoryLog& log) { return log.last(); });
  }

 private:
  const std::shared_ptr<MemoryLogMedium> medium_;
  const uint64_t epoch_;
  const GroupId group_;
};

MemoryLogDisk::MemoryLogDisk(std::shared_ptr<MemoryLogMedium> medium)
    : medium_(std::move(medium)), epoch_(medium_->Open()) {}

MemoryLogDisk::MemoryLogDisk() : MemoryLogDisk(std::make_shared<MemoryLogMedium>()) {}

MemoryLogDisk::~MemoryLogDisk() = default;

absl::StatusOr<OpenedLog> MemoryLogDisk::OpenGroup(GroupId group) {
  MutexLock lock(mutex_);
  std::unique_ptr<LogStore>& store = stores_[group];
  CAIRN_CHECK(store == nullptr) << "group " << ToInteger(group) << " is open";
  store = std::make_unique<MemoryLogStore>(medium_, epoch_, group);
  return OpenedLog{store.get(), medium_->Recover(group)};
}

void MemoryLogDisk::CloseGroup(GroupId group) {
  MutexLock lock(mutex_);
  stores_.erase(group);
}

absl::Status MemoryLogDisk::DropGroup(GroupId group) {
  MutexLock lock(mutex_);
  CAIRN_CHECK(!stores_.contains(group)) << "group " << ToInteger(group) << " is open";
  return medium_->Write(epoch_, {group, MemoryLogMedium::Forget()});
}

std::vector<GroupId> MemoryLogDisk::Groups() const { return medium_->Groups(); }

void MemoryLogDisk::Sync(absl::AnyInvocable<void(absl::Status)> done) {
  medium_->Sync(epoch_, std::move(done), medium_);
}

}  // namespace cairn

#include "raft/log_writer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "storage/no_room.h"

namespace cairn {
namespace {

// How long a full disk is left alone.
constexpr Duration kFirstPatience = Milliseconds(100);
constexpr Duration kLongestPatience = Seconds(5);
// How often the disk is asked whether there is upkeep due, and what lies between two pieces of it.
constexpr Duration kUpkeepInterval = Seconds(1);
constexpr Duration kLeastUpkeepPause = Milliseconds(10);
// An attempt that finds no room has taken what there was, for a moment.
constexpr Duration kLongestUpkeepPause = Seconds(60);

LogWriterMetrics::Load LoadOf(const LogAppend& append) {
  LogWriterMetrics::Load load = {.batches = 1};
  for (const RecordRun& run : append.runs) {
    load.entries += run.size();
    load.bytes += run.byte_size();
  }
  return load;
}

}  // namespace

LogWriter::LogWriter(LogDisk* disk, Executor* executor, const Clock* clock)
    : disk_(disk), executor_(executor), clock_(clock) {}

LogWriter::~LogWriter() = default;

LogWriter::Client LogWriter::Register(LogStore* store, Done done) {
  auto group = std::make_unique<Group>();
  group->store = store;
  group->done = std::move(done);
  MutexLock lock(mutex_);
  if (left_.empty()) {
    groups_.push_back(std::move(group));
    return groups_.size() - 1;
  }
  const Client client = left_.back();
  left_.pop_back();
  groups_[client] = std::move(group);
  return client;
}

void LogWriter::Leave(Client client, absl::AnyInvocable<void(const absl::Status&)> done) {
  auto errand = std::make_unique<Errand>();
  errand->done = std::move(done);
  PutErrand(client, std::move(errand));
}

void LogWriter::Do(absl::AnyInvocable<absl::Status()> change,
                   absl::AnyInvocable<void(const absl::Status&)> done) {
  auto errand = std::make_unique<Errand>();
  errand->change = std::move(change);
  errand->done = std::move(done);
  PutErrand(0, std::move(errand));
}

void LogWriter::PutErrand(Client client, std::unique_ptr<Errand> errand) {
  MutexLock lock(mutex_);
  Item item;
  item.client = client;
  item.errand = std::move(errand);
  queue_.push_back(std::move(item));
  if (scheduled_) return;
  scheduled_ = true;
  executor_->Post([this] { Run(); });
}

// Of the items that are errands.
void LogWriter::EndErrands(std::vector<Item>& items, const absl::Status& status) {
  for (Item& item : items) {
    if (item.errand == nullptr) continue;
    const std::unique_ptr<Errand> errand = std::move(item.errand);
    if (errand->change == nullptr) {
      MutexLock lock(mutex_);
      groups_[item.client].reset();
      left_.push_back(item.client);
    }
    errand->done(status);
  }
}

void LogWriter::Write(Client client, std::vector<Batch> batches) {
  MutexLock lock(mutex_);
  if (!failure_.ok()) return;
  for (Batch& batch : batches) {
    Item item;
    item.client = client;
    item.load = LoadOf(batch.append);
    item.batch = std::move(batch);
    metrics_->Queued(item.load);
    queue_.push_back(std::move(item));
  }
  // While a sync runs, SyncDone sees the queue.
  if (scheduled_ || queue_.empty()) return;
  scheduled_ = true;
  executor_->Post([this] { Run(); });
}

absl::Status LogWriter::WriteTo(LogStore& store, const Batch& batch) {
  if (batch.reset_to) {
    // The term before the entry that needs it.
    LogAppend hard_state;
    hard_state.hard_state = batch.append.hard_state;
    if (absl::Status status = store.Append(hard_state); !status.ok()) return status;
    absl::Status status = store.Reset(batch.reset_to->base, batch.reset_to->hash);
    if (!status.ok()) return status;
  }
  if (absl::Status status = store.Append(batch.append); !status.ok()) return status;
  if (!batch.drop_to) return absl::OkStatus();
  absl::Status status = store.DropPrefix(*batch.drop_to);
  // Entries that cannot be read stay until more is dropped, which hurts nobody.
  return absl::IsDataLoss(status) ? absl::OkStatus() : status;
}

void LogWriter::Run() {
  CAIRN_CHECK(!syncing_);
  if (room_.refused) return;  // SyncDone sees the queue
  round_.clear();
  round_groups_.clear();
  std::vector<Group*> groups;
  {
    MutexLock lock(mutex_);
    round_.swap(queue_);
    for (const Item& item : round_) {
      groups.push_back(item.errand == nullptr ? groups_[item.client].get() : nullptr);
    }
  }
  if (!error_.ok()) return Fail(error_);
  for (size_t i = 0; i < round_.size() && error_.ok(); ++i) {
    if (Errand* errand = round_[i].errand.get(); errand != nullptr) {
      absl::Status status = errand->change == nullptr ? absl::OkStatus() : errand->change();
      if (!status.ok()) Fail(status);
      continue;
    }
    Group* group = groups[i];
    if (group->appended == 0) round_groups_.push_back(group);
    CAIRN_CHECK_LT(group->appended, round_[i].batch.ticket);
    group->appended = round_[i].batch.ticket;
    absl::Status status = WriteTo(*group->store, round_[i].batch);
    if (!status.ok()) Fail(status);
  }
  if (error_.ok()) SyncRound();
}

void LogWriter::SyncRound() {
  syncing_ = true;
  metrics_->SyncBegins(clock_->Now());
  disk_->Sync([this, alive = std::weak_ptr<bool>(alive_)](absl::Status status) {
    if (!alive.expired()) SyncDone(status);
  });
}

void LogWriter::SyncDone(const absl::Status& status) {
  CAIRN_CHECK(syncing_);
  syncing_ = false;
  room_.refused = IsNoRoom(status);
  if (room_.refused) return AwaitRoom(std::min(room_.patience * 2, kLongestPatience));
  if (!status.ok()) return Fail(status);
  LogWriterMetrics::Load load;
  for (const Item& item : round_) {
    load.batches += item.load.batches;
    load.entries += item.load.entries;
    load.bytes += item.load.bytes;
  }
  metrics_->SyncEnded(clock_->Now(), load);
  const bool freed = std::any_of(round_.begin(), round_.end(), [](const Item& item) {
    return item.batch.drop_to || item.batch.reset_to || item.errand != nullptr;
  });
  // The groups first: they may have peers waiting.
  for (Group* group : round_groups_) {
    group->done(absl::OkStatus(), std::exchange(group->appended, 0));
  }
  EndErrands(round_, status);
  {
    MutexLock lock(mutex_);
    scheduled_ = !queue_.empty();
    if (scheduled_) executor_->Post([this] { Run(); });
  }
  if (has_room()) {
    room_ = Room();
  } else if (freed || room_.patience == Duration()) {
    AwaitRoom(kFirstPatience);
  }
}

// The disk is asked for room when so much time has passed, and not before.
void LogWriter::AwaitRoom(Duration patience) {
  room_.patience = std::max(patience, kFirstPatience);
  room_.ask = clock_->Now() + room_.patience;
  executor_->PostAt(room_.ask, [this, alive = std::weak_ptr<bool>(alive_), when = room_.ask] {
    if (!alive.expired() && when == room_.ask) SeekRoom();
  });
}

absl::Status LogWriter::failure() const {
  MutexLock lock(mutex_);
  return failure_;
}

bool LogWriter::has_room() const {
  const bool has_room = disk_->has_room();
  metrics_->SetRoom(has_room);
  return has_room;
}

void LogWriter::SeekRoom() {
  if (!error_.ok() || room_.patience == Duration()) return;
  if (syncing_) return AwaitRoom(kFirstPatience);
  disk_->SeekRoom();
  if (room_.refused) return SyncRound();
  if (has_room()) {
    room_ = Room();
  } else {
    AwaitRoom(std::min(room_.patience * 2, kLongestPatience));
  }
}

void LogWriter::AwaitUpkeep(Duration pause) {
  executor_->PostAt(clock_->Now() + pause, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) Upkeep();
  });
}

void LogWriter::Upkeep() {
  if (!error_.ok()) return;
  metrics_->SetUpkeep(disk_->upkeep());
  bool idle = !syncing_ && room_.patience == Duration();
  {
    MutexLock lock(mutex_);
    idle = idle && !scheduled_;
  }
  if (!idle) return AwaitUpkeep(kUpkeepInterval);
  const Instant begin = clock_->Now();
  const absl::StatusOr<bool> more = disk_->Upkeep();
  const bool refused = IsNoRoom(more.status());
  if (!more.ok() && !refused) return Fail(more.status());
  upkeep_pause_ = refused ? std::clamp(upkeep_pause_ * 2, kUpkeepInterval, kLongestUpkeepPause)
                          : kUpkeepInterval;
  metrics_->SetUpkeep(disk_->upkeep());
  // It may have taken of the reserve; while nothing is let in, no sync ends that would notice.
  if (!has_room()) AwaitRoom(kFirstPatience);
  // What comes to be written meanwhile waits for one piece.
  const bool at_once = more.ok() && *more;
  AwaitUpkeep(at_once ? std::max(clock_->Now() - begin, kLeastUpkeepPause) : upkeep_pause_);
}

void LogWriter::Fail(const absl::Status& status) {
  const bool first = error_.ok();
  error_ = status;
  metrics_->Failed();
  std::vector<Group*> groups;
  std::vector<Item> dropped;
  {
    MutexLock lock(mutex_);
    failure_ = status;
    dropped.swap(queue_);
    scheduled_ = false;
    for (const auto& group : groups_) {
      if (first && group != nullptr) groups.push_back(group.get());
    }
  }
  if (first && failed_ != nullptr) failed_(status);
  for (Group* group : groups) group->done(status, 0);
  EndErrands(round_, status);
  EndErrands(dropped, status);
}

}  // namespace cairn

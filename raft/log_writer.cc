#include "raft/log_writer.h"

#include <utility>

#include "base/check.h"

namespace cairn {
namespace {

size_t BytesOf(const LogAppend& append) {
  size_t bytes = 0;
  for (const RecordRun& run : append.runs) bytes += run.byte_size();
  return bytes;
}

}  // namespace

LogWriter::LogWriter(LogDisk* disk, Executor* executor) : disk_(disk), executor_(executor) {}

LogWriter::~LogWriter() = default;

LogWriter::Client LogWriter::Register(LogStore* store, Done done) {
  auto group = std::make_unique<Group>();
  group->store = store;
  group->done = std::move(done);
  MutexLock lock(mutex_);
  groups_.push_back(std::move(group));
  return groups_.size() - 1;
}

void LogWriter::Write(Client client, std::vector<Batch> batches) {
  MutexLock lock(mutex_);
  if (failed_) return;
  for (Batch& batch : batches) {
    size_t bytes = BytesOf(batch.append);
    queued_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    queue_.push_back({client, std::move(batch), bytes});
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
  round_.clear();
  round_groups_.clear();
  std::vector<Group*> groups;
  {
    MutexLock lock(mutex_);
    round_.swap(queue_);
    for (const Item& item : round_) groups.push_back(groups_[item.client].get());
  }
  for (size_t i = 0; i < round_.size() && error_.ok(); ++i) {
    Group* group = groups[i];
    if (group->appended == 0) round_groups_.push_back(group);
    CAIRN_CHECK_LT(group->appended, round_[i].batch.ticket);
    group->appended = round_[i].batch.ticket;
    absl::Status status = WriteTo(*group->store, round_[i].batch);
    if (!status.ok()) Fail(status);
  }
  if (!error_.ok()) return;
  syncing_ = true;
  disk_->Sync([this, alive = std::weak_ptr<bool>(alive_)](absl::Status status) {
    if (!alive.expired()) SyncDone(status);
  });
}

void LogWriter::SyncDone(const absl::Status& status) {
  CAIRN_CHECK(syncing_);
  syncing_ = false;
  if (!status.ok()) return Fail(status);
  size_t bytes = 0;
  for (const Item& item : round_) bytes += item.bytes;
  queued_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  // The groups first: they may have peers waiting.
  for (Group* group : round_groups_) {
    group->done(absl::OkStatus(), std::exchange(group->appended, 0));
  }
  MutexLock lock(mutex_);
  scheduled_ = !queue_.empty();
  if (scheduled_) executor_->Post([this] { Run(); });
}

void LogWriter::Fail(const absl::Status& status) {
  error_ = status;
  std::vector<Group*> groups;
  {
    MutexLock lock(mutex_);
    failed_ = true;
    queue_.clear();
    for (const auto& group : groups_) groups.push_back(group.get());
  }
  for (Group* group : groups) group->done(status, 0);
}

}  // namespace cairn

#include "storage/rocksdb/database_room.h"

#include <algorithm>
#include <thread>

#include "absl/time/time.h"

namespace cairn {
namespace {

// How often a table that waits looks for room, and a write for a table.
constexpr absl::Duration kLook = absl::Milliseconds(100);
constexpr absl::Duration kLookForTable = absl::Milliseconds(10);
// An attempt to merge fills the disk for a moment.
constexpr Duration kFirstPatience = Seconds(10);
constexpr Duration kLongestPatience = Seconds(300);

thread_local bool this_thread_flushes = false;

}  // namespace

void DatabaseRoom::SetThisThreadFlushes(bool flushes) { this_thread_flushes = flushes; }

void DatabaseRoom::Opened() {
  unwritten_.SetClaim(DiskReserve::Claim::kRecords);
  MutexLock lock(mutex_);
  opening_ = false;
}

bool DatabaseRoom::this_thread_opens() const {
  if (std::this_thread::get_id() != opener_) return false;
  MutexLock lock(mutex_);
  return opening_;
}

void DatabaseRoom::Close() {
  MutexLock lock(mutex_);
  closing_ = true;
  changed_.NotifyAll();
}

absl::Status DatabaseRoom::BeginTable() const {
  if (this_thread_flushes || this_thread_opens()) return absl::OkStatus();
  MutexLock lock(mutex_);
  if (merge_patience_ == Duration() || clock_.Now() >= merge_after_) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError("there was no room to merge tables a while ago");
}

absl::Status DatabaseRoom::WriteTable(uint64_t bytes, absl::FunctionRef<absl::Status()> write) {
  if (this_thread_opens()) return reserve_.WithRoom(DiskReserve::Claim::kDatabase, bytes, write);
  absl::Status status = write();
  if (!absl::IsResourceExhausted(status)) return status;
  if (!this_thread_flushes) {
    MergeRefused();
    return status;
  }
  {
    MutexLock lock(mutex_);
    ++flushes_waiting_;
    changed_.NotifyAll();
  }
  while (absl::IsResourceExhausted(status) && AwaitRoom()) status = write();
  MutexLock lock(mutex_);
  --flushes_waiting_;
  return status;
}

bool DatabaseRoom::AwaitRoom() {
  MutexLock lock(mutex_);
  if (!closing_) changed_.WaitFor(mutex_, kLook);
  return !closing_;
}

void DatabaseRoom::MergeRefused() {
  MutexLock lock(mutex_);
  merge_patience_ = std::clamp(merge_patience_ * 2, kFirstPatience, kLongestPatience);
  merge_after_ = clock_.Now() + merge_patience_;
  changed_.NotifyAll();
}

void DatabaseRoom::Merged() {
  MutexLock lock(mutex_);
  merge_patience_ = Duration();
  changed_.NotifyAll();
}

void DatabaseRoom::TableWritten() {
  MutexLock lock(mutex_);
  changed_.NotifyAll();
}

void DatabaseRoom::AwaitTable() {
  MutexLock lock(mutex_);
  changed_.WaitFor(mutex_, kLookForTable);
}

bool DatabaseRoom::flush_waits() const {
  MutexLock lock(mutex_);
  return flushes_waiting_ > 0;
}

bool DatabaseRoom::merge_waits() const {
  MutexLock lock(mutex_);
  return merge_patience_ != Duration();
}

bool DatabaseRoom::has_room() const {
  return !flush_waits() && reserve_.is_whole() && unwritten_.empty();
}

}  // namespace cairn

#include "storage/rocksdb/side_task.h"

#include <utility>

namespace cairn {

void SideTask::Start(std::function<absl::Status()> task) {
  thread_.Post([this, task = std::move(task)] {
    absl::Status result = task();
    MutexLock lock(mutex_);
    result_ = std::move(result);
    ended_.NotifyAll();
  });
}

absl::Status SideTask::Wait() {
  MutexLock lock(mutex_);
  while (!result_) ended_.Wait(mutex_);
  absl::Status result = *std::move(result_);
  result_.reset();
  return result;
}

}  // namespace cairn

// SideTask: something done by a thread of its own while the caller does something else.

#ifndef STORAGE_ROCKSDB_SIDE_TASK_H_
#define STORAGE_ROCKSDB_SIDE_TASK_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"

namespace cairn {

// Threads: one.
class SideTask {
 public:
  // `name` names the thread for people (15 bytes of it).
  explicit SideTask(const std::string& name) : thread_(clock_, name) {}

  // Begins `task`. Wait comes before the next one, and before the end of what `task` uses.
  void Start(std::function<absl::Status()> task);
  // What the task gave, once it has ended.
  absl::Status Wait();

 private:
  Mutex mutex_;
  CondVar ended_;
  std::optional<absl::Status> result_ CAIRN_GUARDED_BY(mutex_);
  SystemClock clock_;
  ThreadExecutor thread_;  // ends first
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_SIDE_TASK_H_

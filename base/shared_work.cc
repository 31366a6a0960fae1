#include "base/shared_work.h"

#include <utility>

#include "base/mutex.h"

namespace cairn {
namespace {

// Outlives the call in the tasks that come too late.
class Job {
 public:
  Job(size_t parts, std::function<void(size_t)> part)
      : parts_(parts), left_(parts), part_(std::move(part)) {}

  // Does parts until none is left to begin.
  void Help() {
    size_t part = 0;
    while (Take(part)) {
      part_(part);
      MutexLock lock(mutex_);
      if (--left_ == 0) ended_.NotifyAll();
    }
  }

  void Wait() {
    MutexLock lock(mutex_);
    while (left_ > 0) ended_.Wait(mutex_);
  }

 private:
  bool Take(size_t& part) {
    MutexLock lock(mutex_);
    if (next_ == parts_) return false;
    part = next_++;
    return true;
  }

  const size_t parts_;
  Mutex mutex_;
  CondVar ended_;
  size_t next_ CAIRN_GUARDED_BY(mutex_) = 0;
  size_t left_ CAIRN_GUARDED_BY(mutex_);
  const std::function<void(size_t)> part_;
};

}  // namespace

void ShareWork(size_t parts, const std::vector<std::unique_ptr<Executor>>& helpers,
               std::function<void(size_t)> part) {
  auto job = std::make_shared<Job>(parts, std::move(part));
  for (const std::unique_ptr<Executor>& helper : helpers) {
    if (helper != nullptr) helper->Post([job] { job->Help(); });
  }
  job->Help();
  job->Wait();
}

}  // namespace cairn

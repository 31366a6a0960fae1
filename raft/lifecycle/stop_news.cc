#include "raft/lifecycle/stop_news.h"

#include <utility>

namespace cairn {

void StopNews::Tell(GroupId group, NodeState state, const absl::Status& status) {
  if (stopped_ == nullptr) return;
  {
    MutexLock lock(mutex_);
    if (group == GroupId::kNone && std::exchange(told_host_, true)) return;
    waiting_.push_back({group, state, status});
    if (std::exchange(telling_, true)) return;
  }
  while (true) {
    News news;
    {
      MutexLock lock(mutex_);
      if (waiting_.empty()) {
        telling_ = false;
        return;
      }
      news = std::move(waiting_.front());
      waiting_.pop_front();
    }
    stopped_(news.group, news.state, std::move(news.status));
  }
}

}  // namespace cairn

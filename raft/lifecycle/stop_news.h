// StopNews: tells a program of what has stopped serving on this host.

#ifndef RAFT_LIFECYCLE_STOP_NEWS_H_
#define RAFT_LIFECYCLE_STOP_NEWS_H_

#include <deque>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "base/types.h"
#include "raft/group_status.h"

namespace cairn {

// Groups stop on different sequences, and the program is told of one after the other, under no
// lock: who comes while another one tells leaves its news with that one. Of the whole host
// (GroupId::kNone) only the first is told; that a group tells only once is its own business.
//
// Threads: any.
class StopNews {
 public:
  using Stopped = absl::AnyInvocable<void(GroupId, NodeState, absl::Status)>;

  // May be null: then nobody is told.
  explicit StopNews(Stopped stopped) : stopped_(std::move(stopped)) {}

  void Tell(GroupId group, NodeState state, const absl::Status& status);

 private:
  struct News {
    GroupId group;
    NodeState state;
    absl::Status status;
  };

  Stopped stopped_;  // of who tells
  Mutex mutex_;
  std::deque<News> waiting_ CAIRN_GUARDED_BY(mutex_);
  bool telling_ CAIRN_GUARDED_BY(mutex_) = false;
  bool told_host_ CAIRN_GUARDED_BY(mutex_) = false;
};

}  // namespace cairn

#endif  // RAFT_LIFECYCLE_STOP_NEWS_H_

// PostGate: lets tasks be posted from one sequence of a host to another until the host ends them.

#ifndef RAFT_LIFECYCLE_POST_GATE_H_
#define RAFT_LIFECYCLE_POST_GATE_H_

#include "absl/functional/function_ref.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace cairn {

// A host that stops ends its sequences one after the other, and what still runs on one may have
// work for another that is gone by then.
//
// Threads: any. Through may be called from within Through.
class PostGate {
 public:
  // Calls `post`, during which no sequence ends; or drops it, after Close.
  void Through(absl::FunctionRef<void()> post);
  // Waits until nobody is in Through; nobody gets through any more.
  void Close();

 private:
  Mutex mutex_;
  CondVar nobody_;
  bool closed_ CAIRN_GUARDED_BY(mutex_) = false;
  int inside_ CAIRN_GUARDED_BY(mutex_) = 0;
};

}  // namespace cairn

#endif  // RAFT_LIFECYCLE_POST_GATE_H_

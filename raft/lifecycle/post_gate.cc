#include "raft/lifecycle/post_gate.h"

namespace cairn {

void PostGate::Through(absl::FunctionRef<void()> post) {
  {
    MutexLock lock(mutex_);
    if (closed_) return;
    ++inside_;
  }
  post();
  MutexLock lock(mutex_);
  if (--inside_ == 0) nobody_.NotifyAll();
}

void PostGate::Close() {
  MutexLock lock(mutex_);
  closed_ = true;
  while (inside_ > 0) nobody_.Wait(mutex_);
}

}  // namespace cairn

// RefusedFrames: how many frames of other nodes a node has refused, by reason.

#ifndef SERVICE_REFUSED_FRAMES_H_
#define SERVICE_REFUSED_FRAMES_H_

#include <cstdint>
#include <map>
#include <string>

#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace cairn {

// Reasons are those of the errors that end the calls (docs/protocol.md), so there are few.
//
// Threads: any.
class RefusedFrames {
 public:
  void Add(const std::string& reason) {
    MutexLock lock(mutex_);
    ++counts_[reason];
  }
  // Since the process started.
  std::map<std::string, uint64_t> counts() const {
    MutexLock lock(mutex_);
    return counts_;
  }

 private:
  mutable Mutex mutex_;
  std::map<std::string, uint64_t> counts_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // SERVICE_REFUSED_FRAMES_H_

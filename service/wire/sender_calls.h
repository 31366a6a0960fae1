// SenderCalls: the Exchange calls that are open, by who speaks on them, so that they can be ended.

#ifndef SERVICE_WIRE_SENDER_CALLS_H_
#define SERVICE_WIRE_SENDER_CALLS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "base/types.h"

namespace cairn {

// Threads: any.
class SenderCalls {
 public:
  // Ends a call with the error, unless it has ended; from any thread.
  using End = std::function<void(const absl::Status&)>;

  // The place of a call, for Remove.
  uint64_t Add(NodeId sender, End end);
  // May be called while `end` is.
  void Remove(uint64_t place);

  void EndAll(NodeId sender, const absl::Status& why);

 private:
  Mutex mutex_;
  uint64_t last_ CAIRN_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, std::pair<NodeId, End>> calls_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // SERVICE_WIRE_SENDER_CALLS_H_

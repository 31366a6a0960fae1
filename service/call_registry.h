// CallRegistry: calls that would go on for ever, so that a server that stops can end them.

#ifndef SERVICE_CALL_REGISTRY_H_
#define SERVICE_CALL_REGISTRY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace cairn {

// Threads: any.
class CallRegistry {
 public:
  // Leaves the registry when destroyed; may outlive it.
  class Entry;

  CallRegistry();
  // `stop` is called once by Stop, or at once, on this thread, if that was called before; not after
  // the Entry is destroyed, except where that happens at the same moment.
  std::unique_ptr<Entry> Add(std::function<void()> stop);

  void Stop();

 private:
  struct State {
    Mutex mutex;
    bool stopped CAIRN_GUARDED_BY(mutex) = false;
    uint64_t last_id CAIRN_GUARDED_BY(mutex) = 0;
    std::map<uint64_t, std::function<void()>> calls CAIRN_GUARDED_BY(mutex);
  };
  const std::shared_ptr<State> state_;
};

class CallRegistry::Entry {
 public:
  ~Entry();
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  friend class CallRegistry;
  Entry(std::shared_ptr<State> state, uint64_t id);
  const std::shared_ptr<State> state_;
  const uint64_t id_;
};

}  // namespace cairn

#endif  // SERVICE_CALL_REGISTRY_H_

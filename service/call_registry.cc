#include "service/call_registry.h"

#include <utility>

namespace cairn {

CallRegistry::CallRegistry() : state_(std::make_shared<State>()) {}

std::unique_ptr<CallRegistry::Entry> CallRegistry::Add(std::function<void()> stop) {
  uint64_t id = 0;
  {
    MutexLock lock(state_->mutex);
    id = ++state_->last_id;
    if (!state_->stopped) {
      state_->calls.emplace(id, std::move(stop));
      stop = nullptr;
    }
  }
  if (stop) stop();
  return std::unique_ptr<Entry>(new Entry(state_, id));
}

void CallRegistry::Stop() {
  std::map<uint64_t, std::function<void()>> calls;
  {
    MutexLock lock(state_->mutex);
    state_->stopped = true;
    calls.swap(state_->calls);
  }
  for (const auto& [id, stop] : calls) stop();
}

CallRegistry::Entry::Entry(std::shared_ptr<State> state, uint64_t id)
    : state_(std::move(state)), id_(id) {}

CallRegistry::Entry::~Entry() {
  std::function<void()> stop;  // destroyed outside the lock
  MutexLock lock(state_->mutex);
  auto found = state_->calls.find(id_);
  if (found == state_->calls.end()) return;
  stop = std::move(found->second);
  state_->calls.erase(found);
}

}  // namespace cairn

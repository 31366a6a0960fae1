#include "tests/sim/event_queue.h"

#include <algorithm>
#include <utility>

namespace cairn::sim {

bool EventQueue::Later(const Event& a, const Event& b) {
  return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
}

void EventQueue::At(Instant when, Task task) {
  heap_.push_back({std::max(when, now_), ++posted_, std::move(task)});
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

bool EventQueue::RunNext() {
  if (heap_.empty()) return false;
  std::pop_heap(heap_.begin(), heap_.end(), Later);
  Event event = std::move(heap_.back());
  heap_.pop_back();
  now_ = event.when;
  ++executed_;
  event.task();
  return true;
}

void EventQueue::RunUntil(Instant when) {
  while (!heap_.empty() && heap_.front().when <= when) RunNext();
  now_ = std::max(now_, when);
}

}  // namespace cairn::sim

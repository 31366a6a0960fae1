#include "tests/sim/sim_executor.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

namespace cairn::sim {

class SimExecutor final : public Executor {
 public:
  explicit SimExecutor(std::shared_ptr<NodeScheduler::Shared> shared)
      : state_(std::make_shared<State>()) {
    state_->shared = std::move(shared);
  }

  ~SimExecutor() override {
    state_->closed = true;
    state_->shared->waiting -= state_->queue.size();
    // Tasks may own what posts to this very executor while it is destroyed.
    std::deque<Task> queue = std::move(state_->queue);
    std::map<uint64_t, Task> timers = std::move(state_->timers);
  }

  void Post(Task task) override { Enqueue(state_, std::move(task)); }

  void PostAt(Instant when, Task task) override {
    if (state_->closed) return;
    uint64_t timer = ++state_->timers_made;
    state_->timers.emplace(timer, std::move(task));
    Instant due = state_->shared->clock->ToVirtual(when);
    state_->shared->events->At(due, [weak = std::weak_ptr<State>(state_), timer] {
      std::shared_ptr<State> state = weak.lock();
      if (state == nullptr || state->closed) return;
      auto found = state->timers.find(timer);
      Task ready = std::move(found->second);
      state->timers.erase(found);
      Enqueue(state, std::move(ready));
    });
  }

 private:
  struct State {
    std::shared_ptr<NodeScheduler::Shared> shared;
    std::deque<Task> queue;
    std::map<uint64_t, Task> timers;
    uint64_t timers_made = 0;
    bool armed = false;  // a run of the first task is in the event queue
    bool closed = false;
  };

  static void Enqueue(const std::shared_ptr<State>& state, Task task) {
    if (state->closed) return;
    state->queue.push_back(std::move(task));
    ++state->shared->waiting;
    Arm(state);
  }

  static void Arm(const std::shared_ptr<State>& state) {
    if (state->armed || state->closed || state->queue.empty() || state->shared->killed) return;
    state->armed = true;
    state->shared->events->At(state->shared->NextRun(), [weak = std::weak_ptr<State>(state)] {
      if (std::shared_ptr<State> locked = weak.lock()) RunFirst(locked);
    });
  }

  static void RunFirst(const std::shared_ptr<State>& state) {
    state->armed = false;
    if (state->closed || state->shared->killed || state->queue.empty()) return;
    if (state->shared->events->now() >= state->shared->paused_until) {
      Task task = std::move(state->queue.front());
      state->queue.pop_front();
      --state->shared->waiting;
      task();
    }
    Arm(state);
  }

  std::shared_ptr<State> state_;
};

Instant NodeScheduler::Shared::NextRun() {
  Duration longest = random.OneIn(options.rare_one_in) ? options.rare : options.usual;
  uint64_t bound = static_cast<uint64_t>(std::max<int64_t>(longest.nanoseconds, 1));
  Duration delay = Nanoseconds(static_cast<int64_t>(random.Below(bound)));
  // Looks again now and then during a pause, which may end early.
  Instant look_again = std::min(paused_until, events->now() + Milliseconds(20));
  return std::max(events->now(), look_again) + delay;
}

NodeScheduler::NodeScheduler(EventQueue& events, const SimClock& clock, uint64_t seed,
                             const SchedulingOptions& options)
    : shared_(std::make_shared<Shared>()) {
  shared_->events = &events;
  shared_->clock = &clock;
  shared_->random = Random(seed);
  shared_->options = options;
}

std::unique_ptr<Executor> NodeScheduler::Make(const std::string&) {
  return std::make_unique<SimExecutor>(shared_);
}

void NodeScheduler::PauseUntil(Instant until) {
  shared_->paused_until = std::max(shared_->paused_until, until);
}

}  // namespace cairn::sim

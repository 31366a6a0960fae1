// EventLog: what happened in a run, as a hash to compare runs by and as lines for people.

#ifndef TESTS_SIM_EVENT_LOG_H_
#define TESTS_SIM_EVENT_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <string>

#include "absl/strings/string_view.h"
#include "base/types.h"
#include "tests/sim/event_queue.h"

namespace cairn::sim {

// Every event goes into the hash. Lines are made only where there is a stream for them, so the
// facts of an event are numbers, and its text is made on demand. One thread.
class EventLog {
 public:
  // `trace` may be null; lines go there: time in seconds, node, what, details.
  EventLog(const EventQueue& events, std::ostream* trace) : events_(events), trace_(trace) {}

  // `node` kNone: the whole cluster. `details()` gives anything StrCat takes as one string.
  template <typename Details>
  void Add(NodeId node, absl::string_view what, std::initializer_list<uint64_t> facts,
           const Details& details) {
    Hash(node, what, facts);
    if (trace_ != nullptr) Print(node, what, details());
  }
  void Add(NodeId node, absl::string_view what, std::initializer_list<uint64_t> facts = {}) {
    Add(node, what, facts, [] { return std::string(); });
  }

  bool tracing() const { return trace_ != nullptr; }
  // A line for people that is no event. CHECKs tracing().
  void Print(NodeId node, absl::string_view what, absl::string_view details);

  // Of all events so far, their order and their times.
  uint64_t hash() const { return hash_; }
  uint64_t events() const { return count_; }

 private:
  void Hash(NodeId node, absl::string_view what, std::initializer_list<uint64_t> facts);
  void Mix(uint64_t fact);

  const EventQueue& events_;
  std::ostream* trace_;
  uint64_t hash_ = 0;
  uint64_t count_ = 0;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_EVENT_LOG_H_

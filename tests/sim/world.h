// World: what all parts of one run share.

#ifndef TESTS_SIM_WORLD_H_
#define TESTS_SIM_WORLD_H_

#include <functional>
#include <ostream>
#include <string>

#include "base/time.h"
#include "tests/sim/counters.h"
#include "tests/sim/event_log.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/violations.h"

namespace cairn::sim {

struct World {
  // `trace` may be null.
  explicit World(std::ostream* trace) : log(events, trace), violations(log) {}

  // Runs until `done`, a violation, or for `length`. True if `done`.
  bool RunFor(Duration length, const std::function<bool()>& done);
  // Reports that it does not hold that something is done so soon, if so.
  void Require(const char* what, Duration length, const std::function<bool()>& done,
               const std::function<std::string()>& describe);

  EventQueue events;
  EventLog log;
  Violations violations;
  Counters counters;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_WORLD_H_

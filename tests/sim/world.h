// World: what all parts of one run share.

#ifndef TESTS_SIM_WORLD_H_
#define TESTS_SIM_WORLD_H_

#include <ostream>

#include "tests/sim/counters.h"
#include "tests/sim/event_log.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/violations.h"

namespace cairn::sim {

struct World {
  // `trace` may be null.
  explicit World(std::ostream* trace) : log(events, trace), violations(log) {}

  EventQueue events;
  EventLog log;
  Violations violations;
  Counters counters;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_WORLD_H_

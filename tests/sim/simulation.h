// Simulation: one run of a cluster under faults, decided by one seed.

#ifndef TESTS_SIM_SIMULATION_H_
#define TESTS_SIM_SIMULATION_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "base/time.h"
#include "tests/sim/counters.h"
#include "tests/sim/fault_plan.h"

namespace cairn::sim {

struct SimulationResult {
  std::string violation;  // of the first invariant that did not hold; empty if all did
  uint64_t log_hash = 0;  // of all events: equal for equal plans
  uint64_t events = 0;    // of the log
  uint64_t tasks = 0;     // run by the event queue
  Duration simulated;
  uint64_t acknowledged = 0;  // commands
  Counters counters;
};

// Runs `plan` to its end or to the first violation: first under fire, where nothing unsafe may
// happen; then with all faults undone, where the cluster has to come back (I22): a leader within
// ten election timeouts, a new command acknowledged, all members in the same state, with every
// acknowledged command in it (I11), and fresh reads everywhere. `trace` may be null.
SimulationResult Simulate(const FaultPlan& plan, std::ostream* trace);

}  // namespace cairn::sim

#endif  // TESTS_SIM_SIMULATION_H_

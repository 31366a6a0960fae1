// Workload: the clients of a run.

#ifndef TESTS_SIM_WORKLOAD_H_
#define TESTS_SIM_WORKLOAD_H_

#include <memory>
#include <vector>

#include "tests/sim/calls.h"
#include "tests/sim/sim_cluster.h"

namespace cairn::sim {

// Several clients, each with a few operations under way, until Stop. Commands without a session
// are proposed again only where they were surely not applied; calls of a session as often as it
// takes. One thread. `cluster` and `calls` outlive it.
class Workload {
 public:
  Workload(SimCluster& cluster, Calls& calls);
  ~Workload();

  void Start();
  // No new operations and no retries.
  void Stop() { stopped_ = true; }

 private:
  class Client;
  bool stopped_ = false;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_WORKLOAD_H_

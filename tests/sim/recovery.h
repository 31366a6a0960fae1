// Recovery: what a cluster has to do once all faults are undone.

#ifndef TESTS_SIM_RECOVERY_H_
#define TESTS_SIM_RECOVERY_H_

#include "tests/sim/calls.h"
#include "tests/sim/sim_cluster.h"
#include "tests/sim/tail_followers.h"

namespace cairn::sim {

// Heals the cluster and reports to its world what does not come back then (I22), is lost (I11) or
// too much (I23), see simulation.h. Nobody else asks the nodes for anything, but `tails`, which
// hurry.
void Recover(SimCluster& cluster, Calls& calls, const TailFollowers& tails);

}  // namespace cairn::sim

#endif  // TESTS_SIM_RECOVERY_H_

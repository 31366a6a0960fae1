// SimCluster: the machines of a run, the network between them, and who judges them.

#ifndef TESTS_SIM_SIM_CLUSTER_H_
#define TESTS_SIM_SIM_CLUSTER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "base/random.h"
#include "raft/core/configuration.h"
#include "tests/sim/fault_plan.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/world.h"

namespace cairn::sim {

// One thread. `world` and `plan` outlive it.
class SimCluster {
 public:
  SimCluster(World& world, const FaultPlan& plan);
  ~SimCluster();

  size_t size() const { return nodes_.size(); }
  // In order of their ids.
  const std::vector<std::unique_ptr<SimNode>>& nodes() const { return nodes_; }
  SimNode& node(NodeId id) { return *nodes_.at(ToInteger(id) - 1); }
  SimNetwork& network() { return network_; }
  Referees& referees() { return referees_; }
  World& world() { return world_; }
  const FaultPlan& plan() const { return plan_; }

  // Nodes that are there: initial members and those that have joined, but for those taken away.
  std::vector<NodeId> Present() const;
  SimNode& AnyPresent(Random& random);

  // The groups that are there to the end: all but one that is doomed.
  std::vector<GroupId> LastingGroups() const;

  // The node that runs and leads the newest known term of `group`; null if there is none.
  SimNode* Leader(GroupId group);
  // True once a leader was elected in every group.
  bool EverLed() const;

  // Whether `node` was removed from a group, and is in none that it was ever in.
  bool HasLeft(NodeId node) const;

  // Looks at every node's status now and then, for the referees. Goes on for ever.
  void WatchStatus();

  // Ends all faults and starts every node that does not run and is not halted.
  void Heal();
  // Nodes that run and are not halted.
  std::vector<SimNode*> Whole();
  // Those of them that are members of `group` by its last committed configuration.
  std::vector<SimNode*> Healthy(GroupId group);
  // Whether these nodes can decide: by the last committed configuration of `group`, and by each
  // later one in their logs.
  bool CanDecide(GroupId group, const std::vector<SimNode*>& nodes);

 private:
  World& world_;
  const FaultPlan& plan_;
  SimNetwork network_;
  Referees referees_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_SIM_CLUSTER_H_

// ResetOperator: who has learners forget a group and be fed anew.

#ifndef TESTS_SIM_RESET_OPERATOR_H_
#define TESTS_SIM_RESET_OPERATOR_H_

#include <cstdint>
#include <map>

#include "base/random.h"
#include "tests/sim/calls.h"
#include "tests/sim/sim_cluster.h"

namespace cairn::sim {

// In some runs where members change: resets a learner now and then (Host::Reset), also where the
// power goes in the middle, opens the group again later, and has the members declared without the
// disk that is gone and then with the new one. Only while no change is under way: a learner that
// becomes a voter meanwhile is lost as one. One thread. `cluster` and `calls` outlive it.
class ResetOperator {
 public:
  ResetOperator(SimCluster& cluster, Calls& calls);

  void Start();
  // Resets nobody any more.
  void Stop() { stopped_ = true; }

 private:
  void Run();
  void TryReset(GroupId group);
  void Reset(GroupId group, SimNode& node);
  // Has the members declared until the node is one again or cannot be one, or another reset of this
  // group begins after this one, the `number`th.
  void Feed(GroupId group, SimNode& node, uint64_t number);
  void Declare(GroupId group, SimNode& node);
  Duration UpTo(Duration longest);

  SimCluster& cluster_;
  Calls& calls_;
  const Duration timeout_;
  Random random_;
  std::map<GroupId, uint64_t> begun_;
  bool stopped_ = false;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_RESET_OPERATOR_H_

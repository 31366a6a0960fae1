// ApplyOperator: who pauses state machines, lets them go on, and has snapshots replayed.

#ifndef TESTS_SIM_APPLY_OPERATOR_H_
#define TESTS_SIM_APPLY_OPERATOR_H_

#include <cstdint>
#include <map>
#include <utility>

#include "base/random.h"
#include "base/types.h"
#include "tests/sim/calls.h"
#include "tests/sim/sim_cluster.h"

namespace cairn::sim {

// Asks any node now and then, leaders too, which must refuse a pause. A pause is followed by a
// resumption, unless the process ends before that. One thread. `cluster` and `calls` outlive it.
class ApplyOperator {
 public:
  ApplyOperator(SimCluster& cluster, Calls& calls);

  void Start();
  // Asks for nothing any more, and lets everybody go on.
  void Stop();

 private:
  void Run();
  void Pause(GroupId group, SimNode& node);
  void Resume(GroupId group, SimNode& node);
  void Replay(GroupId group, SimNode& node);
  Duration UpTo(Duration longest);

  SimCluster& cluster_;
  Calls& calls_;
  const ApplyOptions& options_;
  Random random_;
  bool stopped_ = false;
  std::map<std::pair<GroupId, NodeId>, uint64_t> resumed_;  // how often it was asked to go on
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_APPLY_OPERATOR_H_

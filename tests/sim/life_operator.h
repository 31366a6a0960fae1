// LifeOperator: who closes, opens and deletes groups while their hosts run.

#ifndef TESTS_SIM_LIFE_OPERATOR_H_
#define TESTS_SIM_LIFE_OPERATOR_H_

#include "base/random.h"
#include "tests/sim/calls.h"
#include "tests/sim/sim_cluster.h"

namespace cairn::sim {

// Closes a group on any node now and then and opens it again later. Where no members change, so
// that all are voters, asks to reset one (Host::Reset), which must change nothing. Where the plan
// dooms a group, it is deleted on every node at some time, and sometimes opened once more, when
// nobody is a member any more (raft/host.h, Delete). One thread. `cluster` and `calls` outlive it.
class LifeOperator {
 public:
  LifeOperator(SimCluster& cluster, Calls& calls);

  void Start();
  // Opens what is closed, and closes nothing any more.
  void Stop();

 private:
  void Run();
  void Close(GroupId group, SimNode& node);
  void ResetVoter(GroupId group, SimNode& node);
  void Delete(SimNode& node);
  void Deleted(SimNode& node);
  Duration UpTo(Duration longest);

  SimCluster& cluster_;
  Calls& calls_;
  const LifeOptions& options_;
  Random random_;
  Random resets_;
  bool stopped_ = false;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_LIFE_OPERATOR_H_

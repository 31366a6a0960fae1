// Operator: who changes the members and moves the leadership during a run.

#ifndef TESTS_SIM_OPERATOR_H_
#define TESTS_SIM_OPERATOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "raft/core/membership_plan.h"
#include "tests/sim/calls.h"
#include "tests/sim/sim_cluster.h"

namespace cairn::sim {

// Now and then declares other members of a group, cancels a change, hands leadership over, has a
// node campaign, step down or save its state: mostly at the leader, sometimes at any node, and not
// only what makes sense. Starts nodes that join (each under an id of its own, since a disk that was
// a member once is none again), and does with those that were removed what people do: leaves them
// running, stops them, starts them again after long, takes the machine away. One thread. `cluster`
// and `calls` outlive it.
class Operator {
 public:
  Operator(SimCluster& cluster, Calls& calls);

  void Start();
  // Asks for nothing any more.
  void Stop() { stopped_ = true; }

 private:
  void Run();
  void OnLeader(GroupId group, NodeId leader);
  void Act(GroupId group);
  void Declare(GroupId group, SimNode& node);
  void Cancel(GroupId group, SimNode& node);
  void Transfer(GroupId group, SimNode& node);
  void Tend(SimNode& node);

  // What is drawn is worked out from there.
  // The group whose members are drawn, and who they are.
  struct Current {
    GroupId group;
    const Configuration& configuration;
    NodeId leader;
  };
  DeclaredMembers Draw(const Current& current, std::string* tag);
  void Edit(DeclaredMembers& members, const Current& current);
  void Replace(DeclaredMembers& members, const Current& current, uint64_t count);
  void Shuffle(DeclaredMembers& members, const Current& current);
  void Drop(std::vector<Member>& members, NodeId node);
  std::optional<Member> TakeNew(const DeclaredMembers& members, const Current& current);
  bool MayShrink(const DeclaredMembers& members) const;
  NodeId AnyOf(const std::vector<Member>& members);
  NodeId AnyId();
  Instant Deadline(SimNode& node);

  SimCluster& cluster_;
  Calls& calls_;
  const OperatorOptions& options_;
  Random random_;
  bool stopped_ = false;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_OPERATOR_H_

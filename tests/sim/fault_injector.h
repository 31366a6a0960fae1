// FaultInjector: carries out a FaultPlan.

#ifndef TESTS_SIM_FAULT_INJECTOR_H_
#define TESTS_SIM_FAULT_INJECTOR_H_

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "tests/sim/fault_plan.h"
#include "tests/sim/forgotten_promise.h"
#include "tests/sim/sim_cluster.h"

namespace cairn::sim {

// Draws a fault now and then, begins it, and undoes it when its time is over. One thread.
// `cluster` outlives it.
class FaultInjector {
 public:
  explicit FaultInjector(SimCluster& cluster);

  void Start();
  // No more faults. What is still broken is for SimCluster::Heal.
  void Stop() {
    stopped_ = true;
    forgotten_.Stop();
  }

 private:
  using Links = std::vector<std::pair<NodeId, NodeId>>;

  void ScheduleNext();
  void Inject(FaultKind kind);
  void InjectPartition(FaultKind kind, Duration length);
  void InjectCrash(FaultKind kind);
  void InjectOnMachine(FaultKind kind, Duration length);

  // Blocks links for a while.
  void Cut(Links links, Duration length);
  void Flap(NodeId node, Instant until);
  void ForsakeLeader(SimNode& leader, Duration length);
  void ChaseLeaders(NodeId companion, Instant until);
  void OnLeader(NodeId leader);
  void EndChase();
  void RestartLater(SimNode& node);
  void RestartSoon(SimNode& node);
  void RestartWithin(Duration longest, SimNode& node);
  void RestartIfDownLater(SimNode& node);
  void CutPower(SimNode& node);

  // Both ways between every node of `side` and every other one.
  Links Around(const std::vector<NodeId>& side) const;
  std::vector<NodeId> AllNodes() const;
  SimNode& AnyNode();
  SimNode& LeaderOrAny();
  GroupId AnyGroup();
  Duration UpTo(Duration longest);
  void Unblock(const Links& links);
  // Runs `action` at `when` unless faults have been stopped.
  void At(Instant when, std::function<void()> action);

  SimCluster& cluster_;
  World& world_;
  const FaultPlan& plan_;
  Random random_;
  bool stopped_ = false;
  struct Chase {
    NodeId companion = NodeId::kNone;  // kNone: there is no chase
    Links cut;
  };
  Chase chase_;
  ForgottenPromise forgotten_;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_FAULT_INJECTOR_H_

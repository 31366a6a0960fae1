#include "tests/sim/simulation.h"

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tests/sim/apply_operator.h"
#include "tests/sim/calls.h"
#include "tests/sim/fault_injector.h"
#include "tests/sim/life_operator.h"
#include "tests/sim/operator.h"
#include "tests/sim/recovery.h"
#include "tests/sim/rescue.h"
#include "tests/sim/reset_operator.h"
#include "tests/sim/sim_cluster.h"
#include "tests/sim/sub_seed.h"
#include "tests/sim/tail_followers.h"
#include "tests/sim/workload.h"
#include "tests/sim/world.h"

namespace cairn::sim {
namespace {

class Simulation {
 public:
  Simulation(const FaultPlan& plan, std::ostream* trace)
      : plan_(plan),
        world_(trace),
        cluster_(world_, plan),
        calls_(cluster_),
        injector_(cluster_),
        workload_(cluster_, calls_),
        operator_(cluster_, calls_),
        apply_operator_(cluster_, calls_),
        life_operator_(cluster_, calls_),
        reset_operator_(cluster_, calls_),
        tails_(cluster_, calls_) {
    if (plan.rescue != RescueKind::kNone) rescue_.emplace(cluster_, calls_, tails_);
  }

  // Ends the processes first: their last callbacks reach the calls and the workload.
  ~Simulation() {
    for (const auto& node : cluster_.nodes()) {
      if (node->running()) node->Kill();
    }
  }

  SimulationResult Run() {
    StartNodes();
    cluster_.WatchStatus();
    injector_.Start();
    workload_.Start();
    operator_.Start();
    apply_operator_.Start();
    life_operator_.Start();
    reset_operator_.Start();
    tails_.Start();
    if (rescue_) rescue_->Start();
    world_.RunFor(plan_.under_fire, [] { return false; });
    injector_.Stop();
    workload_.Stop();
    operator_.Stop();
    apply_operator_.Stop();
    life_operator_.Stop();
    reset_operator_.Stop();
    tails_.Hurry();
    bool whole = !world_.violations.any();
    if (whole && rescue_) whole = rescue_->Run();
    if (whole) Recover(cluster_, calls_, tails_);
    tails_.Stop();
    if (!world_.violations.any()) End();
    return Result();
  }

 private:
  void StartNodes() {
    Random random(SubSeed(plan_.seed, "first starts"));
    for (const auto& node : cluster_.nodes()) {
      uint64_t spread = static_cast<uint64_t>(plan_.group.election_timeout.nanoseconds);
      Duration wait = Nanoseconds(static_cast<int64_t>(random.Below(spread)));
      world_.events.After(wait, [&node] { node->Start(); });
    }
  }

  void End() {
    for (const auto& node : cluster_.nodes()) {
      if (node->running()) node->Shutdown();
      if (node->disk().uses_after_failure() > 0) {
        world_.violations.Report("a failed file is not used again",
                                 absl::StrCat("n", ToInteger(node->id())));
      }
    }
    if (calls_.open() > 0) {
      world_.violations.Report("each callback is called once",
                               absl::StrCat(calls_.open(), " were never called"));
    }
  }

  SimulationResult Result() {
    SimulationResult result;
    result.violation = world_.violations.first();
    result.log_hash = world_.log.hash();
    result.events = world_.log.events();
    result.tasks = world_.events.executed();
    result.simulated = world_.events.now() - Instant();
    for (auto& [group, referee] : cluster_.referees()) {
      result.acknowledged += referee->clients().acknowledged();
    }
    result.counters = world_.counters;
    return result;
  }

  const FaultPlan& plan_;
  World world_;
  SimCluster cluster_;
  Calls calls_;
  FaultInjector injector_;
  Workload workload_;
  Operator operator_;
  ApplyOperator apply_operator_;
  LifeOperator life_operator_;
  ResetOperator reset_operator_;
  TailFollowers tails_;
  std::optional<Rescue> rescue_;
};

}  // namespace

SimulationResult Simulate(const FaultPlan& plan, std::ostream* trace) {
  return Simulation(plan, trace).Run();
}

}  // namespace cairn::sim

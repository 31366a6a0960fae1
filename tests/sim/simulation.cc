#include "tests/sim/simulation.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tests/sim/calls.h"
#include "tests/sim/fault_injector.h"
#include "tests/sim/list_machine.h"
#include "tests/sim/operator.h"
#include "tests/sim/sim_cluster.h"
#include "tests/sim/sub_seed.h"
#include "tests/sim/workload.h"
#include "tests/sim/world.h"

namespace cairn::sim {
namespace {

// Far more than any run takes; more means that nodes keep each other busy for nothing.
constexpr uint64_t kMostTasks = 5'000'000;
// Bits: many of them hit what is not in use any more.
constexpr int kRottenAtRest = 8;

class Simulation {
 public:
  Simulation(const FaultPlan& plan, std::ostream* trace)
      : plan_(plan),
        world_(trace),
        cluster_(world_, plan),
        calls_(cluster_),
        injector_(cluster_),
        workload_(cluster_, calls_),
        operator_(cluster_, calls_) {}

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
    RunFor(plan_.under_fire, [] { return false; });
    injector_.Stop();
    workload_.Stop();
    operator_.Stop();
    if (!world_.violations.any()) Recover();
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

  // Runs until `done`, a violation, or for `length`. True if `done`.
  bool RunFor(Duration length, const std::function<bool()>& done) {
    Instant end = world_.events.now() + length;
    while (!world_.violations.any()) {
      if (done()) return true;
      if (world_.events.now() >= end || !world_.events.RunNext()) return false;
      if (world_.events.executed() > kMostTasks) {
        world_.violations.Report("I23 bounded", "the run does not come to an end");
      }
    }
    return false;
  }

  void Require(const char* what, Duration length, const std::function<bool()>& done) {
    if (world_.violations.any() || RunFor(length, done)) return;
    world_.violations.Report("I22 liveness", absl::StrCat(what, "; ", DescribeNodes()));
  }

  std::string DescribeNodes() {
    std::string text;
    for (const auto& node : cluster_.nodes()) {
      absl::StrAppend(&text, " n", ToInteger(node->id()), ":");
      if (!node->running()) absl::StrAppend(&text, " down ", node->halted().ToString());
      for (auto& [group, referee] : cluster_.referees()) {
        Group* handle = node->group(group);
        if (handle == nullptr) continue;
        GroupStatus status = handle->Status();
        absl::StrAppend(&text, " ", NameOf(status.role), " of term ", status.term, " log ",
                        status.last_index, " durable ", status.durable_index, " commit ",
                        status.commit_index, " applied ", status.applied_index, " ",
                        NameOf(status.state), " ", status.reason);
      }
    }
    return text;
  }

  // The longest time an election timeout takes on any node's clock, in virtual time.
  Duration Timeout() const {
    int64_t slowest = 1000;
    for (const NodeOptions& node : plan_.nodes) {
      slowest = std::min(slowest, node.clock_rate_per_mille);
    }
    return plan_.group.election_timeout * 1000 / slowest;
  }

  void Recover() {
    cluster_.Heal();
    for (auto& [group, referee] : cluster_.referees()) {
      if (cluster_.CanDecide(group, cluster_.Whole())) continue;
      world_.counters.Count("no liveness: too few nodes are whole");
      return;
    }
    auto led = [this] {
      return std::all_of(cluster_.referees().begin(), cluster_.referees().end(),
                         [this](auto& entry) { return cluster_.Leader(entry.first) != nullptr; });
    };
    if (!RunFor(Timeout() * 10, led) && TornTailWaits()) {
      world_.counters.Count("no liveness: a torn tail waits for a member that is gone");
      return;
    }
    Require("no leader", Duration{}, led);
    for (auto& [group, referee] : cluster_.referees()) {
      // First a command of the leader's term: until then it may have a change under way that the
      // ledger does not know to be committed.
      AppendLast(group);
      FinishChange(group);
      Require("members do not come to the same state", Timeout() * 20,
              [this, group] { return Converged(group); });
      const std::vector<SimNode*> healthy = cluster_.Healthy(group);
      for (SimNode* node : healthy) referee->clients().CheckNothingLost(node->id());
      for (SimNode* node : healthy) ReadLast(group, node->id());
      CheckAtRest(group);
    }
    if (!world_.violations.any()) CheckScrubbed();
  }

  // Nobody reads anything: what has rotted in sealed blocks is healed by the scrub alone.
  void CheckScrubbed() {
    if (plan_.scrub.bytes_per_second > 0 && plan_.weight(FaultKind::kRot) > 0) {
      SimNode& node = cluster_.node(plan_.rotting());
      for (int i = 0; node.running() && i < kRottenAtRest; ++i) {
        node.disk().Rot(SimDisk::Rotten::kSealedEntries);
      }
    }
    std::map<SimNode*, uint64_t> rounds;
    for (const auto& node : cluster_.nodes()) {
      if (const auto progress = node->scrub()) rounds[node.get()] = progress->rounds + 2;
    }
    if (rounds.empty()) return;
    Require("the scrub does not get round", plan_.scrub.period * 4 + Seconds(20), [&rounds] {
      return std::all_of(rounds.begin(), rounds.end(), [](const auto& each) {
        const auto progress = each.first->scrub();
        return !progress || progress->rounds >= each.second;
      });
    });
    RunFor(Timeout() * 4, [] { return false; });
    for (const auto& [node, wanted] : rounds) {
      const auto progress = node->scrub();
      if (!progress) continue;
      if (progress->damaged > 0) world_.counters.Count("scrub found bad entries");
      if (progress->repaired > 0) world_.counters.Count("entries found by the scrub were repaired");
      if (progress->healed > 0) world_.counters.Count("scrub wrote a copy again");
      if (!ServesAllGroups(*node)) continue;
      const std::string rot = node->disk().RotInSealedBlocks();
      if (rot.empty()) continue;
      world_.violations.Report("rot in sealed blocks is healed",
                               absl::StrCat("n", ToInteger(node->id()), ":", rot));
    }
  }

  bool ServesAllGroups(SimNode& node) {
    for (auto& [group, referee] : cluster_.referees()) {
      Group* handle = node.group(group);
      if (handle == nullptr || handle->Status().state != NodeState::kServing) return false;
    }
    return true;
  }

  // A change under way comes to its end where all it needs is there. Otherwise it is cancelled.
  void FinishChange(GroupId group) {
    const Ledger& ledger = cluster_.referees().at(group)->ledger();
    auto idle = [&ledger] {
      return !ledger.configuration().joint() && !ledger.configuration().target;
    };
    if (RunFor(Timeout() * 15, idle) || world_.violations.any()) return;
    const Configuration configuration = ledger.configuration();
    const std::vector<SimNode*> whole = cluster_.Whole();
    auto is_whole = [&](const Member& member) {
      return std::any_of(whole.begin(), whole.end(),
                         [&](SimNode* node) { return node->id() == member.node; });
    };
    const std::vector<Member>& target =
        configuration.target ? configuration.target->voters : configuration.voters;
    if (configuration.joint() || std::all_of(target.begin(), target.end(), is_whole)) {
      return Require("a change does not come to its end", Duration{}, idle);
    }
    world_.counters.Count("change cancelled at the end");
    Repeat("a change cannot be cancelled", [this, group](std::function<void(bool)> done) {
      SimNode* leader = cluster_.Leader(group);
      if (leader == nullptr) return done(false);
      calls_.Control(group, leader->id(), CancelRequest{}, leader->Now() + Timeout(),
                     [done = std::move(done)](const ControlResult& result) {
                       done(std::holds_alternative<ControlDone>(result));
                     });
    });
    Require("a cancelled change stays", Timeout() * 10, idle);
  }

  // Members that cannot tell whether their last entries were acknowledged, since another one is
  // gone for good, and without whom there is no quorum (docs/decisions.md, "Torn tails").
  bool TornTailWaits() {
    for (const auto& [group, referee] : cluster_.referees()) {
      std::vector<SimNode*> sure = cluster_.Whole();
      if (sure.size() == cluster_.Present().size()) continue;
      std::erase_if(sure, [group = group](SimNode* node) {
        Group* handle = node->group(group);
        return handle == nullptr || handle->Status().state == NodeState::kRepairing;
      });
      if (!cluster_.CanDecide(group, sure)) return true;
    }
    return false;
  }

  // What a call that is made until it succeeds has come to; outlives the call.
  struct Attempts {
    bool done = false;
    bool waiting = false;
  };

  // Repeats `call` until it says true to what it is given, a heartbeat after each failure.
  void Repeat(const char* what, const std::function<void(std::function<void(bool)>)>& call) {
    auto attempts = std::make_shared<Attempts>();
    Require(what, Timeout() * 10, [this, attempts, &call] {
      if (attempts->done || attempts->waiting) return attempts->done;
      attempts->waiting = true;
      call([this, attempts](bool done) {
        attempts->done |= done;
        world_.events.After(plan_.group.heartbeat_interval,
                            [attempts] { attempts->waiting = false; });
      });
      return attempts->done;
    });
  }

  // One more command, through any member.
  void AppendLast(GroupId group) {
    Repeat("no new command is acknowledged", [this, group](std::function<void(bool)> done) {
      std::vector<SimNode*> healthy = cluster_.Healthy(group);
      CommandId id = calls_.NewCommand();
      SimNode* node = healthy[id % healthy.size()];
      calls_.Propose(group, node->id(), id, MakeCommand(id, "the last one"), {},
                     [done = std::move(done)](ProposalResult result) {
                       done(std::holds_alternative<ProposalApplied>(result));
                     });
    });
  }

  bool Converged(GroupId group) {
    Referee& referee = *cluster_.referees().at(group);
    for (SimNode* node : cluster_.Healthy(group)) {
      if (referee.states().applied(node->id()) < referee.ledger().commit()) return false;
    }
    return true;
  }

  void ReadLast(GroupId group, NodeId node) {
    Repeat("a read is not answered", [this, group, node](std::function<void(bool)> done) {
      calls_.Read(group, node, ReadOptions(), calls_.ReadHorizon(group), std::move(done));
    });
  }

  // Nobody asks for anything: a heartbeat or two later all is written and acknowledged, and the
  // status, which is a little old, says so. A member that has only just come gets what it lacks.
  void CheckAtRest(GroupId group) {
    RunFor(Timeout() * 2 + Milliseconds(200), [] { return false; });
    for (SimNode* node : cluster_.Healthy(group)) {
      Referee& referee = *cluster_.referees().at(group);
      RunFor(Timeout() * 4, [&] {
        const GroupStatus status = node->group(group)->Status();
        return BoundsChecker::NothingUnderWay(status) && referee.membership().IsInForce(status);
      });
      const GroupStatus status = node->group(group)->Status();
      referee.bounds().ShownAtRest(node->id(), status);
      referee.membership().ShownAtRest(node->id(), status);
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
};

}  // namespace

SimulationResult Simulate(const FaultPlan& plan, std::ostream* trace) {
  return Simulation(plan, trace).Run();
}

}  // namespace cairn::sim

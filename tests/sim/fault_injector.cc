#include "tests/sim/fault_injector.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {

FaultInjector::FaultInjector(SimCluster& cluster)
    : cluster_(cluster),
      world_(cluster.world()),
      plan_(cluster.plan()),
      random_(SubSeed(plan_.seed, "faults")),
      forgotten_(cluster, [this](SimNode& node) { RestartSoon(node); }) {}

void FaultInjector::Start() {
  cluster_.referees().at(GroupId::kDefault)->ObserveLeaders([this](NodeId leader) {
    OnLeader(leader);
  });
  ScheduleNext();
}

void FaultInjector::At(Instant when, std::function<void()> action) {
  world_.events.At(when, [this, action = std::move(action)] {
    if (!stopped_) action();
  });
}

Duration FaultInjector::UpTo(Duration longest) {
  uint64_t bound = static_cast<uint64_t>(std::max<int64_t>(longest.nanoseconds, 1));
  return Nanoseconds(static_cast<int64_t>(random_.Below(bound)));
}

std::vector<NodeId> FaultInjector::AllNodes() const { return cluster_.Present(); }

SimNode& FaultInjector::AnyNode() { return cluster_.AnyPresent(random_); }

GroupId FaultInjector::AnyGroup() { return static_cast<GroupId>(1 + random_.Below(plan_.groups)); }

SimNode& FaultInjector::LeaderOrAny() {
  SimNode* leader = cluster_.Leader(AnyGroup());
  return leader != nullptr ? *leader : AnyNode();
}

FaultInjector::Links FaultInjector::Around(const std::vector<NodeId>& side) const {
  Links links;
  for (NodeId inside : side) {
    for (NodeId other : AllNodes()) {
      if (std::find(side.begin(), side.end(), other) != side.end()) continue;
      links.emplace_back(inside, other);
      links.emplace_back(other, inside);
    }
  }
  return links;
}

void FaultInjector::Unblock(const Links& links) {
  for (auto [from, to] : links) cluster_.network().Unblock(from, to);
}

void FaultInjector::Cut(Links links, Duration length) {
  for (auto [from, to] : links) cluster_.network().Block(from, to);
  At(world_.events.now() + length, [this, links = std::move(links)] { Unblock(links); });
}

void FaultInjector::ScheduleNext() {
  At(world_.events.now() + UpTo(plan_.between_faults * 2), [this] {
    ScheduleNext();
    if (!plan_.faults_from_start && !cluster_.EverLed()) return;
    uint64_t total = 0;
    for (uint64_t weight : plan_.weights) total += weight;
    if (total == 0) return;
    uint64_t drawn = random_.Below(total);
    for (size_t i = 0; i < kFaultKinds; ++i) {
      if (drawn < plan_.weights[i]) return Inject(static_cast<FaultKind>(i));
      drawn -= plan_.weights[i];
    }
  });
}

void FaultInjector::Inject(FaultKind kind) {
  Duration length = UpTo(plan_.longest_fault);
  world_.counters.Count(absl::StrCat("fault: ", NameOf(kind)));
  world_.log.Add(NodeId::kNone, "fault", {static_cast<uint64_t>(kind)}, [&] {
    return absl::StrCat(NameOf(kind), " for up to ", length.nanoseconds / 1'000'000, " ms");
  });
  if (kind == FaultKind::kForgetPromise) return forgotten_.Begin();
  if (kind <= FaultKind::kFlap) return InjectPartition(kind, length);
  if (kind <= FaultKind::kStop) return InjectCrash(kind);
  InjectOnMachine(kind, length);
}

void FaultInjector::InjectPartition(FaultKind kind, Duration length) {
  std::vector<NodeId> nodes = AllNodes();
  switch (kind) {
    case FaultKind::kIsolateOne:
      return Cut(Around({AnyNode().id()}), length);
    case FaultKind::kIsolateLeader:
      return Cut(Around({LeaderOrAny().id()}), length);
    case FaultKind::kSplit: {
      std::vector<NodeId> side;
      for (NodeId id : nodes) {
        if (random_.OneIn(2)) side.push_back(id);
      }
      return Cut(Around(side), length);
    }
    case FaultKind::kOneWay: {
      NodeId node = random_.OneIn(2) ? LeaderOrAny().id() : AnyNode().id();
      bool deaf = random_.OneIn(2);
      Links links;
      for (auto [from, to] : Around({node})) {
        if ((to == node) == deaf) links.emplace_back(from, to);
      }
      return Cut(std::move(links), length);
    }
    case FaultKind::kBridge: {
      NodeId bridge = AnyNode().id();
      std::vector<NodeId> side;
      for (NodeId id : nodes) {
        if (id != bridge && random_.OneIn(2)) side.push_back(id);
      }
      Links links;
      for (auto [from, to] : Around(side)) {
        if (from != bridge && to != bridge) links.emplace_back(from, to);
      }
      return Cut(std::move(links), length);
    }
    case FaultKind::kCompanion:
      return Cut(Around({LeaderOrAny().id(), AnyNode().id()}), length);
    case FaultKind::kForsakeLeader:
      return ForsakeLeader(LeaderOrAny(), length);
    case FaultKind::kChaseLeaders:
      return ChaseLeaders(AnyNode().id(), world_.events.now() + length * 2);
    default:
      return Flap(AnyNode().id(), world_.events.now() + length);
  }
}

// The leader keeps just so many followers that it leads on, while the others wait for the end of
// what they promised it. Then the followers lose their processes, and what they remember with them,
// and find the others when they are back; the leader counts on them a little longer.
void FaultInjector::ForsakeLeader(SimNode& leader, Duration length) {
  std::vector<NodeId> side = {leader.id()};
  const Configuration& members =
      cluster_.referees().at(GroupId::kDefault)->ledger().configuration();
  for (const Member& voter : members.voters) {
    if (side.size() > members.voters.size() / 2) break;
    if (voter.node != leader.id()) side.push_back(voter.node);
  }
  const Duration patience = plan_.group.election_timeout * 2;
  Cut(Around(side), patience);
  At(world_.events.now() + patience, [this, side, length] {
    Cut(Around({side.front()}), length);
    for (size_t i = 1; i < side.size(); ++i) {
      SimNode& follower = cluster_.node(side[i]);
      follower.Kill();
      RestartSoon(follower);
    }
  });
}

// Whoever comes to lead is cut off with the companion before it has said a word, so that the others
// elect somebody else while the two make entries that nobody else has.
void FaultInjector::ChaseLeaders(NodeId companion, Instant until) {
  EndChase();
  chase_.companion = companion;
  At(until, [this] { EndChase(); });
}

void FaultInjector::OnLeader(NodeId leader) {
  if (chase_.companion == NodeId::kNone || stopped_) return;
  Unblock(chase_.cut);
  chase_.cut = Around({leader, chase_.companion});
  for (auto [from, to] : chase_.cut) cluster_.network().Block(from, to);
  world_.counters.Count("new leader cut off at once");
}

void FaultInjector::EndChase() {
  Unblock(chase_.cut);
  chase_ = {};
}

void FaultInjector::Flap(NodeId node, Instant until) {
  if (world_.events.now() >= until) return;
  Duration period = plan_.group.election_timeout / 2 + UpTo(plan_.group.election_timeout);
  Cut(Around({node}), period / 2);
  At(world_.events.now() + period, [this, node, until] { Flap(node, until); });
}

void FaultInjector::RestartLater(SimNode& node) {
  if (random_.OneIn(2)) return RestartSoon(node);
  RestartWithin(plan_.longest_fault, node);
}

void FaultInjector::RestartSoon(SimNode& node) {
  RestartWithin(plan_.group.election_timeout / 10, node);
}

void FaultInjector::RestartWithin(Duration longest, SimNode& node) {
  At(world_.events.now() + UpTo(longest), [this, &node] {
    if (node.halted().ok()) node.Start();
    // A nested crash, or a node that has to stop: try again.
    RestartIfDownLater(node);
  });
}

void FaultInjector::RestartIfDownLater(SimNode& node) {
  At(world_.events.now() + plan_.group.election_timeout * 2, [this, &node] {
    if (!node.running() && node.halted().ok()) RestartLater(node);
  });
}

void FaultInjector::CutPower(SimNode& node) {
  constexpr CrashPolicy kPolicies[] = {CrashPolicy::kDropAll, CrashPolicy::kKeepAll,
                                       CrashPolicy::kKeepPrefix, CrashPolicy::kRandomSubset,
                                       CrashPolicy::kTornCall};
  CrashPolicy policy = kPolicies[random_.Below(std::size(kPolicies))];
  if (random_.OneIn(3) && node.running()) {
    node.PowerCutAtAccess(1 + random_.Below(20), policy);
    RestartIfDownLater(node);
  } else {
    node.PowerCut(policy);
    RestartLater(node);
  }
}

void FaultInjector::InjectCrash(FaultKind kind) {
  auto kill = [this](SimNode& node) {
    node.Kill();
    RestartLater(node);
  };
  switch (kind) {
    case FaultKind::kPowerCut:
      return CutPower(AnyNode());
    case FaultKind::kPowerCutLeader:
      return CutPower(LeaderOrAny());
    case FaultKind::kPowerCutAll:
      // In the middle of one another's writes, so that entries may be torn on several nodes.
      if (random_.OneIn(2)) {
        for (const auto& node : cluster_.nodes()) {
          node->PowerCut(CrashPolicy::kRandomSubset);
          RestartLater(*node);
        }
        return;
      }
      for (const auto& node : cluster_.nodes()) CutPower(*node);
      return;
    case FaultKind::kKill:
      return kill(AnyNode());
    case FaultKind::kKillLeader:
      return kill(LeaderOrAny());
    case FaultKind::kKillAll:
      for (const auto& node : cluster_.nodes()) kill(*node);
      return;
    default: {
      SimNode& node = AnyNode();
      node.Shutdown();
      return RestartLater(node);
    }
  }
}

void FaultInjector::InjectOnMachine(FaultKind kind, Duration length) {
  Instant until = world_.events.now() + length;
  switch (kind) {
    case FaultKind::kPause:
      return AnyNode().PauseUntil(until);
    case FaultKind::kPauseLeader:
      return LeaderOrAny().PauseUntil(until);
    case FaultKind::kPauseOthers: {
      NodeId awake = AnyNode().id();
      for (const auto& node : cluster_.nodes()) {
        if (node->id() != awake) node->PauseUntil(until);
      }
      return;
    }
    case FaultKind::kStallDisk:
      return AnyNode().disk().StallUntil(until);
    case FaultKind::kStallLeaderDisk:
      return LeaderOrAny().disk().StallUntil(until);
    case FaultKind::kStallAllDisks:
      for (const auto& node : cluster_.nodes()) node->disk().StallUntil(until);
      return;
    case FaultKind::kSyncError: {
      SimNode& node = AnyNode();
      node.disk().FailNextSync();
      return RestartIfDownLater(node);
    }
    case FaultKind::kJumpWall: {
      int64_t seconds = static_cast<int64_t>(random_.Below(7200)) - 3600;
      return AnyNode().JumpWall(Seconds(seconds));
    }
    default: {
      SimNode& node = cluster_.node(plan_.rotting());
      if (!node.running()) return;
      // Only in sealed blocks what has rotted is found while the node runs.
      if (plan_.scrub.bytes_per_second > 0 && random_.OneIn(2)) {
        node.disk().Rot(random_.OneIn(2) ? SimDisk::Rotten::kSealed
                                         : SimDisk::Rotten::kSealedEntries);
        return;
      }
      if (random_.OneIn(3)) {
        node.PowerCut(CrashPolicy::kDropAll);
        node.disk().LoseEnd();
        return RestartLater(node);
      }
      if (!node.disk().Rot(SimDisk::Rotten::kAnything)) return;
      node.PowerCut(CrashPolicy::kDropAll);
      return RestartLater(node);
    }
  }
}

}  // namespace cairn::sim

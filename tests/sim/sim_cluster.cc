#include "tests/sim/sim_cluster.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {
namespace {

Configuration InitialMembers(const FaultPlan& plan) {
  Configuration members;
  for (size_t i = 1; i <= plan.nodes.size(); ++i) {
    members.voters.push_back(
        {static_cast<NodeId>(i), Incarnation::kUnknown, absl::StrCat("node", i, ":1")});
  }
  return members;
}

}  // namespace

SimCluster::SimCluster(World& world, const FaultPlan& plan)
    : world_(world),
      plan_(plan),
      network_(world.events, world.log, world.counters, SubSeed(plan.seed, "network"),
               plan.network) {
  Configuration members = InitialMembers(plan);
  for (size_t i = 1; i <= plan.groups; ++i) {
    GroupId group = static_cast<GroupId>(i);
    DurabilityChecker::Options options;
    options.seed = SubSeed(plan.seed, "checked by real recovery", i);
    referees_[group] = std::make_unique<Referee>(
        world, group, members.Nodes(),
        [this, group](NodeId node_id) { return node(node_id).disk().RecoverWorstCase(group); },
        options);
  }
  network_.ObserveSends([this](const Envelope& envelope) {
    auto referee = referees_.find(envelope.group);
    if (referee != referees_.end()) referee->second->Sent(envelope);
  });
  SimNode::Surroundings surroundings = {&world_, &network_, &referees_, &plan_, members};
  for (NodeId id : members.Nodes()) nodes_.push_back(std::make_unique<SimNode>(surroundings, id));
}

SimCluster::~SimCluster() = default;

SimNode* SimCluster::Leader(GroupId group) {
  const Ledger& ledger = referees_.at(group)->ledger();
  NodeId leader = ledger.LeaderOf(ledger.last_term());
  if (leader == NodeId::kNone || !node(leader).running()) return nullptr;
  Group* handle = node(leader).group(group);
  if (handle == nullptr || handle->Status().role != Role::kLeader) return nullptr;
  return &node(leader);
}

bool SimCluster::EverLed() const {
  for (const auto& [group, referee] : referees_) {
    if (referee->ledger().reigns() == 0) return false;
  }
  return true;
}

void SimCluster::WatchStatus() {
  for (const auto& node : nodes_) node->ShowStatus();
  world_.events.After(plan_.group.election_timeout / 5, [this] { WatchStatus(); });
}

void SimCluster::Heal() {
  world_.log.Add(NodeId::kNone, "heal");
  NetworkOptions calm;
  calm.shortest_delay = plan_.network.shortest_delay;
  calm.longest_delay = plan_.network.longest_delay;
  network_.SetOptions(calm);
  network_.UnblockAll();
  for (const auto& node : nodes_) {
    node->Heal();
    if (node->halted().ok()) node->Start();
  }
}

std::vector<SimNode*> SimCluster::Healthy() {
  std::vector<SimNode*> healthy;
  for (const auto& node : nodes_) {
    if (node->running() && node->halted().ok()) healthy.push_back(node.get());
  }
  return healthy;
}

}  // namespace cairn::sim

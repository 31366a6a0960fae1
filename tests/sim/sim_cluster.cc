#include "tests/sim/sim_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/quorums.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {
namespace {

Configuration InitialMembers(const FaultPlan& plan) {
  Configuration members;
  for (size_t i = 1; i <= plan.members; ++i) {
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
        [this, group](NodeId node_id) -> absl::StatusOr<LogImage> {
          SimDisk& disk = node(node_id).disk();
          // What has rotted while the process runs may not be repaired yet.
          if (disk.rotten()) return referees_.at(group)->ledger().log(node_id).durable();
          return disk.RecoverWorstCase(group);
        },
        options, plan.group);
    for (size_t n = 1; n <= plan.nodes.size(); ++n) {
      if (!plan.nodes[n - 1].never_campaigns) continue;
      referees_[group]->candidacy().Observes(static_cast<NodeId>(n));
    }
  }
  network_.ObserveSends([this](const Envelope& envelope) {
    auto referee = referees_.find(envelope.group);
    if (referee != referees_.end()) referee->second->Sent(envelope);
  });
  SimNode::Surroundings surroundings = {&world_, &network_, &referees_, &plan_, members};
  for (size_t i = 1; i <= plan.nodes.size(); ++i) {
    nodes_.push_back(std::make_unique<SimNode>(surroundings, static_cast<NodeId>(i)));
  }
}

SimCluster::~SimCluster() = default;

std::vector<GroupId> SimCluster::LastingGroups() const {
  std::vector<GroupId> lasting;
  for (const auto& [group, referee] : referees_) {
    if (group != plan_.lives.doomed) lasting.push_back(group);
  }
  return lasting;
}

SimNode* SimCluster::Leader(GroupId group) {
  const Ledger& ledger = referees_.at(group)->ledger();
  NodeId leader = ledger.LeaderOf(ledger.last_term());
  if (leader == NodeId::kNone || !node(leader).running()) return nullptr;
  Group* handle = node(leader).group(group);
  if (handle == nullptr || handle->Status().role != Role::kLeader) return nullptr;
  return &node(leader);
}

bool SimCluster::EverLed() const {
  for (GroupId group : LastingGroups()) {
    if (referees_.at(group)->ledger().reigns() == 0) return false;
  }
  return true;
}

bool SimCluster::HasLeft(NodeId node) const { return sim::HasLeft(referees_, node); }

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

std::vector<NodeId> SimCluster::Present() const {
  std::vector<NodeId> present;
  for (const auto& node : nodes_) {
    if (node->present()) present.push_back(node->id());
  }
  return present;
}

SimNode& SimCluster::AnyPresent(Random& random) {
  const std::vector<NodeId> present = Present();
  return node(present[random.Below(present.size())]);
}

std::vector<SimNode*> SimCluster::Whole() {
  std::vector<SimNode*> whole;
  for (const auto& node : nodes_) {
    if (node->running() && node->halted().ok()) whole.push_back(node.get());
  }
  return whole;
}

std::vector<SimNode*> SimCluster::Healthy(GroupId group) {
  const Configuration& members = referees_.at(group)->ledger().configuration();
  std::vector<SimNode*> healthy = Whole();
  std::erase_if(healthy, [&](SimNode* node) { return !members.IsMember(node->id()); });
  return healthy;
}

bool SimCluster::CanDecide(GroupId group, const std::vector<SimNode*>& nodes) {
  const Ledger& ledger = referees_.at(group)->ledger();
  auto in = [&](NodeId id) {
    return std::any_of(nodes.begin(), nodes.end(),
                       [id](SimNode* node) { return node->id() == id; });
  };
  if (!IsQuorum(ledger.configuration(), in)) return false;
  return std::all_of(nodes.begin(), nodes.end(), [&](SimNode* node) {
    const auto log = ledger.logs().find(node->id());
    if (log == ledger.logs().end()) return true;
    const Index at = log->second.live().LastConfiguration();
    return at <= ledger.configuration_index() ||
           IsQuorum(*log->second.live().Find(at)->configuration, in);
  });
}

}  // namespace cairn::sim

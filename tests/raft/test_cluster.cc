#include "tests/raft/test_cluster.h"

#include "base/check.h"

namespace cairn {

TestCluster::TestCluster(uint64_t nodes, GroupOptions options) : options_(options) {
  for (uint64_t node = 1; node <= nodes; ++node) {
    members_.voters.push_back(
        {NodeId{node}, Incarnation::kUnknown, "address" + std::to_string(node)});
  }
  for (uint64_t node = 1; node <= nodes; ++node) Wipe(node);
}

TestCluster::~TestCluster() {
  for (auto& [node, parts] : nodes_) Stop(node);
}

void TestCluster::Wipe(uint64_t node) {
  Stop(node);
  nodes_[node].directory = std::make_unique<TestDirectory>();
  nodes_[node].disk = std::make_unique<FakeLogDisk>();
}

TestCluster::NodeDisk TestCluster::TakeDisk(uint64_t node) {
  Stop(node);
  NodeDisk disk = {std::move(nodes_.at(node).directory), std::move(nodes_.at(node).disk)};
  Wipe(node);
  return disk;
}

void TestCluster::PutDisk(uint64_t node, NodeDisk disk) {
  Stop(node);
  nodes_.at(node).directory = std::move(disk.directory);
  nodes_.at(node).disk = std::move(disk.disk);
}

void TestCluster::Start(uint64_t node) {
  Node& parts = nodes_.at(node);
  Stop(node);
  NodeIdentity wanted;
  wanted.initial_members = members_;
  wanted.cluster = MakeClusterId(members_, "test");
  wanted.node = NodeId{node};
  wanted.incarnation = Incarnation{++last_incarnation_};
  wanted.log_store = "fake";
  if (parts.joined) {
    std::erase_if(wanted.initial_members.voters,
                  [node](const Member& member) { return member.node == NodeId{node}; });
    wanted.formed = true;
  }
  bool formatted = false;
  absl::StatusOr<NodeIdentity> identity =
      LoadOrCreateIdentity(file_system_, parts.directory->path(), wanted, &formatted);
  CAIRN_CHECK(identity.ok()) << identity.status().ToString();
  parts.incarnation = identity->incarnation;
  parts.transport = network.MakeTransport(NodeId{node});
  parts.stopped.reset();
  parts.told_of.clear();
  HostDependencies dependencies;
  dependencies.clock = &world;
  dependencies.file_system = &file_system_;
  dependencies.data_directory = parts.directory->path();
  dependencies.log_disk = parts.disk.get();
  dependencies.transport = parts.transport.get();
  dependencies.make_executor = [this](const std::string& name) -> std::unique_ptr<Executor> {
    if (name == "applier") return nullptr;
    return std::make_unique<ManualExecutor>(&world);
  };
  dependencies.seed = ++last_seed_;
  parts.losses = std::make_unique<LossReport>(
      file_system_, parts.directory->path() + "/lost-data.jsonl", world, nullptr);
  dependencies.losses = parts.losses.get();
  dependencies.stopped = [&parts](GroupId group, NodeState state, const absl::Status& status) {
    CAIRN_CHECK(parts.told_of.insert(group).second) << "told twice of " << ToInteger(group);
    if (!parts.stopped.has_value()) parts.stopped.emplace(state, status);
  };
  absl::StatusOr<std::unique_ptr<Host>> host = Host::Start(*identity, std::move(dependencies));
  CAIRN_CHECK(host.ok()) << host.status().ToString();
  parts.host = *std::move(host);
  network.SetHost(NodeId{node}, parts.host.get());
  parts.commands = std::make_unique<std::vector<std::string>>();
  absl::StatusOr<Group> group = parts.host->Open(
      kGroup, std::make_unique<TestMachine>(parts.commands.get(), parts.held), options_);
  CAIRN_CHECK(group.ok()) << group.status().ToString();
  parts.group = *group;
}

Member TestCluster::StartJoiner(uint64_t node) {
  Wipe(node);
  nodes_.at(node).joined = true;
  Start(node);
  return Members({node}).front();
}

void TestCluster::Move(uint64_t node, const std::string& address) {
  moved_[node] = address;
  network.Move(NodeId{node}, address);
}

std::vector<Member> TestCluster::Members(const std::vector<uint64_t>& nodes) {
  std::vector<Member> members;
  for (uint64_t node : nodes) {
    const auto moved = moved_.find(node);
    members.push_back({NodeId{node}, nodes_.at(node).incarnation,
                       moved == moved_.end() ? "address" + std::to_string(node) : moved->second});
  }
  return members;
}

ControlResult TestCluster::Await(std::optional<ControlResult>& result) {
  for (int i = 0; i < 60'000 && !result.has_value(); ++i) Run(Milliseconds(1));
  CAIRN_CHECK(result.has_value()) << "no answer";
  return *std::move(result);
}

ControlResult TestCluster::Change(uint64_t node, DeclaredMembers members) {
  std::optional<ControlResult> result;
  At(node).ChangeMembership(std::move(members), world.Now() + Seconds(5),
                            [&](ControlResult r) { result = std::move(r); });
  return Await(result);
}

ControlResult TestCluster::Transfer(uint64_t node, uint64_t target, Duration patience) {
  std::optional<ControlResult> result;
  At(node).TransferLeadership(NodeId{target}, world.Now() + patience,
                              [&](ControlResult r) { result = std::move(r); });
  return Await(result);
}

void TestCluster::StartAll() {
  for (auto& [node, parts] : nodes_) Start(node);
}

void TestCluster::Stop(uint64_t node, bool power_cut) {
  Node& parts = nodes_[node];
  if (parts.host == nullptr) return;
  parts.host.reset();
  parts.transport.reset();
  if (power_cut) parts.disk->PowerCut();
}

uint64_t TestCluster::Leader() const {
  for (const auto& [node, parts] : nodes_) {
    if (parts.host != nullptr && parts.group->Status().serving_leader) return node;
  }
  return 0;
}

uint64_t TestCluster::AwaitLeader() {
  for (int i = 0; i < 2000; ++i) {
    if (uint64_t leader = Leader(); leader != 0) return leader;
    Run(Milliseconds(10));
  }
  return 0;
}

uint64_t TestCluster::SomeFollower() {
  for (const auto& [node, parts] : nodes_) {
    if (parts.host != nullptr && node != Leader()) return node;
  }
  return 0;
}

ProposalResult TestCluster::Propose(uint64_t node, const std::string& command,
                                    ProposeOptions options) {
  std::optional<ProposalResult> result;
  At(node).Propose(command, std::move(options), [&](ProposalResult r) { result = std::move(r); });
  for (int i = 0; i < 60'000 && !result.has_value(); ++i) Run(Milliseconds(1));
  CAIRN_CHECK(result.has_value()) << "no answer";
  return *std::move(result);
}

uint64_t TestCluster::OpenSession(uint64_t node) {
  std::optional<ProposalResult> result;
  At(node).OpenSession("client", {}, [&](ProposalResult r) { result = std::move(r); });
  for (int i = 0; i < 60'000 && !result.has_value(); ++i) Run(Milliseconds(1));
  return std::get<ProposalApplied>(result.value()).at.index;
}

ReadResult TestCluster::Linearize(uint64_t node) {
  std::optional<ReadResult> result;
  At(node).Linearize(std::nullopt, [&](ReadResult r) { result = r; });
  for (int i = 0; i < 60'000 && !result.has_value(); ++i) Run(Milliseconds(1));
  CAIRN_CHECK(result.has_value()) << "no answer";
  return *result;
}

}  // namespace cairn

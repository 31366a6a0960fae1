#include "tests/raft/lifecycle/life_cluster.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "tests/raft/text_machine.h"

namespace cairn {

LifeMachine::LifeMachine(MachineView* view, bool asynchronous)
    : view_(view), asynchronous_(asynchronous) {
  CAIRN_CHECK(!view_->alive) << "two machines of one group at a time";
  *view_ = MachineView();
  view_->alive = true;
}

LifeMachine::~LifeMachine() { view_->alive = false; }

absl::StatusOr<LogPosition> LifeMachine::Open(const OpenContext& context) {
  view_->context = context;
  return LogPosition{};
}

void LifeMachine::Apply(ApplyBatch& batch) {
  for (ApplyEntry& entry : batch) {
    absl::StrAppend(&view_->commands, entry.command().view(), ",");
    entry.Reply(absl::StrCat(view_->commands.size()));
    ++view_->applies;
  }
}

std::unique_ptr<SnapshotSource> LifeMachine::Freeze() { return FreezeText(view_->commands); }

absl::Status LifeMachine::Restore(const SnapshotReader& snapshot, LogPosition position) {
  absl::StatusOr<std::string> text = ThawText(snapshot);
  if (!text.ok()) return text.status();
  view_->commands = *std::move(text);
  view_->restored.push_back(position.index);
  return absl::OkStatus();
}

LifeCluster::LifeCluster(LifeHooks hooks) : hooks_(std::move(hooks)) {
  for (uint64_t node = 1; node <= kNodes; ++node) {
    members_.voters.push_back({NodeId{node}, Incarnation::kUnknown, absl::StrCat("node", node)});
  }
  for (uint64_t node = 1; node <= kNodes; ++node) Start(node);
}

LifeCluster::~LifeCluster() {
  for (auto& [id, node] : nodes_) node.host.reset();
}

void LifeCluster::Start(uint64_t id) {
  Node& node = nodes_[id];
  NodeIdentity wanted;
  wanted.initial_members = members_;
  wanted.cluster = MakeClusterId(members_, "test");
  wanted.node = NodeId{id};
  wanted.incarnation = IncarnationOf(id);
  wanted.log_store = "block";
  bool formatted = false;
  CAIRN_CHECK(node.files->MakeDirectory("/data").ok());
  NodeIdentity identity = LoadOrCreateIdentity(*node.files, "/data", wanted, &formatted).value();
  BlockLogOptions log;
  log.directory = "/data/log";
  log.identity = {identity.cluster, identity.node, identity.incarnation};
  log.geometry = {.block_bytes = uint64_t{64} << 10, .unit_bytes = 512};
  node.disk = BlockLog::Open(*node.files, log).value();
  node.transport = network.MakeTransport(NodeId{id});
  node.stops.clear();
  HostDependencies dependencies;
  dependencies.clock = &world;
  dependencies.file_system = node.files.get();
  dependencies.data_directory = "/data";
  dependencies.log_disk =
      hooks_.wrap == nullptr ? node.disk.get() : hooks_.wrap(id, node.disk.get());
  dependencies.transport = node.transport.get();
  dependencies.make_executor = [this, id](const std::string& name) -> std::unique_ptr<Executor> {
    if (hooks_.make_executor != nullptr) return hooks_.make_executor(&world, id, name);
    return std::make_unique<ManualExecutor>(&world);
  };
  dependencies.snapshot_bytes_per_second = hooks_.snapshot_bytes_per_second;
  dependencies.seed = ++seeds_;
  dependencies.stopped = [&node](GroupId group, NodeState state, const absl::Status& status) {
    node.stops.push_back({group, state, status});
  };
  node.host = Host::Start(identity, std::move(dependencies)).value();
}

void LifeCluster::Stop(uint64_t id) {
  Node& node = nodes_.at(id);
  node.host.reset();
  node.groups.clear();
  node.transport.reset();
  node.disk.reset();
  node.files->Crash(CrashChoice());
}

absl::Status LifeCluster::Open(uint64_t id, GroupId group, bool asynchronous) {
  Node& node = nodes_.at(id);
  std::unique_ptr<MachineView>& view = node.views[group];
  if (view == nullptr) view = std::make_unique<MachineView>();
  if (view->alive) return absl::AlreadyExistsError("a machine of it lives");
  absl::StatusOr<Group> opened =
      node.host->Open(group, std::make_unique<LifeMachine>(view.get(), asynchronous), options);
  if (!opened.ok()) return opened.status();
  node.groups[group] = *std::move(opened);
  return absl::OkStatus();
}

void LifeCluster::OpenEverywhere(GroupId group) {
  for (uint64_t node = 1; node <= kNodes; ++node) {
    const absl::Status status = Open(node, group);
    CAIRN_CHECK(status.ok()) << status;
  }
}

bool LifeCluster::Await(const std::function<bool()>& done, Duration most) {
  const Instant end = world.Now() + most;
  while (!done() && world.Now() < end) world.RunFor(Milliseconds(5));
  return done();
}

bool LifeCluster::AwaitEachTask(const std::function<bool()>& done, Duration most) {
  const Instant end = world.Now() + most;
  while (world.Now() < end) {
    if (done()) return true;
    if (!world.RunOne()) world.AdvanceToTimer();
  }
  return false;
}

uint64_t LifeCluster::Leader(GroupId group) {
  uint64_t leader = 0;
  Await([&] {
    for (auto& [id, node] : nodes_) {
      auto found = node.groups.find(group);
      if (found != node.groups.end() && found->second->Status().serving_leader) leader = id;
    }
    return leader != 0;
  });
  return leader;
}

uint64_t LifeCluster::Follower(GroupId group) {
  const uint64_t leader = Leader(group);
  return leader == 1 ? 2 : 1;
}

ProposalResult LifeCluster::Propose(uint64_t node, GroupId group, const std::string& command,
                                    ProposeOptions proposal) {
  std::optional<ProposalResult> result;
  At(node, group).Propose(command, std::move(proposal), [&](ProposalResult r) {
    result = std::move(r);
  });
  CAIRN_CHECK(Await([&] { return result.has_value(); })) << "no answer to " << command;
  return *std::move(result);
}

void LifeCluster::Fill(GroupId group, int count) {
  const uint64_t leader = Leader(group);
  CAIRN_CHECK(leader != 0) << "no leader";
  for (int i = 0; i < count; ++i) {
    const ProposalResult result = Propose(leader, group, absl::StrCat("c", ++commands_));
    CAIRN_CHECK(std::holds_alternative<ProposalApplied>(result)) << "command " << i;
  }
}

ReadResult LifeCluster::Read(uint64_t node, GroupId group, Duration patience) {
  std::optional<ReadResult> result;
  At(node, group).Linearize(world.Now() + patience, [&](ReadResult r) { result = r; });
  CAIRN_CHECK(Await([&] { return result.has_value(); })) << "no answer to a read";
  return *result;
}

absl::Status LifeCluster::Told(const std::optional<absl::Status>& told) {
  if (!Await([&] { return told.has_value(); })) return absl::InternalError("nobody told");
  return *told;
}

absl::Status LifeCluster::Pause(uint64_t node, GroupId group) {
  auto told = std::make_shared<std::optional<absl::Status>>();
  At(node, group).PauseApply([told](const absl::Status& status) { *told = status; });
  return Told(*told);
}

absl::Status LifeCluster::Replay(uint64_t node, GroupId group) {
  auto told = std::make_shared<std::optional<absl::Status>>();
  At(node, group).ReplaySnapshot([told](const absl::Status& status) { *told = status; });
  return Told(*told);
}

absl::StatusOr<LogPosition> LifeCluster::Snapshot(uint64_t node, GroupId group) {
  auto taken = std::make_shared<std::optional<absl::StatusOr<LogPosition>>>();
  At(node, group).Snapshot([taken](const absl::StatusOr<LogPosition>& at) { *taken = at; });
  if (!Await([&] { return taken->has_value(); })) return absl::InternalError("nobody told");
  return **taken;
}

}  // namespace cairn

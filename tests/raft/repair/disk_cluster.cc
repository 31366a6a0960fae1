#include "tests/raft/repair/disk_cluster.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "service/stream_command.h"
#include "storage/block/block_log.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "tests/raft/text_machine.h"

namespace cairn {
namespace {

constexpr char kDirectory[] = "/data";
constexpr char kStream[] = "kept";

std::vector<DiskCluster::Disk> EmptyDisks(uint64_t nodes) {
  std::vector<DiskCluster::Disk> disks;
  for (uint64_t node = 1; node <= nodes; ++node) {
    disks.push_back(
        std::make_unique<SimulatedFileSystem>(SimulatedFileSystem::Options{.seed = node}));
  }
  return disks;
}

}  // namespace

DiskCluster::DiskCluster(uint64_t nodes, Options options)
    : DiskCluster(EmptyDisks(nodes), std::move(options)) {
  if (options_.sync_time == Duration{}) return;
  for (auto& [id, node] : nodes_) {
    node.sync_time = options_.sync_time;
    SimulatedFileSystem::Options disk = {.seed = id};
    disk.schedule = [this, &node = node](Task task) {
      world_.PostAt(world_.Now() + node.sync_time, std::move(task));
    };
    node.files = std::make_unique<SimulatedFileSystem>(std::move(disk));
  }
}

DiskCluster::DiskCluster(std::vector<Disk> disks, Options options) : options_(std::move(options)) {
  for (size_t i = 0; i < disks.size(); ++i) {
    members_.voters.push_back({NodeId{i + 1}, Incarnation::kUnknown, absl::StrCat("node", i + 1)});
    nodes_[i + 1].files = std::move(disks[i]);
  }
}

DiskCluster::~DiskCluster() { StopAll(); }

void DiskCluster::StopAll() {
  for (auto& [id, node] : nodes_) Stop(id);
}

void DiskCluster::Start(uint64_t id) {
  Node& node = nodes_.at(id);
  node.stopped = absl::OkStatus();
  node.commands.clear();
  const absl::Status status = StartOn(id, node);
  if (status.ok()) return;
  Stop(id);
  node.stopped = status;
}

absl::Status DiskCluster::StartOn(uint64_t id, Node& node) {
  NodeIdentity wanted;
  wanted.initial_members = members_;
  wanted.cluster = MakeClusterId(members_, "test");
  wanted.node = NodeId{id};
  wanted.incarnation = Incarnation{100 + id};
  wanted.log_store = options_.log_store;
  bool formatted = false;
  if (absl::Status made = node.files->MakeDirectory(kDirectory); !made.ok()) return made;
  absl::StatusOr<NodeIdentity> identity =
      LoadOrCreateIdentity(*node.files, kDirectory, wanted, &formatted);
  if (!identity.ok()) return identity.status();
  absl::StatusOr<std::unique_ptr<LogDisk>> log = OpenLog(*identity, node);
  if (!log.ok()) return log.status();
  node.log = *std::move(log);
  node.transport = network_.MakeTransport(NodeId{id});
  HostDependencies dependencies;
  dependencies.clock = &world_;
  dependencies.file_system = node.files.get();
  dependencies.data_directory = kDirectory;
  dependencies.log_disk = node.log.get();
  dependencies.transport = node.transport.get();
  dependencies.make_executor = [this](const std::string&) {
    return std::make_unique<ManualExecutor>(&world_);
  };
  dependencies.scrub = options_.scrub;
  if (options_.loss_report) {
    node.losses = std::make_unique<LossReport>(
        *node.files, absl::StrCat(kDirectory, "/lost-data.jsonl"), world_, nullptr);
    dependencies.losses = node.losses.get();
  }
  dependencies.seed = ++seeds_ * 100 + id;
  dependencies.stopped = [&node](GroupId, NodeState, const absl::Status& status) {
    node.stopped = status;
  };
  absl::StatusOr<std::unique_ptr<Host>> host = Host::Start(*identity, std::move(dependencies));
  if (!host.ok()) return host.status();
  node.host = *std::move(host);
  GroupOptions group_options;
  group_options.compaction.snapshot_entries = options_.snapshot_entries;
  group_options.compaction.retained_entries = options_.retained_entries;
  group_options.log_cache_bytes = 1024;
  absl::StatusOr<Group> group = node.host->Open(kGroup, MakeMachine(node), group_options);
  if (!group.ok()) return group.status();
  node.group = *group;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<LogDisk>> DiskCluster::OpenLog(const NodeIdentity& identity,
                                                              Node& node) const {
  const std::string directory = absl::StrCat(kDirectory, "/log");
  const LogIdentity log_identity = {identity.cluster, identity.node, identity.incarnation};
  if (options_.log_store == "rocksdb") {
    RocksDbLogOptions options;
    options.directory = directory;
    options.identity = log_identity;
    options.write_buffer_bytes = size_t{1} << 20;
    options.merges_tables = false;
    return RocksDbLog::Open(*node.files, std::move(options));
  }
  BlockLogOptions options;
  options.directory = directory;
  options.identity = log_identity;
  options.geometry = {.block_bytes = options_.block_bytes, .unit_bytes = 512};
  options.recent_bytes = 1024;
  return BlockLog::Open(*node.files, std::move(options));
}

std::unique_ptr<StateMachine> DiskCluster::MakeMachine(Node& node) {
  if (!options_.streams) return std::make_unique<TextMachine>(&node.commands);
  // Files of some twenty commands, a checkpoint after as many.
  auto machine = std::make_unique<StreamMachine>(std::make_unique<ManualExecutor>(&world_),
                                                 /*checkpoint_bytes=*/1500, /*block_bytes=*/2000);
  node.streams = machine.get();
  return machine;
}

std::string DiskCluster::CommandsOf(const Node& node) {
  if (node.streams == nullptr) return node.commands;
  std::string commands;
  uint64_t next = 1;
  while (true) {
    const absl::StatusOr<StreamMachine::ReadEnd> end = node.streams->Read(
        kStream, next, size_t{1} << 20, [&commands](const StoredMessageView& stored) {
          absl::StrAppend(&commands, stored.message.payload, ",");
          return true;
        });
    if (!end.ok()) return absl::StrCat(commands, end.status().ToString());
    if (end->next_sequence > end->last_sequence) return commands;
    next = end->next_sequence;
  }
}

void DiskCluster::StartAll() {
  for (auto& [id, node] : nodes_) Start(id);
}

void DiskCluster::Stop(uint64_t id) {
  Node& node = nodes_.at(id);
  node.group.reset();
  node.streams = nullptr;
  node.host.reset();
  node.transport.reset();
  if (options_.sync_time != Duration{}) node.files->RestartProcess();  // one may be under way
  node.log.reset();
  node.losses.reset();
}

bool DiskCluster::Await(const std::function<bool()>& done, Duration most) {
  const Instant end = world_.Now() + most;
  while (!done() && world_.Now() < end) world_.RunFor(Milliseconds(20));
  return done();
}

uint64_t DiskCluster::AwaitLeader() {
  uint64_t leader = 0;
  Await([&] {
    for (auto& [id, node] : nodes_) {
      if (node.host != nullptr && node.group->Status().serving_leader) leader = id;
    }
    return leader != 0;
  });
  return leader;
}

uint64_t DiskCluster::SomeFollower() {
  const uint64_t leader = AwaitLeader();
  return leader == 1 ? 2 : 1;
}

bool DiskCluster::Propose(int count) {
  if (options_.streams && commands_ == 0 && !ProposeOne(EncodeCreateStream({kStream, {}}))) {
    return false;
  }
  for (int i = 0; i < count; ++i) {
    std::string command = absl::StrCat("c", ++commands_, options_.tail);
    if (options_.streams) {
      AppendCommandBuilder append(kStream, std::nullopt, command.size());
      append.Add("", {}, command);
      command = std::move(append).Build();
    }
    if (!ProposeOne(std::move(command))) return false;
  }
  return true;
}

bool DiskCluster::ProposeOne(std::string command) {
  const uint64_t leader = AwaitLeader();
  if (leader == 0) return false;
  std::optional<ProposalResult> result;
  nodes_.at(leader).group->Propose(std::move(command), {},
                                   [&](ProposalResult r) { result = std::move(r); });
  return Await([&] { return result.has_value(); }) &&
         std::holds_alternative<ProposalApplied>(*result);
}

bool DiskCluster::Whole() const {
  const Node& first = nodes_.begin()->second;
  const std::string commands = CommandsOf(first);
  for (const auto& [id, node] : nodes_) {
    if (node.host == nullptr || !node.stopped.ok()) return false;
    if (node.group->Status().state != NodeState::kServing) return false;
    if (CommandsOf(node) != commands) return false;
    if (node.group->Status().applied_index != first.group->Status().last_index) return false;
  }
  return true;
}

}  // namespace cairn

// A member whose log is in memory is started again: it is another disk, with nothing on it.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "cairn/data_directory.h"
#include "gtest/gtest.h"
#include "raft/host.h"
#include "tests/raft/lifecycle/life_cluster.h"
#include "tests/raft/loopback_network.h"
#include "tests/raft/manual_executor.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};

// Hosts on a virtual clock, in data directories with logs in memory.
class MemoryLogTest : public testing::Test {
 protected:
  ~MemoryLogTest() override {
    for (auto& [node, parts] : nodes_) parts.host.reset();
  }

  void StartAll(uint64_t nodes) {
    for (uint64_t node = 1; node <= nodes; ++node) {
      members_.voters.push_back(
          {NodeId{node}, Incarnation::kUnknown, absl::StrCat("127.0.0.1:", node)});
    }
    for (uint64_t node = 1; node <= nodes; ++node) Start(node);
  }

  void Start(uint64_t node) {
    Node& parts = nodes_[node];
    DataDirectoryOptions options;
    options.path = parts.directory.path();
    options.node = NodeId{node};
    options.initial_members = members_;
    options.log_store = "memory";
    parts.data = DataDirectory::Open(options).value();
    parts.transport = network_.MakeTransport(NodeId{node});
    parts.stopped = absl::OkStatus();
    HostDependencies dependencies;
    dependencies.clock = &world_;
    dependencies.file_system = &parts.data->file_system();
    dependencies.data_directory = parts.data->path();
    dependencies.log_disk = &parts.data->log_disk();
    dependencies.transport = parts.transport.get();
    dependencies.make_executor = [this](const std::string&) {
      return std::make_unique<ManualExecutor>(&world_);
    };
    dependencies.seed = ++seeds_;
    dependencies.stopped = [&parts](GroupId, NodeState, const absl::Status& status) {
      parts.stopped = status;
    };
    parts.host = Host::Start(parts.data->identity(), std::move(dependencies)).value();
    parts.view = std::make_unique<MachineView>();
    parts.group =
        parts.host->Open(kGroup, std::make_unique<LifeMachine>(parts.view.get()), {}).value();
  }
  void Stop(uint64_t node) {
    Node& parts = nodes_.at(node);
    parts.group.reset();
    parts.host.reset();
    parts.transport.reset();
    parts.data.reset();
  }

  bool Await(const std::function<bool()>& done) {
    const Instant end = world_.Now() + Seconds(30);
    while (!done() && world_.Now() < end) world_.RunFor(Milliseconds(5));
    return done();
  }
  uint64_t Leader() {
    uint64_t leader = 0;
    Await([&] {
      for (auto& [id, node] : nodes_) {
        if (node.group.has_value() && node.group->Status().serving_leader) leader = id;
      }
      return leader != 0;
    });
    return leader;
  }
  bool Propose(uint64_t node, const std::string& command) {
    std::optional<ProposalResult> result;
    nodes_.at(node).group->Propose(command, {}, [&](ProposalResult r) { result = std::move(r); });
    CAIRN_CHECK(Await([&] { return result.has_value(); }));
    return std::holds_alternative<ProposalApplied>(*result);
  }
  bool TakeSnapshot(uint64_t node) {
    std::optional<absl::StatusOr<LogPosition>> taken;
    nodes_.at(node).group->Snapshot([&](const absl::StatusOr<LogPosition>& at) { taken = at; });
    CAIRN_CHECK(Await([&] { return taken.has_value(); }));
    return taken->ok();
  }
  std::string Commands(uint64_t node) { return nodes_.at(node).view->commands; }
  GroupStatus Status(uint64_t node) { return nodes_.at(node).group->Status(); }

  struct Node {
    TestDirectory directory;
    std::unique_ptr<DataDirectory> data;
    std::unique_ptr<Transport> transport;
    std::unique_ptr<Host> host;
    std::unique_ptr<MachineView> view;
    std::optional<Group> group;
    absl::Status stopped;
  };

  ManualWorld world_;
  ManualExecutor network_executor_{&world_};
  LoopbackNetwork network_{&network_executor_, &world_, Milliseconds(1)};
  Configuration members_;
  uint64_t seeds_ = 0;
  std::map<uint64_t, Node> nodes_;
};

// What it voted for and acknowledged is forgotten, so nobody counts it, and it says so.
TEST_F(MemoryLogTest, AMemberThatStartsAgainIsAnotherDisk) {
  StartAll(3);
  const uint64_t leader = Leader();
  ASSERT_NE(leader, 0u);
  ASSERT_TRUE(Propose(leader, "a"));
  const uint64_t other = leader % 3 + 1;
  const Incarnation before = Status(other).incarnation;
  Stop(other);
  Start(other);
  EXPECT_NE(Status(other).incarnation, before);
  ASSERT_TRUE(Await([&] { return !nodes_.at(other).stopped.ok(); }));
  EXPECT_TRUE(absl::IsFailedPrecondition(nodes_.at(other).stopped)) << nodes_.at(other).stopped;
  EXPECT_NE(std::string(nodes_.at(other).stopped.message()).find("MEMBER_AMNESIA"),
            std::string::npos);
  EXPECT_EQ(Status(other).role, Role::kFollower);
  EXPECT_EQ(Status(other).last_index, 0u);
  EXPECT_EQ(Commands(other), "");
  // The others go on. With one more gone its vote would be needed, and nobody leads.
  ASSERT_TRUE(Propose(leader, "b"));
  world_.RunFor(Milliseconds(100));
  Stop(leader);
  world_.RunFor(Seconds(20));
  const uint64_t third = 6 - leader - other;
  EXPECT_FALSE(Status(third).serving_leader);
  EXPECT_EQ(Commands(third), "a,b,");
}

// Its snapshots were made from the log it had. A state that is ahead of the new log would take that
// log's entries for applied.
TEST_F(MemoryLogTest, ItsSnapshotsAreGone) {
  StartAll(1);
  ASSERT_EQ(Leader(), 1u);
  ASSERT_TRUE(Propose(1, "a"));
  ASSERT_TRUE(Propose(1, "b"));
  ASSERT_TRUE(TakeSnapshot(1));
  EXPECT_EQ(Status(1).snapshot_index, Status(1).applied_index);
  Stop(1);
  Start(1);
  EXPECT_EQ(Status(1).snapshot_index, 0u);
  ASSERT_EQ(Leader(), 1u);
  EXPECT_TRUE(nodes_.at(1).view->restored.empty());
  ASSERT_TRUE(Propose(1, "c"));
  EXPECT_EQ(Commands(1), "c,");
}

}  // namespace
}  // namespace cairn

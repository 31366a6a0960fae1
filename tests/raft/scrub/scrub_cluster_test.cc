// Whole hosts in virtual time whose sealed blocks rot, and nobody reads them but the scrub.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "raft/host.h"
#include "storage/block/block_log.h"
#include "storage/block/log_verifier.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/loopback_network.h"
#include "tests/raft/manual_executor.h"
#include "tests/raft/test_cluster.h"

namespace cairn {
namespace {

const GroupId kGroup{1};
constexpr char kLog[] = "/data/log";
constexpr uint64_t kBlockBytes = 8 << 10;

// `nodes` members whose logs stand in small blocks.
class ScrubCluster {
 public:
  ScrubCluster(uint64_t nodes, size_t recent_bytes) : recent_bytes_(recent_bytes) {
    for (uint64_t node = 1; node <= nodes; ++node) {
      members_.voters.push_back({NodeId{node}, Incarnation::kUnknown, absl::StrCat("node", node)});
    }
    for (uint64_t node = 1; node <= nodes; ++node) Start(node);
    leader_ = AwaitLeader();
  }
  ~ScrubCluster() {
    for (auto& [id, node] : nodes_) Stop(id);
  }

  void Start(uint64_t id) {
    Node& node = nodes_[id];
    NodeIdentity wanted;
    wanted.initial_members = members_;
    wanted.cluster = MakeClusterId(members_, "test");
    wanted.node = NodeId{id};
    wanted.incarnation = Incarnation{100 + id};
    wanted.log_store = "block";
    bool formatted = false;
    ASSERT_TRUE(node.files->MakeDirectory("/data").ok());
    NodeIdentity identity = LoadOrCreateIdentity(*node.files, "/data", wanted, &formatted).value();
    BlockLogOptions log;
    log.directory = kLog;
    log.identity = {identity.cluster, identity.node, identity.incarnation};
    log.geometry = {.block_bytes = kBlockBytes, .unit_bytes = 512};
    log.recent_bytes = recent_bytes_;
    log.copy_distance = 1000;  // old blocks stay where they are
    node.disk = BlockLog::Open(*node.files, log).value();
    node.transport = network_.MakeTransport(NodeId{id});
    HostDependencies dependencies;
    dependencies.clock = &world_;
    dependencies.file_system = node.files.get();
    dependencies.data_directory = "/data";
    dependencies.log_disk = node.disk.get();
    dependencies.transport = node.transport.get();
    dependencies.make_executor = [this](const std::string&) {
      return std::make_unique<ManualExecutor>(&world_);
    };
    dependencies.scrub = {.bytes_per_second = 1 << 20, .period = Seconds(1)};
    dependencies.seed = ++seeds_;
    dependencies.stopped = [&node](GroupId, NodeState, const absl::Status& status) {
      node.stopped = status;
    };
    node.host = Host::Start(identity, std::move(dependencies)).value();
    GroupOptions options;
    options.log_cache_bytes = 0;
    node.commands = std::make_unique<std::vector<std::string>>();
    node.group =
        node.host->Open(kGroup, std::make_unique<TestMachine>(node.commands.get()), options)
            .value();
  }
  void Stop(uint64_t id) {
    Node& node = nodes_.at(id);
    node.host.reset();
    node.transport.reset();
    node.disk.reset();
    node.files->RestartProcess();
  }

  void Run(Duration duration) { world_.RunFor(duration); }
  void Propose(int count) {
    for (int i = 0; i < count; ++i) {
      std::optional<ProposalResult> result;
      nodes_.at(leader_).group->Propose(
          absl::StrCat("command ", ++commands_, std::string(200, 'c')), {},
          [&](ProposalResult r) { result = std::move(r); });
      for (int turn = 0; turn < 2000 && !result; ++turn) Run(Milliseconds(1));
      ASSERT_TRUE(result.has_value() && std::holds_alternative<ProposalApplied>(*result));
    }
  }

  SimulatedFileSystem& Files(uint64_t id) { return *nodes_.at(id).files; }
  ScrubProgress Progress(uint64_t id) { return nodes_.at(id).host->Scrub().value().progress; }
  GroupStatus Status(uint64_t id) { return nodes_.at(id).group->Status(); }
  const absl::Status& Stopped(uint64_t id) { return nodes_.at(id).stopped; }
  uint64_t Batches(uint64_t id) { return nodes_.at(id).disk->figures().batches; }
  uint64_t leader() const { return leader_; }
  uint64_t follower() const { return leader_ == 1 ? 2 : 1; }

  static std::string BlockPath(uint64_t block) { return JoinPath(kLog, BlockFileName(block)); }
  struct Place {
    std::string path;
    uint64_t offset = 0;
  };
  // Where the command of this number stands in a sealed block.
  Place Find(uint64_t id, int command) {
    const std::vector<std::string> names = Files(id).List(kLog).value();
    for (const std::string& name : names) {
      if (!ParseBlockFileName(name)) continue;
      const std::string path = JoinPath(kLog, name);
      const std::string bytes = ReadWholeFile(Files(id), path).value();
      const size_t at = bytes.find(absl::StrCat("command ", command, "c"));
      if (at != std::string::npos) return {path, at};
    }
    ADD_FAILURE() << "command " << command << " is nowhere";
    return {BlockPath(1), 0};
  }
  void Flip(uint64_t id, int command) {
    const Place place = Find(id, command);
    Files(id).FlipBits(place.path, place.offset, 0x10);
  }
  // Every byte of the member's log that is in use is good.
  void ExpectWhole(uint64_t id) {
    EXPECT_TRUE(Stopped(id).ok()) << Stopped(id);
    EXPECT_EQ(Status(id).state, NodeState::kServing) << Status(id).reason;
    const auto image = Files(id).CrashImage({});
    const auto log = LogInspector::Open(*image, kLog);
    ASSERT_TRUE(log.ok()) << log.status();
    for (const VerifiedFile& file : VerifyLog(**log)) {
      for (const LogFinding& finding : file.faulty) {
        ADD_FAILURE() << id << ": " << finding.path << " " << finding.entries.first << ": "
                      << finding.reason;
      }
    }
  }

 private:
  uint64_t AwaitLeader() {
    for (int i = 0; i < 2000; ++i) {
      for (auto& [id, node] : nodes_) {
        if (node.group->Status().serving_leader) return id;
      }
      Run(Milliseconds(10));
    }
    ADD_FAILURE() << "nobody leads";
    return 1;
  }

  struct Node {
    std::unique_ptr<SimulatedFileSystem> files = std::make_unique<SimulatedFileSystem>();
    std::unique_ptr<BlockLog> disk;
    std::unique_ptr<Transport> transport;
    std::unique_ptr<Host> host;
    std::optional<Group> group;
    std::unique_ptr<std::vector<std::string>> commands;
    absl::Status stopped;
  };
  const size_t recent_bytes_;
  ManualWorld world_;
  ManualExecutor network_executor_{&world_};
  LoopbackNetwork network_{&network_executor_, &world_, Milliseconds(1)};
  Configuration members_;
  std::map<uint64_t, Node> nodes_;
  uint64_t seeds_ = 0;
  uint64_t leader_ = 0;
  int commands_ = 0;
};

TEST(ScrubClusterTest, AFollowersEntryIsHealedAndNobodyReadIt) {
  ScrubCluster cluster(3, /*recent_bytes=*/0);
  cluster.Propose(60);
  const uint64_t node = cluster.follower();
  cluster.Flip(node, 5);
  cluster.Run(Seconds(5));
  EXPECT_EQ(cluster.Progress(node).damaged, 1u);
  EXPECT_EQ(cluster.Progress(node).repaired, 1u);
  cluster.ExpectWhole(node);
}

// A batch is a sync. Whether memory has them or another member, they take one together.
TEST(ScrubClusterTest, WhatIsFoundTogetherIsWrittenAgainInOneBatch) {
  for (const size_t recent_bytes : {size_t{0}, size_t{1} << 20}) {
    ScrubCluster cluster(3, recent_bytes);
    cluster.Propose(60);
    const uint64_t node = cluster.follower();
    cluster.Run(Seconds(2));
    const uint64_t before = cluster.Batches(node);
    for (int command = 2; command <= 30; command += 2) cluster.Flip(node, command);
    cluster.Run(Seconds(5));
    EXPECT_EQ(cluster.Progress(node).damaged, 15u);
    EXPECT_EQ(cluster.Progress(node).repaired, 15u);
    EXPECT_LE(cluster.Batches(node), before + 2) << recent_bytes;
    cluster.ExpectWhole(node);
  }
}

TEST(ScrubClusterTest, ALeadersEntryIsHealedToo) {
  ScrubCluster cluster(3, /*recent_bytes=*/0);
  cluster.Propose(60);
  const uint64_t node = cluster.leader();
  cluster.Flip(node, 20);
  cluster.Run(Seconds(5));
  EXPECT_EQ(cluster.Progress(node).repaired, 1u);
  cluster.ExpectWhole(node);
  cluster.Propose(3);
}

// Each member's rot is somewhere else, wherever it is: in records, id records, seals, headers and
// footers.
TEST(ScrubClusterTest, BytesOfASealedBlockAllOverThePlace) {
  ScrubCluster cluster(3, /*recent_bytes=*/0);
  cluster.Propose(30);
  uint64_t found = 0;
  for (uint64_t offset = 0; offset < kBlockBytes; offset += 37) {
    SCOPED_TRACE(offset);
    const uint64_t node = 1 + offset % 3;
    if (!cluster.Files(node).Exists(cluster.BlockPath(1)).value()) continue;
    cluster.Files(node).FlipBits(cluster.BlockPath(1), offset, 0x04);
    cluster.Run(Seconds(2));
    if (offset % 5 == 0) cluster.Propose(1);
    ASSERT_TRUE(cluster.Stopped(node).ok()) << cluster.Stopped(node);
  }
  cluster.Run(Seconds(3));
  for (uint64_t node = 1; node <= 3; ++node) {
    const ScrubProgress progress = cluster.Progress(node);
    EXPECT_EQ(progress.damaged, progress.repaired) << node;
    found += progress.damaged + progress.healed;
    cluster.ExpectWhole(node);
  }
  EXPECT_GT(found, 20u);
  cluster.Propose(3);
}

// One alone has nobody to ask. But what was written lately is in memory.
TEST(ScrubClusterTest, WhatMemoryHasIsWrittenAgainFromThere) {
  ScrubCluster cluster(1, /*recent_bytes=*/1 << 20);
  cluster.Propose(60);
  for (int command : {2, 3, 11}) {
    cluster.Flip(1, command);
  }
  cluster.Run(Seconds(5));
  EXPECT_EQ(cluster.Progress(1).damaged, 3u);
  EXPECT_EQ(cluster.Progress(1).repaired, 3u);
  cluster.ExpectWhole(1);
}

TEST(ScrubClusterTest, AReadThatFailsIsAsRot) {
  ScrubCluster cluster(3, /*recent_bytes=*/0);
  cluster.Propose(60);
  const uint64_t node = cluster.follower();
  const ScrubCluster::Place place = cluster.Find(node, 7);
  cluster.Files(node).FailReads(place.path, place.offset / 512 * 512, 512);
  cluster.Run(Seconds(5));
  // Where a batch begins in the sector as well, it is written again with that.
  EXPECT_GE(cluster.Progress(node).damaged + cluster.Progress(node).healed, 1u);
  EXPECT_EQ(cluster.Progress(node).damaged, cluster.Progress(node).repaired);
  EXPECT_EQ(cluster.Status(node).state, NodeState::kServing);
  cluster.Propose(3);
  cluster.ExpectWhole(node);
}

// Its place is kept, and a round goes on in the middle.
TEST(ScrubClusterTest, CountsAreKeptOverAStart) {
  ScrubCluster cluster(3, /*recent_bytes=*/0);
  cluster.Propose(60);
  const uint64_t node = cluster.follower();
  cluster.Flip(node, 5);
  cluster.Run(Seconds(5));
  const ScrubProgress before = cluster.Progress(node);
  EXPECT_GE(before.rounds, 3u);
  cluster.Stop(node);
  cluster.Start(node);
  cluster.Run(Milliseconds(1));
  EXPECT_EQ(cluster.Progress(node).damaged, 1u);
  EXPECT_GE(cluster.Progress(node).rounds, before.rounds);
  cluster.Run(Seconds(5));
  EXPECT_GE(cluster.Progress(node).rounds, before.rounds + 3);
  cluster.ExpectWhole(node);
}

}  // namespace
}  // namespace cairn

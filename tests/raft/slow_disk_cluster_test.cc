// A cluster over RocksDB of which one disk does not come to the end of a sync (fault catalogue D19,
// D20). Nobody waits for a follower's: as many commands are committed as are proposed while it is
// held. A leader's hands over. On real threads, as RocksDB has them, so what is counted is commits
// within one sync, and no time.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "gtest/gtest.h"
#include "raft/host.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/loopback_network.h"
#include "tests/raft/text_machine.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};

// Syncs wait while it is shut.
class Gate {
 public:
  void Set(bool shut) {
    MutexLock lock(mutex_);
    shut_ = shut;
    changed_.NotifyAll();
  }
  void Pass() {
    MutexLock lock(mutex_);
    if (!shut_) return;
    ++held_;
    ++held_ever_;
    changed_.NotifyAll();
    while (shut_) changed_.Wait(mutex_);
    --held_;
  }
  // How many syncs have had to wait.
  uint64_t held_ever() const {
    MutexLock lock(mutex_);
    return held_ever_;
  }
  void AwaitHeld() {
    MutexLock lock(mutex_);
    while (held_ == 0) changed_.Wait(mutex_);
  }
  bool holds() const {
    MutexLock lock(mutex_);
    return held_ > 0;
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  bool shut_ CAIRN_GUARDED_BY(mutex_) = false;
  int held_ CAIRN_GUARDED_BY(mutex_) = 0;
  uint64_t held_ever_ CAIRN_GUARDED_BY(mutex_) = 0;
};

class SlowDiskClusterTest : public testing::Test {
 protected:
  SlowDiskClusterTest() {
    for (uint64_t node = 1; node <= 3; ++node) {
      members_.voters.push_back({NodeId{node}, Incarnation::kUnknown, absl::StrCat(node)});
    }
    for (uint64_t node = 1; node <= 3; ++node) Start(node);
  }
  ~SlowDiskClusterTest() override {
    for (auto& [id, node] : nodes_) node.gate.Set(false);
    for (auto& [id, node] : nodes_) node.host.reset();
  }

  void Start(uint64_t id) {
    Node& node = nodes_[id];
    node.files.set_fault_hook([&node](const FileAccess& access) {
      // The write-ahead log's alone: a batch syncs its ledger beside it, on another thread.
      const bool is_of_the_log = absl::EndsWith(access.path, ".log");
      if (access.operation == FileAccess::Operation::kSync && is_of_the_log) node.gate.Pass();
      return FileFault();
    });
    NodeIdentity identity;
    identity.initial_members = members_;
    identity.cluster = MakeClusterId(members_, "test");
    identity.node = NodeId{id};
    identity.incarnation = Incarnation{id};
    RocksDbLogOptions log;
    log.directory = "/data/log";
    log.identity = {identity.cluster, identity.node, identity.incarnation};
    node.log = RocksDbLog::Open(node.files, std::move(log)).value();
    node.transport = network_.MakeTransport(NodeId{id});
    HostDependencies dependencies;
    dependencies.clock = &clock_;
    dependencies.file_system = &node.files;
    dependencies.data_directory = "/data";
    dependencies.log_disk = node.log.get();
    dependencies.transport = node.transport.get();
    dependencies.make_executor = [this](const std::string& name) -> std::unique_ptr<Executor> {
      return std::make_unique<ThreadExecutor>(clock_, name, ThreadExecutor::Callers::kOnlyPost);
    };
    dependencies.seed = id;
    node.host = Host::Start(identity, std::move(dependencies)).value();
    node.group = node.host->Open(kGroup, std::make_unique<TextMachine>(&node.commands), {}).value();
  }

  // Until it is applied, wherever the leader is; its node.
  uint64_t ProposeSurely(const std::string& command) {
    while (true) {
      for (auto& [id, node] : nodes_) {
        if (!node.group->Status().serving_leader) continue;
        ProposeOptions options;
        options.deadline = clock_.Now() + Seconds(30);
        const ProposalResult result = node.group->Propose(command, options)->Wait();
        if (std::holds_alternative<ProposalApplied>(result)) return id;
      }
    }
  }

  struct Node {
    Gate gate;
    SimulatedFileSystem files;
    std::unique_ptr<RocksDbLog> log;
    std::unique_ptr<Transport> transport;
    std::string commands;
    std::unique_ptr<Host> host;
    std::optional<Group> group;
  };

  SystemClock clock_;
  ThreadExecutor network_executor_{clock_, "network"};
  LoopbackNetwork network_{&network_executor_, &clock_, Duration{}};
  Configuration members_;
  std::map<uint64_t, Node> nodes_;
};

TEST_F(SlowDiskClusterTest, AQuorumDoesNotWaitForAFollower) {
  const uint64_t leader = ProposeSurely("first");
  const uint64_t slow = leader == 1 ? 2 : 1;
  Node& node = nodes_[slow];
  node.gate.Set(true);
  ProposeSurely("a");
  node.gate.AwaitHeld();
  const Index before = nodes_[leader].group->Status().commit_index;
  const uint64_t syncs = node.gate.held_ever();
  Index last = 0;
  for (int i = 0; i < 200; ++i) {
    const uint64_t at = ProposeSurely("b");
    EXPECT_NE(at, slow);
    last = nodes_[at].group->Status().commit_index;
  }
  EXPECT_TRUE(node.gate.holds());
  EXPECT_EQ(node.gate.held_ever(), syncs) << "all of that was within one sync of the slow one";
  EXPECT_GE(last, before + 200) << "committed of 200 that were proposed";
  node.gate.Set(false);
  // It was late, and nothing else.
  while (node.group->Status().applied_index < last) ProposeSurely("c");
  EXPECT_EQ(node.group->Status().state, NodeState::kServing);
}

// What it was given in between is not lost, and it is a follower as others afterwards.
TEST_F(SlowDiskClusterTest, ALeaderHandsOver) {
  const uint64_t first = ProposeSurely("first");
  Node& node = nodes_[first];
  const Term term = node.group->Status().term;
  node.gate.Set(true);
  const auto slow = node.group->Propose("slow");
  node.gate.AwaitHeld();
  uint64_t next = 0;
  while (next == 0) {
    for (auto& [id, other] : nodes_) {
      if (id != first && other.group->Status().serving_leader) next = id;
    }
  }
  EXPECT_GT(nodes_[next].group->Status().term, term);
  EXPECT_NE(ProposeSurely("next"), first);
  EXPECT_TRUE(node.gate.holds()) << "all of that was within one sync of the slow one";
  const Index last = nodes_[next].group->Status().commit_index;
  node.gate.Set(false);
  // It was committed by the others' disks.
  EXPECT_TRUE(std::holds_alternative<ProposalApplied>(slow->Wait()));
  while (node.group->Status().applied_index < last) ProposeSurely("later");
  EXPECT_EQ(node.group->Status().state, NodeState::kServing);
}

}  // namespace
}  // namespace cairn

// TestCluster: Hosts of one cluster on a virtual clock, in one thread, with disks the test can
// hold, fail and cut off power from.

#ifndef TESTS_RAFT_TEST_CLUSTER_H_
#define TESTS_RAFT_TEST_CLUSTER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log_sink.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/host.h"
#include "storage/loss_report.h"
#include "storage/posix_file_system.h"
#include "tests/raft/fake_log_disk.h"
#include "tests/raft/loopback_network.h"
#include "tests/raft/manual_executor.h"
#include "tests/storage/test_directory.h"

namespace cairn {

// Keeps the commands it is given, and answers each with its number.
class TestMachine final : public StateMachine {
 public:
  // It holds what was applied up to `held`, and no sessions.
  explicit TestMachine(std::vector<std::string>* commands, LogPosition held = {})
      : commands_(commands), held_(held) {}

  absl::StatusOr<LogPosition> Open(const OpenContext&) override { return held_; }

  void Apply(ApplyBatch& batch) override {
    for (ApplyEntry& entry : batch) {
      commands_->push_back(std::string(entry.command().view()));
      entry.Reply("reply " + std::to_string(commands_->size()));
    }
  }

 private:
  std::vector<std::string>* const commands_;
  const LogPosition held_;
};

class TestCluster {
 public:
  static constexpr GroupId kGroup{1};

  explicit TestCluster(uint64_t nodes, GroupOptions options = GroupOptions());
  ~TestCluster();

  // A start finds what the node's disk holds.
  void Start(uint64_t node);
  void StartAll();
  // A new node, which joins the cluster and waits for a leader to tell it of the group. Gives it as
  // a member of a declaration.
  Member StartJoiner(uint64_t node);
  // Ends the process at once; with the power, what was not synced is gone.
  void Stop(uint64_t node, bool power_cut = true);
  // From its next start on the node's machine holds what was applied up to `position`.
  void KeepState(uint64_t node, LogPosition position) { nodes_.at(node).held = position; }
  // From now on it is there, and so Members says.
  void Move(uint64_t node, const std::string& address);
  // An empty disk under the same id.
  void Wipe(uint64_t node);
  // The disk of a node, which is stopped and has an empty one now; and back again.
  struct NodeDisk {
    std::unique_ptr<TestDirectory> directory;
    std::unique_ptr<FakeLogDisk> disk;
  };
  NodeDisk TakeDisk(uint64_t node);
  void PutDisk(uint64_t node, NodeDisk disk);

  // Runs until somebody serves as leader; gives its id, 0 if nobody does in 20 s.
  uint64_t AwaitLeader();
  // The node that serves as leader now, 0 if none does.
  uint64_t Leader() const;
  uint64_t SomeFollower();
  void Run(Duration duration) { world.RunFor(duration); }

  Group& At(uint64_t node) { return *nodes_.at(node).group; }
  Host& HostAt(uint64_t node) { return *nodes_.at(node).host; }
  FakeLogDisk& Disk(uint64_t node) { return *nodes_.at(node).disk; }
  const LossReport& Losses(uint64_t node) { return *nodes_.at(node).losses; }
  const std::vector<std::string>& Commands(uint64_t node) { return *nodes_.at(node).commands; }
  // What the host said first when it, or its group, stopped serving.
  const std::optional<std::pair<NodeState, absl::Status>>& Stopped(uint64_t node) {
    return nodes_.at(node).stopped;
  }

  // Proposes and runs until there is an answer.
  ProposalResult Propose(uint64_t node, const std::string& command, ProposeOptions options = {});
  uint64_t OpenSession(uint64_t node);
  ReadResult Linearize(uint64_t node);
  // Declares the members at `node` and runs until there is an answer.
  ControlResult Change(uint64_t node, DeclaredMembers members);
  ControlResult Transfer(uint64_t node, uint64_t target, Duration patience = Seconds(2));
  // The members `nodes`, with their disks of now.
  std::vector<Member> Members(const std::vector<uint64_t>& nodes);

  ManualWorld world;
  ManualExecutor network_executor{&world};
  LoopbackNetwork network{&network_executor, &world, Milliseconds(1)};

 private:
  struct Node {
    std::unique_ptr<TestDirectory> directory;
    std::unique_ptr<FakeLogDisk> disk;
    std::unique_ptr<Transport> transport;
    std::unique_ptr<LossReport> losses;
    std::unique_ptr<Host> host;
    std::optional<Group> group;
    LogPosition held;
    std::unique_ptr<std::vector<std::string>> commands;
    std::optional<std::pair<NodeState, absl::Status>> stopped;
    std::set<GroupId> told_of;
    Incarnation incarnation = Incarnation::kUnknown;  // since its last start
    bool joined = false;
  };
  ControlResult Await(std::optional<ControlResult>& result);

  const GroupOptions options_;
  PosixFileSystem file_system_;
  Configuration members_;
  uint64_t last_incarnation_ = 100;
  uint64_t last_seed_ = 0;
  std::map<uint64_t, std::string> moved_;
  std::map<uint64_t, Node> nodes_;
};

}  // namespace cairn

#endif  // TESTS_RAFT_TEST_CLUSTER_H_

// LifeCluster: three hosts on a virtual clock, each with a block log on a simulated disk, whose
// groups are opened, paused, closed and deleted while they run.

#ifndef TESTS_RAFT_LIFECYCLE_LIFE_CLUSTER_H_
#define TESTS_RAFT_LIFECYCLE_LIFE_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/types.h"
#include "raft/host.h"
#include "storage/block/block_log.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/loopback_network.h"
#include "tests/raft/manual_executor.h"

namespace cairn {

// What a LifeMachine leaves for the test to look at.
struct MachineView {
  std::string commands;  // "a,b,…"
  int applies = 0;
  std::vector<Index> restored;
  OpenContext context;
  LogPosition applied_up_to;
  bool alive = false;
};

// Keeps the commands, joined, in memory. Answers each with the length of what there is.
class LifeMachine final : public StateMachine {
 public:
  explicit LifeMachine(MachineView* view, bool asynchronous = false);
  ~LifeMachine() override;
  bool asynchronous() const override { return asynchronous_; }
  absl::StatusOr<LogPosition> Open(const OpenContext& context) override;
  void Apply(ApplyBatch& batch) override;
  void AppliedUpTo(LogPosition position, WallTime) override { view_->applied_up_to = position; }
  std::unique_ptr<SnapshotSource> Freeze() override;
  absl::Status Restore(const SnapshotReader& snapshot, LogPosition position) override;

 private:
  MachineView* const view_;
  const bool asynchronous_;
};

// What a test puts between the hosts and their world; null: nothing.
struct LifeHooks {
  std::function<std::unique_ptr<Executor>(ManualWorld* world, uint64_t node, const std::string&)>
      make_executor;
  // The disk the node is given instead of this one; both outlive the host.
  std::function<LogDisk*(uint64_t node, LogDisk* disk)> wrap;
  uint64_t snapshot_bytes_per_second = 0;  // HostDependencies
};

class LifeCluster {
 public:
  static constexpr uint64_t kNodes = 3;

  explicit LifeCluster(LifeHooks hooks = {});
  ~LifeCluster();

  // Starts the node's host, without groups.
  void Start(uint64_t node);
  // A power cut: only what was synced is there.
  void Stop(uint64_t node);
  // Opens the group with a new machine.
  absl::Status Open(uint64_t node, GroupId group, bool asynchronous = false);
  void OpenEverywhere(GroupId group);

  bool Await(const std::function<bool()>& done, Duration most = Seconds(30));
  // As Await, but looks between any two tasks.
  bool AwaitEachTask(const std::function<bool()>& done, Duration most = Seconds(30));
  uint64_t Leader(GroupId group);  // 0: none in time
  uint64_t Follower(GroupId group);
  ProposalResult Propose(uint64_t node, GroupId group, const std::string& command,
                         ProposeOptions options = {});
  // `count` commands at the leader, each applied there.
  void Fill(GroupId group, int count);
  ReadResult Read(uint64_t node, GroupId group, Duration patience);
  // Calls that tell their end by a status.
  absl::Status Pause(uint64_t node, GroupId group);
  absl::Status Replay(uint64_t node, GroupId group);
  absl::StatusOr<LogPosition> Snapshot(uint64_t node, GroupId group);

  Group& At(uint64_t node, GroupId group) { return *nodes_.at(node).groups.at(group); }
  GroupStatus Status(uint64_t node, GroupId group) { return At(node, group).Status(); }
  Host& HostAt(uint64_t node) { return *nodes_.at(node).host; }
  bool IsUp(uint64_t node) { return nodes_.at(node).host != nullptr; }
  MachineView& View(uint64_t node, GroupId group) { return *nodes_.at(node).views.at(group); }
  SimulatedFileSystem& Files(uint64_t node) { return *nodes_.at(node).files; }
  BlockLog& Disk(uint64_t node) { return *nodes_.at(node).disk; }
  // What the host said last of what stopped serving.
  absl::Status Stopped(uint64_t node) {
    return Stops(node).empty() ? absl::OkStatus() : Stops(node).back().status;
  }
  struct StopTold {
    GroupId group;
    NodeState state;
    absl::Status status;
  };
  // All of it, since the node's start.
  const std::vector<StopTold>& Stops(uint64_t node) { return nodes_.at(node).stops; }
  Incarnation IncarnationOf(uint64_t node) { return Incarnation{100 + node}; }
  const Configuration& members() const { return members_; }

  ManualWorld world;
  ManualExecutor network_executor{&world};
  LoopbackNetwork network{&network_executor, &world, Milliseconds(1)};
  GroupOptions options;

 private:
  struct Node {
    std::unique_ptr<SimulatedFileSystem> files = std::make_unique<SimulatedFileSystem>();
    std::unique_ptr<BlockLog> disk;
    std::unique_ptr<Transport> transport;
    std::unique_ptr<Host> host;
    std::map<GroupId, std::unique_ptr<MachineView>> views;
    std::map<GroupId, std::optional<Group>> groups;
    std::vector<StopTold> stops;
  };
  absl::Status Told(const std::optional<absl::Status>& told);

  const LifeHooks hooks_;
  Configuration members_;
  std::map<uint64_t, Node> nodes_;
  uint64_t seeds_ = 0;
  int commands_ = 0;
};

}  // namespace cairn

#endif  // TESTS_RAFT_LIFECYCLE_LIFE_CLUSTER_H_

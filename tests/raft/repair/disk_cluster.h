// DiskCluster: whole hosts in virtual time over file systems in memory, with the block store or
// RocksDB, and a state machine that takes snapshots, or that of the streams: everything a node
// keeps is in files that a test can damage.

#ifndef TESTS_RAFT_REPAIR_DISK_CLUSTER_H_
#define TESTS_RAFT_REPAIR_DISK_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/host.h"
#include "raft/identity.h"
#include "service/stream_machine.h"
#include "storage/log_store.h"
#include "storage/loss_report.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/loopback_network.h"
#include "tests/raft/manual_executor.h"

namespace cairn {

class DiskCluster {
 public:
  static constexpr GroupId kGroup{1};
  using Disk = std::unique_ptr<SimulatedFileSystem>;

  struct Options {
    std::string log_store = "block";  // or "rocksdb"
    ScrubOptions scrub = {};          // off
    bool loss_report = false;         // each keeps one
    bool streams = false;             // the state machine is that of the streams, not a text
    std::string tail = {};            // at the end of each command
    uint64_t block_bytes = 16 << 10;
    // See GroupOptions::compaction.
    uint64_t snapshot_entries = 20;
    uint64_t retained_entries = 8;
    // Of the block store, and disks that are made here: what a sync takes; 0: it ends at once.
    Duration sync_time = {};
  };

  // Nodes 1 to `nodes`, not started, with empty disks; or with these.
  explicit DiskCluster(uint64_t nodes) : DiskCluster(nodes, Options()) {}
  DiskCluster(uint64_t nodes, Options options);
  explicit DiskCluster(std::vector<Disk> disks) : DiskCluster(std::move(disks), Options()) {}
  DiskCluster(std::vector<Disk> disks, Options options);
  ~DiskCluster();

  // What keeps the node from starting, if anything; `stopped` then.
  void Start(uint64_t node);
  void StartAll();
  // Ends the process.
  void Stop(uint64_t node);
  void StopAll();
  // What the disk of `node` is sure to keep if the power goes now.
  Disk ImageOf(uint64_t node) const { return nodes_.at(node).files->WorstCaseImage(); }
  // Of a node that is stopped.
  void SetDisk(uint64_t node, Disk disk) { nodes_.at(node).files = std::move(disk); }
  SimulatedFileSystem& Files(uint64_t node) { return *nodes_.at(node).files; }
  // From the next sync on. With Options::sync_time.
  void SetSyncTime(uint64_t node, Duration sync_time) { nodes_.at(node).sync_time = sync_time; }

  // Looks at, changes or drops (false) each envelope on its way.
  void SetFilter(LoopbackNetwork::Filter filter) { network_.SetFilter(std::move(filter)); }

  void Run(Duration duration) { world_.RunFor(duration); }
  bool Await(const std::function<bool()>& done, Duration most = Seconds(20));
  // Runs until somebody serves as leader; 0 if nobody does.
  uint64_t AwaitLeader();
  uint64_t SomeFollower();
  // Proposes so many commands at the leader; false if one is not applied.
  bool Propose(int count);

  bool runs(uint64_t node) const { return nodes_.at(node).host != nullptr; }
  Group& GroupOf(uint64_t node) { return *nodes_.at(node).group; }
  // Tasks that have run, of all nodes.
  uint64_t tasks() const { return world_.tasks_run(); }
  GroupStatus Status(uint64_t node) const { return nodes_.at(node).group->Status(); }
  // Of a node with a loss report that runs.
  LossReport& Losses(uint64_t node) { return *nodes_.at(node).losses; }
  ScrubProgress Scrubbed(uint64_t node) const {
    return nodes_.at(node).host->Scrub().value().progress;
  }
  // What the state machine of `node` holds, read back: what cannot be read is said in its place.
  std::string Commands(uint64_t node) const { return CommandsOf(nodes_.at(node)); }
  // Why it stopped serving, or did not start; OK if it does.
  const absl::Status& Stopped(uint64_t node) const { return nodes_.at(node).stopped; }
  // All nodes serve, and hold the same.
  bool Whole() const;

 private:
  struct Node {
    Disk files;
    Duration sync_time;
    std::unique_ptr<LossReport> losses;
    std::unique_ptr<LogDisk> log;
    std::unique_ptr<Transport> transport;
    std::unique_ptr<Host> host;
    std::optional<Group> group;
    std::string commands;
    StreamMachine* streams = nullptr;  // of `host`
    absl::Status stopped;
  };
  static std::string CommandsOf(const Node& node);
  std::unique_ptr<StateMachine> MakeMachine(Node& node);
  bool ProposeOne(std::string command);
  absl::Status StartOn(uint64_t id, Node& node);
  absl::StatusOr<std::unique_ptr<LogDisk>> OpenLog(const NodeIdentity& identity, Node& node) const;

  const Options options_;
  ManualWorld world_;
  ManualExecutor network_executor_{&world_};
  LoopbackNetwork network_{&network_executor_, &world_, Milliseconds(1)};
  Configuration members_;
  std::map<uint64_t, Node> nodes_;
  uint64_t seeds_ = 0;
  int commands_ = 0;
};

}  // namespace cairn

#endif  // TESTS_RAFT_REPAIR_DISK_CLUSTER_H_

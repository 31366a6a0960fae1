// SimNode: one simulated machine: its disk, its clock and the Host that runs on it.

#ifndef TESTS_SIM_SIM_NODE_H_
#define TESTS_SIM_SIM_NODE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/random.h"
#include "raft/host.h"
#include "tests/sim/fault_plan.h"
#include "tests/sim/observed_log_disk.h"
#include "tests/sim/referee.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_executor.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/world.h"

namespace cairn::sim {

using Referees = std::map<GroupId, std::unique_ptr<Referee>>;

// Whether `node` was removed from a group, and is in none that it was ever in.
bool HasLeft(const Referees& referees, NodeId node);

// Runs what a server runs: identity, log disk, Host and one Group each. One thread.
class SimNode final : private LogObserver {
 public:
  // All of these outlive it. `members` are the initial ones.
  struct Surroundings {
    World* world = nullptr;
    SimNetwork* network = nullptr;
    Referees* referees = nullptr;
    const FaultPlan* plan = nullptr;
    Configuration members;
  };
  SimNode(Surroundings surroundings, NodeId node);
  ~SimNode() override;

  NodeId id() const { return node_; }
  bool running() const { return process_ != nullptr; }
  // It is about to end: perhaps its host never was.
  bool exiting() const { return exiting_; }
  // Counts starts; tells a later process from an earlier one.
  uint64_t life() const { return life_; }
  // What the process said when it stopped for good; OK if it did not.
  const absl::Status& halted() const { return halted_; }
  SimDisk& disk() { return disk_; }
  // The machine is there: an initial member, or one that has joined, and not taken away.
  bool present() const { return present_ && !returned_.back; }
  // It is there or can still come, and is not halted.
  bool MayJoin() const { return !retired_ && halted_.ok(); }
  // Of its disk; kUnknown before it has started for the first time.
  Incarnation incarnation() const { return incarnation_; }

  // The machine comes, and its process starts, to join a cluster of `members`.
  void Join(const Configuration& members);
  // The machine is taken away for good, they think.
  void Retire();
  // One that was lost comes back. It is not present(): nobody asks it for anything.
  void Return();
  // How often it was told that it is none of the group any more, since then.
  size_t told_off() const { return returned_.told_off; }
  // Starts the process. Does nothing if it runs, or if the machine is not there. It may end at
  // once, by a nested crash.
  void Start();
  // The power goes. What of the writes not synced stays is chosen by `policy`.
  void PowerCut(CrashPolicy policy);
  // The power goes at the `accesses`th call to the disk from now on.
  void PowerCutAtAccess(uint64_t accesses, CrashPolicy policy);
  // The process ends without warning; the page cache stays.
  void Kill();
  void Shutdown();

  // Null if the node does not run, or the group is not open there.
  Group* group(GroupId group);

  // Host::Close and Host::Delete; the node runs. A group that was closed is opened again by the
  // next start, one that was to be deleted is not, or only to see whether it is whole or gone.
  void CloseGroup(GroupId group, Instant deadline, Host::LifeDone done);
  void DeleteGroup(GroupId group, Instant deadline, Host::LifeDone done);
  // Host::Reset; the node runs. Opened again by OpenClosed, or the next start.
  void ResetGroup(GroupId group, Host::LifeDone done);
  // It has ended there, says the host; and is deleted: reports what is left of it.
  void GroupEnded(GroupId group) { referee(group).ProcessEnded(node_); }
  void GroupDeleted(GroupId group);
  // Opens it, unless it is open or on its way out.
  void OpenClosed(GroupId group);
  void OpenDeleted(GroupId group);
  void OpenAllClosed();
  // Nothing if the node does not run, or has none.
  std::optional<ScrubProgress> scrub() const;
  Instant Now() const { return clock_->Now(); }
  // Lets the referees see its status, what waits, and now and then what lies on its disk.
  void ShowStatus();

  // No thread of the process runs before `until`.
  void PauseUntil(Instant until);
  void JumpWall(Duration jump) { clock_->JumpWall(jump); }
  // No more faults.
  void Heal();

 private:
  struct Process;

  void OnOpened(GroupId group, const OpenedLog& opened) override;
  void OnAppended(GroupId group, LogChange change) override;
  void OnSynced(GroupId group, uint64_t appended) override;

  absl::Status StartProcess();
  absl::Status StartHost(const NodeIdentity& identity);
  absl::Status OpenGroup(GroupId group);
  bool MayOpen(GroupId group);
  void OpenAgain(GroupId group);
  void OpenLater(GroupId group, Duration wait);
  void OpenHalfDeleted(GroupId group);
  Host::LifeDone Leaving(GroupId group, Host::LifeDone done);
  HostDependencies MakeDependencies();
  void EndProcess();
  void Boot();
  void CheckStop(GroupId group, NodeState state, const absl::Status& why);
  void Stopped(GroupId group, NodeState state, const absl::Status& why);
  void ExitSoon(bool for_good);
  Referee& referee(GroupId group) { return *surroundings_.referees->at(group); }
  const NodeOptions& options() const;

  const Surroundings surroundings_;
  World& world_;
  const NodeId node_;
  Random random_;
  SimDisk disk_;
  std::unique_ptr<SimClock> clock_;
  std::unique_ptr<Process> process_;
  uint64_t life_ = 0;
  absl::Status halted_;
  Configuration joined_to_;  // no voters: it is an initial member
  Incarnation incarnation_ = Incarnation::kUnknown;
  bool present_;
  bool retired_ = false;
  struct Returned {
    bool back = false;
    size_t told_off = 0;
  };
  Returned returned_;
  std::set<GroupId> deleted_;  // or to be; a start does not open them
  std::set<GroupId> told_deleted_;
  bool exiting_ = false;  // the process was told to go
  uint64_t shown_ = 0;
  bool healed_ = false;
};

}  // namespace cairn::sim

#endif  // TESTS_SIM_SIM_NODE_H_

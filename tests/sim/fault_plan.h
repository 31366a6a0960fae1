// FaultPlan: everything about a run that its seed decides beforehand.

#ifndef TESTS_SIM_FAULT_PLAN_H_
#define TESTS_SIM_FAULT_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "raft/group.h"
#include "raft/scrub/scrubber.h"
#include "tests/sim/sim_executor.h"
#include "tests/sim/sim_network.h"

namespace cairn::sim {

// What goes wrong from time to time. Each has a duration; then it is undone.
enum class FaultKind {
  kIsolateOne,       // a node hears and reaches nobody
  kIsolateLeader,    //
  kSplit,            // two sides
  kOneWay,           // a node can be heard and not hear, or the other way round
  kBridge,           // two sides and one node that reaches both
  kCompanion,        // a leader alone with one other node
  kChaseLeaders,     // each new leader, at once, alone with the same other node
  kForsakeLeader,    // a leader with just a quorum is left by it all at once, and it starts again
  kFlap,             // links of one node go up and down about once an election timeout
  kPowerCut,         // of one node; it starts again later
  kPowerCutLeader,   //
  kPowerCutAll,      // all at once
  kKill,             // the end of a process, the page cache lives on
  kKillLeader,       //
  kKillAll,          //
  kStop,             // an orderly shutdown
  kPause,            // no thread of the node runs
  kPauseLeader,      //
  kPauseOthers,      // all but one
  kStallDisk,        // syncs take long
  kStallLeaderDisk,  //
  kStallAllDisks,    //
  kSyncError,        // a sync fails; the node has to stop
  kJumpWall,         // somebody sets a wall clock
  // A bit of what was written lately turns over; then the power goes, or, where there is a scrub,
  // perhaps not.
  kRot,
  kForgetPromise,  // see ForgottenPromise
};
inline constexpr size_t kFaultKinds = static_cast<size_t>(FaultKind::kForgetPromise) + 1;
const char* NameOf(FaultKind kind);

struct DiskOptions {
  Duration shortest_sync = Microseconds(20);
  Duration longest_sync = Microseconds(500);
  uint64_t slow = 0;  // of 1000 syncs
  Duration slowest_sync = Milliseconds(50);
};

struct NodeOptions {
  DiskOptions disk;
  int64_t clock_rate_per_mille = 1000;
  uint32_t priority = 0;
  bool never_campaigns = false;
};

struct WorkloadOptions {
  size_t clients = 3;
  Duration longest_think = Milliseconds(50);
  uint64_t reads = 300;       // of 1000 operations
  uint64_t lease_reads = 0;   // of 1000 reads: allow an answer by the leader's lease
  uint64_t stale_reads = 0;   // of the others: may be old
  uint64_t sessions = 500;    // of 1000 clients
  uint64_t deadlines = 100;   // of 1000 operations
  uint64_t no_forward = 100;  // of 1000 appends
  uint64_t fenced = 0;        // of 1000 appends: for one term only
  uint64_t moves = 200;       // of 1000 operations go to another node than the last one
  size_t longest_filling = 200;
  size_t window = 1;              // operations of one client under way
  Duration timeout = Seconds(2);  // then a client asks elsewhere
};

// How often an operator asks for each thing, in comparison; see tests/sim/operator.h.
struct OperatorOptions {
  uint64_t changes = 0;
  uint64_t cancels = 0;
  uint64_t transfers = 0;
  uint64_t campaigns = 0;
  uint64_t step_downs = 0;
  uint64_t snapshots = 0;
  Duration longest_think = Seconds(1);
  size_t least_voters = 1;

  uint64_t total() const {
    return changes + cancels + transfers + campaigns + step_downs + snapshots;
  }
};

// How often somebody pauses or replays a state machine; see tests/sim/apply_operator.h.
struct ApplyOptions {
  uint64_t pauses = 0;
  uint64_t replays = 0;
  Duration longest_think = Seconds(1);
  Duration longest_pause = Seconds(1);

  uint64_t total() const { return pauses + replays; }
};

// How groups come and go; see tests/sim/life_operator.h.
struct LifeOptions {
  bool closes = false;
  GroupId doomed = GroupId::kNone;  // is deleted everywhere
  Duration doomed_at;
  Duration longest_think = Seconds(1);
  Duration longest_absence = Seconds(1);
};

// A majority is lost for good at the end, see tests/sim/rescue.h.
enum class RescueKind { kNone, kEvict, kQuorum };

// Who follows the committed entries; see tests/sim/tail_followers.h.
struct TailOptions {
  size_t followers = 0;
  size_t max_bytes = 1000;
  Duration longest_think = Seconds(1);
};

struct FaultPlan {
  uint64_t seed = 0;
  std::vector<NodeOptions> nodes;  // node ids 1..
  size_t members = 1;              // the first ones are the initial members; the others may join
  size_t groups = 1;               // group ids 1..
  GroupOptions group;
  NetworkOptions network;
  SchedulingOptions scheduling;
  WorkloadOptions workload;
  OperatorOptions operations;
  ApplyOptions applying;
  TailOptions tails;
  LifeOptions lives;
  RescueKind rescue = RescueKind::kNone;

  uint64_t durable_every =
      0;  // state machines keep their state on disk, each so many entries; 0: no
  bool memory_store = false;
  bool apply_on_runner = false;  // no executor of its own for state machines
  size_t block_bytes = size_t{64} << 10;
  size_t unit_bytes = 512;
  size_t recent_bytes = 0;  // entries the block store keeps in memory
  uint64_t copy_distance = 4;
  ScrubOptions scrub;  // of the block store's log
  // Of the same, so many blocks behind the one that is written to; 0: nothing is compressed.
  uint64_t compression_distance = 0;

  // How often each kind of fault is chosen, by FaultKind; 0: never in this run.
  std::vector<uint64_t> weights = std::vector<uint64_t>(kFaultKinds, 0);
  Duration between_faults = Seconds(1);  // on average
  Duration longest_fault = Seconds(3);
  uint64_t nested_crashes = 0;     // of 1000 starts
  bool faults_from_start = false;  // or only once the cluster has formed
  Duration under_fire = Seconds(30);

  // One disk a run is damaged: the others keep good copies of what was acknowledged.
  NodeId rotting() const { return NodeId{1 + seed % members}; }
  bool damages() const { return weight(FaultKind::kRot) + weight(FaultKind::kForgetPromise) > 0; }

  uint64_t weight(FaultKind kind) const { return weights[static_cast<size_t>(kind)]; }
};

// Swarm testing (Groce et al. 2012): a random subset of the faults, with widely different weights,
// and sizes and times that are extreme more often than not.
FaultPlan DrawFaultPlan(uint64_t seed);

// For people: one line a part.
std::string ToString(const FaultPlan& plan);

}  // namespace cairn::sim

#endif  // TESTS_SIM_FAULT_PLAN_H_

#include "tests/sim/fault_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {
namespace {

template <typename T>
T OneOf(Random& random, const std::vector<T>& choices) {
  return choices[random.Below(choices.size())];
}

Duration Between(Random& random, Duration low, Duration high) {
  uint64_t spread = static_cast<uint64_t>(std::max<int64_t>((high - low).nanoseconds, 1));
  return low + Nanoseconds(static_cast<int64_t>(random.Below(spread)));
}

void DrawSizes(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "sizes"));
  size_t nodes = OneOf<size_t>(random, {1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 5});
  plan.members = nodes;
  plan.nodes.resize(nodes);
  if (random.OneIn(4)) plan.durable_every = OneOf<uint64_t>(random, {1, 4, 15, 50});
  plan.groups = OneOf<size_t>(random, {1, 1, 1, 1, 2, 3});
  plan.memory_store = random.OneIn(5);
  plan.unit_bytes = OneOf<size_t>(random, {512, 4096});
  plan.block_bytes = plan.unit_bytes * OneOf<size_t>(random, {16, 32, 64, 256});
  plan.recent_bytes = OneOf<size_t>(random, {0, 1000, 1 << 20});
  plan.copy_distance = OneOf<uint64_t>(random, {1, 2, 4});
}

// The harness expects all sealed blocks to be read within a few election timeouts.
void DrawScrub(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "scrub"));
  if (plan.memory_store || random.OneIn(2)) return;
  plan.scrub.bytes_per_second = OneOf<uint64_t>(random, {8 << 20, 64 << 20, 1 << 30});
  plan.scrub.period = plan.group.election_timeout * OneOf<int64_t>(random, {1, 2, 5});
  // Only what is sealed is scrubbed, and is to be before the run ends.
  if (random.OneIn(2)) plan.block_bytes = plan.unit_bytes * 16;
}

void DrawCompression(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "compression"));
  if (plan.scrub.bytes_per_second == 0 || random.OneIn(2)) return;
  plan.compression_distance = OneOf<uint64_t>(random, {1, 1, 2});
}

void DrawGroup(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "group"));
  GroupOptions& group = plan.group;
  group.election_timeout = Milliseconds(OneOf<int64_t>(random, {50, 150, 300, 1000}));
  group.heartbeat_interval = group.election_timeout / OneOf<int64_t>(random, {3, 5, 10});
  group.lease = random.OneIn(2);
  if (random.OneIn(4)) group.max_inflight_bytes = 2000;
  if (random.OneIn(3)) group.max_sessions = OneOf<size_t>(random, {1, 2, 4});
  if (random.OneIn(3)) group.log_cache_bytes = OneOf<size_t>(random, {0, 1000});
  if (random.OneIn(2)) {
    group.compaction.snapshot_entries = OneOf<uint64_t>(random, {1, 5, 20, 60});
    group.compaction.retained_entries = OneOf<uint64_t>(random, {0, 3, 30});
  }
  const bool rests = random.OneIn(2);
  group.quiesce_after = rests ? OneOf<uint32_t>(random, {1, 1, 2, 5}) : 0;
}

void DrawNetwork(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "network settings"));
  NetworkOptions& network = plan.network;
  Duration timeout = plan.group.election_timeout;
  // Round trips from next to nothing to almost a heartbeat interval, seldom more.
  network.longest_delay = timeout / OneOf<int64_t>(random, {1000, 200, 50, 20, 8});
  network.shortest_delay = network.longest_delay / OneOf<int64_t>(random, {2, 10, 100});
  if (random.OneIn(3)) network.slow = OneOf<uint64_t>(random, {5, 50, 200});
  network.slowest_delay = timeout * OneOf<int64_t>(random, {1, 2, 8}) / 2;
  if (random.OneIn(2)) network.loss = OneOf<uint64_t>(random, {5, 20, 100, 300});
  if (random.OneIn(3)) network.duplicates = OneOf<uint64_t>(random, {20, 200});
  if (random.OneIn(3)) network.replays = OneOf<uint64_t>(random, {20, 200});
  network.ordered = random.OneIn(2);
  if (random.OneIn(5)) network.link_capacity = OneOf<size_t>(random, {2, 8, 32});
  network.noticed_losses = OneOf<uint64_t>(random, {0, 300, 1000});
  network.cuts_stop_arrivals = random.OneIn(2);
}

void DrawMachines(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "machines"));
  Duration timeout = plan.group.election_timeout;
  if (random.OneIn(3)) {
    plan.scheduling.rare = timeout / OneOf<int64_t>(random, {50, 10, 2});
    plan.scheduling.rare_one_in = OneOf<uint64_t>(random, {20, 200});
  }
  plan.apply_on_runner = random.OneIn(3);
  bool clocks_drift = random.OneIn(3);
  for (NodeOptions& node : plan.nodes) {
    if (random.OneIn(6)) node.priority = 1;
    node.disk.longest_sync = timeout / OneOf<int64_t>(random, {2000, 200, 40, 10});
    node.disk.shortest_sync = node.disk.longest_sync / 4;
    if (random.OneIn(3)) node.disk.slow = OneOf<uint64_t>(random, {10, 100});
    node.disk.slowest_sync = timeout * OneOf<int64_t>(random, {1, 2, 6}) / 2;
    if (clocks_drift) node.clock_rate_per_mille = 900 + static_cast<int64_t>(random.Below(201));
  }
}

void DrawWorkload(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "workload settings"));
  WorkloadOptions& workload = plan.workload;
  Duration timeout = plan.group.election_timeout;
  workload.clients = 1 + random.Below(6);
  workload.longest_think = timeout / OneOf<int64_t>(random, {20, 5, 1});
  workload.reads = OneOf<uint64_t>(random, {0, 200, 500, 800});
  workload.lease_reads = OneOf<uint64_t>(random, {0, 300, 900});
  workload.stale_reads = OneOf<uint64_t>(random, {0, 100});
  workload.sessions = OneOf<uint64_t>(random, {0, 500, 1000});
  workload.deadlines = OneOf<uint64_t>(random, {0, 100, 500});
  workload.no_forward = OneOf<uint64_t>(random, {0, 100, 500});
  workload.moves = OneOf<uint64_t>(random, {10, 200, 1000});
  workload.longest_filling = OneOf<size_t>(random, {10, 200, 200, 3000});
  workload.window = OneOf<size_t>(random, {1, 1, 4, 16});
  workload.timeout = timeout * OneOf<int64_t>(random, {1, 4, 10});
}

// Members change in a third of the runs, leadership moves in more.
void DrawOperations(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "operations"));
  OperatorOptions& operations = plan.operations;
  const Duration timeout = plan.group.election_timeout;
  operations.longest_think = timeout * OneOf<int64_t>(random, {1, 2, 4});
  const bool changes = random.OneIn(3);
  if (changes || random.OneIn(4)) {
    for (uint64_t* weight : {&operations.transfers, &operations.campaigns, &operations.step_downs,
                             &operations.snapshots}) {
      if (random.OneIn(2)) *weight = OneOf<uint64_t>(random, {1, 5, 20});
    }
  }
  if (!changes) return;
  operations.changes = 40;
  if (random.OneIn(2)) operations.cancels = OneOf<uint64_t>(random, {1, 5, 20});
  if (random.OneIn(2)) plan.groups = 1;
  plan.members = OneOf<size_t>(random, {1, 2, 3, 3, 3, 4, 5});
  plan.nodes.resize(plan.members + OneOf<size_t>(random, {2, 4, 6}));
}

// State machines are paused and replayed in a third of the runs.
void DrawApplying(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "applying"));
  if (!random.OneIn(3)) return;
  const Duration timeout = plan.group.election_timeout;
  if (!random.OneIn(4)) plan.applying.pauses = OneOf<uint64_t>(random, {1, 5});
  if (!random.OneIn(4)) plan.applying.replays = OneOf<uint64_t>(random, {1, 5});
  plan.applying.longest_think = timeout * OneOf<int64_t>(random, {1, 2, 4});
  plan.applying.longest_pause = timeout * OneOf<int64_t>(random, {1, 4, 16});
  // What is replayed is the last snapshot.
  if (plan.applying.replays > 0) plan.operations.snapshots = OneOf<uint64_t>(random, {0, 5, 20});
}

void DrawTails(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "tails"));
  const Duration timeout = plan.group.election_timeout;
  plan.tails.followers = OneOf<size_t>(random, {0, 0, 1, 3});
  plan.tails.max_bytes = OneOf<size_t>(random, {1, 300, 3000, 1 << 20});
  plan.tails.longest_think = timeout / OneOf<int64_t>(random, {1000, 20, 2});
}

// Groups come and go in a quarter of the runs.
void DrawLives(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "lives"));
  if (!random.OneIn(4)) return;
  const Duration timeout = plan.group.election_timeout;
  plan.lives.closes = !random.OneIn(3);
  plan.lives.longest_think = timeout * OneOf<int64_t>(random, {1, 4, 10});
  plan.lives.longest_absence = timeout * OneOf<int64_t>(random, {1, 2, 8});
  plan.groups = OneOf<size_t>(random, {2, 3});
  // What a deleted member has acknowledged may be missed where another one's disk is damaged.
  if (plan.operations.changes > 0 || plan.damages() || random.OneIn(3)) return;
  plan.lives.doomed = static_cast<GroupId>(plan.groups);
  plan.lives.doomed_at = Between(random, timeout * 5, plan.under_fire / 2);
}

// In one of ten runs a majority is lost for good. These have no other damage, and members that
// could all lead.
void DrawRescue(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "rescue"));
  if (plan.members < 2 || !random.OneIn(10)) return;
  for (FaultKind kind : {FaultKind::kRot, FaultKind::kForgetPromise}) {
    plan.weights[static_cast<size_t>(kind)] = 0;
  }
  plan.rescue = random.OneIn(3) ? RescueKind::kQuorum : RescueKind::kEvict;
  plan.operations = {};
  plan.lives = {};
  plan.groups = 1;
  // One more, who joins afterwards.
  plan.nodes.resize(plan.members + 1);
  for (NodeOptions& node : plan.nodes) node.never_campaigns = false;
}

// In a third of the runs leaders with slow disks are not put up with for long.
void DrawSlowDisks(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "slow disks"));
  if (!random.OneIn(3)) return;
  plan.group.slow_disk_timeout = plan.group.election_timeout / OneOf<int64_t>(random, {1, 2, 4});
}

// Commands that are good for one term only.
void DrawFences(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "fences"));
  plan.workload.fenced = OneOf<uint64_t>(random, {0, 0, 100, 500});
}

// Logs that are cut by their bytes alone.
void DrawCompactionByBytes(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "compaction by bytes"));
  if (!random.OneIn(4)) return;
  plan.group.compaction = {};
  plan.group.compaction.snapshot_bytes = OneOf<uint64_t>(random, {1, 500, 4000, 30'000});
  plan.group.compaction.retained_bytes = OneOf<uint64_t>(random, {0, 300, 5000});
}

// Members that vote and never lead: fewer than half of the voters, so that what they hold and
// nobody else is never all there is of an entry (GroupOptions::never_campaigns). So the voters stay
// who they are, and no disk is damaged.
void DrawObservers(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "observers"));
  if (plan.members < 3 || plan.operations.changes > 0 || plan.damages() || !random.OneIn(3)) return;
  const size_t most = (plan.members - 1) / 2;
  for (size_t i = 0; i < most; ++i) {
    plan.nodes[random.Below(plan.members)].never_campaigns = true;
  }
}

void DrawFaults(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "fault settings"));
  Duration timeout = plan.group.election_timeout;
  uint64_t rarity = OneOf<uint64_t>(random, {2, 3, 6});
  for (size_t i = 0; i < kFaultKinds; ++i) {
    // A sequence that other things seldom leave room for: it has a scenario of its own.
    if (static_cast<FaultKind>(i) == FaultKind::kForgetPromise) continue;
    if (random.OneIn(rarity)) plan.weights[i] = OneOf<uint64_t>(random, {1, 5, 20, 100});
  }
  auto never = [&](FaultKind kind) { plan.weights[static_cast<size_t>(kind)] = 0; };
  // Damage to a disk is survived by a minority only.
  if (plan.members < 3) never(FaultKind::kRot);
  // Damage to files does not reach a memory store.
  if (plan.memory_store) {
    for (FaultKind kind : {FaultKind::kRot, FaultKind::kSyncError}) never(kind);
  }
  plan.between_faults = timeout * OneOf<int64_t>(random, {1, 2, 4, 8});
  plan.longest_fault = timeout * OneOf<int64_t>(random, {2, 4, 10});
  plan.nested_crashes = OneOf<uint64_t>(random, {0, 0, 200, 500});
  plan.faults_from_start = random.OneIn(4);
  plan.under_fire = Between(random, timeout * 20, timeout * 60);
}

// One of the ways towards states that chance alone hardly ever reaches.
void DrawScenario(FaultPlan& plan) {
  Random random(SubSeed(plan.seed, "scenario"));
  auto often = [&](FaultKind kind) { plan.weights[static_cast<size_t>(kind)] = 200; };
  switch (random.Below(8)) {
    case 0:  // logs that part and are overwritten, on disks that lag behind
      often(FaultKind::kChaseLeaders);
      if (random.OneIn(2)) often(FaultKind::kStallDisk);
      break;
    case 1:  // everybody loses power in the middle of writes
      often(FaultKind::kPowerCutAll);
      break;
    case 2:
    case 3:  // a leader that does not know it was replaced, and is asked all the same
      often(FaultKind::kIsolateLeader);
      if (random.OneIn(3)) often(FaultKind::kPauseLeader);
      plan.longest_fault = plan.group.election_timeout * 4;
      plan.between_faults = plan.group.election_timeout * 2;
      plan.faults_from_start = false;
      // By a slow clock its quorum was there a moment ago when by the others' it was long gone.
      for (NodeOptions& node : plan.nodes) {
        node.clock_rate_per_mille = OneOf<int64_t>(random, {900, 1100});
      }
      // So it seems also when answers arrive late.
      plan.network.slow = OneOf<uint64_t>(random, {50, 200});
      plan.network.slowest_delay = plan.group.election_timeout;
      plan.network.cuts_stop_arrivals = false;
      // Reads most of all: what a client appends at such a leader hangs, and fills its window.
      plan.workload.clients = 6;
      plan.workload.window = 8;
      plan.workload.reads = 930;
      plan.workload.moves = 10;
      plan.workload.longest_think = plan.group.election_timeout / 10;
      break;
    case 4:  // a leader that counts on promises of nodes that have forgotten them
      std::fill(std::begin(plan.weights), std::end(plan.weights), 0);
      often(FaultKind::kForsakeLeader);
      plan.group.lease = true;
      plan.longest_fault = plan.group.election_timeout * 2;
      plan.between_faults = plan.group.election_timeout * 4;
      plan.faults_from_start = false;
      plan.under_fire = plan.group.election_timeout * 120;
      plan.workload.clients = 6;
      plan.workload.window = 4;
      plan.workload.reads = 800;
      plan.workload.lease_reads = 1000;
      plan.workload.moves = 50;
      plan.workload.longest_think = plan.group.election_timeout / 10;
      break;
    case 5:  // what was acknowledged last rots, and the power goes
      if (plan.memory_store || plan.members < 3) break;
      often(FaultKind::kRot);
      plan.faults_from_start = false;
      plan.between_faults = plan.group.election_timeout * 4;
      break;
    case 6:  // a member that forgets its last word, and others who want another
      if (plan.memory_store || plan.members < 3) break;
      if (random.OneIn(2)) std::fill(std::begin(plan.weights), std::end(plan.weights), 0);
      often(FaultKind::kForgetPromise);
      plan.faults_from_start = false;
      plan.between_faults = plan.group.election_timeout * 4;
      plan.under_fire = plan.group.election_timeout * 100;
      plan.workload.reads = 200;
      plan.workload.longest_think = plan.group.election_timeout / 5;
      break;
    default:
      break;
  }
}

// Leases hold as long as clocks differ by no more than was said.
void AllowForDrift(FaultPlan& plan) {
  auto rate = [](const NodeOptions& a, const NodeOptions& b) {
    return a.clock_rate_per_mille < b.clock_rate_per_mille;
  };
  const auto [slowest, fastest] = std::minmax_element(plan.nodes.begin(), plan.nodes.end(), rate);
  plan.group.max_clock_drift_per_mille =
      fastest->clock_rate_per_mille * 1000 / slowest->clock_rate_per_mille - 1000 + 1;
}

}  // namespace

const char* NameOf(FaultKind kind) {
  static const char* const names[kFaultKinds] = {"isolate one",
                                                 "isolate leader",
                                                 "split",
                                                 "one way",
                                                 "bridge",
                                                 "companion",
                                                 "chase leaders",
                                                 "forsake leader",
                                                 "flap",
                                                 "power cut",
                                                 "power cut of leader",
                                                 "power cut of all",
                                                 "kill",
                                                 "kill leader",
                                                 "kill all",
                                                 "stop",
                                                 "pause",
                                                 "pause leader",
                                                 "pause others",
                                                 "stall disk",
                                                 "stall leader's disk",
                                                 "stall all disks",
                                                 "sync error",
                                                 "jump wall",
                                                 "rot",
                                                 "forget promise"};
  return names[static_cast<size_t>(kind)];
}

FaultPlan DrawFaultPlan(uint64_t seed) {
  FaultPlan plan;
  plan.seed = seed;
  DrawSizes(plan);
  DrawGroup(plan);
  DrawOperations(plan);
  DrawNetwork(plan);
  DrawMachines(plan);
  DrawWorkload(plan);
  DrawFaults(plan);
  DrawScenario(plan);
  DrawScrub(plan);
  DrawCompression(plan);
  DrawApplying(plan);
  DrawFences(plan);
  DrawTails(plan);
  DrawLives(plan);
  DrawSlowDisks(plan);
  DrawCompactionByBytes(plan);
  DrawObservers(plan);
  DrawRescue(plan);
  AllowForDrift(plan);
  // A damaged disk has to stay in the minority.
  if (plan.damages()) plan.operations.least_voters = 3;
  return plan;
}

std::string ToString(const FaultPlan& plan) {
  std::string text = absl::StrCat(
      "seed ", plan.seed, ": ", plan.members, " members, ", plan.nodes.size() - plan.members,
      " that may join, ", plan.groups, " groups, state on disk every ", plan.durable_every, ", ",
      plan.memory_store
          ? "memory store"
          : absl::StrCat("blocks of ", plan.block_bytes, " in units of ", plan.unit_bytes),
      ", election timeout ", ToMilliseconds(plan.group.election_timeout), " ms, heartbeat ",
      ToMilliseconds(plan.group.heartbeat_interval), " ms", plan.group.lease ? ", lease" : "",
      plan.group.quiesce_after > 0 ? absl::StrCat(", rests after ", plan.group.quiesce_after) : "",
      plan.scrub.bytes_per_second > 0
          ? absl::StrCat(", scrub each ", ToMilliseconds(plan.scrub.period), " ms")
          : "",
      plan.compression_distance > 0 ? ", compressed" : "", "\n  network: delay ",
      plan.network.shortest_delay.nanoseconds / 1000, "..",
      plan.network.longest_delay.nanoseconds / 1000, " us, slow ", plan.network.slow, " up to ",
      ToMilliseconds(plan.network.slowest_delay), " ms, loss ", plan.network.loss, ", duplicates ",
      plan.network.duplicates, ", replays ", plan.network.replays,
      plan.network.ordered ? ", ordered" : ", not ordered", ", capacity ",
      plan.network.link_capacity, "\n  faults:");
  for (size_t i = 0; i < kFaultKinds; ++i) {
    if (plan.weights[i] == 0) continue;
    absl::StrAppend(&text, " ", NameOf(static_cast<FaultKind>(i)), " ", plan.weights[i], ",");
  }
  absl::StrAppend(
      &text, " every ", ToMilliseconds(plan.between_faults), " ms up to ",
      ToMilliseconds(plan.longest_fault), " ms, nested crashes ", plan.nested_crashes, ", for ",
      ToMilliseconds(plan.under_fire), " ms\n  workload: ", plan.workload.clients,
      " clients, reads ", plan.workload.reads, ", sessions ", plan.workload.sessions, ", window ",
      plan.workload.window, ", filling up to ", plan.workload.longest_filling,
      "\n  operator: changes ", plan.operations.changes, ", cancels ", plan.operations.cancels,
      ", transfers ", plan.operations.transfers, ", campaigns ", plan.operations.campaigns,
      ", step-downs ", plan.operations.step_downs, ", snapshots ", plan.operations.snapshots,
      ", one in up to ", ToMilliseconds(plan.operations.longest_think), " ms\n  applying: pauses ",
      plan.applying.pauses, " of up to ", ToMilliseconds(plan.applying.longest_pause),
      " ms, replays ", plan.applying.replays, ", fenced ", plan.workload.fenced, ", tails ",
      plan.tails.followers, " of ", plan.tails.max_bytes, " bytes\n");
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    if (plan.nodes[i].never_campaigns) absl::StrAppend(&text, "  n", i + 1, " never campaigns\n");
  }
  return text;
}

}  // namespace cairn::sim

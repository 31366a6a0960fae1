#include "tests/sim/sim_node.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/identity.h"
#include "tests/sim/log_disk_factory.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {
namespace {

constexpr char kDirectory[] = "/data";
constexpr char kToken[] = "simulation";
constexpr size_t kWrittenRanges = 64;
// An arbitrary day; the wall clocks of the machines are near it.
constexpr int64_t kWallStart = 1'700'000'000'000'000'000;

// Log lines of the product go into the trace.
class TraceLogSink final : public LogSink {
 public:
  TraceLogSink(EventLog& log, NodeId node) : log_(log), node_(node) {}
  void Log(LogLevel, absl::string_view message) override {
    log_.Add(node_, "log", {}, [&] { return std::string(message); });
  }

 private:
  EventLog& log_;
  NodeId node_;
};

}  // namespace

// What ends with the process. Members end in the reverse order: the host first.
struct SimNode::Process {
  Process(EventQueue& events, const SimClock& clock, uint64_t seed,
          const SchedulingOptions& options)
      : scheduler(events, clock, seed, options), disk_executor(scheduler.Make("disk")) {}

  NodeScheduler scheduler;
  std::unique_ptr<Executor> disk_executor;  // where syncs end
  std::unique_ptr<LogSink> log_sink;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<LogDisk> log_disk;
  std::unique_ptr<ObservedLogDisk> observed_disk;
  std::unique_ptr<Host> host;
  std::map<GroupId, Group> groups;
};

SimNode::SimNode(Surroundings surroundings, NodeId node)
    : surroundings_(std::move(surroundings)),
      world_(*surroundings_.world),
      node_(node),
      random_(SubSeed(surroundings_.plan->seed, "node", ToInteger(node))),
      disk_random_(SubSeed(surroundings_.plan->seed, "disk", ToInteger(node))) {
  file_system_ = std::make_unique<SimulatedFileSystem>(SimulatedFileSystem::Options{
      .schedule = [this](Task task) { ScheduleSync(std::move(task)); },
      .seed = random_.Next(),
  });
  file_system_->set_fault_hook([this](const FileAccess& access) { return OnAccess(access); });
  Boot();
}

SimNode::~SimNode() {
  if (running()) EndProcess();
}

const NodeOptions& SimNode::options() const {
  return surroundings_.plan->nodes[ToInteger(node_) - 1];
}

void SimNode::Boot() {
  SimClock::Options clock;
  clock.boot = Instant() + Seconds(static_cast<int64_t>(random_.Below(100'000)));
  clock.rate_per_mille = options().clock_rate_per_mille;
  Duration offset = Milliseconds(static_cast<int64_t>(random_.Below(2'000)));
  clock.wall = {kWallStart + (world_.events.now() - Instant()).nanoseconds + offset.nanoseconds};
  clock_ = std::make_unique<SimClock>(world_.events, clock);
}

void SimNode::Start() {
  if (running()) return;
  ++life_;
  halted_ = absl::OkStatus();
  power_gone_ = false;
  sync_failed_ = false;
  world_.counters.Count("process started");
  world_.log.Add(node_, "start", {life_});
  process_ = std::make_unique<Process>(world_.events, *clock_, random_.Next(),
                                       surroundings_.plan->scheduling);
  if (random_.Chance(surroundings_.plan->nested_crashes, 1000) && !healed_) {
    world_.counters.Count("power cut planned for a start");
    PowerCutAtAccess(1 + random_.Below(60), CrashPolicy::kRandomSubset);
  }
  absl::Status status = StartProcess();
  if (status.ok() || !running()) return;
  if (!power_gone_) Stopped(sync_failed_ ? NodeState::kFenced : NodeState::kHalted, status);
}

absl::Status SimNode::StartProcess() {
  uint64_t incarnation = random_.Next() | 1;
  NodeIdentity wanted;
  wanted.cluster = MakeClusterId(surroundings_.members, kToken);
  wanted.node = node_;
  wanted.incarnation = static_cast<Incarnation>(incarnation);
  wanted.initial_members = surroundings_.members;
  wanted.log_store = surroundings_.plan->memory_store ? "memory" : "block";
  bool formatted = false;
  absl::StatusOr<NodeIdentity> identity =
      LoadOrCreateIdentity(*file_system_, kDirectory, wanted, &formatted);
  if (!identity.ok()) return identity.status();
  absl::StatusOr<std::unique_ptr<LogDisk>> disk =
      OpenLogDisk(*surroundings_.plan, *file_system_, kDirectory, *identity);
  if (!disk.ok()) return disk.status();
  process_->log_disk = *std::move(disk);
  LogObserver& observer = *this;
  process_->observed_disk = std::make_unique<ObservedLogDisk>(*process_->log_disk, observer);
  process_->transport = surroundings_.network->MakeTransport(node_);
  process_->log_sink = std::make_unique<TraceLogSink>(world_.log, node_);
  return OpenGroups(*identity);
}

HostDependencies SimNode::MakeDependencies() {
  HostDependencies dependencies;
  dependencies.clock = clock_.get();
  dependencies.file_system = file_system_.get();
  dependencies.data_directory = kDirectory;
  dependencies.log_disk = process_->observed_disk.get();
  dependencies.transport = process_->transport.get();
  bool apply_on_runner = surroundings_.plan->apply_on_runner;
  dependencies.make_executor = [this, apply_on_runner](const std::string& name) {
    bool none = apply_on_runner && name == "applier";
    return none ? nullptr : process_->scheduler.Make(name);
  };
  dependencies.seed = random_.Next();
  dependencies.hello_interval = surroundings_.plan->group.election_timeout / 10;
  dependencies.hello_backoff = surroundings_.plan->group.election_timeout;
  dependencies.log = process_->log_sink.get();
  dependencies.stopped = [this, life = life_](NodeState state, absl::Status why) {
    if (life == life_ && running() && !power_gone_) Stopped(state, why);
  };
  return dependencies;
}

absl::Status SimNode::OpenGroups(const NodeIdentity& identity) {
  absl::StatusOr<std::unique_ptr<Host>> host = Host::Start(identity, MakeDependencies());
  if (!host.ok()) return host.status();
  process_->host = *std::move(host);
  for (auto& [group, referee] : *surroundings_.referees) {
    GroupOptions group_options = surroundings_.plan->group;
    group_options.priority = options().priority;
    auto machine = std::make_unique<ListMachine>(referee->MachineObserver(node_));
    absl::StatusOr<Group> opened =
        process_->host->Open(group, std::move(machine), std::move(group_options));
    if (!opened.ok()) return opened.status();
    process_->groups.emplace(group, *std::move(opened));
  }
  return absl::OkStatus();
}

void SimNode::Stopped(NodeState state, const absl::Status& why) {
  world_.log.Add(node_, "stopped", {static_cast<uint64_t>(state)},
                 [&] { return absl::StrCat(NameOf(state), ": ", why.ToString()); });
  bool halted = state == NodeState::kHalted;
  world_.counters.Count(halted ? "node halted" : "node fenced");
  if (halted && !rotten_) {
    world_.violations.Report("nothing but damage halts a node",
                             absl::StrCat("n", ToInteger(node_), ": ", why.ToString()));
  }
  if (!halted && !sync_failed_) {
    world_.violations.Report("nothing but a failed disk fences a node",
                             absl::StrCat("n", ToInteger(node_), ": ", why.ToString()));
  }
  if (halted) halted_ = why;
  // The program answers health checks for a while, then exits.
  Duration grace = surroundings_.plan->group.election_timeout;
  world_.events.After(Nanoseconds(static_cast<int64_t>(
                          random_.Below(static_cast<uint64_t>(grace.nanoseconds) + 1))),
                      [this, life = life_] {
                        if (life == life_ && running()) Kill();
                      });
}

void SimNode::EndProcess() {
  process_->scheduler.Kill();
  surroundings_.network->CutOff(node_);
  for (auto& [group, referee] : *surroundings_.referees) referee->ProcessEnded(node_);
  std::unique_ptr<Process> process = std::move(process_);  // so that running() is false already
  process->groups.clear();
  process->host.reset();
}

void SimNode::PowerCut(CrashPolicy policy) {
  world_.counters.Count(absl::StrCat("power cut, policy ", static_cast<int>(policy)));
  world_.log.Add(node_, "power cut", {static_cast<uint64_t>(policy)});
  accesses_to_power_cut_ = 0;
  power_gone_ = true;
  file_system_->Crash(policy, random_);
  if (running()) EndProcess();
  power_gone_ = false;
  written_.clear();
  fail_next_sync_ = false;
  Boot();
}

void SimNode::PowerCutAtAccess(uint64_t accesses, CrashPolicy policy) {
  accesses_to_power_cut_ = accesses;
  crash_policy_ = policy;
}

void SimNode::Kill() {
  world_.counters.Count("process killed");
  world_.log.Add(node_, "kill");
  accesses_to_power_cut_ = 0;
  file_system_->RestartProcess();
  if (running()) EndProcess();
  fail_next_sync_ = false;
}

void SimNode::Shutdown() {
  world_.counters.Count("process shut down");
  world_.log.Add(node_, "shut down");
  if (!running()) return;
  if (process_->host != nullptr) process_->host->Shutdown(clock_->Now());
  Kill();
}

Group* SimNode::group(GroupId group) {
  if (!running()) return nullptr;
  auto found = process_->groups.find(group);
  return found == process_->groups.end() ? nullptr : &found->second;
}

void SimNode::PauseUntil(Instant until) {
  if (running()) process_->scheduler.PauseUntil(until);
}

void SimNode::Heal() {
  healed_ = true;
  stalled_until_ = world_.events.now();
  fail_next_sync_ = false;
  accesses_to_power_cut_ = 0;
}

FileFault SimNode::OnAccess(const FileAccess& access) {
  FileFault gone = {.error = EIO, .reached = FileFault::Reached::kNothing};
  if (power_gone_) return gone;
  if (accesses_to_power_cut_ > 0 && --accesses_to_power_cut_ == 0) {
    power_gone_ = true;
    world_.counters.Count("power cut at a disk access");
    world_.events.After(Duration(), [this, life = life_] {
      if (life == life_ && power_gone_) PowerCut(crash_policy_);
    });
    return gone;
  }
  if (access.operation == FileAccess::Operation::kWrite) {
    written_.push_back({access.path, access.offset, access.length, false});
    if (written_.size() > kWrittenRanges) written_.pop_front();
  } else if (access.operation == FileAccess::Operation::kSync) {
    if (fail_next_sync_ && !healed_) {
      fail_next_sync_ = false;
      sync_failed_ = true;
      world_.counters.Count("sync failed");
      return {.error = EIO, .reached = FileFault::Reached::kSome};
    }
    for (WrittenRange& range : written_) range.synced |= range.path == access.path;
  }
  return {};
}

void SimNode::ScheduleSync(Task task) {
  const DiskOptions& disk = options().disk;
  bool slow = !healed_ && disk_random_.Chance(disk.slow, 1000);
  Duration longest = slow ? disk.slowest_sync : disk.longest_sync;
  int64_t spread = std::max<int64_t>((longest - disk.shortest_sync).nanoseconds, 1);
  uint64_t drawn = disk_random_.Below(static_cast<uint64_t>(spread));
  Duration latency = disk.shortest_sync + Nanoseconds(static_cast<int64_t>(drawn));
  Instant end = std::max(world_.events.now(), stalled_until_) + latency;
  std::unique_ptr<Executor>& executor = process_->disk_executor;
  executor->PostAt(clock_->Now() + (end - world_.events.now()), std::move(task));
}

bool SimNode::Rot() {
  std::vector<const WrittenRange*> synced;
  for (const WrittenRange& range : written_) {
    if (range.synced && range.length > 0) synced.push_back(&range);
  }
  if (synced.empty()) return false;
  // Mostly the end of the log, where a torn write would be.
  size_t from_end = random_.Below(std::min<size_t>(synced.size(), random_.OneIn(2) ? 4 : 64));
  const WrittenRange& range = *synced[synced.size() - 1 - from_end];
  absl::StatusOr<bool> there = file_system_->Exists(range.path);
  if (!there.ok() || !*there) return false;
  uint64_t offset = range.offset + random_.Below(range.length);
  uint8_t mask = static_cast<uint8_t>(1 << random_.Below(8));
  file_system_->FlipBits(range.path, offset, mask);
  rotten_ = true;
  world_.counters.Count("bit turned over");
  world_.log.Add(node_, "rot", {offset, mask}, [&] {
    return absl::StrCat(range.path, " at ", offset, " mask ", mask, " in a write of ", range.length,
                        " at ", range.offset);
  });
  return true;
}

absl::StatusOr<LogImage> SimNode::RecoverWorstCase(GroupId group) const {
  std::unique_ptr<SimulatedFileSystem> image = file_system_->WorstCaseImage();
  absl::StatusOr<NodeIdentity> identity = LoadIdentity(*image, kDirectory);
  if (!identity.ok()) return identity.status();
  absl::StatusOr<std::unique_ptr<LogDisk>> disk =
      OpenLogDisk(*surroundings_.plan, *image, kDirectory, *identity);
  if (!disk.ok()) return disk.status();
  absl::StatusOr<OpenedLog> opened = (*disk)->OpenGroup(group);
  if (!opened.ok()) return opened.status();
  return ImageOf(*opened);
}

void SimNode::ShowStatus() {
  if (!running()) return;
  for (const auto& [group, handle] : process_->groups) referee(group).Shown(node_, handle.Status());
}

void SimNode::OnOpened(GroupId group, const OpenedLog& opened) {
  referee(group).LogOpened(node_, opened, rotten_);
}

void SimNode::OnAppended(GroupId group, LogChange change) {
  referee(group).LogAppended(node_, std::move(change));
}

void SimNode::OnSynced(GroupId group, uint64_t appended) {
  referee(group).LogSynced(node_, appended);
}

}  // namespace cairn::sim

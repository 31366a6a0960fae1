#include "tests/sim/sim_node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "raft/identity.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {
namespace {

constexpr char kToken[] = "simulation";
// An arbitrary day; the wall clocks of the machines are near it.
constexpr int64_t kWallStart = 1'700'000'000'000'000'000;

// What the product says to people goes into the trace, and some of it is counted.
class ProductTrace final : public LogSink, public TraceSink {
 public:
  ProductTrace(EventLog& log, Counters& counters, NodeId node)
      : log_(log), counters_(counters), node_(node) {}
  void Log(LogLevel, absl::string_view message) override {
    if (absl::StrContains(message, "does not answer")) {
      counters_.Count("group woken by a silent host");
    }
    if (absl::StrContains(message, "has started again")) {
      counters_.Count("group woken by a host that started again");
    }
    if (absl::StrContains(message, "the log's disk is slow")) {
      counters_.Count("leader with a slow disk handed over");
    }
    log_.Add(node_, "log", {}, [&] { return std::string(message); });
  }
  void Trace(Instant, NodeId, absl::string_view decision) override {
    log_.Print(node_, "decide", decision);
  }

 private:
  EventLog& log_;
  Counters& counters_;
  NodeId node_;
};

}  // namespace

// What ends with the process. Members end in the reverse order: the host first.
struct SimNode::Process {
  Process(EventQueue& events, const SimClock& clock, uint64_t seed,
          const SchedulingOptions& options)
      : scheduler(events, clock, seed, options),
        disk_executor(scheduler.Make("disk")),
        background(scheduler.Make("background")) {}

  NodeScheduler scheduler;
  std::unique_ptr<Executor> disk_executor;  // where syncs end
  std::unique_ptr<Executor> background;
  std::unique_ptr<ProductTrace> trace;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<LogDisk> log_disk;
  std::unique_ptr<ObservedLogDisk> observed_disk;
  std::unique_ptr<Host> host;
  std::map<GroupId, Group> groups;
  std::map<GroupId, int> leaving;  // closed or deleted, which is not done yet
};

bool HasLeft(const Referees& referees, NodeId node) {
  bool removed = false;
  for (const auto& [group, referee] : referees) {
    const MembershipChecker& members = referee->membership();
    if (members.EverMember(node) && !members.WasRemoved(node)) return false;
    removed |= members.WasRemoved(node);
  }
  return removed;
}

SimNode::SimNode(Surroundings surroundings, NodeId node)
    : surroundings_(std::move(surroundings)),
      world_(*surroundings_.world),
      node_(node),
      random_(SubSeed(surroundings_.plan->seed, "node", ToInteger(node))),
      disk_(world_, *surroundings_.plan, node),
      present_(surroundings_.members.IsMember(node)) {
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

void SimNode::Join(const Configuration& members) {
  joined_to_.voters = members.voters;
  joined_to_.learners = members.learners;
  present_ = true;
  Start();
}

void SimNode::Retire() {
  present_ = false;
  retired_ = true;
  world_.log.Add(node_, "taken away");
  if (running()) Kill();
}

void SimNode::Return() {
  present_ = true;
  returned_.back = true;
  world_.log.Add(node_, "comes back");
  Start();
}

void SimNode::Start() {
  if (running() || !present_) return;
  ++life_;
  halted_ = absl::OkStatus();
  exiting_ = false;
  world_.counters.Count("process started");
  world_.log.Add(node_, "start", {life_});
  process_ = std::make_unique<Process>(world_.events, *clock_, random_.Next(),
                                       surroundings_.plan->scheduling);
  disk_.RunOn(process_->disk_executor.get(), process_->background.get(), clock_.get());
  if (random_.Chance(surroundings_.plan->nested_crashes, 1000) && !healed_) {
    world_.counters.Count("power cut planned for a start");
    PowerCutAtAccess(1 + random_.Below(60), CrashPolicy::kRandomSubset);
  }
  absl::Status status = StartProcess();
  if (status.ok() || !running()) return;
  if (!disk_.power_gone()) {
    Stopped(GroupId::kNone, disk_.sync_failed() ? NodeState::kFenced : NodeState::kHalted, status);
  }
}

absl::Status SimNode::StartProcess() {
  uint64_t incarnation = random_.Next() | 1;
  NodeIdentity wanted;
  wanted.cluster = MakeClusterId(surroundings_.members, kToken);
  wanted.node = node_;
  wanted.incarnation = static_cast<Incarnation>(incarnation);
  wanted.initial_members = surroundings_.members;
  if (!joined_to_.voters.empty()) {
    wanted.initial_members = joined_to_;
    wanted.formed = true;
  }
  wanted.log_store = surroundings_.plan->memory_store ? "memory" : "block";
  absl::Status made = disk_.file_system().MakeDirectory(SimDisk::kDirectory);
  if (!made.ok()) return made;
  bool formatted = false;
  absl::StatusOr<NodeIdentity> identity =
      LoadOrCreateIdentity(disk_.file_system(), SimDisk::kDirectory, wanted, &formatted);
  if (!identity.ok()) return identity.status();
  incarnation_ = identity->incarnation;
  absl::StatusOr<std::unique_ptr<LogDisk>> log = disk_.OpenLog(*identity);
  if (!log.ok()) return log.status();
  process_->log_disk = *std::move(log);
  LogObserver& observer = *this;
  process_->observed_disk = std::make_unique<ObservedLogDisk>(*process_->log_disk, observer);
  process_->transport = surroundings_.network->MakeTransport(node_);
  process_->trace = std::make_unique<ProductTrace>(world_.log, world_.counters, node_);
  return StartHost(*identity);
}

HostDependencies SimNode::MakeDependencies() {
  HostDependencies dependencies;
  dependencies.clock = clock_.get();
  dependencies.file_system = &disk_.file_system();
  dependencies.data_directory = SimDisk::kDirectory;
  dependencies.log_disk = process_->observed_disk.get();
  dependencies.transport = process_->transport.get();
  bool apply_on_runner = surroundings_.plan->apply_on_runner;
  dependencies.make_executor = [this, apply_on_runner](const std::string& name) {
    bool none = apply_on_runner && name == "applier";
    return none ? nullptr : process_->scheduler.Make(name);
  };
  dependencies.scrub = surroundings_.plan->scrub;
  dependencies.seed = random_.Next();
  dependencies.hello_interval = surroundings_.plan->group.election_timeout / 10;
  dependencies.hello_backoff = surroundings_.plan->group.election_timeout;
  dependencies.log = process_->trace.get();
  // Decisions are text from the start, so they are made for people only and left out of the hash.
  if (world_.log.tracing()) dependencies.trace = process_->trace.get();
  dependencies.stopped = [this, life = life_](GroupId group, NodeState state,
                                              const absl::Status& why) {
    if (life == life_ && running() && !disk_.power_gone()) Stopped(group, state, why);
  };
  return dependencies;
}

absl::Status SimNode::StartHost(const NodeIdentity& identity) {
  absl::StatusOr<std::unique_ptr<Host>> host = Host::Start(identity, MakeDependencies());
  if (!host.ok()) return host.status();
  process_->host = *std::move(host);
  surroundings_.network->SetHost(node_, process_->host.get());
  for (auto& [group, referee] : *surroundings_.referees) {
    if (deleted_.contains(group)) {
      // Whole or gone, or on its way out: then nothing is opened.
      if (!told_deleted_.contains(group)) {
        world_.events.After(Duration{}, [this, group = group, life = life_] {
          if (life == life_) OpenHalfDeleted(group);
        });
      }
      continue;
    }
    if (referee->resets().MayBeGone(node_)) {
      OpenLater(group, Duration{});
      continue;
    }
    if (absl::Status opened = OpenGroup(group); !opened.ok()) return opened;
  }
  return absl::OkStatus();
}

absl::Status SimNode::OpenGroup(GroupId group) {
  GroupOptions group_options = surroundings_.plan->group;
  group_options.priority = options().priority;
  group_options.never_campaigns = options().never_campaigns;
  auto machine = std::make_unique<ListMachine>(referee(group).MachineObserver(node_),
                                               surroundings_.plan->durable_every);
  absl::StatusOr<Group> opened =
      process_->host->Open(group, std::move(machine), std::move(group_options));
  if (!opened.ok()) return opened.status();
  const Incarnation incarnation = opened->Status().incarnation;
  process_->groups.emplace(group, *std::move(opened));
  referee(group).Opened(node_, incarnation, incarnation_);
  return absl::OkStatus();
}

void SimNode::CheckStop(GroupId group, NodeState state, const absl::Status& why) {
  const bool halted = state == NodeState::kHalted;
  if (returned_.back && !disk_.sync_failed()) {
    const bool removed = halted && absl::StartsWith(why.message(), "MEMBER_REMOVED");
    if (removed || !halted) {
      ++returned_.told_off;
      return world_.counters.Count(removed ? "lost member came back and was removed"
                                           : "lost member came back with another history");
    }
  }
  if (halted && absl::StartsWith(why.message(), "MEMBER_REMOVED")) {
    world_.counters.Count("node learned that it was removed");
    if (referee(group).membership().WasRemoved(node_)) return;
    return world_.violations.Report(
        "I16 membership safety",
        absl::StrCat("n", ToInteger(node_), " leaves group ", ToInteger(group),
                     ", and was not removed: ", why.ToString()));
  }
  world_.counters.Count(halted ? "node halted" : "node fenced");
  if (halted && !disk_.rotten()) {
    world_.violations.Report("nothing but damage halts a node",
                             absl::StrCat("n", ToInteger(node_), ": ", why.ToString()));
  }
  if (!halted && !disk_.sync_failed()) {
    world_.violations.Report("nothing but a failed disk fences a node",
                             absl::StrCat("n", ToInteger(node_), ": ", why.ToString()));
  }
}

void SimNode::Stopped(GroupId group, NodeState state, const absl::Status& why) {
  world_.log.Add(node_, "stopped", {static_cast<uint64_t>(state), ToInteger(group)}, [&] {
    return absl::StrCat("group ", ToInteger(group), " ", NameOf(state), ": ", why.ToString());
  });
  if (exiting_) return;  // a failed disk ends the host, and each of its groups
  const bool halted = state == NodeState::kHalted;
  CheckStop(group, state, why);
  // Who is removed from one group serves the others.
  const bool removed = absl::StartsWith(why.message(), "MEMBER_REMOVED");
  if (halted && removed && !HasLeft(*surroundings_.referees, node_)) {
    world_.counters.Count("node left one group and stayed in another");
    return;
  }
  exiting_ = true;
  if (halted) halted_ = why;
  ExitSoon(halted);
}

// The program answers health checks for a while, then exits.
void SimNode::ExitSoon(bool for_good) {
  Duration grace = surroundings_.plan->group.election_timeout;
  world_.events.After(Nanoseconds(static_cast<int64_t>(
                          random_.Below(static_cast<uint64_t>(grace.nanoseconds) + 1))),
                      [this, life = life_, for_good] {
                        if (life != life_ || !running()) return;
                        Kill();
                        // No injector is left to start it again; a disk whose sync failed is fine.
                        if (healed_ && !for_good) Start();
                      });
}

void SimNode::EndProcess() {
  process_->scheduler.Kill();
  surroundings_.network->CutOff(node_);
  for (auto& [group, referee] : *surroundings_.referees) referee->ProcessEnded(node_);
  disk_.RunOn(nullptr, nullptr, nullptr);
  std::unique_ptr<Process> process = std::move(process_);  // so that running() is false already
  process->groups.clear();
  process->host.reset();
}

void SimNode::PowerCut(CrashPolicy policy) {
  world_.counters.Count(absl::StrCat("power cut, policy ", static_cast<int>(policy)));
  world_.log.Add(node_, "power cut", {static_cast<uint64_t>(policy)});
  disk_.Crash(policy);
  if (running()) EndProcess();
  Boot();
}

void SimNode::PowerCutAtAccess(uint64_t accesses, CrashPolicy policy) {
  disk_.CutPowerAtAccess(accesses, [this, policy] {
    PowerCut(policy);
    // Nobody else knows that it is to come back.
    const auto longest = static_cast<uint64_t>(surroundings_.plan->longest_fault.nanoseconds) + 1;
    world_.events.After(Nanoseconds(static_cast<int64_t>(random_.Below(longest))),
                        [this, life = life_] {
                          if (life == life_) Start();
                        });
  });
}

void SimNode::Kill() {
  world_.counters.Count("process killed");
  world_.log.Add(node_, "kill");
  disk_.RestartProcess();
  if (running()) EndProcess();
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

void SimNode::CloseGroup(GroupId group, Instant deadline, Host::LifeDone done) {
  world_.log.Add(node_, "close", {ToInteger(group)});
  process_->host->Close(group, deadline, Leaving(group, std::move(done)));
}

void SimNode::DeleteGroup(GroupId group, Instant deadline, Host::LifeDone done) {
  world_.log.Add(node_, "delete", {ToInteger(group)});
  deleted_.insert(group);
  process_->host->Delete(group, deadline, Leaving(group, std::move(done)));
}

// While nobody knows whether it will be, the group is open.
void SimNode::ResetGroup(GroupId group, Host::LifeDone done) {
  world_.log.Add(node_, "reset", {ToInteger(group)});
  ++process_->leaving[group];
  process_->host->Reset(group, [this, group, life = life_,
                                done = std::move(done)](const absl::Status& status) mutable {
    if (life == life_ && running()) {
      --process_->leaving[group];
      if (status.ok()) process_->groups.erase(group);
    }
    done(status);
  });
}

Host::LifeDone SimNode::Leaving(GroupId group, Host::LifeDone done) {
  process_->groups.erase(group);
  ++process_->leaving[group];
  return [this, group, life = life_, done = std::move(done)](const absl::Status& status) mutable {
    if (life == life_ && running()) --process_->leaving[group];
    done(status);
  };
}

bool SimNode::MayOpen(GroupId group) {
  return running() && process_->host != nullptr && !disk_.power_gone() &&
         !process_->groups.contains(group) && process_->leaving[group] == 0;
}

void SimNode::OpenClosed(GroupId group) {
  if (!deleted_.contains(group)) OpenAgain(group);
}

void SimNode::OpenDeleted(GroupId group) {
  world_.counters.Count("deleted group opened again");
  OpenAgain(group);
}

void SimNode::OpenAgain(GroupId group) {
  if (!MayOpen(group)) return;
  world_.log.Add(node_, "open", {ToInteger(group)});
  const absl::Status status = OpenGroup(group);
  if (status.ok() || !running() || disk_.power_gone()) return;
  // What is left of a reset that a power cut has ended is still being removed.
  if (absl::IsFailedPrecondition(status) && referee(group).resets().MayBeGone(node_)) {
    return OpenLater(group, surroundings_.plan->group.heartbeat_interval);
  }
  Stopped(group, disk_.sync_failed() ? NodeState::kFenced : NodeState::kHalted, status);
}

void SimNode::OpenLater(GroupId group, Duration wait) {
  world_.events.After(wait, [this, group, life = life_] {
    if (life == life_) OpenAgain(group);
  });
}

void SimNode::OpenHalfDeleted(GroupId group) {
  if (!MayOpen(group) || told_deleted_.contains(group)) return;
  world_.log.Add(node_, "open", {ToInteger(group)});
  const absl::Status status = OpenGroup(group);
  world_.counters.Count(status.ok() ? "half deleted group opened"
                                    : "half deleted group not opened");
}

void SimNode::OpenAllClosed() {
  for (auto& [group, referee] : *surroundings_.referees) OpenClosed(group);
}

void SimNode::GroupDeleted(GroupId group) {
  told_deleted_.insert(group);
  referee(group).Deleted(node_);
  if (disk_.power_gone()) return;
  disk_.Observe([&] {
    const absl::StatusOr<LogImage> image = disk_.RecoverWorstCase(group);
    const std::string number = absl::StrCat(ToInteger(group));
    std::string left;
    if (!image.ok()) left = image.status().ToString();
    if (image.ok() && (image->last() > 0 || image->hard_state() != HardState())) {
      left = absl::StrCat("its log up to ", image->last());
    }
    for (const std::string& path :
         {absl::StrCat("/snapshots/", number), absl::StrCat("/groups/", number, "/machine")}) {
      const auto there = disk_.file_system().Exists(SimDisk::kDirectory + path);
      if (there.ok() && *there) absl::StrAppend(&left, " ", path);
    }
    if (left.empty()) return;
    world_.violations.Report("a deleted group is gone",
                             absl::StrCat("g", number, ", n", ToInteger(node_), ": ", left));
  });
}

std::optional<ScrubProgress> SimNode::scrub() const {
  if (!running() || process_->host == nullptr) return std::nullopt;
  const std::optional<ScrubStatus> status = process_->host->Scrub();
  return status ? std::optional(status->progress) : std::nullopt;
}

void SimNode::PauseUntil(Instant until) {
  if (running()) process_->scheduler.PauseUntil(until);
}

void SimNode::Heal() {
  healed_ = true;
  disk_.Heal();
  if (running()) process_->scheduler.Resume();
}

void SimNode::ShowStatus() {
  if (!running()) return;
  const bool with_files = ++shown_ % 16 == 0 && !disk_.power_gone();
  for (const auto& [group, handle] : process_->groups) {
    referee(group).Shown(node_, handle.Status());
    BoundsChecker& bounds = referee(group).bounds();
    bounds.Waiting(node_, process_->scheduler.waiting());
    if (!with_files) continue;
    absl::StatusOr<std::vector<std::string>> names = absl::UnknownError("not read");
    disk_.Observe([&] {
      names = disk_.file_system().List(
          absl::StrCat(SimDisk::kDirectory, "/snapshots/", ToInteger(group)));
    });
    if (names.ok()) bounds.SnapshotFiles(node_, *names);
  }
}

void SimNode::OnOpened(GroupId group, const OpenedLog& opened) {
  // The power went in the middle of this very call: what the code does now, nobody sees.
  if (disk_.power_gone()) return;
  disk_.Observe([&] { referee(group).LogOpened(node_, opened, disk_.rotten()); });
}

void SimNode::OnAppended(GroupId group, LogChange change) {
  referee(group).LogAppended(node_, std::move(change));
}

void SimNode::OnSynced(GroupId group, uint64_t appended) {
  referee(group).LogSynced(node_, appended);
}

}  // namespace cairn::sim

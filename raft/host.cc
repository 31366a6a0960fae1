#include "raft/host.h"

#include <atomic>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/mutex.h"
#include "base/random.h"
#include "raft/core/configuration.h"
#include "raft/formation.h"
#include "raft/group_runner.h"
#include "raft/lifecycle/graveyard.h"
#include "raft/liveness/group_upkeep.h"
#include "raft/log_writer.h"
#include "raft/sender_check.h"
#include "raft/snapshots/byte_budget.h"

namespace cairn {
namespace {

// Hellos and host heartbeats that wait for the runner; more are lost.
constexpr int kMaxWaiting = 256;

class HostImpl final : public Host {
 public:
  HostImpl(const NodeIdentity& identity, HostDependencies dependencies);
  ~HostImpl() override { Shutdown(Instant{}); }

  absl::Status Begin();
  absl::StatusOr<Group> Open(GroupId group, std::unique_ptr<StateMachine> state_machine,
                             GroupOptions options) override;
  absl::Status Vet(const Envelope& envelope) override {
    std::shared_ptr<GroupRunner> group = Find(envelope.group);
    return group == nullptr ? absl::OkStatus() : group->Vet(envelope);
  }
  void Close(GroupId group, Instant deadline, LifeDone done) override {
    Leave(group, deadline, /*remove=*/false, std::move(done));
  }
  void Delete(GroupId group, Instant deadline, LifeDone done) override {
    Leave(group, deadline, /*remove=*/true, std::move(done));
  }
  void Reset(GroupId group, LifeDone done) override;
  void Shutdown(Instant deadline) override;

 private:
  // Whether the groups may take part.
  struct Standing {
    enum class Cluster { kForming, kFormed, kRefused };
    Cluster cluster = Cluster::kForming;
    Configuration members;                 // formed
    NodeState state = NodeState::kHalted;  // refused
    absl::Status refusal;                  // refused
  };
  using Cluster = Standing::Cluster;
  // A group on its way out; not open, and not to be opened.
  struct Leaving {
    std::shared_ptr<GroupRunner> runner;  // null: it was not open, or has ended
    LifeDone done;
  };

  // From the transport.
  void Receive(Envelope envelope);
  void ReceiveOfNode(Envelope envelope);
  void PeerLost(NodeId peer);
  void Send(NodeId to, GroupId group, EnvelopeBody body);
  std::shared_ptr<GroupRunner> Find(GroupId group);

  // The cluster forms; on the runner's sequence.
  void TakeHello(const Envelope& envelope);
  void DriveFormation(Instant now);
  void Formed();
  void RefuseToTakePart(NodeState state, const absl::Status& status);

  // Groups come and go.
  absl::Status FinishRemovals();
  absl::StatusOr<LocalIdentity> IdentityIn(GroupId group) const;
  void Leave(GroupId group, Instant deadline, bool remove, LifeDone done);
  void Left(GroupId group, const absl::Status& status);

  void Stopped(NodeState state, const absl::Status& status);

  HostDependencies dependencies_;
  const LocalIdentity self_;
  std::unique_ptr<Executor> runner_;
  std::unique_ptr<Executor> writer_executor_;
  std::vector<std::unique_ptr<Executor>> appliers_;  // may be null
  std::unique_ptr<Executor> reader_;                 // may be null
  std::unique_ptr<Executor> snapshots_;              // may be null
  ByteBudget snapshot_budget_;
  std::unique_ptr<LogWriter> log_writer_;
  std::unique_ptr<Graveyard> graveyard_;
  std::unique_ptr<GroupUpkeep> upkeep_;
  std::atomic<int> waiting_ = 0;  // envelopes of nodes, for the runner

  // On the runner's sequence.
  NodeIdentity identity_;
  std::unique_ptr<Formation> formation_;
  Instant formation_wakeup_ = kDistantFuture;

  Mutex opening_;  // one group at a time; taken before mutex_
  Mutex mutex_;
  Standing standing_ CAIRN_GUARDED_BY(mutex_);
  std::map<GroupId, std::shared_ptr<GroupRunner>> groups_ CAIRN_GUARDED_BY(mutex_);
  std::map<GroupId, Leaving> leaving_ CAIRN_GUARDED_BY(mutex_);
  struct Ending {
    bool stopping = false;      // Shutdown was called
    bool told_stopped = false;  // HostDependencies::stopped was
  };
  Ending ending_ CAIRN_GUARDED_BY(mutex_);
};

HostImpl::HostImpl(const NodeIdentity& identity, HostDependencies dependencies)
    : dependencies_(std::move(dependencies)),
      self_{identity.cluster, identity.node, identity.incarnation},
      runner_(dependencies_.make_executor("runner")),
      writer_executor_(dependencies_.make_executor("log-writer")),
      reader_(dependencies_.make_executor("reader")),
      snapshots_(dependencies_.make_executor("snapshots")),
      snapshot_budget_(dependencies_.snapshot_bytes_per_second),
      log_writer_(std::make_unique<LogWriter>(dependencies_.log_disk, writer_executor_.get())),
      graveyard_(std::make_unique<Graveyard>(Graveyard::Parts{
          dependencies_.file_system, dependencies_.data_directory, dependencies_.log_disk,
          log_writer_.get(), snapshots_ == nullptr ? runner_.get() : snapshots_.get(),
          dependencies_.clock, dependencies_.seed})),
      identity_(identity) {
  for (size_t i = 0; i < dependencies_.appliers; ++i) {
    appliers_.push_back(dependencies_.make_executor("applier"));
  }
  if (dependencies_.log == nullptr) dependencies_.log = &NullLogSink();
  GroupUpkeep::Parts parts;
  parts.clock = dependencies_.clock;
  parts.runner = runner_.get();
  parts.transport = dependencies_.transport;
  parts.log = dependencies_.log;
  parts.due = [this](GroupId id, Instant when) {
    if (std::shared_ptr<GroupRunner> group = Find(id)) group->TimerDue(when);
  };
  parts.lost = [this](GroupId id, const HostLost& lost) {
    if (std::shared_ptr<GroupRunner> group = Find(id)) group->TellHostLost(lost);
  };
  parts.send = [this](NodeId to, const HostHeartbeat& heartbeat) {
    Send(to, GroupId::kNone, heartbeat);
  };
  upkeep_ = std::make_unique<GroupUpkeep>(std::move(parts), Random(dependencies_.seed).Next());
}

absl::Status HostImpl::Begin() {
  if (absl::Status status = FinishRemovals(); !status.ok()) return status;
  for (const Member& member : identity_.initial_members.voters) {
    if (member.node != self_.node) dependencies_.transport->SetPeer(member.node, member.address);
  }
  if (identity_.formed) {
    MutexLock lock(mutex_);
    standing_.cluster = Cluster::kFormed;
    if (!identity_.joined()) standing_.members = identity_.initial_members;
  }
  // The transport may call before Start returns, and a Hello needs the formation.
  runner_->Post([this] {
    Formation::Options options{dependencies_.hello_interval, dependencies_.hello_backoff,
                               Random(dependencies_.seed).Next()};
    if (identity_.joined()) return;  // the cluster has formed without it
    Instant now = dependencies_.clock->Now();
    formation_ = std::make_unique<Formation>(identity_, options, now);
    DriveFormation(now);
  });
  dependencies_.transport->Start({[this](Envelope envelope) { Receive(std::move(envelope)); },
                                  [this](NodeId peer) { PeerLost(peer); }});
  return absl::OkStatus();
}

// Groups ------------------------------------------------------------------------------------------

absl::Status CheckOptions(const GroupOptions& options) {
  if (options.max_command_bytes > kMaxPayloadBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_command_bytes is ", options.max_command_bytes, ", at most ", kMaxPayloadBytes));
  }
  if (options.max_sessions == 0) return absl::InvalidArgumentError("max_sessions is 0");
  RaftOptions raft;
  raft.node = NodeId{1};
  raft.election_timeout = options.election_timeout;
  raft.heartbeat_interval = options.heartbeat_interval;
  raft.commit_notice_delay = options.commit_notice_delay;
  raft.priority = options.priority;
  raft.max_clock_drift_per_mille = options.max_clock_drift_per_mille;
  raft.slow_disk_timeout = options.slow_disk_timeout;
  raft.never_campaigns = options.never_campaigns;
  return Validate(raft);
}

absl::StatusOr<Group> HostImpl::Open(GroupId group, std::unique_ptr<StateMachine> state_machine,
                                     GroupOptions options) {
  if (group == GroupId::kNone) return absl::InvalidArgumentError("group 0");
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  MutexLock one_at_a_time(opening_);
  {
    MutexLock lock(mutex_);
    if (ending_.stopping) return absl::UnavailableError("the host is stopping");
    if (groups_.contains(group)) {
      return absl::AlreadyExistsError(absl::StrCat("group ", ToInteger(group), " is open"));
    }
    if (leaving_.contains(group)) {
      return absl::FailedPreconditionError(
          absl::StrCat("group ", ToInteger(group), " is being closed or deleted"));
    }
  }
  absl::StatusOr<LocalIdentity> self = IdentityIn(group);
  if (!self.ok()) return self.status();
  GroupRunnerSettings settings{*self, group, options,
                               Random(dependencies_.seed ^ ToInteger(group)).Next()};
  GroupRunnerDependencies parts;
  parts.clock = dependencies_.clock;
  parts.transport = dependencies_.transport;
  parts.log_disk = dependencies_.log_disk;
  parts.log_writer = log_writer_.get();
  parts.runner = runner_.get();
  parts.upkeep = upkeep_.get();
  parts.applier = appliers_[ToInteger(group) % appliers_.size()].get();
  parts.reader = reader_.get();
  parts.snapshots = snapshots_.get();
  parts.snapshot_budget = &snapshot_budget_;
  parts.file_system = dependencies_.file_system;
  parts.data_directory = dependencies_.data_directory;
  parts.log = dependencies_.log;
  parts.trace = dependencies_.trace;
  auto runner = std::make_shared<GroupRunner>(
      settings, parts,
      [this](NodeState state, const absl::Status& status) { Stopped(state, status); });
  if (absl::Status status = runner->Open(std::move(state_machine)); !status.ok()) return status;
  Standing standing;
  {
    MutexLock lock(mutex_);
    groups_.emplace(group, runner);
    standing = standing_;
  }
  // After its deletion the node is none of the members it began with.
  if (self->incarnation != self_.incarnation) standing.members = Configuration();
  if (standing.cluster == Cluster::kFormed) runner->Start(standing.members);
  if (standing.cluster == Cluster::kRefused) runner->Halt(standing.state, standing.refusal);
  return Group(runner);
}

std::shared_ptr<GroupRunner> HostImpl::Find(GroupId group) {
  MutexLock lock(mutex_);
  auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : found->second;
}

void HostImpl::Stopped(NodeState state, const absl::Status& status) {
  {
    MutexLock lock(mutex_);
    if (std::exchange(ending_.told_stopped, true)) return;
  }
  if (dependencies_.stopped != nullptr) dependencies_.stopped(state, status);
}

void HostImpl::Shutdown(Instant deadline) {
  std::map<GroupId, std::shared_ptr<GroupRunner>> groups;
  {
    MutexLock one_at_a_time(opening_);
    MutexLock lock(mutex_);
    if (std::exchange(ending_.stopping, true)) return;
    groups = groups_;
    for (const auto& [id, leaving] : leaving_) {
      if (leaving.runner != nullptr) groups.emplace(id, leaving.runner);
    }
  }
  for (auto& [id, group] : groups) group->StopCalls();
  for (auto& [id, group] : groups) group->WaitForCalls(deadline);
  dependencies_.transport->Stop();
  for (auto& [id, group] : groups) group->Close();
  // Those who give work first, so that nobody posts to one that is gone.
  runner_.reset();
  appliers_.clear();
  snapshots_.reset();
  reader_.reset();
  writer_executor_.reset();
  log_writer_.reset();
  for (auto& [id, group] : groups) group->Finish();
  std::map<GroupId, Leaving> leaving;
  {
    MutexLock lock(mutex_);
    groups_.clear();
    leaving = std::exchange(leaving_, {});
  }
  for (auto& [id, each] : leaving) each.done(absl::UnavailableError("the host has stopped"));
}

// Groups come and go ------------------------------------------------------------------------------

// What a deletion had left to do when the process ended.
absl::Status HostImpl::FinishRemovals() {
  absl::StatusOr<std::vector<Tombstone>> unfinished = graveyard_->Unfinished();
  if (!unfinished.ok()) return unfinished.status();
  for (const Tombstone& tombstone : *unfinished) {
    const GroupId group = tombstone.group;
    {
      MutexLock lock(mutex_);
      leaving_[group].done = [](const absl::Status&) {};
    }
    graveyard_->Remove(tombstone, [this, group](const absl::Status& end) { Left(group, end); });
  }
  return absl::OkStatus();
}

// Who this node is in the group.
absl::StatusOr<LocalIdentity> HostImpl::IdentityIn(GroupId group) const {
  absl::StatusOr<std::optional<Tombstone>> tombstone = graveyard_->Find(group);
  if (!tombstone.ok()) return tombstone.status();
  if (!*tombstone) return self_;
  if (!(*tombstone)->removed) {
    return absl::FailedPreconditionError(
        absl::StrCat("group ", ToInteger(group), " was deleted, and what is left of it could not ",
                     "be removed: delete it again"));
  }
  LocalIdentity self = self_;
  self.of_disk = self_.incarnation;
  self.incarnation = (*tombstone)->incarnation;
  return self;
}

void HostImpl::Leave(GroupId group, Instant deadline, bool remove, LifeDone done) {
  std::shared_ptr<GroupRunner> runner;
  absl::Status refusal;
  {
    MutexLock one_at_a_time(opening_);
    MutexLock lock(mutex_);
    auto found = groups_.find(group);
    const std::string name = absl::StrCat("group ", ToInteger(group));
    if (ending_.stopping) {
      refusal = absl::UnavailableError("the host is stopping");
    } else if (group == GroupId::kNone) {
      refusal = absl::InvalidArgumentError(name);
    } else if (leaving_.contains(group)) {
      refusal = absl::FailedPreconditionError(name + " is being closed or deleted");
    } else if (found == groups_.end() && !remove) {
      refusal = absl::NotFoundError(name + " is not open");
    } else {
      if (found != groups_.end()) runner = found->second;
      leaving_[group] = {runner, std::move(done)};
    }
  }
  if (!refusal.ok()) return done(refusal);
  auto bury = [this, group] {
    graveyard_->Bury(group, [this, group](const absl::Status& end) { Left(group, end); });
  };
  if (runner == nullptr) return bury();
  // Messages come in until the calls under way have their answers.
  Task quiet = [this, group] {
    MutexLock lock(mutex_);
    groups_.erase(group);
  };
  runner->Leave(deadline, std::move(quiet),
                [this, group, remove, bury] { remove ? bury() : Left(group, absl::OkStatus()); });
}

void HostImpl::Left(GroupId group, const absl::Status& status) {
  Leaving leaving;
  {
    MutexLock lock(mutex_);
    auto found = leaving_.find(group);
    if (found == leaving_.end()) return;  // the host has stopped
    leaving = std::move(found->second);
    leaving_.erase(found);
  }
  if (!status.ok()) {
    dependencies_.log->Log(LogLevel::kError, absl::StrCat("group ", ToInteger(group),
                                                          " was not removed: ", status.ToString()));
  }
  leaving.done(status);
}

void HostImpl::Reset(GroupId group, LifeDone done) {
  std::shared_ptr<GroupRunner> runner = Find(group);
  if (runner == nullptr) {
    return done(absl::NotFoundError(absl::StrCat("group ", ToInteger(group), " is not open")));
  }
  runner->EndUnlessVoter([this, group, done = std::move(done)](const absl::Status& ended) mutable {
    if (!ended.ok()) return done(ended);
    Leave(group, Instant{}, /*remove=*/true, std::move(done));
  });
}

// The transport -----------------------------------------------------------------------------------

void HostImpl::Receive(Envelope envelope) {
  if (std::optional<IdentityRefusal> refusal = CheckAddress(envelope, self_)) {
    // Where the node of that id is dialled, there sits another one than the sender of this frame:
    // only who took the frame off the network can answer it.
    dependencies_.log->Log(LogLevel::kWarning,
                           absl::StrCat("a frame was dropped: ", refusal->message));
    return;
  }
  if (envelope.group == GroupId::kNone) return ReceiveOfNode(std::move(envelope));
  if (std::shared_ptr<GroupRunner> group = Find(envelope.group)) {
    group->Deliver(std::move(envelope));
  }
}

// What concerns nodes, not groups; on the runner's sequence, so that an answer shows that it runs.
void HostImpl::ReceiveOfNode(Envelope envelope) {
  const bool known = std::holds_alternative<Hello>(envelope.body) ||
                     std::holds_alternative<HostHeartbeat>(envelope.body);
  if (!known) return;
  if (waiting_.fetch_add(1) >= kMaxWaiting || !Validate(envelope).ok()) {
    waiting_.fetch_sub(1);
    return;
  }
  runner_->Post([this, envelope = std::move(envelope)] {
    waiting_.fetch_sub(1);
    if (const auto* heartbeat = std::get_if<HostHeartbeat>(&envelope.body)) {
      upkeep_->Receive(envelope.from, *heartbeat);
    } else {
      TakeHello(envelope);
    }
  });
}

void HostImpl::PeerLost(NodeId peer) {
  std::vector<std::shared_ptr<GroupRunner>> groups;
  {
    MutexLock lock(mutex_);
    for (auto& [id, group] : groups_) groups.push_back(group);
  }
  for (auto& group : groups) group->PeerLost(peer);
}

void HostImpl::Send(NodeId to, GroupId group, EnvelopeBody body) {
  Envelope envelope;
  envelope.cluster = self_.cluster;
  envelope.group = group;
  envelope.from = self_.node;
  envelope.to = to;
  envelope.from_incarnation = self_.incarnation;
  envelope.body = std::move(body);
  dependencies_.transport->Send(std::move(envelope));
}

// Formation ---------------------------------------------------------------------------------------

void HostImpl::TakeHello(const Envelope& envelope) {
  const Hello& hello = std::get<Hello>(envelope.body);
  if (formation_ == nullptr || identity_.initial_members.Find(envelope.from) == nullptr) {
    return Send(envelope.from, envelope.group,
                IdentityRefusal{IdentityRefusal::Reason::kUnknownMember,
                                absl::StrCat("node ", ToInteger(envelope.from),
                                             " is no initial member of the cluster")});
  }
  Instant now = dependencies_.clock->Now();
  formation_->Receive(now, envelope.from, envelope.from_incarnation, hello);
  DriveFormation(now);
}

void HostImpl::DriveFormation(Instant now) {
  if (formation_->NextWakeup() <= now) formation_->Tick(now);
  if (formation_->state() == Formation::State::kFormed && !identity_.formed) Formed();
  if (formation_->state() == Formation::State::kRefused) {
    RefuseToTakePart(NodeState::kHalted, absl::FailedPreconditionError(formation_->refusal()));
  }
  for (Formation::Outgoing& outgoing : formation_->TakeOutgoing()) {
    Send(outgoing.to, GroupId::kNone, std::move(outgoing.hello));
  }
  Instant next = formation_->NextWakeup();
  if (next >= formation_wakeup_) return;
  formation_wakeup_ = next;
  runner_->PostAt(next, [this, next] {
    if (formation_wakeup_ != next) return;
    formation_wakeup_ = kDistantFuture;
    DriveFormation(dependencies_.clock->Now());
  });
}

// The table is on the disk before anybody hears of it, and before this node votes.
void HostImpl::Formed() {
  identity_.formed = true;
  identity_.initial_members = formation_->members();
  absl::Status saved =
      SaveIdentity(*dependencies_.file_system, dependencies_.data_directory, identity_);
  if (!saved.ok()) {
    formation_->TakeOutgoing();
    return RefuseToTakePart(NodeState::kFenced, saved);
  }
  dependencies_.log->Log(LogLevel::kInfo, "the cluster has formed");
  std::vector<std::shared_ptr<GroupRunner>> groups;
  {
    MutexLock lock(mutex_);
    standing_.cluster = Cluster::kFormed;
    standing_.members = identity_.initial_members;
    for (auto& [id, group] : groups_) groups.push_back(group);
  }
  for (auto& group : groups) group->Start(identity_.initial_members);
}

void HostImpl::RefuseToTakePart(NodeState state, const absl::Status& status) {
  std::vector<std::shared_ptr<GroupRunner>> groups;
  {
    MutexLock lock(mutex_);
    if (standing_.cluster == Cluster::kRefused) return;
    standing_.cluster = Cluster::kRefused;
    standing_.state = state;
    standing_.refusal = status;
    for (auto& [id, group] : groups_) groups.push_back(group);
  }
  for (auto& group : groups) group->Halt(state, status);
  Stopped(state, status);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Host>> Host::Start(const NodeIdentity& identity,
                                                  HostDependencies dependencies) {
  if (absl::Status status = Validate(identity.initial_members); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat("initial members: ", status.message()));
  }
  if (identity.joined() && !identity.formed) {
    return absl::FailedPreconditionError(
        absl::StrCat("node ", ToInteger(identity.node), " is not one of the initial members"));
  }
  if (dependencies.appliers == 0) return absl::InvalidArgumentError("appliers is 0");
  auto host = std::make_unique<HostImpl>(identity, std::move(dependencies));
  if (absl::Status status = host->Begin(); !status.ok()) return status;
  return host;
}

}  // namespace cairn

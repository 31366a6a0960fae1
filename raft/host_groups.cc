// The part of HostImpl by which groups come and go.

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/random.h"
#include "base/shared_work.h"
#include "raft/host_impl.h"

namespace cairn {

// Groups ------------------------------------------------------------------------------------------

namespace {

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
  raft.stall_timeout = options.stall_timeout;
  raft.never_campaigns = options.never_campaigns;
  return Validate(raft);
}

// Groups whose leadership is handed over at one time; tells `done` when it is gone.
class HandOvers {
 public:
  explicit HandOvers(Host::LifeDone done) : done_(std::move(done)) {}
  ~HandOvers() {
    if (kept_.empty()) {
      done_(absl::OkStatus());
      return;
    }
    done_(absl::FailedPreconditionError(
        absl::StrCat("leadership was not handed over: ", absl::StrJoin(kept_, ", "))));
  }
  void Ended(GroupId group, const ControlResult& result) {
    const auto* refused = std::get_if<ControlRefused>(&result);
    if (refused == nullptr) return;
    MutexLock lock(mutex_);
    kept_.push_back(absl::StrCat("group ", ToInteger(group), ": ", refused->message));
  }

 private:
  Host::LifeDone done_;
  Mutex mutex_;
  std::vector<std::string> kept_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace

// What leaves and what is opened exclude each other: both are looked at and noted under one lock.
absl::StatusOr<std::unique_ptr<Openings::Opening>> HostImpl::BeginOpening(GroupId group) {
  const std::string name = absl::StrCat("group ", ToInteger(group));
  MutexLock lock(mutex_);
  if (ending_.stopping) return absl::UnavailableError("the host is stopping");
  if (leaving_.contains(group)) {
    return absl::FailedPreconditionError(name + " is being closed or deleted");
  }
  if (lives_.openings.Has(group)) return absl::AlreadyExistsError(name + " is being opened");
  if (groups_.contains(group)) return absl::AlreadyExistsError(name + " is open");
  return lives_.openings.Begin(group);
}

absl::StatusOr<Group> HostImpl::Open(GroupId group, std::unique_ptr<StateMachine> state_machine,
                                     GroupOptions options) {
  if (group == GroupId::kNone) return absl::InvalidArgumentError("group 0");
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Openings::Opening>> opening = BeginOpening(group);
  if (!opening.ok()) return opening.status();
  if (absl::Status status = (*opening)->AwaitTurn(); !status.ok()) return status;
  // A group that was closed would be told that all is durable that it had written (LogDisk), and
  // acknowledge it.
  if (absl::Status failed = log_writer_->failure(); !failed.ok()) return failed;
  absl::StatusOr<LocalIdentity> self = IdentityIn(group);
  if (!self.ok()) return self.status();
  absl::StatusOr<std::shared_ptr<GroupRunner>> runner =
      Recover(*self, group, std::move(state_machine), options);
  if (!runner.ok()) return runner.status();
  Standing standing;
  {
    MutexLock lock(mutex_);
    CAIRN_CHECK(groups_.emplace(group, *runner).second);
    lives_.caches.SetGroups(groups_.size());
    standing = standing_;
  }
  // After its deletion the node is none of the members it began with.
  if (self->incarnation != self_.incarnation) standing.members = Configuration();
  if (standing.cluster == Cluster::kFormed) (*runner)->Start(standing.members);
  if (standing.cluster == Cluster::kRefused) (*runner)->Halt(standing.state, standing.refusal);
  if (scrubber_ != nullptr) scrubber_->Opened(group);
  return Group(*std::move(runner));
}

absl::StatusOr<std::shared_ptr<GroupRunner>> HostImpl::Recover(
    const LocalIdentity& self, GroupId group, std::unique_ptr<StateMachine> state_machine,
    const GroupOptions& options) {
  // Each time another one: answers to what the group asked before it was closed may still come, and
  // must not fit what it asks now.
  Random random(dependencies_.seed ^ ToInteger(group));
  const uint64_t seed = Random(random.Next() ^ ++lives_.begun).Next();
  GroupRunnerSettings settings{self, group, options, seed};
  auto runner = std::make_shared<GroupRunner>(
      settings, PartsFor(group), [this, group](NodeState state, const absl::Status& status) {
        lives_.ends.Tell(group, state, status);
      });
  absl::Status status = runner->Open(std::move(state_machine));
  if (status.ok()) return runner;
  // The machine may have told of itself meanwhile, by tasks for a runner that is to be there.
  runner->Close();
  runner_->Post([runner = std::move(runner)] {});
  return status;
}

GroupRunnerDependencies HostImpl::PartsFor(GroupId group) {
  GroupRunnerDependencies parts;
  parts.clock = dependencies_.clock;
  parts.transport = dependencies_.transport;
  parts.log_disk = dependencies_.log_disk;
  parts.log_writer = log_writer_.get();
  parts.log_writer_metrics = log_writer_->metrics();
  parts.cache_share = &lives_.caches;
  parts.posts = &lives_.posts;
  parts.runner = runner_.get();
  parts.upkeep = upkeep_.get();
  parts.applier = appliers_[ToInteger(group) % appliers_.size()].get();
  parts.reader = reader_.get();
  parts.snapshots = snapshots_.executor.get();
  parts.snapshot_budget = &snapshots_.budget;
  parts.file_system = dependencies_.file_system;
  parts.data_directory = dependencies_.data_directory;
  parts.repaired = [this, group](Index first, Index last) { Repaired(group, first, last); };
  parts.losses = dependencies_.losses;
  parts.log = dependencies_.log;
  parts.trace = dependencies_.trace;
  return parts;
}

std::vector<absl::StatusOr<Group>> HostImpl::OpenAll(std::vector<GroupToOpen> groups) {
  const Instant start = dependencies_.clock->Now();
  std::vector<absl::StatusOr<Group>> opened(groups.size(), absl::UnknownError("not opened"));
  // The caller is one of them.
  std::vector<std::unique_ptr<Executor>> helpers;
  for (size_t i = 1; i < std::min(dependencies_.openers, groups.size()); ++i) {
    helpers.push_back(dependencies_.make_executor("opener"));
  }
  ShareWork(groups.size(), helpers, [&](size_t i) {
    GroupToOpen& wanted = groups[i];
    opened[i] = Open(wanted.group, std::move(wanted.state_machine), std::move(wanted.options));
  });
  const auto failed = std::count_if(opened.begin(), opened.end(),
                                    [](const absl::StatusOr<Group>& group) { return !group.ok(); });
  const Duration took = dependencies_.clock->Now() - start;
  dependencies_.log->Log(
      failed == 0 ? LogLevel::kInfo : LogLevel::kWarning,
      absl::StrCat(groups.size() - static_cast<size_t>(failed), " of ", groups.size(),
                   " groups were opened in ", took.nanoseconds / 1'000'000, " ms"));
  return opened;
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
    MutexLock lock(mutex_);
    auto found = groups_.find(group);
    const std::string name = absl::StrCat("group ", ToInteger(group));
    if (ending_.stopping) {
      refusal = absl::UnavailableError("the host is stopping");
    } else if (group == GroupId::kNone) {
      refusal = absl::InvalidArgumentError(name);
    } else if (lives_.openings.Has(group)) {
      refusal = absl::FailedPreconditionError(name + " is being opened");
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
    lives_.caches.SetGroups(groups_.size());
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

void HostImpl::HandOver(Instant deadline, LifeDone done) {
  std::map<GroupId, std::shared_ptr<GroupRunner>> groups;
  {
    MutexLock lock(mutex_);
    groups = groups_;
  }
  auto all = std::make_shared<HandOvers>(std::move(done));
  for (auto& [id, group] : groups) {
    if (group->Status().role != Role::kLeader) continue;
    group->Control(TransferRequest{NodeId::kNone}, deadline,
                   [all, id = id](const ControlResult& result) { all->Ended(id, result); });
  }
}

void HostImpl::Reset(GroupId group, LifeDone done) {
  std::shared_ptr<GroupRunner> runner;
  absl::Status refusal;
  {
    MutexLock lock(mutex_);
    auto found = groups_.find(group);
    const std::string name = absl::StrCat("group ", ToInteger(group));
    if (lives_.openings.Has(group)) {
      refusal = absl::FailedPreconditionError(name + " is being opened");
    } else if (found == groups_.end()) {
      refusal = absl::NotFoundError(name + " is not open");
    } else {
      runner = found->second;
    }
  }
  if (!refusal.ok()) return done(refusal);
  runner->EndUnlessVoter([this, group, done = std::move(done)](const absl::Status& ended) mutable {
    if (!ended.ok()) return done(ended);
    Leave(group, Instant{}, /*remove=*/true, std::move(done));
  });
}

}  // namespace cairn

#include "raft/host.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "raft/host_impl.h"

namespace cairn {
namespace {

// Hellos and host heartbeats that wait for the runner; more are lost.
constexpr int kMaxWaiting = 256;
// In the data directory: how far the scrub of the log is.
constexpr char kScrubFile[] = "SCRUB";

}  // namespace

HostImpl::HostImpl(const NodeIdentity& identity, HostDependencies dependencies)
    : dependencies_(std::move(dependencies)),
      self_{identity.cluster, identity.node, identity.incarnation},
      runner_(dependencies_.make_executor("runner")),
      writer_executor_(dependencies_.make_executor("log-writer")),
      reader_(dependencies_.make_executor("reader")),
      snapshots_{dependencies_.make_executor("snapshots"),
                 ByteBudget(dependencies_.snapshot_bytes_per_second)},
      log_writer_(std::make_unique<LogWriter>(dependencies_.log_disk, writer_executor_.get(),
                                              dependencies_.clock)),
      graveyard_(std::make_unique<Graveyard>(Graveyard::Parts{
          dependencies_.file_system, dependencies_.data_directory, dependencies_.log_disk,
          log_writer_.get(),
          snapshots_.executor == nullptr ? runner_.get() : snapshots_.executor.get(), &lives_.posts,
          dependencies_.clock, dependencies_.seed})),
      identity_(identity),
      lives_{Openings(dependencies_.openers, dependencies_.clock),
             {},
             CacheShare(dependencies_.log_cache_bytes),
             StopNews(std::move(dependencies_.stopped))} {
  log_writer_->WatchFailure([this](const absl::Status& status) {
    lives_.ends.Tell(GroupId::kNone, NodeState::kFenced, status);
  });
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
    forming_.formation = std::make_unique<Formation>(identity_, options, now);
    DriveFormation(now);
  });
  log_writer_->KeepUp();
  dependencies_.transport->Start({[this](Envelope envelope) { Receive(std::move(envelope)); },
                                  [this](NodeId peer) { PeerLost(peer); }});
  return absl::OkStatus();
}

std::shared_ptr<GroupRunner> HostImpl::Find(GroupId group) {
  MutexLock lock(mutex_);
  auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : found->second;
}

void HostImpl::Shutdown(Instant deadline) {
  {
    MutexLock lock(mutex_);
    if (std::exchange(ending_.stopping, true)) return;
  }
  lives_.openings.Stop();
  std::map<GroupId, std::shared_ptr<GroupRunner>> groups;
  {
    MutexLock lock(mutex_);
    groups = groups_;
    for (const auto& [id, leaving] : leaving_) {
      if (leaving.runner != nullptr) groups.emplace(id, leaving.runner);
    }
  }
  for (auto& [id, group] : groups) group->StopCalls();
  for (auto& [id, group] : groups) group->WaitForCalls(deadline);
  dependencies_.transport->Stop();
  for (auto& [id, group] : groups) group->Close();
  // Those who give work first, so that nobody posts to one that is gone; what leaves goes back and
  // forth.
  lives_.posts.Close();
  End(runner_);
  for (std::unique_ptr<Executor>& applier : appliers_) End(applier);
  appliers_.clear();
  End(snapshots_.executor);
  End(reader_);
  if (scrubber_ != nullptr) scrubber_->Stop();
  End(writer_executor_);
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

absl::Status HostImpl::Vet(const Envelope& envelope) {
  std::shared_ptr<GroupRunner> group = Find(envelope.group);
  if (group == nullptr) return absl::OkStatus();
  absl::Status status = group->Vet(envelope);
  // The refusal ends a call on which the other groups speak, too; and there is a way to a member of
  // one of them, by which Raft of this group tells it.
  if (IsRemoval(status) && SomeGroup(envelope.from, GroupRunner::Acquaintance::kMember)) {
    return absl::OkStatus();
  }
  return status;
}

bool HostImpl::Believes(NodeId from, const Introduction& introduction) {
  {
    // A node that may have been wiped takes part in nothing yet.
    MutexLock lock(mutex_);
    if (standing_.cluster != Cluster::kFormed) return false;
  }
  const std::shared_ptr<GroupRunner> group = Find(introduction.group);
  return group != nullptr && group->Believes(from, introduction);
}

bool HostImpl::SomeGroup(NodeId node, GroupRunner::Acquaintance acquaintance) {
  MutexLock lock(mutex_);
  return std::any_of(groups_.begin(), groups_.end(),
                     [&](const auto& group) { return group.second->Knows(node) == acquaintance; });
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
  if (forming_.formation == nullptr || identity_.initial_members.Find(envelope.from) == nullptr) {
    return Send(envelope.from, envelope.group,
                IdentityRefusal{IdentityRefusal::Reason::kUnknownMember,
                                absl::StrCat("node ", ToInteger(envelope.from),
                                             " is no initial member of the cluster")});
  }
  Instant now = dependencies_.clock->Now();
  forming_.formation->Receive(now, envelope.from, envelope.from_incarnation, hello);
  DriveFormation(now);
}

void HostImpl::DriveFormation(Instant now) {
  if (forming_.formation->NextWakeup() <= now) forming_.formation->Tick(now);
  if (forming_.formation->state() == Formation::State::kFormed && !identity_.formed) Formed();
  if (forming_.formation->state() == Formation::State::kRefused) {
    RefuseToTakePart(NodeState::kHalted,
                     absl::FailedPreconditionError(forming_.formation->refusal()));
  }
  for (Formation::Outgoing& outgoing : forming_.formation->TakeOutgoing()) {
    Send(outgoing.to, GroupId::kNone, std::move(outgoing.hello));
  }
  Instant next = forming_.formation->NextWakeup();
  if (next >= forming_.wakeup) return;
  forming_.wakeup = next;
  runner_->PostAt(next, [this, next] {
    if (forming_.wakeup != next) return;
    forming_.wakeup = kDistantFuture;
    DriveFormation(dependencies_.clock->Now());
  });
}

// The table is on the disk before anybody hears of it, and before this node votes.
void HostImpl::Formed() {
  identity_.formed = true;
  identity_.initial_members = forming_.formation->members();
  absl::Status saved =
      SaveIdentity(*dependencies_.file_system, dependencies_.data_directory, identity_);
  if (!saved.ok()) {
    forming_.formation->TakeOutgoing();
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
  lives_.ends.Tell(GroupId::kNone, state, status);
  for (auto& group : groups) group->Halt(state, status);
}

// Scrub ------------------------------------------------------------------------------------------

void HostImpl::StartScrub() {
  LogScrub* scrub = dependencies_.log_disk->scrub();
  if (scrub == nullptr || dependencies_.scrub.bytes_per_second == 0) return;
  Scrubber::Parts parts;
  parts.clock = dependencies_.clock;
  parts.executor = dependencies_.make_executor("scrubber");
  parts.scrub = scrub;
  parts.file_system = dependencies_.file_system;
  parts.path = absl::StrCat(dependencies_.data_directory, "/", kScrubFile);
  parts.log = dependencies_.log;
  parts.options = dependencies_.scrub;
  parts.found = [this](const std::vector<ScrubFinding>& findings) { Rotten(findings); };
  parts.states = [this](ScrubPosition& position, uint64_t max_bytes) {
    return ScrubStates(position, max_bytes);
  };
  scrubber_ = std::make_unique<Scrubber>(std::move(parts));
}

// Group by group; `position.block` is the group, `position.offset` the machine's own.
ScrubStep HostImpl::ScrubStates(ScrubPosition& position, uint64_t max_bytes) {
  std::shared_ptr<GroupRunner> runner;
  ScrubStep step;
  {
    MutexLock lock(mutex_);
    const auto next = groups_.lower_bound(GroupId{position.block});
    step.round_ended = next == groups_.end();
    if (step.round_ended) return step;
    if (ToInteger(next->first) != position.block) position = {.block = ToInteger(next->first)};
    runner = next->second;
  }
  StateScrubStep of_group = runner->ScrubState(position.offset, max_bytes);
  step.bytes = of_group.bytes;
  for (const std::string& healed : of_group.healed) {
    step.healed.push_back(absl::StrCat("group ", position.block, ": ", healed));
  }
  if (of_group.round_ended) position = {.block = position.block + 1};
  return step;
}

// A group that is not open here is told when it is.
void HostImpl::Rotten(const std::vector<ScrubFinding>& findings) {
  for (auto at = findings.begin(); at != findings.end();) {
    const auto end = std::find_if(
        at, findings.end(), [at](const ScrubFinding& each) { return each.group != at->group; });
    if (std::shared_ptr<GroupRunner> group = Find(at->group)) group->Rotten({at, end});
    at = end;
  }
}

void HostImpl::Repaired(GroupId group, Index first, Index last) {
  if (scrubber_ != nullptr) scrubber_->Repaired(group, first, last);
}

std::optional<ScrubStatus> HostImpl::Scrub() {
  if (scrubber_ == nullptr) return std::nullopt;
  return scrubber_->status();
}

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
  if (dependencies.openers == 0) return absl::InvalidArgumentError("openers is 0");
  auto host = std::make_unique<HostImpl>(identity, std::move(dependencies));
  if (absl::Status status = host->Begin(); !status.ok()) return status;
  host->StartScrub();
  return host;
}

}  // namespace cairn

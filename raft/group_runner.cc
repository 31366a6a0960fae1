#include "raft/group_runner.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/control/standing.h"
#include "raft/replica.h"
#include "raft/sender_check.h"

namespace cairn {
namespace {

// Peers change with every message; people look at them now and then.
constexpr Duration kPeersInterval = Milliseconds(100);

// Commands are taken this many bytes a turn, so that however many wait, the messages and timers of
// this group and others are not kept waiting for long.
constexpr size_t kTurnBytes = size_t{2} << 20;
constexpr size_t kSmallTurn = 1000;  // so many need no counting

using Reason = ProposalNotApplied::Reason;

// What other members are asked for.
std::string FaultsIn(GroupId group, const std::vector<FaultyEntries>& faulty) {
  const FaultyEntries& first = faulty.front();
  uint64_t entries = 0;
  for (const FaultyEntries& each : faulty) entries += each.size();
  return absl::StrCat("group ", ToInteger(group), ": ", entries, " entries from ",
                      first.first.index, " to ", faulty.back().last,
                      " cannot be read, the first in ", first.file, " at byte ", first.offset, " (",
                      first.reason, "); the other members are asked for them");
}

}  // namespace

GroupRunner::GroupRunner(const GroupRunnerSettings& settings,
                         const GroupRunnerDependencies& dependencies, Stopped stopped)
    : settings_(settings),
      dependencies_(dependencies),
      budget_(settings.options.max_inflight_bytes),
      mailbox_(Mailbox::Limits(), [this](Mailbox::Where where) { Wake(where); }),
      stopped_(std::move(stopped)) {
  status_.group = settings.group;
  status_.node = settings.self.node;
  status_.incarnation = settings.self.incarnation;
  status_.reason = "the cluster has not formed";
}

GroupRunner::~GroupRunner() = default;

// Life --------------------------------------------------------------------------------------------

absl::Status GroupRunner::Open(std::unique_ptr<StateMachine> machine) {
  absl::StatusOr<OpenedLog> opened = dependencies_.log_disk->OpenGroup(settings_.group);
  if (absl::IsDataLoss(opened.status())) {
    Halt(NodeState::kHalted, opened.status());
    return absl::OkStatus();
  }
  if (!opened.ok()) return opened.status();
  opened_ = *std::move(opened);
  if (opened_.recovered.hard_state_lost) {
    dependencies_.log->Log(
        LogLevel::kWarning,
        absl::StrCat("group ", ToInteger(settings_.group),
                     ": what was synced last is lost, perhaps with this node's term and vote: it "
                     "neither votes nor acknowledges before a leader has caught it up"));
  }
  if (const auto& faulty = opened_.recovered.faulty; !faulty.empty()) {
    dependencies_.log->Log(LogLevel::kWarning, FaultsIn(settings_.group, faulty));
  }
  if (dependencies_.losses != nullptr) {
    dependencies_.losses->Close(settings_.group, opened_.recovered.base.index);
    for (const std::string& news :
         dependencies_.losses->AddRecovered(settings_.group, opened_.recovered)) {
      dependencies_.log->Log(LogLevel::kWarning, absl::StrCat("log: ", news));
    }
  }
  if (absl::Status status = OpenMachine(std::move(machine), opened_.store); !status.ok()) {
    applier_.reset();
    dependencies_.log_disk->CloseGroup(settings_.group);
    return status;
  }
  log_client_ = dependencies_.log_writer->Register(
      opened_.store, [this](const absl::Status& status, Ticket ticket) {
        if (status.ok()) {
          mailbox_.PutSynced(ticket);
        } else {
          mailbox_.PutLogFailure(status);
        }
      });
  return absl::OkStatus();
}

absl::Status GroupRunner::OpenMachine(std::unique_ptr<StateMachine> machine, LogStore* store) {
  bool on_runner = dependencies_.applier == nullptr;
  const bool durable = machine->durable();
  StateMachine* const scrubbed = machine.get();
  absl::StatusOr<std::unique_ptr<SnapshotStore>> snapshots = OpenSnapshots();
  if (!snapshots.ok()) return snapshots.status();
  Applier::Events events;
  events.applied = [this](Index index) { mailbox_.PutApplied(index); };
  events.failed = [this](const absl::Status& status) {
    mailbox_.PutTask([this, status] {
      if (node_ != nullptr) node_->StopServing(NodeState::kHalted, status);
    });
  };
  events.replayed = [this](Index from) {
    mailbox_.PutTask([this, from] {
      if (node_ != nullptr) node_->Replayed(from);
    });
  };
  events.damaged = [this](Index index, const absl::Status& why) {
    mailbox_.PutTask([this, index, why] {
      if (node_ != nullptr) node_->Damaged(dependencies_.clock->Now(), {{{index, index}, why}});
    });
  };
  applier_ = std::make_unique<Applier>(
      std::make_unique<Replica>(std::move(machine), settings_.options.max_sessions), store,
      on_runner ? dependencies_.runner : dependencies_.applier, on_runner, std::move(events));
  absl::StatusOr<OpenContext> context = MakeOpenContext();
  if (!context.ok()) return context.status();
  absl::Status status = applier_->Open(*std::move(context));
  if (status.ok() && *snapshots != nullptr) status = RestoreAtStart(**snapshots);
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat("group ", ToInteger(settings_.group),
                                                    ": the state machine: ", status.message()));
  }
  StartMover(*std::move(snapshots), durable);
  if (durable) {
    MutexLock lock(shown_.scrubbing);
    shown_.scrubbed = scrubbed;
  }
  LogPosition base = opened_.recovered.base;
  if (applier_->applied() < base.index) {
    const std::string lost = absl::StrCat(
        "group ", ToInteger(settings_.group), ": the log begins behind ", ToString(base),
        ", and the state machine with its sessions holds what was applied up to ",
        applier_->applied());
    if (mover_ == nullptr) return absl::FailedPreconditionError(lost);
    dependencies_.log->Log(LogLevel::kWarning,
                           absl::StrCat(lost, "; the other members are asked for a snapshot"));
  }
  return absl::OkStatus();
}

void GroupRunner::Start(const Configuration& members) {
  mailbox_.PutTask([this, members] {
    if (gate_ != Gate::kNotFormed) return;
    NodeSettings settings;
    settings.self = settings_.self;
    settings.group = settings_.group;
    settings.options = settings_.options;
    settings.initial_members = members;
    settings.seed = settings_.seed;
    NodeDependencies dependencies;
    dependencies.clock = dependencies_.clock;
    dependencies.transport = dependencies_.transport;
    dependencies.store = opened_.store;
    dependencies.cache_share = dependencies_.cache_share;
    dependencies.log_writer = dependencies_.log_writer;
    dependencies.log_client = *log_client_;
    dependencies.applier = applier_.get();
    dependencies.budget = &budget_;
    dependencies.metrics = &metrics_;
    dependencies.log = dependencies_.log;
    dependencies.trace = dependencies_.trace;
    dependencies.host_life = [upkeep = dependencies_.upkeep] { return upkeep->life(); };
    dependencies.repair = [this](std::vector<RecordRun> runs) { Repair(std::move(runs)); };
    if (dependencies_.reader != nullptr) {
      dependencies.fetch = [this](const SendEntries& send, Index last) { Fetch(send, last); };
      dependencies.look = [this](LogPosition at, Index last) { Look(at, last); };
    }
    dependencies.losses = dependencies_.losses;
    dependencies.successors = &shown_.successors;
    dependencies.has_room = [this] { return HasRoom(); };
    AddSnapshotHooks(dependencies);
    Gate expected = Gate::kNotFormed;
    gate_.compare_exchange_strong(expected, Gate::kOpen);
    {
      MutexLock lock(mutex_);
      status_.formed = true;
      status_.reason = "no leader is known yet";
    }
    absl::StatusOr<std::unique_ptr<Node>> node =
        Node::Create(settings, dependencies, opened_.recovered, dependencies_.clock->Now(),
                     [this](NodeState state, const absl::Status& status) { Halt(state, status); });
    opened_.recovered = RecoveredLog();
    if (!node.ok()) return Halt(NodeState::kHalted, node.status());
    node_ = *std::move(node);
    if (waiting_.damage) {
      node_->StateDamaged(waiting_.damage->first, waiting_.damage->second);
    }
  });
}

void GroupRunner::Halt(NodeState state, const absl::Status& status) {
  Gate gate = gate_;
  while (gate != Gate::kStopping && !gate_.compare_exchange_weak(gate, Gate::kFenced)) {
  }
  {
    MutexLock lock(mutex_);
    status_.state = state;
    status_.reason = status.ToString();
    status_.role = Role::kFollower;
    status_.leader = NodeId::kNone;
    status_.serving_leader = false;
    status_.peers.clear();
    status_.quiesced = false;
  }
  dependencies_.upkeep->PartEnded();
  if (absl::IsDataLoss(status) && dependencies_.losses != nullptr) {
    dependencies_.losses->Add({.kind = LossEvent::Kind::kNote,
                               .group = settings_.group,
                               .text = std::string(status.message())});
  }
  dependencies_.log->Log(LogLevel::kError, absl::StrCat("group ", ToInteger(settings_.group), " ",
                                                        NameOf(state), ": ", status.ToString()));
  mailbox_.PutTask([this] { TellWatchers(); });
  if (stopped_ != nullptr) std::exchange(stopped_, nullptr)(state, status);
}

void GroupRunner::StopCalls() {
  gate_ = Gate::kStopping;
  if (mover_ != nullptr) mover_->Abort();
}

void GroupRunner::Close() {
  MailboxContents rest = mailbox_.Close();
  // Members that rest are not to rely on this one, nor does it on them.
  dependencies_.upkeep->PartEnded();
  dependencies_.runner->Post(
      [upkeep = dependencies_.upkeep, group = settings_.group] { upkeep->Rests(group, {}, {}); });
  // Kept for Finish: a task of the runner may still be running.
  MutexLock lock(mutex_);
  if (!std::exchange(closed_.yes, true)) closed_.with = std::move(rest);
}

void GroupRunner::Finish() {
  MailboxContents rest;
  {
    MutexLock lock(mutex_);
    rest = std::exchange(closed_.with, MailboxContents());
  }
  EndStateScrub();
  rest.proposals.insert(rest.proposals.begin(), std::make_move_iterator(turns_.backlog.begin()),
                        std::make_move_iterator(turns_.backlog.end()));
  turns_.backlog.clear();
  RefuseWaiting(rest);
  if (node_ != nullptr) node_->GiveUp("the host has stopped");
  if (applier_ != nullptr) applier_->GiveUp("the host has stopped");
  if (mover_ != nullptr) mover_->GiveUp();
  waiting_.durable.clear();
  waiting_.tails.RefuseAll({TailRefused::Reason::kStopping, "the group does not run"});
  waiting_.watchers.clear();
}

// The runner's sequence ---------------------------------------------------------------------------

void GroupRunner::Wake(Mailbox::Where where) {
  if (where == Mailbox::Where::kHere) {
    dependencies_.runner->PostOrRun([this] { Run(); });
  } else {
    dependencies_.runner->Post([this] { Run(); });
  }
}

void GroupRunner::Run() {
  if (turns_.ended) return;
  mailbox_.Drain(&contents_);
  for (Task& task : contents_.tasks) task();
  if (turns_.ended) return RefuseWaiting(contents_);
  LimitTurn();
  Instant now = dependencies_.clock->Now();
  if (node_ != nullptr) {
    node_->Handle(now, contents_);
  } else {
    RefuseWaiting(contents_);
  }
  contents_.Clear();
  if (node_ == nullptr) return;
  TakeDueSnapshot();
  DriveTails(now);
  ScheduleWakeup();
  Publish(now);
  NoteRest();
}

void GroupRunner::LimitTurn() {
  std::vector<ProposalRequest>& proposals = contents_.proposals;
  if (turns_.backlog.empty() && proposals.size() < kSmallTurn) return;
  turns_.backlog.insert(turns_.backlog.end(), std::make_move_iterator(proposals.begin()),
                        std::make_move_iterator(proposals.end()));
  proposals.clear();
  for (size_t bytes = 0; !turns_.backlog.empty() && bytes < kTurnBytes;
       turns_.backlog.pop_front()) {
    for (const PreparedEntry& entry : turns_.backlog.front().entries) bytes += entry.record_bytes();
    proposals.push_back(std::move(turns_.backlog.front()));
  }
  if (!turns_.backlog.empty()) dependencies_.runner->Post([this] { Run(); });
}

void GroupRunner::Publish(Instant now) {
  if (node_->fenced()) return;
  const Raft& raft = node_->raft();
  shown_.fresh_as_of.store(node_->fresh_as_of().nanoseconds, std::memory_order_release);
  const CatchUp& catch_up = node_->LookAtCatchUp();
  bool tell = false;
  {
    MutexLock lock(mutex_);
    bool serving = node_->serving_leader();
    Standing standing = StandingOf(raft, status_.state, node_->damaged_parts());
    tell = status_.role != raft.role() || status_.term != raft.term() ||
           status_.leader != raft.leader() || status_.serving_leader != serving ||
           status_.state != standing.state || status_.reason != standing.reason ||
           status_.health.caught_up != catch_up.caught_up();
    status_.role = raft.role();
    status_.term = raft.term();
    status_.leader = raft.leader();
    status_.serving_leader = serving;
    status_.first_index = raft.base().index + 1;
    status_.last_index = raft.last().index;
    status_.last_term = raft.last().term;
    status_.leader_heard_at =
        raft.role() == Role::kLeader ? std::optional(now) : raft.last_heard_leader();
    status_.durable_index = raft.durable();
    status_.commit_index = raft.commit();
    status_.cached_bytes = node_->cached_bytes();
    status_.state_index = node_->state_durable();
    status_.apply_paused = node_->apply_paused();
    status_.health = {catch_up.caught_up(), catch_up.committed(), 0, catch_up.max_lag()};
    status_.queues.proposals = turns_.backlog.size() + node_->held_proposals();
    status_.queues.proposals_in_log = node_->proposals_in_log();
    status_.queues.reads = node_->waiting_reads();
    if (tell) {
      status_.state = standing.state;
      status_.reason = std::move(standing.reason);
    }
    const bool changed = raft.configuration_position() != published_.configuration ||
                         status_.configuration.voters.empty();
    if (changed) {
      published_.configuration = raft.configuration_position();
      status_.configuration = raft.configuration();
      status_.configuration_index = published_.configuration.index;
      status_.configuration_term = published_.configuration.term;
      status_.learner = !status_.configuration.IsVoter(settings_.self.node);
    }
    const bool quiesced = raft.quiesced();
    if (tell || changed || now >= published_.peers_due || quiesced != status_.quiesced) {
      published_.peers_due = now + kPeersInterval;
      status_.peers.clear();
      for (NodeId node : status_.configuration.Nodes()) {
        std::optional<Raft::PeerStatus> peer = raft.Peer(node);
        if (!peer.has_value()) continue;
        status_.peers.push_back({node, peer->match, peer->next, peer->probing,
                                 peer->inflight_messages, peer->inflight_bytes,
                                 now - peer->last_contact});
      }
    }
    status_.quiesced = quiesced;
  }
  if (tell) TellWatchers();
}

void GroupRunner::TellWatchers() {
  if (waiting_.watchers.empty()) return;
  GroupStatus status = Status();
  for (Watcher& watcher : waiting_.watchers) watcher(status);
}

GroupStatus GroupRunner::Status() const {
  GroupStatus status;
  {
    MutexLock lock(mutex_);
    status = status_;
  }
  if (applier_ != nullptr) {
    status.applied_index = applier_->applied();
    status.processed_index = applier_->shown();
    status.replaying = applier_->replaying();
    status.sessions = applier_->sessions();
    // What is applied is committed; a snapshot may have brought the state ahead of the log.
    status.commit_index = std::max(status.commit_index, status.applied_index);
    status.last_index = std::max(status.last_index, status.commit_index);
    if (mover_ != nullptr) status.snapshot_index = mover_->position().index;
  }
  // Not HasRoom: whoever asks may have outlived the host, and its disk.
  status.disk_full = !dependencies_.log_writer_metrics->has_room() || shown_.machine_full;
  if (status.disk_full && status.state == NodeState::kServing) {
    status.state = NodeState::kDegraded;
    status.reason = "the disk is full: no entries are taken until there is room";
  }
  AddLoad(status);
  return status;
}

// What is counted elsewhere, as it is now.
void GroupRunner::AddLoad(GroupStatus& status) const {
  GroupHealth& health = status.health;
  health.committed_index = std::max(health.committed_index, status.commit_index);
  health.lag = health.committed_index - std::min(health.committed_index, status.processed_index);
  const Mailbox::Load waiting = mailbox_.load();
  status.queues.envelopes = waiting.envelopes;
  status.queues.envelope_bytes = waiting.bulk_bytes;
  status.queues.proposals += waiting.proposals;
  status.queues.reads += waiting.reads;
  status.queues.calls = budget_.calls();
  status.queues.call_bytes = budget_.bytes();
  status.queues.unapplied_entries = status.commit_index - status.applied_index;
  if (applier_ != nullptr) status.queues.applier_bytes = applier_->queued_bytes();
  status.counts = metrics_.counts();
  status.calls = budget_.outcomes().counts();
  status.log_writer = dependencies_.log_writer_metrics->status();
}

}  // namespace cairn

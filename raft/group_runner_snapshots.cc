// The part of GroupRunner that opens, takes and installs snapshots.

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/group_runner.h"

namespace cairn {
namespace {

// How soon is looked again whether the state has come to what another member's is of.
constexpr Duration kCompareAgain = Milliseconds(20);

}  // namespace

absl::StatusOr<std::unique_ptr<SnapshotStore>> GroupRunner::OpenSnapshots() {
  if (dependencies_.snapshots == nullptr) return nullptr;
  return SnapshotStore::Open(
      dependencies_.file_system,
      absl::StrCat(dependencies_.data_directory, "/snapshots/", ToInteger(settings_.group)),
      settings_.self.cluster, settings_.group);
}

absl::StatusOr<OpenContext> GroupRunner::MakeOpenContext() {
  OpenContext context;
  context.group = settings_.group;
  context.processed = [this](LogPosition position) {
    applier_->Processed(position.index);
    mailbox_.PutApplied(position.index);
  };
  if (!applier_->replica().durable()) return context;
  if (dependencies_.snapshots == nullptr) {
    return absl::FailedPreconditionError("a durable state machine needs a host with a directory");
  }
  context.file_system = dependencies_.file_system;
  context.directory = absl::StrCat(dependencies_.data_directory, "/groups/",
                                   ToInteger(settings_.group), "/machine");
  context.durable = [this](LogPosition position) {
    mailbox_.PutTask([this, position] { StateDurable(position); });
  };
  context.failed = [this](const absl::Status& status) {
    mailbox_.PutTask([this, status] {
      if (node_ != nullptr) node_->StorageFailed(dependencies_.clock->Now(), status);
      waiting_.durable.clear();
    });
  };
  context.clock = dependencies_.clock;
  context.damaged = [this](size_t parts, const absl::Status& why) {
    mailbox_.PutTask([this, parts, why] { StateDamaged(parts, why); });
  };
  context.lost = [this](const absl::Status& why) { StateLost(why); };
  context.room = [this](bool has_room) { shown_.machine_full = !has_room; };
  absl::Status made = context.file_system->MakeDirectory(context.directory);
  if (!made.ok()) return made;
  return context;
}

// Brings the machine to the last snapshot, where it holds less. A snapshot of another node may be
// ahead of the log, too; the node sees to that.
absl::Status GroupRunner::RestoreAtStart(SnapshotStore& store) {
  std::shared_ptr<const StoredSnapshot> last = store.last();
  if (last == nullptr) return absl::OkStatus();
  if (last->position().index <= applier_->applied()) return absl::OkStatus();
  absl::Status status = last->Verify();
  if (status.ok()) return applier_->RestoreAtStart(*last);
  if (!absl::IsDataLoss(status)) return status;
  return store.MarkDamaged(*last, status.message());
}

void GroupRunner::StartMover(std::unique_ptr<SnapshotStore> store, bool durable) {
  if (store == nullptr) return;
  SnapshotMover::Parts parts;
  parts.self = settings_.self;
  parts.group = settings_.group;
  parts.clock = dependencies_.clock;
  parts.transport = dependencies_.transport;
  parts.log = opened_.store;
  parts.executor = dependencies_.snapshots;
  parts.budget = dependencies_.snapshot_budget;
  parts.log_sink = dependencies_.log;
  parts.metrics = &metrics_;
  parts.durable_machine = durable;
  SnapshotMover::Events events;
  events.freeze = [this] { mailbox_.PutTask([this] { FreezeState(); }); };
  events.taken = [this, durable](const absl::StatusOr<LogPosition>& taken) {
    // A durable machine says itself how far its state is safe.
    if (!taken.ok() || durable) return;
    mailbox_.PutTask([this, index = taken->index] {
      if (node_ != nullptr) node_->StateDurable(index);
    });
  };
  events.received = [this](Term term, std::shared_ptr<const StoredSnapshot> snapshot) {
    mailbox_.PutTask([this, term, snapshot = std::move(snapshot)] {
      if (node_ != nullptr) node_->Received(dependencies_.clock->Now(), term, snapshot);
    });
  };
  events.compare = [this](LogPosition at, uint64_t call) {
    mailbox_.PutTask([this, at, call] { CompareState(at, call); });
  };
  events.patch = [this](std::shared_ptr<const IncomingSnapshot> patch) {
    mailbox_.PutTask([this, patch = std::move(patch)] {
      if (node_ != nullptr) node_->MendState(patch);
    });
  };
  mover_ = std::make_shared<SnapshotMover>(parts, std::move(store), std::move(events));
}

void GroupRunner::AddSnapshotHooks(NodeDependencies& dependencies) {
  if (mover_ == nullptr) return;
  dependencies.offer_snapshot = [this](const SendSnapshot& send) { mover_->Offer(send); };
  dependencies.take_offer = [this](NodeId from, const SnapshotOffer& offer) {
    mover_->TakeOffer(from, offer);
  };
  dependencies.take_patch = [this](NodeId from, const SnapshotOffer& offer) {
    mover_->TakePatchOffer(from, offer);
  };
  dependencies.mend = [this](const std::shared_ptr<const IncomingSnapshot>& patch) { Mend(patch); };
  dependencies.wanted = [this] { return mover_->wanted(); };
  dependencies.installed = [this] { mover_->Installed(); };
  std::shared_ptr<const StoredSnapshot> last = mover_->last();
  const bool durable = applier_->replica().durable();
  if (last != nullptr && last->kind() == SnapshotKind::kReceived) dependencies.received = last;
  if (durable) {
    dependencies.state_durable = applier_->machine_position().index;
  } else if (last != nullptr) {
    dependencies.state_durable = last->position().index;
  }
}

// On the runner's sequence, which gives work to the applier.
void GroupRunner::FreezeState() {
  applier_->Freeze([this](std::optional<FrozenState> frozen) { mover_->Take(std::move(frozen)); });
}

void GroupRunner::TakeDueSnapshot() {
  if (mover_ == nullptr || applier_->replica().durable() || !node_->SnapshotDue()) return;
  if (mover_->BeginTaking()) FreezeState();
}

class GroupRunner::SnapshotCall {
 public:
  explicit SnapshotCall(SnapshotMover::TakenCallback done) : done_(std::move(done)) {}
  ~SnapshotCall() { Answer(absl::UnavailableError("the group does not run")); }
  void Answer(const absl::StatusOr<LogPosition>& taken) {
    if (done_ != nullptr) std::exchange(done_, nullptr)(taken);
  }

 private:
  SnapshotMover::TakenCallback done_;
};

void GroupRunner::Snapshot(SnapshotMover::TakenCallback done) {
  auto call = std::make_shared<SnapshotCall>(std::move(done));
  if (mover_ == nullptr || Refuses().has_value()) {
    return call->Answer(absl::FailedPreconditionError("this node takes no snapshots now"));
  }
  mailbox_.PutTask([this, call] { TakeSnapshot(call); });
}

// A durable machine is asked first: what it says is safe may go from the log.
void GroupRunner::TakeSnapshot(std::shared_ptr<SnapshotCall> call) {
  auto take = [this](const std::shared_ptr<SnapshotCall>& asked) {
    mover_->TellTaken([asked](const absl::StatusOr<LogPosition>& taken) { asked->Answer(taken); });
  };
  if (!applier_->replica().durable()) return take(call);
  waiting_.durable.push_back(call);  // before it can be done
  applier_->MakeDurable([this, call, take](bool begun) {
    if (begun) return;
    mailbox_.PutTask([this, call, take] {
      std::erase(waiting_.durable, call);
      take(call);
    });
  });
}

void GroupRunner::StateDurable(LogPosition position) {
  if (node_ == nullptr) return;
  node_->StateDurable(position.index);
  for (const auto& call : std::exchange(waiting_.durable, {})) call->Answer(position);
}

// Damage of the state
// ------------------------------------------------------------------------------

// Within OpenMachine, which says what comes of it.
void GroupRunner::StateLost(const absl::Status& why) {
  const std::string text = absl::StrCat("the state is lost here: ", why.message());
  dependencies_.log->Log(LogLevel::kWarning,
                         absl::StrCat("group ", ToInteger(settings_.group), ": ", text));
  if (dependencies_.losses == nullptr) return;
  dependencies_.losses->Add(
      {.kind = LossEvent::Kind::kNote, .group = settings_.group, .text = text});
}

void GroupRunner::StateDamaged(size_t parts, const absl::Status& why) {
  if (node_ == nullptr) {
    waiting_.damage = {parts, why};
    return;
  }
  node_->StateDamaged(parts, why);
  // What rotted may be what the machine writes anew each time it does that.
  if (!why.ok()) applier_->MakeDurable([](bool) {});
}

// What was applied elsewhere may be ahead: then the snapshot is offered again, by a member that is
// asked again, and by then this one has come as far. Who waits for that gives way to the next, and
// to the end.
void GroupRunner::CompareState(LogPosition at, uint64_t call) {
  if (!mover_->AwaitsCompare(call)) return;
  applier_->Freeze([this, at, call](std::optional<FrozenState> frozen) {
    if (frozen && frozen->position.index < at.index) {
      if (gate_ != Gate::kOpen) return;
      // In a moment: what comes in is applied meanwhile.
      return dependencies_.snapshots->PostAt(
          dependencies_.clock->Now() + kCompareAgain, WhileAlive([this, at, call] {
            mailbox_.PutTask([this, at, call] { CompareState(at, call); });
          }));
    }
    mover_->Compare(std::move(frozen));
  });
}

void GroupRunner::Mend(const std::shared_ptr<const IncomingSnapshot>& patch) {
  applier_->Mend(patch, [this, patch](const absl::Status& status) {
    mover_->Discard(patch);
    mailbox_.PutTask([this, status] {
      if (node_ != nullptr) node_->StateMended(dependencies_.clock->Now(), status);
    });
  });
}

StateScrubStep GroupRunner::ScrubState(uint64_t& at, uint64_t max_bytes) {
  MutexLock lock(shown_.scrubbing);
  if (shown_.scrubbed == nullptr) return {.bytes = 0, .round_ended = true, .healed = {}};
  return shown_.scrubbed->Scrub(at, max_bytes);
}

void GroupRunner::EndStateScrub() {
  MutexLock lock(shown_.scrubbing);
  shown_.scrubbed = nullptr;
}

void GroupRunner::Deliver(Envelope envelope) {
  const bool bulk = std::holds_alternative<SnapshotRequest>(envelope.body) ||
                    std::holds_alternative<SnapshotPiece>(envelope.body);
  if (!bulk) {
    if (!mailbox_.PutEnvelope(std::move(envelope))) metrics_.envelopes_dropped.Add();
  } else if (mover_ != nullptr && Vet(envelope).ok() && Validate(envelope).ok()) {
    mover_->Deliver(std::move(envelope));
  }
}

}  // namespace cairn

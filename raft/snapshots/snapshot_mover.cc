#include "raft/snapshots/snapshot_mover.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "raft/snapshots/served_snapshots.h"

namespace cairn {
namespace {

// Envelopes that wait for the executor; more are lost, and asked for again.
constexpr size_t kMaxWaiting = 1024;
constexpr Duration kTickInterval = Seconds(1);
constexpr Duration kRetryInterval = Seconds(10);

}  // namespace

SnapshotMover::SnapshotMover(const Parts& parts, std::unique_ptr<SnapshotStore> store,
                             Events events)
    : parts_(parts), store_(std::move(store)), events_(std::move(events)), receiver_(store_.get()) {
  for (const std::string& note : store_->TakeNotes()) Complain(note);
}

SnapshotMover::~SnapshotMover() = default;

void SnapshotMover::Post(absl::AnyInvocable<void()> task) {
  parts_.executor->Post(Guard(std::move(task)));
}

absl::AnyInvocable<void()> SnapshotMover::Guard(absl::AnyInvocable<void()> task) {
  return [weak = weak_from_this(), task = std::move(task)]() mutable {
    const std::shared_ptr<SnapshotMover> self = weak.lock();
    if (self != nullptr && !self->ended_) task();
  };
}

void SnapshotMover::End(absl::AnyInvocable<void()> ended) {
  Post([this, ended = std::move(ended)]() mutable {
    ended_ = true;
    ended();
  });
}

std::optional<Index> SnapshotMover::wanted() const {
  const Index wanted = wanted_.load(std::memory_order_relaxed);
  return wanted == 0 ? std::nullopt : std::optional<Index>(wanted);
}

LogPosition SnapshotMover::position() const {
  std::shared_ptr<const StoredSnapshot> last = store_->last();
  return last == nullptr ? LogPosition{} : last->position();
}

void SnapshotMover::Installed() {
  if (!parts_.durable_machine) return;
  Post([this] {
    std::shared_ptr<const StoredSnapshot> last = store_->last();
    if (last == nullptr) return;
    absl::Status status = store_->Forget(*last);
    if (!status.ok()) Complain(status.ToString());
  });
}

// Taking ------------------------------------------------------------------------------------------

void SnapshotMover::Take(std::optional<FrozenState> frozen) {
  Post([this, frozen = std::move(frozen)]() mutable {
    freezing_ = false;
    BeginAttempt();  // by an offer it has not begun yet
    absl::StatusOr<LogPosition> taken = absl::UnimplementedError("there is nothing to save");
    if (frozen) taken = DoTake(*std::move(frozen));
    for (const std::string& note : store_->TakeNotes()) Complain(note);
    const bool failed = frozen && !taken.ok() && !absl::IsCancelled(taken.status());
    if (failed) Complain(absl::StrCat("none was saved: ", taken.status().ToString()));
    if (!taken.ok()) {
      // A machine without snapshots never has any; a disk may be full for a while.
      not_before_ = frozen ? (Now() + kRetryInterval).nanoseconds : kDistantFuture.nanoseconds;
    }
    attempt_ = Attempt::kNone;
    events_.taken(taken);
    for (TakenCallback& done : std::exchange(tell_taken_, {})) done(taken);
  });
}

bool SnapshotMover::BeginTaking() { return Now().nanoseconds >= not_before_ && BeginAttempt(); }

bool SnapshotMover::BeginAttempt() {
  Attempt none = Attempt::kNone;
  return attempt_.compare_exchange_strong(none, Attempt::kRuns);
}

bool SnapshotMover::AbortTaking() {
  Attempt runs = Attempt::kRuns;
  return attempt_.compare_exchange_strong(runs, Attempt::kAborted);
}

void SnapshotMover::GiveUp() {
  for (TakenCallback& done : std::exchange(tell_taken_, {})) {
    done(absl::UnavailableError("the host has stopped"));
  }
}

void SnapshotMover::TellTaken(TakenCallback done) {
  Post([this, done = std::move(done)]() mutable {
    tell_taken_.push_back(std::move(done));
    if (BeginAttempt()) events_.freeze();
  });
}

absl::StatusOr<SnapshotManifest> SnapshotMover::HeadOf(const FrozenState& frozen) const {
  SnapshotManifest head;
  head.cluster = parts_.self.cluster;
  head.group = parts_.group;
  head.position = frozen.position;
  absl::StatusOr<EntryHash> hash = parts_.log->HashAt(frozen.position.index);
  if (!hash.ok()) return hash.status();
  head.hash = *hash;
  head.configuration_at = frozen.configuration_at;
  head.configuration = frozen.configuration;
  head.time = frozen.time;
  return head;
}

absl::StatusOr<LogPosition> SnapshotMover::DoTake(FrozenState frozen) {
  const LogPosition position = frozen.position;
  if (std::shared_ptr<const StoredSnapshot> last = store_->last();
      last != nullptr && last->position().index >= position.index) {
    return last->position();
  }
  absl::StatusOr<SnapshotManifest> head = HeadOf(frozen);
  if (!head.ok()) return head.status();
  const auto aborted = [this] { return aborted_ || attempt_ == Attempt::kAborted; };
  if (parts_.durable_machine) {
    auto served = ServedFromMemory::Make(std::move(frozen), *std::move(head), aborted);
    if (!served.ok()) return served.status();
    sender_.Serve(*std::move(served), Now());
  } else {
    absl::Status saved = store_->Save(*std::move(head), FrozenContent(frozen), aborted).status();
    if (!saved.ok()) return saved;
    parts_.metrics->snapshots.saved.Add();
  }
  ScheduleTick();
  return position;
}

// Giving ------------------------------------------------------------------------------------------

void SnapshotMover::Offer(const SendSnapshot& send) {
  Post([this, send] { DoOffer(send); });
}

void SnapshotMover::DoOffer(const SendSnapshot& send) {
  const Index base = std::max(parts_.log->base().index, send.at_least);
  std::optional<SnapshotOffer> offer = sender_.Offer(send.term, base, Now());
  if (!offer) {
    std::shared_ptr<const StoredSnapshot> last = store_->last();
    if (last != nullptr && last->position().index >= base) {
      auto damaged = [this, last](const absl::Status& status) {
        // Under its old name it is found damaged again, and used no more than now.
        store_->MarkDamaged(*last, status.message()).IgnoreError();
        for (const std::string& note : store_->TakeNotes()) Complain(note);
        // The log may begin behind it: what it held is saved anew, while this process has it.
        if (!parts_.durable_machine && !std::exchange(freezing_, true)) events_.freeze();
      };
      sender_.Serve(std::make_shared<ServedFromDisk>(last, damaged), Now());
      offer = sender_.Offer(send.term, base, Now());
    }
  }
  if (offer) {
    offer->answer_wanted = !send.asked;
    offer->failures_wanted = true;
    const auto [last, first] = offered_.try_emplace(send.to, offer->id);
    if (first || last->second != offer->id) parts_.metrics->snapshots.offered.Add();
    last->second = offer->id;
    Send(send.to, *offer);
  } else if (!std::exchange(freezing_, true)) {
    // The offer comes again by then.
    sender_.KeepLast();
    events_.freeze();
  }
  ScheduleTick();
}

void SnapshotMover::Answer(NodeId to, const SnapshotRequest& request, Instant came) {
  const Part part = {to, request.id, request.file, request.offset};
  if (answering_.contains(part)) return;  // asked again while it waits
  const Instant now = Now();
  const Instant when = parts_.budget->Take(now, request.bytes);
  if (when <= now) return Give(to, request, came);
  answering_.insert(part);
  // What the budget holds back is a queue of what was asked for (PieceWindow), and not told.
  const Instant since = came + (when - now);
  parts_.executor->PostAt(when, Guard([this, to, request, part, since] {
                            answering_.erase(part);
                            Give(to, request, since);
                          }));
}

// It could have been given at `since`, but for this node.
void SnapshotMover::Give(NodeId to, const SnapshotRequest& request, Instant since) {
  SnapshotPiece piece = sender_.Answer(request, Now());
  piece.held = Now() - since;
  Send(to, std::move(piece));
}

// Getting -----------------------------------------------------------------------------------------

void SnapshotMover::TakeOffer(NodeId from, const SnapshotOffer& offer) {
  Post([this, from, offer] {
    receiver_.TakeOffer(from, offer, Now());
    AfterReceiver();
  });
}

void SnapshotMover::TakePatchOffer(NodeId from, const SnapshotOffer& offer) {
  Post([this, from, offer] {
    receiver_.TakePatchOffer(from, offer, Now());
    AfterReceiver();
  });
}

void SnapshotMover::Compare(std::optional<FrozenState> own) {
  Post([this, own = std::move(own)] {
    receiver_.Compare(own ? own->machine.get() : nullptr, *parts_.clock,
                      [this] { return aborted_.load(); });
    AfterReceiver();
  });
}

void SnapshotMover::Discard(std::shared_ptr<const IncomingSnapshot> patch) {
  Post([this, patch = std::move(patch)] { store_->Discard(*patch); });
}

void SnapshotMover::Deliver(Envelope envelope) {
  if (waiting_.fetch_add(1) >= kMaxWaiting) {
    waiting_.fetch_sub(1);
    return;
  }
  Post([this, envelope = std::move(envelope), came = Now()]() mutable {
    waiting_.fetch_sub(1);
    DoDeliver(std::move(envelope), came);
  });
}

void SnapshotMover::DoDeliver(Envelope envelope, Instant came) {
  if (const auto* request = std::get_if<SnapshotRequest>(&envelope.body)) {
    Answer(envelope.from, *request, came);
    PublishWanted();
  } else if (auto* piece = std::get_if<SnapshotPiece>(&envelope.body)) {
    parts_.metrics->snapshots.bytes_received.Add(piece->bytes.size());
    const Instant now = Now();
    receiver_.TakePiece(envelope.from, std::move(*piece), now, now - came);
    AfterReceiver();
  }
}

void SnapshotMover::AfterReceiver() {
  for (auto& [to, request] : receiver_.TakeRequests()) Send(to, request);
  for (auto& [to, answer] : receiver_.TakeAnswers()) Send(to, answer);
  for (const std::string& complaint : receiver_.TakeComplaints()) Complain(complaint);
  if (std::optional<SnapshotReceiver::Received> received = receiver_.TakeReceived()) {
    parts_.metrics->snapshots.received.Add();
    events_.received(received->term, std::move(received->snapshot));
  }
  if (!receiver_.awaits_compare()) compare_call_ = 0;
  if (const std::optional<LogPosition> at = receiver_.TakeCompareAt()) {
    compare_call_ = ++compare_calls_;
    events_.compare(*at, compare_calls_);
  }
  if (std::shared_ptr<const IncomingSnapshot> patch = receiver_.TakePatch()) {
    events_.patch(std::move(patch));
  }
  ScheduleTick();
}

// Time --------------------------------------------------------------------------------------------

void SnapshotMover::Tick() {
  ticking_ = false;
  sender_.Expire(Now());
  receiver_.Expire(Now());
  if (!receiver_.awaits_compare()) compare_call_ = 0;
  PublishWanted();
  ScheduleTick();
}

void SnapshotMover::ScheduleTick() {
  if (ticking_ || (sender_.empty() && !receiver_.active())) return;
  ticking_ = true;
  parts_.executor->PostAt(Now() + kTickInterval, Guard([this] { Tick(); }));
}

void SnapshotMover::PublishWanted() {
  wanted_.store(sender_.Wanted(Now()).value_or(0), std::memory_order_relaxed);
}

void SnapshotMover::Send(NodeId to, EnvelopeBody body) {
  if (const auto* piece = std::get_if<SnapshotPiece>(&body)) {
    parts_.metrics->snapshots.bytes_sent.Add(piece->bytes.size());
  }
  Envelope envelope;
  SignEnvelope(parts_.self, envelope);
  envelope.group = parts_.group;
  envelope.to = to;
  envelope.body = std::move(body);
  parts_.transport->Send(std::move(envelope));
}

void SnapshotMover::Complain(const std::string& what) {
  parts_.log_sink->Log(LogLevel::kWarning,
                       absl::StrCat("group ", ToInteger(parts_.group), ": snapshots: ", what));
}

}  // namespace cairn

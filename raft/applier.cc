#include "raft/applier.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/check.h"

namespace cairn {
namespace {

constexpr absl::string_view kUnreadable = "a committed entry cannot be read here";

size_t BytesOf(const std::vector<RecordRun>& runs) {
  size_t bytes = 0;
  for (const RecordRun& run : runs) bytes += run.byte_size();
  return bytes;
}

// Gives a waiter the results of its entries, which start at results[0].
void AnswerSpan(const PlacedSpan& placed, const std::vector<RecordRun>& runs,
                absl::Span<ProposalResult> results) {
  auto run = runs.begin();
  for (size_t i = 0; i < placed.span.count; ++i) {
    Index index = placed.first.index + i;
    while (run->last().index < index) ++run;
    LogPosition applied = run->At(index).position();
    if (applied.term == placed.first.term) continue;
    // The place went to another entry, for good.
    results[i] = NotApplied(
        ProposalNotApplied::Reason::kNotLeader, NodeId::kNone,
        absl::StrCat("another entry, ", ToString(applied), ", was committed in its place"));
  }
  placed.span.call->Answer(placed.span.offset, results);
}

}  // namespace

absl::StatusOr<std::vector<RecordRun>> Applier::AppliedLog::Read(Index first, Index last,
                                                                 size_t max_bytes) const {
  Index applied = applied_->load(std::memory_order_acquire);
  if (first > applied) {
    return absl::OutOfRangeError(absl::StrCat("entry ", first, ", applied up to ", applied));
  }
  return store_->Read(first, std::min(last, applied), max_bytes);
}

Applier::Applier(std::unique_ptr<Replica> replica, const LogStore* store, Executor* executor,
                 bool on_runner, Events events)
    : replica_(std::move(replica)),
      asynchronous_(replica_->asynchronous()),
      store_(store),
      executor_(executor),
      on_runner_(on_runner),
      events_(std::move(events)),
      log_(store, &applied_) {
  current_.first = 1;
}

Applier::~Applier() = default;

absl::Status Applier::Open(OpenContext context) {
  context.log = &log_;
  absl::Status status = replica_->Open(std::move(context));
  if (!status.ok()) return status;
  applied_ = processed_ = replica_->applied().index;
  sessions_ = replica_->sessions();
  return absl::OkStatus();
}

Index Applier::shown() const {
  if (replaying()) return 0;
  const Index applied = this->applied();
  if (!asynchronous_) return applied;
  return std::min(applied, processed_.load(std::memory_order_acquire));
}

void Applier::Processed(Index index) {
  Index before = processed_.load(std::memory_order_relaxed);
  while (before < index && !processed_.compare_exchange_weak(before, index)) {
  }
}

absl::Status Applier::RestoreAtStart(const StoredSnapshot& snapshot) {
  absl::Status status = replica_->RestoreFrom(snapshot);
  if (!status.ok()) return status;
  applied_ = processed_ = replica_->applied().index;
  sessions_ = replica_->sessions();
  return absl::OkStatus();
}

void Applier::Freeze(absl::AnyInvocable<void(std::optional<FrozenState>)> done) {
  executor_->Post([this, done = std::move(done)]() mutable {
    // In a replay the state is behind the last snapshot, or is about to be there.
    done(failed() || replaying() ? std::nullopt : replica_->Freeze());
  });
}

void Applier::MakeDurable(absl::AnyInvocable<void(bool)> done) {
  executor_->Post([this, done = std::move(done)]() mutable {
    done(!failed() && !replaying() && replica_->MakeDurable());
  });
}

void Applier::Mend(std::shared_ptr<const IncomingSnapshot> patch,
                   absl::AnyInvocable<void(const absl::Status&)> done) {
  executor_->Post([this, patch = std::move(patch), done = std::move(done)]() mutable {
    // A replay has the whole state written anew.
    const bool fits =
        !failed() && !replaying() && patch->manifest().position.index <= replica_->applied().index;
    done(fits ? replica_->Mend(*patch)
              : absl::DataLossError("the state is not there to be mended"));
  });
}

void Applier::Submit(ApplyWork work) {
  CAIRN_CHECK_LE(work.first, work.last);
  if (work.again) replaying_.store(true, std::memory_order_release);
  queued_bytes_.fetch_add(BytesOf(work.runs), std::memory_order_relaxed);
  {
    MutexLock lock(mutex_);
    queue_.push_back(std::move(work));
    if (scheduled_) return;
    scheduled_ = true;
  }
  if (on_runner_) {
    DoPiece();
    MutexLock lock(mutex_);
    scheduled_ = current_.first <= current_.last || !queue_.empty();
    if (!scheduled_) return;
  }
  executor_->Post([this] { Run(); });
}

void Applier::Run() {
  if (stopped_.load(std::memory_order_acquire)) return;
  bool done = DoPiece();
  if (done && events_.applied != nullptr) events_.applied(applied());
  MutexLock lock(mutex_);
  scheduled_ =
      condition_ == Condition::kWorks && (current_.first <= current_.last || !queue_.empty());
  if (scheduled_) executor_->Post([this] { Run(); });
}

bool Applier::DoPiece() {
  if (failed()) {
    GiveUp(kUnreadable);
    return false;
  }
  if (condition_ == Condition::kStalled) {
    if (!restore_expected_.load(std::memory_order_acquire)) return false;
    condition_ = Condition::kWorks;
    DropUnreadable();
    return false;
  }
  if (current_.first > current_.last) {
    MutexLock lock(mutex_);
    if (queue_.empty()) return false;
    current_ = std::move(queue_.front());
    queue_.pop_front();
  }
  if (current_.restore != nullptr) return Restore();
  if (SkipApplied()) return false;
  CAIRN_CHECK_EQ(current_.first, replica_->applied().index + 1);
  std::vector<RecordRun> runs = std::move(current_.runs);
  std::vector<PlacedSpan> spans = std::move(current_.spans);
  queued_bytes_.fetch_sub(BytesOf(runs), std::memory_order_relaxed);
  Index last = current_.last;
  if (runs.empty()) {
    absl::StatusOr<std::vector<RecordRun>> read = store_->Read(current_.first, last, kPieceBytes);
    if (!read.ok()) {
      current_.spans = std::move(spans);
      return Unreadable(read.status());
    }
    runs = *std::move(read);
    last = runs.back().last().index;
    if (last < current_.last) {
      std::deque<PlacedSpan> rest(std::make_move_iterator(spans.begin()),
                                  std::make_move_iterator(spans.end()));
      spans = TakeSpans(rest, last);
      current_.spans.assign(std::make_move_iterator(rest.begin()),
                            std::make_move_iterator(rest.end()));
    }
  }
  current_.runs.clear();
  current_.first = last + 1;
  CAIRN_CHECK_EQ(runs.back().last().index, last);
  Apply(runs, std::move(spans));
  return true;
}

void Applier::Apply(const std::vector<RecordRun>& runs, std::vector<PlacedSpan> spans) {
  Index first = runs.front().first().index;
  std::vector<ProposalResult> results;
  for (const RecordRun& run : runs) {
    replica_->Apply(run, spans.empty() ? nullptr : &results);
  }
  sessions_.store(replica_->sessions(), std::memory_order_relaxed);
  // Before the machine wakes its readers, and before the answers: who has one may read what it
  // says.
  applied_.store(std::max(applied(), runs.back().last().index), std::memory_order_release);
  replica_->Announce();
  NoteReplay();
  for (const PlacedSpan& placed : spans) {
    AnswerSpan(placed, runs,
               absl::MakeSpan(results).subspan(placed.first.index - first, placed.span.count));
  }
}

bool Applier::Restore() {
  const std::shared_ptr<const StoredSnapshot> snapshot = std::move(current_.restore);
  const Index index = snapshot->position().index;
  current_.first = current_.last + 1;
  if (current_.again) {
    replay_ = {index, applied()};
  } else {
    restore_expected_.store(false, std::memory_order_release);
    if (index <= replica_->applied().index) return true;
  }
  absl::Status status = replica_->RestoreFrom(*snapshot);
  if (!status.ok()) return Failed(status);
  processed_.store(index, std::memory_order_release);
  sessions_.store(replica_->sessions(), std::memory_order_relaxed);
  applied_.store(std::max(applied(), index), std::memory_order_release);
  NoteReplay();
  return true;
}

void Applier::NoteReplay() {
  if (replay_.from == 0 || replica_->applied().index < replay_.to) return;
  const Index from = std::exchange(replay_, {}).from;
  replaying_.store(false, std::memory_order_release);
  if (events_.replayed != nullptr) events_.replayed(from);
}

// What stands before the restore in the queue, or all there is if that has not come yet.
void Applier::DropUnreadable() {
  std::vector<PlacedSpan> spans = std::exchange(current_.spans, {});
  current_.first = current_.last + 1;
  {
    MutexLock lock(mutex_);
    while (!queue_.empty() && (queue_.front().restore == nullptr || queue_.front().again)) {
      ApplyWork& work = queue_.front();
      if (work.again) replay_ = {work.first, 0};  // the restore ends it
      queued_bytes_.fetch_sub(BytesOf(work.runs), std::memory_order_relaxed);
      std::move(work.spans.begin(), work.spans.end(), std::back_inserter(spans));
      queue_.pop_front();
    }
  }
  for (PlacedSpan& placed : spans) placed.AnswerUnknown("a snapshot stands for it here");
}

bool Applier::Unreadable(const absl::Status& status) {
  if (restore_expected_.load(std::memory_order_acquire)) {
    DropUnreadable();
    return false;
  }
  if (!absl::IsDataLoss(status) || events_.damaged == nullptr) return Failed(status);
  condition_ = Condition::kStalled;
  events_.damaged(current_.first, status);
  return false;
}

void Applier::Resume() {
  executor_->Post([this] {
    // With a restore on its way, what is stalled gives way to it.
    if (condition_ != Condition::kStalled) return;
    if (!restore_expected_.load(std::memory_order_acquire)) condition_ = Condition::kWorks;
    {
      MutexLock lock(mutex_);
      if (scheduled_) return;
      scheduled_ = true;
    }
    Run();
  });
}

// What came again behind a restore that was not needed any more. True if nothing is left of it.
bool Applier::SkipApplied() {
  const Index applied = replica_->applied().index;
  if (current_.first > applied) return false;
  queued_bytes_.fetch_sub(BytesOf(current_.runs), std::memory_order_relaxed);
  current_.runs.clear();  // the store has them
  current_.first = std::min(applied, current_.last) + 1;
  std::deque<PlacedSpan> rest(std::make_move_iterator(current_.spans.begin()),
                              std::make_move_iterator(current_.spans.end()));
  for (PlacedSpan& placed : TakeSpans(rest, current_.first - 1)) {
    placed.AnswerUnknown("it was applied before it came to that");
  }
  current_.spans.assign(std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
  return current_.first > current_.last;
}

bool Applier::Failed(const absl::Status& status) {
  condition_ = Condition::kFailed;
  if (events_.failed != nullptr) events_.failed(status);
  GiveUp(kUnreadable);
  return false;
}

void Applier::GiveUp(absl::string_view message) {
  std::deque<ApplyWork> queue;
  {
    MutexLock lock(mutex_);
    queue.swap(queue_);
  }
  for (PlacedSpan& placed : std::exchange(current_.spans, {})) placed.AnswerUnknown(message);
  for (ApplyWork& work : queue) {
    for (PlacedSpan& placed : work.spans) placed.AnswerUnknown(message);
  }
}

}  // namespace cairn

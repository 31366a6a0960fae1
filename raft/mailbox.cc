#include "raft/mailbox.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <variant>

namespace cairn {
namespace {

// What an envelope of the append lane holds in memory, roughly.
size_t BulkBytes(const Envelope& envelope) {
  constexpr size_t kOverhead = 256;
  size_t bytes = kOverhead;
  for (const RecordRun& run : envelope.entries) bytes += run.byte_size();
  if (const auto* forwarded = std::get_if<ForwardedProposals>(&envelope.body)) {
    for (const PreparedEntry& entry : forwarded->entries) bytes += entry.record_bytes();
  }
  if (const auto* results = std::get_if<ForwardedResults>(&envelope.body)) {
    for (const ProposalResult& result : results->results) {
      const auto* applied = std::get_if<ProposalApplied>(&result);
      bytes += sizeof(ProposalResult) + (applied == nullptr ? 0 : applied->reply.size());
    }
  }
  if (const auto* piece = std::get_if<SnapshotPiece>(&envelope.body)) bytes += piece->bytes.size();
  return bytes;
}

}  // namespace

void MailboxContents::Clear() {
  envelopes.clear();
  proposals.clear();
  reads.clear();
  lost.clear();
  hosts_lost.clear();
  tasks.clear();
  synced = 0;
  applied = 0;
  log_status = absl::OkStatus();
}

// Wakes the runner at the end of its scope, if it must: it stands before the lock, so that this is
// after it.
struct Mailbox::Waker {
  explicit Waker(Mailbox* woken, Where runs = Where::kElsewhere) : mailbox(woken), where(runs) {}
  ~Waker() {
    if (!must_wake) return;
    mailbox->wake_(where);
    mailbox->waking_.fetch_sub(1, std::memory_order_release);
  }
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  Mailbox* const mailbox;
  const Where where;
  bool must_wake = false;
};

Mailbox::Mailbox(const Limits& limits, std::function<void(Where)> wake)
    : limits_(limits), wake_(std::move(wake)) {}

bool Mailbox::MustWake() {
  if (std::exchange(awake_, true)) return false;
  waking_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

bool Mailbox::PutEnvelope(Envelope envelope) {
  bool control = LaneOf(envelope) == Lane::kControl;
  size_t bytes = control ? 0 : BulkBytes(envelope);
  Waker waker(this, Where::kHere);
  MutexLock lock(mutex_);
  if (closed_) return false;
  if (control) {
    if (control_envelopes_ >= limits_.control_envelopes) return false;
    ++control_envelopes_;
  } else {
    if (bulk_bytes_ + bytes > limits_.bulk_bytes && bulk_bytes_ > 0) return false;
    bulk_bytes_ += bytes;
  }
  contents_.envelopes.push_back(std::move(envelope));
  waker.must_wake = MustWake();
  return true;
}

bool Mailbox::PutProposal(ProposalRequest& request) {
  Waker waker(this);
  MutexLock lock(mutex_);
  if (closed_) return false;
  contents_.proposals.push_back(std::move(request));
  waker.must_wake = MustWake();
  return true;
}

Mailbox::ReadFate Mailbox::PutRead(ReadRequest& request) {
  Waker waker(this);
  MutexLock lock(mutex_);
  if (closed_) return ReadFate::kClosed;
  if (contents_.reads.size() >= limits_.reads) return ReadFate::kFull;
  contents_.reads.push_back(std::move(request));
  waker.must_wake = MustWake();
  return ReadFate::kTaken;
}

void Mailbox::PutLost(NodeId peer) {
  Waker waker(this);
  MutexLock lock(mutex_);
  if (closed_) return;
  if (std::find(contents_.lost.begin(), contents_.lost.end(), peer) != contents_.lost.end()) return;
  contents_.lost.push_back(peer);
  waker.must_wake = MustWake();
}

void Mailbox::PutHostLost(const HostLost& lost) {
  Waker waker(this);
  MutexLock lock(mutex_);
  if (closed_) return;
  contents_.hosts_lost.push_back(lost);
  waker.must_wake = MustWake();
}

void Mailbox::PutSynced(Ticket ticket) {
  Waker waker(this, Where::kHere);
  MutexLock lock(mutex_);
  if (closed_) return;
  contents_.synced = std::max(contents_.synced, ticket);
  waker.must_wake = MustWake();
}

void Mailbox::PutLogFailure(absl::Status status) {
  Waker waker(this);
  MutexLock lock(mutex_);
  if (closed_) return;
  contents_.log_status.Update(status);
  waker.must_wake = MustWake();
}

void Mailbox::PutApplied(Index index) {
  Waker waker(this);
  MutexLock lock(mutex_);
  if (closed_) return;
  contents_.applied = std::max(contents_.applied, index);
  waker.must_wake = MustWake();
}

bool Mailbox::PutTask(Task task) {
  Waker waker(this);
  MutexLock lock(mutex_);
  if (closed_) return false;
  contents_.tasks.push_back(std::move(task));
  waker.must_wake = MustWake();
  return true;
}

Mailbox::Load Mailbox::load() const {
  MutexLock lock(mutex_);
  return {contents_.envelopes.size(), bulk_bytes_, contents_.proposals.size(),
          contents_.reads.size()};
}

void Mailbox::Drain(MailboxContents* contents) {
  contents->Clear();
  MutexLock lock(mutex_);
  std::swap(*contents, contents_);
  control_envelopes_ = 0;
  bulk_bytes_ = 0;
  awake_ = false;
}

MailboxContents Mailbox::Close() {
  MailboxContents rest;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    std::swap(rest, contents_);
  }
  // Those who put something in before have at most the runner left to wake.
  while (waking_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  return rest;
}

}  // namespace cairn

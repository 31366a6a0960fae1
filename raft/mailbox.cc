#include "raft/mailbox.h"

#include <algorithm>
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
  return bytes;
}

}  // namespace

void MailboxContents::Clear() {
  envelopes.clear();
  proposals.clear();
  reads.clear();
  lost.clear();
  tasks.clear();
  synced = 0;
  applied = 0;
  log_status = absl::OkStatus();
}

Mailbox::Mailbox(const Limits& limits, absl::AnyInvocable<void()> wake)
    : limits_(limits), wake_(std::move(wake)) {}

void Mailbox::Wake() {
  if (awake_) return;
  awake_ = true;
  wake_();
}

bool Mailbox::PutEnvelope(Envelope envelope) {
  bool control = LaneOf(envelope) == Lane::kControl;
  size_t bytes = control ? 0 : BulkBytes(envelope);
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
  Wake();
  return true;
}

bool Mailbox::PutProposal(ProposalRequest& request) {
  MutexLock lock(mutex_);
  if (closed_) return false;
  contents_.proposals.push_back(std::move(request));
  Wake();
  return true;
}

Mailbox::ReadFate Mailbox::PutRead(ReadRequest& request) {
  MutexLock lock(mutex_);
  if (closed_) return ReadFate::kClosed;
  if (contents_.reads.size() >= limits_.reads) return ReadFate::kFull;
  contents_.reads.push_back(std::move(request));
  Wake();
  return ReadFate::kTaken;
}

void Mailbox::PutLost(NodeId peer) {
  MutexLock lock(mutex_);
  if (closed_) return;
  if (std::find(contents_.lost.begin(), contents_.lost.end(), peer) != contents_.lost.end()) return;
  contents_.lost.push_back(peer);
  Wake();
}

void Mailbox::PutSynced(Ticket ticket) {
  MutexLock lock(mutex_);
  if (closed_) return;
  contents_.synced = std::max(contents_.synced, ticket);
  Wake();
}

void Mailbox::PutLogFailure(absl::Status status) {
  MutexLock lock(mutex_);
  if (closed_) return;
  contents_.log_status.Update(status);
  Wake();
}

void Mailbox::PutApplied(Index index) {
  MutexLock lock(mutex_);
  if (closed_) return;
  contents_.applied = std::max(contents_.applied, index);
  Wake();
}

bool Mailbox::PutTask(Task task) {
  MutexLock lock(mutex_);
  if (closed_) return false;
  contents_.tasks.push_back(std::move(task));
  Wake();
  return true;
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
  MutexLock lock(mutex_);
  closed_ = true;
  return std::exchange(contents_, MailboxContents());
}

}  // namespace cairn

#include "service/frame_queue.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/check.h"
#include "service/wire/wire.h"

namespace cairn {
namespace {

// Bounds of what protobuf adds: keys, lengths and integers of a message that has no more fields
// than any here, and of one element of a list.
constexpr size_t kMessageBytes = 128;
constexpr size_t kElementBytes = 48;

size_t BytesOf(const std::vector<Member>& members) {
  size_t bytes = 0;
  for (const Member& member : members) bytes += kElementBytes + member.address.size();
  return bytes;
}

size_t BytesOf(const ProposalResult& result) {
  if (const auto* applied = std::get_if<ProposalApplied>(&result)) return applied->reply.size();
  if (const auto* refused = std::get_if<ProposalNotApplied>(&result))
    return refused->message.size();
  return std::get<ProposalUnknown>(result).message.size();
}

size_t BytesOf(const MessageBody& body) {
  const auto* query = std::get_if<TailQuery>(&body);
  return query == nullptr ? 0 : query->torn.size() * kElementBytes;
}
size_t BytesOf(const Hello& body) {
  return BytesOf(body.members.voters) + BytesOf(body.members.outgoing_voters) +
         BytesOf(body.members.learners);
}
size_t BytesOf(const ForwardedProposals& body) {
  size_t bytes = 0;
  for (const PreparedEntry& entry : body.entries) bytes += kElementBytes + entry.record_bytes();
  return bytes;
}
size_t BytesOf(const ForwardedResults& body) {
  size_t bytes = 0;
  for (const ProposalResult& result : body.results) bytes += 2 * kElementBytes + BytesOf(result);
  return bytes;
}
size_t BytesOf(const IdentityRefusal& body) { return body.message.size(); }
size_t BytesOf(const HostHeartbeat&) { return 0; }
size_t BytesOf(const SnapshotOffer&) { return 0; }
size_t BytesOf(const SnapshotAnswer&) { return 0; }
size_t BytesOf(const SnapshotRequest&) { return 0; }
size_t BytesOf(const EntryRequest& body) { return body.wanted.size() * 2 * kElementBytes; }
size_t BytesOf(const EntryReply&) { return 0; }
size_t BytesOf(const SnapshotPiece& body) { return body.bytes.size(); }

}  // namespace

size_t ParcelBytesBound(const Envelope& envelope) {
  size_t bytes = kMessageBytes;
  bytes += std::visit([](const auto& body) { return BytesOf(body); }, envelope.body);
  for (const RecordRun& run : envelope.entries) bytes += kElementBytes + run.byte_size();
  return bytes;
}

bool FrameQueue::Push(Envelope envelope, size_t max_bytes) {
  size_t bytes = ParcelBytesBound(envelope);
  if (!empty() && waiting_bytes_ + bytes > max_bytes) return false;
  waiting_bytes_ += bytes;
  waiting_.push_back({std::move(envelope), bytes});
  return true;
}

size_t FrameQueue::Next(v1::Frame* frame, size_t max_bytes) {
  CAIRN_CHECK(!empty());
  CAIRN_CHECK(max_bytes > 0 && max_bytes <= kMaxFrameBytes);
  frame->Clear();
  if (!fragments_.empty()) return NextFragment(frame, max_bytes);
  const Envelope identity = waiting_.front().envelope;
  WriteIdentity(identity, frame);
  size_t bytes = 0;
  while (!waiting_.empty()) {
    const Waiting& next = waiting_.front();
    bool fits = bytes + next.bytes <= max_bytes && SameIdentity(next.envelope, identity);
    if (bytes > 0 && !fits) break;
    v1::Parcel* parcel = frame->add_parcels();
    WriteParcel(next.envelope, parcel);
    bytes += next.bytes;
    waiting_bytes_ -= next.bytes;
    waiting_.pop_front();
    if (!fits && parcel->ByteSizeLong() > max_bytes) {
      fragments_ = parcel->SerializeAsString();
      frame->clear_parcels();
      fragments_identity_ = *frame;
      return NextFragment(frame, max_bytes);
    }
  }
  return bytes;
}

size_t FrameQueue::NextFragment(v1::Frame* frame, size_t max_bytes) {
  *frame = fragments_identity_;
  size_t length = std::min(max_bytes, fragments_.size() - fragments_sent_);
  frame->set_fragment(fragments_.data() + fragments_sent_, length);
  fragments_sent_ += length;
  if (fragments_sent_ < fragments_.size()) return length;
  frame->set_fragment_ends(true);
  fragments_.clear();
  fragments_.shrink_to_fit();
  fragments_sent_ = 0;
  return length;
}

void FrameQueue::Clear() {
  waiting_.clear();
  waiting_bytes_ = 0;
  fragments_.clear();
  fragments_sent_ = 0;
}

}  // namespace cairn

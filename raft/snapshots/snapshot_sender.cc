#include "raft/snapshots/snapshot_sender.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"

namespace cairn {
namespace {

constexpr size_t kMaxServed = 2;

}  // namespace

void SnapshotSender::Serve(std::shared_ptr<const ServedSnapshot> snapshot, Instant now) {
  const ContentId id = SnapshotIdOf(snapshot->encoded());
  served_.push_back({std::move(snapshot), id, now, std::nullopt});
  if (served_.size() > kMaxServed) served_.pop_front();
}

std::optional<SnapshotOffer> SnapshotSender::Offer(Term term, Index base, Instant now) {
  if (served_.empty() || served_.back().snapshot->position().index < base) return std::nullopt;
  Served& last = served_.back();
  last.used = now;
  return SnapshotOffer{term, last.id, last.snapshot->position(), last.snapshot->encoded().size()};
}

SnapshotPiece SnapshotSender::Answer(const SnapshotRequest& request, Instant now) {
  SnapshotPiece piece = {request.id, request.file, request.offset, {}, true};
  auto served = std::find_if(served_.begin(), served_.end(),
                             [&](const Served& each) { return each.id == request.id; });
  if (served == served_.end()) return piece;
  served->used = now;
  served->asked = now;
  if (request.file == kManifestPart) {
    const std::string& manifest = served->snapshot->encoded();
    if (request.offset >= manifest.size()) return piece;
    piece.bytes = manifest.substr(request.offset, request.bytes);
    piece.gone = false;
    return piece;
  }
  absl::StatusOr<std::string> bytes =
      served->snapshot->Read(request.file, request.offset, request.bytes);
  if (bytes.ok()) {
    piece.bytes = *std::move(bytes);
    piece.gone = piece.bytes.empty();
  } else if (!absl::IsOutOfRange(bytes.status())) {
    served_.erase(served);  // it is damaged; who asked for too much only has a bad manner
  }
  return piece;
}

void SnapshotSender::KeepLast() {
  while (served_.size() > 1) served_.pop_front();
}

void SnapshotSender::Expire(Instant now) {
  std::erase_if(served_, [now](const Served& each) { return now - each.used > kIdle; });
}

std::optional<Index> SnapshotSender::Wanted(Instant now) const {
  for (const Served& each : served_) {
    if (each.asked && now - *each.asked <= kLately) return each.snapshot->position().index;
  }
  return std::nullopt;
}

}  // namespace cairn

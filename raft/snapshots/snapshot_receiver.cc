#include "raft/snapshots/snapshot_receiver.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace cairn {
namespace {

// A sender whose chunks do not match so often has another snapshot than it says.
constexpr int kMaxBadChunks = 3;
// The chunk's place of what is at `offset`.
uint64_t BaseOf(uint32_t file, uint64_t offset) {
  return file == kManifestPart ? 0 : offset - offset % kChunkBytes;
}

}  // namespace

// Offers ------------------------------------------------------------------------------------------

void SnapshotReceiver::TakeOffer(NodeId from, const SnapshotOffer& offer, bool patch, Instant now) {
  if (transfer_ && transfer_->offer.id == offer.id && transfer_->patch == patch) {
    transfer_->offer.term = std::max(transfer_->offer.term, offer.term);
    if (transfer_->from != from) {
      transfer_->from = from;
      AskAgain(transfer_->asks.TakeAll());
      transfer_->asks = PieceAsks(now);
      transfer_->window = PieceWindow(now);
    }
    return FillWindow(now);
  }
  if (now < quiet_until_) return;
  // While the one before comes on, it goes on.
  if (transfer_ && now - transfer_->last_news < PieceAsks::kPatience * 2) {
    Answer(from, offer, SnapshotAnswer::Verdict::kBusy);
    return FillWindow(now);
  }
  Begin(from, offer, patch, now);
}

void SnapshotReceiver::Begin(NodeId from, const SnapshotOffer& offer, bool patch, Instant now) {
  transfer_.emplace();
  transfer_->patch = patch;
  transfer_->offer = offer;
  transfer_->from = from;
  transfer_->last_news = now;
  transfer_->asks = PieceAsks(now);
  transfer_->window = PieceWindow(now);
  auto resumed = store_->Resume(offer.id);
  if (!absl::IsNotFound(resumed.status())) return Receive(std::move(resumed), now);
  transfer_->manifest.emplace(offer.manifest_bytes);
  FillWindow(now);
}

ChunkAssembly* SnapshotReceiver::Find(uint32_t file, uint64_t offset) {
  if (file == kManifestPart) return transfer_->manifest ? &*transfer_->manifest : nullptr;
  auto chunk = transfer_->chunks.find({file, offset / kChunkBytes});
  return chunk == transfer_->chunks.end() ? nullptr : &chunk->second;
}

bool SnapshotReceiver::AskIn(uint32_t file, uint64_t base, ChunkAssembly& assembly, Instant now) {
  const auto piece = assembly.Ask(transfer_->window.piece());
  if (!piece) return false;
  const auto [offset, bytes] = *piece;
  transfer_->asks.Add({file, base + offset, bytes, now});
  requests_.emplace_back(transfer_->from, SnapshotRequest{transfer_->offer.id, file, base + offset,
                                                          static_cast<uint32_t>(bytes)});
  return true;
}

// False if all there is has been asked for.
bool SnapshotReceiver::AskOne(Instant now) {
  if (transfer_->manifest) return AskIn(kManifestPart, 0, *transfer_->manifest, now);
  for (auto& [place, chunk] : transfer_->chunks) {
    const auto file = static_cast<uint32_t>(place.file);
    if (AskIn(file, place.chunk * kChunkBytes, chunk, now)) return true;
  }
  return false;
}

void SnapshotReceiver::AskAgain(const std::vector<PieceAsks::Ask>& lost) {
  for (const PieceAsks::Ask& ask : lost) {
    ChunkAssembly* assembly = Find(ask.file, ask.offset);
    if (assembly != nullptr) assembly->Lost(ask.offset - BaseOf(ask.file, ask.offset), ask.bytes);
  }
}

void SnapshotReceiver::FillWindow(Instant now) {
  if (transfer_->asks.Silent(now)) transfer_->window = PieceWindow(now);  // as on an unknown link
  AskAgain(transfer_->asks.TakeLost(now));
  while (transfer_->window.HasRoom(transfer_->asks.bytes()) && (AskOne(now) || BeginChunk())) {
  }
}

// Pieces ------------------------------------------------------------------------------------------

void SnapshotReceiver::TakePiece(NodeId from, SnapshotPiece piece, Instant now, Duration waited) {
  if (!transfer_ || piece.id != transfer_->offer.id) return;
  if (piece.gone) {
    // The next offer says what there is instead.
    if (from == transfer_->from) transfer_.reset();
    return;
  }
  ++figures_.pieces;
  const uint64_t base = BaseOf(piece.file, piece.offset);
  const auto ask = transfer_->asks.Heard(piece.file, piece.offset, now);
  if (ask) {
    const Duration delay = now - ask->when;
    const Duration held = std::min(piece.held, delay) + waited;  // the other may say anything
    transfer_->window.Arrived(piece.bytes.size(), delay, held, now);
  }
  ChunkAssembly* assembly = Find(piece.file, piece.offset);
  if (assembly == nullptr) return;
  const bool wanted = assembly->Put(piece.offset - base, piece.bytes);
  // It may be less than was asked for, or something else.
  if (ask) assembly->Lost(ask->offset - base, ask->bytes);
  if (!wanted) return;
  figures_.bytes += piece.bytes.size();
  const bool slow = now - transfer_->last_news >= kSlowPiece;
  transfer_->last_news = now;
  const ChunkPlace place = {piece.file, piece.offset / kChunkBytes};
  if (assembly->complete()) {
    return piece.file == kManifestPart ? TakeManifest(now) : TakeChunk(place, now);
  }
  if (slow && piece.file != kManifestPart) {
    const absl::Status kept = transfer_->incoming->Keep(place, piece.offset - base, piece.bytes);
    if (!kept.ok()) {
      GiveBack(now);
      return Fail("chunk", kept);
    }
  }
  FillWindow(now);
}

void SnapshotReceiver::TakeManifest(Instant now) {
  std::string encoded = transfer_->manifest->Take();
  transfer_->manifest.reset();
  if (SnapshotIdOf(encoded) != transfer_->offer.id) {
    return Fail("manifest", absl::DataLossError("it is not the one offered"));
  }
  Receive(store_->Receive(std::move(encoded)), now);
}

void SnapshotReceiver::Receive(absl::StatusOr<std::unique_ptr<IncomingSnapshot>> incoming,
                               Instant now) {
  if (absl::IsAlreadyExists(incoming.status())) {
    // It arrived before, and this node has not come to take it yet.
    if (transfer_->patch) return transfer_.reset();
    received_ = Received{transfer_->offer.term, store_->last()};
    transfer_.reset();
    return;
  }
  if (!incoming.ok()) return Fail("manifest", incoming.status());
  if ((*incoming)->manifest().position != transfer_->offer.position) {
    return Fail("manifest", absl::DataLossError("it is of another position"));
  }
  transfer_->incoming = *std::move(incoming);
  if (transfer_->patch) {
    compare_at_ = transfer_->offer.position;
  } else {
    GoOn(now);
  }
}

std::optional<LogPosition> SnapshotReceiver::TakeCompareAt() {
  return std::exchange(compare_at_, std::nullopt);
}

bool SnapshotReceiver::awaits_compare() const {
  return transfer_ && transfer_->patch && !transfer_->compared && transfer_->incoming != nullptr;
}

// Files of an earlier state are the beginnings of those of a later one, or have changed.
void SnapshotReceiver::Compare(const SnapshotSource* own, const Clock& clock,
                               absl::FunctionRef<bool()> aborted) {
  if (!awaits_compare()) return;
  IncomingSnapshot& incoming = *transfer_->incoming;
  // The first file is not the machine's.
  const size_t count = own == nullptr ? 0 : own->files().size();
  const std::vector<ManifestFile>& files = incoming.manifest().files;
  std::optional<size_t> unreadable;  // a file, which would be read from its beginning each time
  for (std::optional<ChunkPlace> next = incoming.NextMissing({1, 0}); next;
       next = incoming.NextMissing({next->file, next->chunk + 1})) {
    if (aborted()) return;
    const size_t file = next->file - 1;
    if (file >= count || file == unreadable || own->files()[file].name != files[next->file].name)
      continue;
    const uint64_t offset = next->chunk * kChunkBytes;
    const uint64_t length = incoming.LengthOf(*next);
    if (offset + length > own->files()[file].bytes) continue;
    absl::StatusOr<std::string> bytes = own->Read(file, offset, static_cast<size_t>(length));
    if (bytes.ok()) {
      incoming.Leave(*next, *bytes);
    } else {
      unreadable = file;
    }
  }
  const Instant now = clock.Now();
  transfer_->compared = true;
  transfer_->last_news = now;
  transfer_->asks = PieceAsks(now);
  GoOn(now);
}

// False if so many are under way, or there is none.
bool SnapshotReceiver::BeginChunk() {
  if (transfer_->incoming == nullptr || transfer_->chunks.size() >= kWindow) return false;
  if (transfer_->patch && !transfer_->compared) return false;
  // Behind all that is under way, or what a disk made of a chunk that had come.
  std::optional<ChunkPlace> next = transfer_->incoming->NextMissing({});
  while (next && transfer_->chunks.contains(*next)) {
    next = transfer_->incoming->NextMissing({next->file, next->chunk + 1});
  }
  if (!next) return false;
  std::string kept = transfer_->incoming->Kept(*next);
  transfer_->chunks.try_emplace(*next, kept.empty()
                                           ? ChunkAssembly(transfer_->incoming->LengthOf(*next))
                                           : ChunkAssembly(std::move(kept)));
  return true;
}

void SnapshotReceiver::GoOn(Instant now) {
  if (!transfer_->incoming->complete()) return FillWindow(now);
  if (!transfer_->patch) return Publish(now);
  patch_ = std::move(transfer_->incoming);
  transfer_.reset();
}

void SnapshotReceiver::TakeChunk(ChunkPlace place, Instant now) {
  ChunkAssembly& chunk = transfer_->chunks.at(place);
  absl::Status status = transfer_->incoming->Put(place, chunk.bytes());
  if (absl::IsDataLoss(status) && chunk.inherited()) {
    // What was kept may be what a power cut or the disk made of it: no fault of the sender.
    chunk = ChunkAssembly(chunk.bytes().size());
    return FillWindow(now);
  }
  transfer_->chunks.erase(place);
  if (absl::IsDataLoss(status)) {
    ++figures_.refused;
    if (++transfer_->bad_chunks >= kMaxBadChunks) return Fail("chunk", status);
  } else if (!status.ok()) {
    GiveBack(now);
    return Fail("chunk", status);
  }
  GoOn(now);
}

// The disk is full, or failed: what could not be written or synced is never used again.
void SnapshotReceiver::GiveBack(Instant now) {
  store_->Discard(*transfer_->incoming);
  quiet_until_ = now + kIdle;
}

void SnapshotReceiver::Publish(Instant now) {
  absl::StatusOr<std::shared_ptr<const StoredSnapshot>> published =
      store_->Publish(*transfer_->incoming);
  if (absl::IsAlreadyExists(published.status())) {
    // This node saved a later one of its own while it came.
    store_->Discard(*transfer_->incoming);
    published = store_->last();
  }
  if (!published.ok()) {
    if (!absl::IsDataLoss(published.status())) GiveBack(now);
    return Fail("snapshot", published.status());
  }
  received_ = Received{transfer_->offer.term, *std::move(published)};
  transfer_.reset();
}

// Ends --------------------------------------------------------------------------------------------

// For people, who see the sender's log rather than this one's.
void SnapshotReceiver::Answer(NodeId to, const SnapshotOffer& offer,
                              SnapshotAnswer::Verdict verdict) {
  if (!offer.failures_wanted) return;
  answers_.emplace_back(to, SnapshotAnswer{offer.id, verdict, offer.term, 0});
}

void SnapshotReceiver::Fail(absl::string_view what, const absl::Status& status) {
  Answer(transfer_->from, transfer_->offer,
         absl::IsDataLoss(status)            ? SnapshotAnswer::Verdict::kDataLoss
         : absl::IsResourceExhausted(status) ? SnapshotAnswer::Verdict::kNoSpace
                                             : SnapshotAnswer::Verdict::kStorageFailed);
  complaints_.push_back(absl::StrCat("the ", what, " of node ", ToInteger(transfer_->from), " at ",
                                     ToString(transfer_->offer.position),
                                     " was not taken: ", status.ToString()));
  transfer_.reset();
}

void SnapshotReceiver::Expire(Instant now) {
  if (transfer_ && now - transfer_->last_news > kIdle) transfer_.reset();
}

std::vector<std::pair<NodeId, SnapshotRequest>> SnapshotReceiver::TakeRequests() {
  return std::exchange(requests_, {});
}

std::vector<std::pair<NodeId, SnapshotAnswer>> SnapshotReceiver::TakeAnswers() {
  return std::exchange(answers_, {});
}

std::optional<SnapshotReceiver::Received> SnapshotReceiver::TakeReceived() {
  return std::exchange(received_, std::nullopt);
}

std::vector<std::string> SnapshotReceiver::TakeComplaints() {
  return std::exchange(complaints_, {});
}

}  // namespace cairn

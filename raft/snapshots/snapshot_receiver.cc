#include "raft/snapshots/snapshot_receiver.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace cairn {
namespace {

// A sender whose chunks do not match so often has another snapshot than it says.
constexpr int kMaxBadChunks = 3;
// Pieces of a manifest that are asked for at once.
constexpr size_t kManifestWindow = 32;
constexpr Duration kLongestPatience = Seconds(2);

uint64_t PieceLength(uint64_t bytes, size_t piece) {
  return std::min<uint64_t>(kSnapshotPieceBytes, bytes - piece * kSnapshotPieceBytes);
}

}  // namespace

SnapshotReceiver::Assembly SnapshotReceiver::MakeAssembly(uint64_t bytes) {
  Assembly assembly;
  assembly.missing = static_cast<size_t>((bytes + kSnapshotPieceBytes - 1) / kSnapshotPieceBytes);
  assembly.there.resize(assembly.missing, false);
  assembly.bytes.resize(static_cast<size_t>(bytes));
  return assembly;
}

bool SnapshotReceiver::Take(Assembly& assembly, uint64_t offset, absl::string_view bytes) {
  const uint64_t piece = offset / kSnapshotPieceBytes;
  if (offset % kSnapshotPieceBytes != 0 || piece >= assembly.there.size()) return false;
  if (assembly.there[piece] || bytes.size() != PieceLength(assembly.bytes.size(), piece)) {
    return false;
  }
  std::copy(bytes.begin(), bytes.end(),
            assembly.bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  assembly.there[piece] = true;
  --assembly.missing;
  return true;
}

void SnapshotReceiver::Pace::Heard(uint64_t ask, Instant now) {
  // A silence that was broken by asking again says nothing of the link.
  const Duration gap = std::exchange(asked_in_silence_, false) ? Duration() : now - last_;
  last_ = now;
  answered_ = std::max(answered_, ask);
  // It falls slowly: a link that paused once may do so again.
  patience_ = std::clamp(std::max(gap * 4, patience_ * 7 / 8), kPatience, kLongestPatience);
}

void SnapshotReceiver::Pace::AskedInSilence() {
  asked_in_silence_ = true;
  patience_ = std::min(patience_ * 2, kLongestPatience);
}

bool SnapshotReceiver::Pace::IsLost(const Assembly& assembly, Instant now) const {
  if (Silent(now)) return now - assembly.asked >= patience_;
  return answered_ > assembly.ask && now - assembly.asked >= kPatience * 4;
}

// Offers ------------------------------------------------------------------------------------------

void SnapshotReceiver::TakeOffer(NodeId from, const SnapshotOffer& offer, bool patch, Instant now) {
  if (transfer_ && transfer_->offer.id == offer.id && transfer_->patch == patch) {
    transfer_->offer.term = std::max(transfer_->offer.term, offer.term);
    if (transfer_->from != from) {
      transfer_->from = from;
      transfer_->pace = Pace(now);
      return AskAll(now, [](const Assembly&) { return true; });
    }
    return AskAgain(now);
  }
  if (now < quiet_until_) return;
  // While the one before comes on, it goes on.
  if (transfer_ && now - transfer_->last_news < kPatience * 2) {
    Answer(from, offer, SnapshotAnswer::Verdict::kBusy);
    return AskAgain(now);
  }
  Begin(from, offer, patch, now);
}

void SnapshotReceiver::Begin(NodeId from, const SnapshotOffer& offer, bool patch, Instant now) {
  transfer_.emplace();
  transfer_->patch = patch;
  transfer_->offer = offer;
  transfer_->from = from;
  transfer_->last_news = now;
  transfer_->pace = Pace(now);
  auto resumed = store_->Resume(offer.id);
  if (!absl::IsNotFound(resumed.status())) return Receive(std::move(resumed), now);
  transfer_->manifest = MakeAssembly(offer.manifest_bytes);
  Ask(kManifestPart, 0, *transfer_->manifest, now);
}

// The pieces of `assembly`, which stands at `file_offset`, that are not there.
void SnapshotReceiver::Ask(uint32_t file, uint64_t file_offset, Assembly& assembly, Instant now) {
  assembly.asked = now;
  assembly.ask = transfer_->pace.NextAsk();
  size_t asked = 0;
  for (size_t piece = 0; piece < assembly.there.size() && asked < kManifestWindow; ++piece) {
    if (assembly.there[piece]) continue;
    ++asked;
    requests_.emplace_back(
        transfer_->from,
        SnapshotRequest{transfer_->offer.id, file, file_offset + piece * kSnapshotPieceBytes,
                        static_cast<uint32_t>(PieceLength(assembly.bytes.size(), piece))});
  }
}

void SnapshotReceiver::AskAgain(Instant now) {
  const bool silent = transfer_->pace.Silent(now);
  const uint64_t before = transfer_->pace.asks();
  AskAll(now,
         [this, now](const Assembly& assembly) { return transfer_->pace.IsLost(assembly, now); });
  if (silent && transfer_->pace.asks() != before) transfer_->pace.AskedInSilence();
}

void SnapshotReceiver::AskAll(Instant now, absl::FunctionRef<bool(const Assembly&)> wanted) {
  if (transfer_->manifest && wanted(*transfer_->manifest)) {
    Ask(kManifestPart, 0, *transfer_->manifest, now);
  }
  for (auto& [place, chunk] : transfer_->chunks) {
    if (!wanted(chunk)) continue;
    Ask(static_cast<uint32_t>(place.file), place.chunk * kChunkBytes, chunk, now);
  }
}

// Pieces ------------------------------------------------------------------------------------------

void SnapshotReceiver::TakePiece(NodeId from, SnapshotPiece piece, Instant now) {
  if (!transfer_ || piece.id != transfer_->offer.id) return;
  if (piece.gone) {
    // The next offer says what there is instead.
    if (from == transfer_->from) transfer_.reset();
    return;
  }
  ++figures_.pieces;
  if (piece.file == kManifestPart) {
    transfer_->pace.Heard(transfer_->manifest ? transfer_->manifest->ask : 0, now);
    if (!transfer_->manifest || !Take(*transfer_->manifest, piece.offset, piece.bytes)) return;
    figures_.bytes += piece.bytes.size();
    transfer_->last_news = now;
    const size_t got = transfer_->manifest->there.size() - transfer_->manifest->missing;
    if (transfer_->manifest->missing == 0) {
      TakeManifest(now);
    } else if (got % kManifestWindow == 0) {
      Ask(kManifestPart, 0, *transfer_->manifest, now);
    }
    return;
  }
  const ChunkPlace place = {piece.file, piece.offset / kChunkBytes};
  auto chunk = transfer_->chunks.find(place);
  transfer_->pace.Heard(chunk == transfer_->chunks.end() ? 0 : chunk->second.ask, now);
  if (chunk == transfer_->chunks.end()) return;
  if (!Take(chunk->second, piece.offset % kChunkBytes, piece.bytes)) return;
  figures_.bytes += piece.bytes.size();
  const bool slow = now - transfer_->last_news >= kSlowPiece;
  transfer_->last_news = now;
  if (chunk->second.missing == 0) return TakeChunk(place, now);
  if (!slow) return;
  const absl::Status kept =
      transfer_->incoming->Keep(place, piece.offset % kChunkBytes, piece.bytes);
  if (!kept.ok()) {
    GiveBack(now);
    Fail("chunk", kept);
  }
}

void SnapshotReceiver::TakeManifest(Instant now) {
  std::string encoded = std::move(transfer_->manifest->bytes);
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
    FillWindow(now);
  }
}

std::optional<LogPosition> SnapshotReceiver::TakeCompareAt() {
  return std::exchange(compare_at_, std::nullopt);
}

// Files of an earlier state are the beginnings of those of a later one, or have changed.
void SnapshotReceiver::Compare(const SnapshotSource* own, const Clock& clock) {
  if (!transfer_ || !transfer_->patch || transfer_->compared) return;
  if (transfer_->incoming == nullptr) return;
  IncomingSnapshot& incoming = *transfer_->incoming;
  // The first file is not the machine's.
  const size_t count = own == nullptr ? 0 : own->files().size();
  const std::vector<ManifestFile>& files = incoming.manifest().files;
  for (std::optional<ChunkPlace> next = incoming.NextMissing({1, 0}); next;
       next = incoming.NextMissing({next->file, next->chunk + 1})) {
    const size_t file = next->file - 1;
    if (file >= count || own->files()[file].name != files[next->file].name) continue;
    const uint64_t offset = next->chunk * kChunkBytes;
    const uint64_t length = incoming.LengthOf(*next);
    if (offset + length > own->files()[file].bytes) continue;
    absl::StatusOr<std::string> bytes = own->Read(file, offset, static_cast<size_t>(length));
    if (bytes.ok()) incoming.Leave(*next, *bytes);
  }
  const Instant now = clock.Now();
  transfer_->compared = true;
  transfer_->last_news = now;
  transfer_->pace = Pace(now);
  FillWindow(now);
}

// Pieces of zeros are taken for missing ones.
SnapshotReceiver::Assembly SnapshotReceiver::BeginChunk(ChunkPlace place) const {
  const uint64_t length = transfer_->incoming->LengthOf(place);
  Assembly chunk = MakeAssembly(length);
  std::string kept = transfer_->incoming->Kept(place);
  if (kept.empty()) return chunk;
  for (size_t piece = 0; piece < chunk.there.size(); ++piece) {
    const absl::string_view bytes =
        absl::string_view(kept).substr(piece * kSnapshotPieceBytes, PieceLength(length, piece));
    if (bytes.find_first_not_of('\0') == absl::string_view::npos) continue;
    chunk.there[piece] = true;
    --chunk.missing;
  }
  if (chunk.missing == 0) return MakeAssembly(length);  // it does not match its id
  chunk.inherited = chunk.missing < chunk.there.size();
  if (chunk.inherited) chunk.bytes = std::move(kept);
  return chunk;
}

void SnapshotReceiver::FillWindow(Instant now) {
  std::map<ChunkPlace, Assembly>& chunks = transfer_->chunks;
  std::optional<ChunkPlace> next = transfer_->incoming->NextMissing({});
  while (next && chunks.size() < kWindow) {
    if (!chunks.contains(*next)) {
      Assembly& chunk = chunks[*next] = BeginChunk(*next);
      Ask(static_cast<uint32_t>(next->file), next->chunk * kChunkBytes, chunk, now);
    }
    next = transfer_->incoming->NextMissing({next->file, next->chunk + 1});
  }
  if (!transfer_->incoming->complete()) return;
  if (!transfer_->patch) return Publish(now);
  patch_ = std::move(transfer_->incoming);
  transfer_.reset();
}

void SnapshotReceiver::TakeChunk(ChunkPlace place, Instant now) {
  Assembly& chunk = transfer_->chunks.at(place);
  absl::Status status = transfer_->incoming->Put(place, chunk.bytes);
  if (absl::IsDataLoss(status) && chunk.inherited) {
    // What was kept may be what a power cut or the disk made of it: no fault of the sender.
    chunk = MakeAssembly(chunk.bytes.size());
    return Ask(static_cast<uint32_t>(place.file), place.chunk * kChunkBytes, chunk, now);
  }
  transfer_->chunks.erase(place);
  if (absl::IsDataLoss(status)) {
    ++figures_.refused;
    if (++transfer_->bad_chunks >= kMaxBadChunks) return Fail("chunk", status);
  } else if (!status.ok()) {
    GiveBack(now);
    return Fail("chunk", status);
  }
  FillWindow(now);
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

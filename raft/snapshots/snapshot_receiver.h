// SnapshotReceiver: pulls a snapshot from who offers it.

#ifndef RAFT_SNAPSHOTS_SNAPSHOT_RECEIVER_H_
#define RAFT_SNAPSHOTS_SNAPSHOT_RECEIVER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/envelope.h"
#include "raft/snapshots/chunk_assembly.h"
#include "raft/snapshots/piece_asks.h"
#include "raft/snapshots/piece_window.h"
#include "raft/state_machine.h"
#include "storage/snapshot_store.h"

namespace cairn {

// One transfer at a time. What was asked for and is lost is asked for again when the offer is
// repeated; another member's offer of the same snapshot changes whom it is asked from; another
// snapshot takes over once nothing comes any more, with the chunks they share. A transfer to which
// nothing comes for kIdle ends, and gives back what it held in memory; its chunks stay on the disk.
// So do its pieces, if they come slowly.
//
// Threads: one at a time; calls block on the disk.
class SnapshotReceiver {
 public:
  static constexpr Duration kIdle = Seconds(30);
  // A piece is kept on the disk at once if it comes so long after the one before. On a faster link
  // there are few that are not part of a whole chunk.
  static constexpr Duration kSlowPiece = Milliseconds(4);
  // This many chunks are under way; how much of them, PieceWindow says.
  static constexpr size_t kWindow = 4;

  // `store` outlives it.
  explicit SnapshotReceiver(SnapshotStore* store) : store_(store) {}

  void TakeOffer(NodeId from, const SnapshotOffer& offer, Instant now) {
    TakeOffer(from, offer, /*patch=*/false, now);
  }
  // As TakeOffer; but only what this node's state lacks is pulled, for TakePatch. Once the manifest
  // is here it waits for Compare.
  void TakePatchOffer(NodeId from, const SnapshotOffer& offer, Instant now) {
    TakeOffer(from, offer, /*patch=*/true, now);
  }
  // Where a patch is compared with the state as of this position, or a later one; once.
  std::optional<LogPosition> TakeCompareAt();
  // Whether that is still waited for.
  bool awaits_compare() const;
  // Looks which chunks `own`, that state, has. Reads all of it: `clock` tells how late it is then.
  // Once `aborted` says so nothing more is read, and nothing has come of it.
  void Compare(const SnapshotSource* own, const Clock& clock, absl::FunctionRef<bool()> aborted);
  // It came so long ago, and waited here.
  void TakePiece(NodeId from, SnapshotPiece piece, Instant now, Duration waited = Duration());
  void Expire(Instant now);

  // What is to be sent.
  std::vector<std::pair<NodeId, SnapshotRequest>> TakeRequests();
  // A snapshot that is published now, and the term of its last offer.
  struct Received {
    Term term = 0;
    std::shared_ptr<const StoredSnapshot> snapshot;
  };
  std::optional<Received> TakeReceived();
  std::shared_ptr<IncomingSnapshot> TakePatch() { return std::exchange(patch_, nullptr); }
  // What the senders of those that failed are to be told.
  std::vector<std::pair<NodeId, SnapshotAnswer>> TakeAnswers();
  // What went wrong, for people.
  std::vector<std::string> TakeComplaints();

  bool active() const { return transfer_.has_value(); }
  struct Figures {
    uint64_t pieces = 0;
    uint64_t bytes = 0;  // of pieces that were of use
    uint64_t refused = 0;
  };
  const Figures& figures() const { return figures_; }

 private:
  struct Transfer {
    SnapshotOffer offer;
    NodeId from = NodeId::kNone;
    Instant last_news;  // a piece that was missing
    PieceAsks asks;
    PieceWindow window;
    std::optional<ChunkAssembly> manifest;       // until it is whole
    std::unique_ptr<IncomingSnapshot> incoming;  // from then on
    std::map<ChunkPlace, ChunkAssembly> chunks;  // under way
    int bad_chunks = 0;
    bool patch = false;
    bool compared = false;  // if it is one
  };

  void TakeOffer(NodeId from, const SnapshotOffer& offer, bool patch, Instant now);
  void Begin(NodeId from, const SnapshotOffer& offer, bool patch, Instant now);
  // What is under way at `file` and `offset`; null if nothing is.
  ChunkAssembly* Find(uint32_t file, uint64_t offset);
  // `assembly` stands at `base` of `file`. False if there is nothing to ask for in it.
  bool AskIn(uint32_t file, uint64_t base, ChunkAssembly& assembly, Instant now);
  bool AskOne(Instant now);
  void AskAgain(const std::vector<PieceAsks::Ask>& lost);
  void FillWindow(Instant now);
  void TakeManifest(Instant now);
  void Receive(absl::StatusOr<std::unique_ptr<IncomingSnapshot>> incoming, Instant now);
  bool BeginChunk();
  void GoOn(Instant now);
  void TakeChunk(ChunkPlace place, Instant now);
  void Publish(Instant now);
  void GiveBack(Instant now);
  void Answer(NodeId to, const SnapshotOffer& offer, SnapshotAnswer::Verdict verdict);
  void Fail(absl::string_view what, const absl::Status& status);

  SnapshotStore* const store_;
  std::optional<Transfer> transfer_;
  Instant quiet_until_;  // the disk had no room
  std::vector<std::pair<NodeId, SnapshotRequest>> requests_;
  std::vector<std::pair<NodeId, SnapshotAnswer>> answers_;
  std::optional<Received> received_;
  std::shared_ptr<IncomingSnapshot> patch_;  // complete
  std::optional<LogPosition> compare_at_;
  std::vector<std::string> complaints_;
  Figures figures_;
};

}  // namespace cairn

#endif  // RAFT_SNAPSHOTS_SNAPSHOT_RECEIVER_H_

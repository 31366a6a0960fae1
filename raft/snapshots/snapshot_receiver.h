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
#include "raft/state_machine.h"
#include "storage/snapshot_store.h"

namespace cairn {

// One transfer at a time. What was asked for and does not come is asked for again when the offer is
// repeated; another member's offer of the same snapshot changes whom it is asked from; another
// snapshot takes over once nothing comes any more, with the chunks they share. A transfer to which
// nothing comes for kIdle ends, and gives back what it held in memory; its chunks stay on the disk.
// So do its pieces, if they come slowly.
//
// Threads: one at a time; calls block on the disk.
class SnapshotReceiver {
 public:
  static constexpr Duration kIdle = Seconds(30);
  // What was asked for and has not come after so long may be lost, at the least.
  static constexpr Duration kPatience = Milliseconds(500);
  // A piece is kept on the disk at once if it comes so long after the one before. On a faster link
  // there are few that are not part of a whole chunk.
  static constexpr Duration kSlowPiece = Milliseconds(4);
  // This many chunks are under way.
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
  // Looks which chunks `own`, that state, has. Reads all of it: `clock` tells how late it is then.
  void Compare(const SnapshotSource* own, const Clock& clock);
  void TakePiece(NodeId from, SnapshotPiece piece, Instant now);
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
  // Something that comes in pieces: a chunk, or the manifest.
  struct Assembly {
    std::string bytes;
    std::vector<bool> there;  // by piece
    size_t missing = 0;
    bool inherited = false;  // has pieces that another process kept
    Instant asked;
    uint64_t ask = 0;  // which one of the transfer's asks was the last for it
  };
  // Requests are answered in their order. So what was asked for 2 s ago is lost if something came
  // that was asked for later; or when nothing comes at all, for long compared with what the link
  // takes for a piece. What is late is not asked for again: it would come twice, and fill the link.
  class Pace {
   public:
    explicit Pace(Instant now = Instant()) : last_(now) {}
    uint64_t NextAsk() { return ++asks_; }
    uint64_t asks() const { return asks_; }
    // Something came that was asked for by this ask; 0: nobody knows.
    void Heard(uint64_t ask, Instant now);
    // What was asked for when nothing came is asked for ever more rarely.
    bool Silent(Instant now) const { return now - last_ >= patience_; }
    void AskedInSilence();
    bool IsLost(const Assembly& assembly, Instant now) const;

   private:
    Instant last_;
    Duration patience_ = kPatience;
    bool asked_in_silence_ = false;
    uint64_t asks_ = 0;
    uint64_t answered_ = 0;  // the last ask to which something came
  };
  struct Transfer {
    SnapshotOffer offer;
    NodeId from = NodeId::kNone;
    Instant last_news;  // a piece that was missing
    Pace pace;
    std::optional<Assembly> manifest;            // until it is whole
    std::unique_ptr<IncomingSnapshot> incoming;  // from then on
    std::map<ChunkPlace, Assembly> chunks;       // under way
    int bad_chunks = 0;
    bool patch = false;
    bool compared = false;  // if it is one
  };

  static Assembly MakeAssembly(uint64_t bytes);
  // Takes a piece; true if it was missing.
  static bool Take(Assembly& assembly, uint64_t offset, absl::string_view bytes);
  void TakeOffer(NodeId from, const SnapshotOffer& offer, bool patch, Instant now);
  void Begin(NodeId from, const SnapshotOffer& offer, bool patch, Instant now);
  void Ask(uint32_t file, uint64_t file_offset, Assembly& assembly, Instant now);
  void AskAgain(Instant now);
  void AskAll(Instant now, absl::FunctionRef<bool(const Assembly&)> wanted);
  void FillWindow(Instant now);
  void TakeManifest(Instant now);
  void Receive(absl::StatusOr<std::unique_ptr<IncomingSnapshot>> incoming, Instant now);
  Assembly BeginChunk(ChunkPlace place) const;
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

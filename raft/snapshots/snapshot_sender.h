// SnapshotSender: the snapshots a node gives to members that lack entries its log has no more.

#ifndef RAFT_SNAPSHOTS_SNAPSHOT_SENDER_H_
#define RAFT_SNAPSHOTS_SNAPSHOT_SENDER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/envelope.h"
#include "storage/snapshot_manifest.h"

namespace cairn {

// A snapshot to read from. Threads: one at a time.
class ServedSnapshot {
 public:
  virtual ~ServedSnapshot() = default;
  virtual LogPosition position() const = 0;
  virtual const std::string& encoded() const = 0;  // its manifest
  // Bytes of a file that are there; OUT_OF_RANGE for others, another error if they are not intact.
  virtual absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const = 0;
};

// Keeps the last two, so that a transfer under way can end when there is a later one.
// Threads: one at a time; Answer blocks on the disk.
class SnapshotSender {
 public:
  // A snapshot nobody has asked for for so long is let go.
  static constexpr Duration kIdle = Seconds(30);

  static constexpr Duration kLately = Seconds(5);

  void Serve(std::shared_ptr<const ServedSnapshot> snapshot, Instant now);
  // The last one, if it is at `base` or behind it: the log goes on from there.
  std::optional<SnapshotOffer> Offer(Term term, Index base, Instant now);
  SnapshotPiece Answer(const SnapshotRequest& request, Instant now);
  // Lets go of all but the last one.
  void KeepLast();
  // Lets go of what is idle.
  void Expire(Instant now);

  // The first position that somebody is being brought to, as far as it has asked lately: entries
  // behind it will be wanted.
  std::optional<Index> Wanted(Instant now) const;
  bool empty() const { return served_.empty(); }

 private:
  struct Served {
    std::shared_ptr<const ServedSnapshot> snapshot;
    ContentId id;
    Instant used;
    std::optional<Instant> asked;
  };
  std::deque<Served> served_;
};

}  // namespace cairn

#endif  // RAFT_SNAPSHOTS_SNAPSHOT_SENDER_H_

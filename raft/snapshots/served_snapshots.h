// What a SnapshotSender reads from: a snapshot on this node's disk, or a frozen state.

#ifndef RAFT_SNAPSHOTS_SERVED_SNAPSHOTS_H_
#define RAFT_SNAPSHOTS_SERVED_SNAPSHOTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/frozen_state.h"
#include "raft/snapshots/snapshot_sender.h"
#include "storage/snapshot_store.h"

namespace cairn {

// The archive and the machine's files, in the order of the manifest.
class FrozenContent final : public SnapshotContent {
 public:
  explicit FrozenContent(const FrozenState& frozen) : frozen_(frozen) {}
  size_t files() const override { return frozen_.machine->files().size() + 1; }
  std::string NameOf(size_t file) const override;
  uint64_t BytesOf(size_t file) const override;
  absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const override;

 private:
  const FrozenState& frozen_;
};

// Chunks are verified before they leave; the first that is damaged is told to `damaged`.
class ServedFromDisk final : public ServedSnapshot {
 public:
  ServedFromDisk(std::shared_ptr<const StoredSnapshot> stored,
                 std::function<void(const absl::Status&)> damaged)
      : stored_(std::move(stored)), damaged_(std::move(damaged)) {}
  LogPosition position() const override { return stored_->position(); }
  const std::string& encoded() const override { return stored_->encoded(); }
  absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const override;

 private:
  const std::shared_ptr<const StoredSnapshot> stored_;
  const std::function<void(const absl::Status&)> damaged_;
  // Verified lately: several pieces of a chunk are asked for in a row.
  mutable std::deque<std::pair<ChunkPlace, std::string>> verified_;
};

class ServedFromMemory final : public ServedSnapshot {
 public:
  // Reads all of the state once. CANCELLED once `aborted` says so.
  static absl::StatusOr<std::shared_ptr<const ServedFromMemory>> Make(
      FrozenState frozen, SnapshotManifest head, const std::function<bool()>& aborted);
  LogPosition position() const override { return frozen_.position; }
  const std::string& encoded() const override { return encoded_; }
  absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const override;

 private:
  explicit ServedFromMemory(FrozenState frozen) : frozen_(std::move(frozen)), content_(frozen_) {}

  const FrozenState frozen_;
  const FrozenContent content_;
  std::string encoded_;
};

}  // namespace cairn

#endif  // RAFT_SNAPSHOTS_SERVED_SNAPSHOTS_H_

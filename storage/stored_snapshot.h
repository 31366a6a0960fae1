// StoredSnapshot: a whole snapshot on this node's disk.

#ifndef STORAGE_STORED_SNAPSHOT_H_
#define STORAGE_STORED_SNAPSHOT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/file_system.h"
#include "storage/snapshot_manifest.h"

namespace cairn {

// Who made it: this node, of what it had applied, or another one, so that the log may have to give
// way to it.
enum class SnapshotKind { kSaved, kReceived };

// What the names of a snapshot's files in `directory` begin with (storage/SNAPSHOTS.md).
std::string SnapshotStem(const std::string& directory, LogPosition position, SnapshotKind kind);
std::string SnapshotDataPath(const std::string& stem, size_t file);

// Shared by who reads it: once it is superseded its files go when the last of them lets go.
// Threads: any. `file_system` outlives it.
class StoredSnapshot {
 public:
  StoredSnapshot(FileSystem* file_system, std::string stem, SnapshotKind kind, std::string encoded,
                 SnapshotManifest manifest);
  ~StoredSnapshot();
  StoredSnapshot(const StoredSnapshot&) = delete;
  StoredSnapshot& operator=(const StoredSnapshot&) = delete;

  const SnapshotManifest& manifest() const { return manifest_; }
  const std::string& encoded() const { return encoded_; }  // the manifest's bytes
  ContentId id() const { return SnapshotIdOf(encoded_); }
  LogPosition position() const { return manifest_.position; }
  SnapshotKind kind() const { return kind_; }

  std::string PathOf(size_t file) const { return SnapshotDataPath(stem_, file); }
  // Bytes of a file that are there: OUT_OF_RANGE beyond its end, DATA_LOSS if the disk has fewer.
  absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const;
  // A whole chunk, compared with its id; DATA_LOSS naming the file and the place if it is another.
  absl::StatusOr<std::string> ReadChunk(size_t file, uint64_t chunk) const;
  // DATA_LOSS for the first chunk that is not what the manifest says. Reads everything.
  absl::Status Verify() const;

  const std::string& stem() const { return stem_; }
  void Supersede() { superseded_ = true; }

 private:
  FileSystem* const file_system_;
  const std::string stem_;
  const SnapshotKind kind_;
  const std::string encoded_;
  const SnapshotManifest manifest_;
  std::atomic<bool> superseded_ = false;
};

}  // namespace cairn

#endif  // STORAGE_STORED_SNAPSHOT_H_

// IncomingSnapshot: a snapshot of another node while its chunks come in.

#ifndef STORAGE_INCOMING_SNAPSHOT_H_
#define STORAGE_INCOMING_SNAPSHOT_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/file_system.h"
#include "storage/snapshot_manifest.h"
#include "storage/stored_snapshot.h"

namespace cairn {

// A chunk's place in a snapshot.
struct ChunkPlace {
  size_t file = 0;
  uint64_t chunk = 0;
  friend auto operator<=>(const ChunkPlace&, const ChunkPlace&) = default;
};

// Holds: a chunk counts as there once it stands in its file and matches its id. Chunks come in any
// order, from any sender, over any number of processes: what an earlier one left is looked through.
// Threads: one at a time; calls block. `file_system` outlives it.
class IncomingSnapshot {
 public:
  using Sources = std::vector<std::shared_ptr<const StoredSnapshot>>;
  // Begins, or goes on with what stands in `directory`. Takes the chunks that are the same in
  // `sources`, as far as they can be read, from there.
  static absl::StatusOr<std::unique_ptr<IncomingSnapshot>> Begin(FileSystem* file_system,
                                                                 const std::string& directory,
                                                                 std::string encoded,
                                                                 const Sources& sources);

  const SnapshotManifest& manifest() const { return manifest_; }
  const std::string& encoded() const { return encoded_; }
  ContentId id() const { return SnapshotIdOf(encoded_); }
  const std::string& stem() const { return stem_; }

  bool complete() const { return missing_ == 0; }
  uint64_t missing_bytes() const { return missing_bytes_; }
  // The first chunk at or behind `from` that is not there.
  std::optional<ChunkPlace> NextMissing(ChunkPlace from) const;
  uint64_t LengthOf(ChunkPlace place) const;
  // OUT_OF_RANGE if there is no such chunk, DATA_LOSS if `bytes` are not it; nothing changes then.
  // Another error is the disk's.
  absl::Status Put(ChunkPlace place, absl::string_view bytes);
  // The bytes are those of the chunk, and elsewhere: it is not missing any more, and not here.
  // False if they are not.
  bool Leave(ChunkPlace place, absl::string_view bytes);
  // Whether a chunk, which there is, stands here.
  bool IsHere(ChunkPlace place) const { return IsThere(place) && !left_.contains(place); }
  // A chunk that stands here; DATA_LOSS if it is not what it was.
  absl::StatusOr<std::string> Read(ChunkPlace place) const;
  // Writes a part of a chunk that is not there, so that a later process can go on from it.
  // OUT_OF_RANGE if the chunk has no such part.
  absl::Status Keep(ChunkPlace place, uint64_t offset, absl::string_view bytes);
  // What an earlier process kept of a chunk that is not there: the chunk's length, zeros where
  // nothing was written, and empty if nothing was. It may be wrong: only whole chunks are checked.
  std::string Kept(ChunkPlace place) const;
  // All is there: syncs the files and reads them once more. DATA_LOSS for what is not as it was
  // written: these chunks are missing again.
  absl::Status Finish();

 private:
  IncomingSnapshot(FileSystem* file_system, std::string stem, std::string encoded,
                   SnapshotManifest manifest);
  absl::Status OpenFiles();
  absl::Status FindThere();
  absl::Status TakeFrom(const StoredSnapshot& have);
  bool Exists(ChunkPlace place) const;
  bool IsThere(ChunkPlace place) const;
  absl::StatusOr<bool> Matches(ChunkPlace place) const;
  void Mark(ChunkPlace place, bool there);

  FileSystem* const file_system_;
  const std::string stem_;
  const std::string encoded_;
  const SnapshotManifest manifest_;
  std::vector<std::unique_ptr<File>> files_;
  std::vector<uint64_t> found_;           // bytes of each file that an earlier process left
  std::vector<std::vector<bool>> there_;  // by file and chunk
  uint64_t missing_ = 0;
  uint64_t missing_bytes_ = 0;
  std::set<ChunkPlace> left_;  // Leave
};

// Where the manifest of a snapshot on its way stands.
std::string IncomingManifestPath(const std::string& stem);

}  // namespace cairn

#endif  // STORAGE_INCOMING_SNAPSHOT_H_

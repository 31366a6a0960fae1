#include "storage/stored_snapshot.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cairn {

std::string SnapshotStem(const std::string& directory, LogPosition position, SnapshotKind kind) {
  return absl::StrFormat("%s/%020d-%020d-%s", directory, position.index, position.term,
                         kind == SnapshotKind::kSaved ? "saved" : "received");
}

std::string SnapshotDataPath(const std::string& stem, size_t file) {
  return absl::StrCat(stem, ".", file);
}

StoredSnapshot::StoredSnapshot(FileSystem* file_system, std::string stem, SnapshotKind kind,
                               std::string encoded, SnapshotManifest manifest)
    : file_system_(file_system),
      stem_(std::move(stem)),
      kind_(kind),
      encoded_(std::move(encoded)),
      manifest_(std::move(manifest)) {}

// What is left behind by an error or a crash the next opening of the store removes.
StoredSnapshot::~StoredSnapshot() {
  if (!superseded_) return;
  for (size_t file = 0; file < manifest_.files.size(); ++file) {
    // Without its manifest it means nothing; the next start tries again.
    file_system_->Remove(PathOf(file)).IgnoreError();
  }
}

absl::StatusOr<std::string> StoredSnapshot::Read(size_t file, uint64_t offset, size_t bytes) const {
  if (file >= manifest_.files.size() || offset > manifest_.files[file].bytes ||
      bytes > manifest_.files[file].bytes - offset) {
    return absl::OutOfRangeError(absl::StrCat("no bytes ", offset, "+", bytes, " in file ", file));
  }
  absl::StatusOr<std::unique_ptr<File>> opened =
      file_system_->Open(PathOf(file), {.mode = FileSystem::OpenMode::kRead});
  if (absl::IsNotFound(opened.status())) {
    return absl::DataLossError(absl::StrCat(PathOf(file), ": the file is missing"));
  }
  if (!opened.ok()) return opened.status();
  std::string content(bytes, '\0');
  absl::StatusOr<size_t> read = (*opened)->Read(offset, bytes, content.data());
  if (!read.ok()) return read.status();
  if (*read != bytes) {
    return absl::DataLossError(absl::StrCat(PathOf(file), ": it ends at ", offset + *read));
  }
  return content;
}

absl::StatusOr<std::string> StoredSnapshot::ReadChunk(size_t file, uint64_t chunk) const {
  if (file >= manifest_.files.size() || chunk >= manifest_.files[file].chunks.size()) {
    return absl::OutOfRangeError(absl::StrCat("no chunk ", chunk, " in file ", file));
  }
  const ManifestFile& wanted = manifest_.files[file];
  absl::StatusOr<std::string> content =
      Read(file, chunk * kChunkBytes, static_cast<size_t>(wanted.ChunkLength(chunk)));
  if (content.ok() && ContentIdOf(*content) != wanted.chunks[chunk]) {
    return absl::DataLossError(absl::StrCat(PathOf(file), ": the chunk at ", chunk * kChunkBytes,
                                            " is not what the manifest says"));
  }
  return content;
}

absl::Status StoredSnapshot::Verify() const {
  for (size_t file = 0; file < manifest_.files.size(); ++file) {
    // An empty file has no chunk to show that it is there.
    if (absl::Status status = Read(file, 0, 0).status(); !status.ok()) return status;
    for (uint64_t chunk = 0; chunk < manifest_.files[file].chunks.size(); ++chunk) {
      if (absl::Status status = ReadChunk(file, chunk).status(); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace cairn

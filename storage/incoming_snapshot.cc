#include "storage/incoming_snapshot.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace cairn {

std::string IncomingManifestPath(const std::string& stem) {
  return absl::StrCat(stem, ".incoming");
}

IncomingSnapshot::IncomingSnapshot(FileSystem* file_system, std::string stem, std::string encoded,
                                   SnapshotManifest manifest)
    : file_system_(file_system),
      stem_(std::move(stem)),
      encoded_(std::move(encoded)),
      manifest_(std::move(manifest)) {
  for (const ManifestFile& file : manifest_.files) {
    there_.emplace_back(file.chunks.size(), false);
    missing_ += file.chunks.size();
    missing_bytes_ += file.bytes;
  }
}

absl::StatusOr<std::unique_ptr<IncomingSnapshot>> IncomingSnapshot::Begin(
    FileSystem* file_system, const std::string& directory, std::string encoded,
    const Sources& sources) {
  absl::StatusOr<SnapshotManifest> manifest = DecodeManifest(encoded);
  if (!manifest.ok()) return manifest.status();
  std::string stem = SnapshotStem(directory, manifest->position, SnapshotKind::kReceived);
  // First the manifest: data without one is nobody's.
  absl::Status status = WriteFileAtomically(*file_system, IncomingManifestPath(stem), encoded);
  if (!status.ok()) return status;
  std::unique_ptr<IncomingSnapshot> incoming(
      new IncomingSnapshot(file_system, std::move(stem), std::move(encoded), *std::move(manifest)));
  status = incoming->OpenFiles();
  if (status.ok()) status = incoming->FindThere();
  for (const auto& source : sources) {
    if (status.ok()) status = incoming->TakeFrom(*source);
  }
  if (!status.ok()) return status;
  return incoming;
}

absl::Status IncomingSnapshot::OpenFiles() {
  for (size_t file = 0; file < manifest_.files.size(); ++file) {
    absl::StatusOr<std::unique_ptr<File>> opened = file_system_->Open(
        SnapshotDataPath(stem_, file), {.mode = FileSystem::OpenMode::kOpenOrCreate});
    if (!opened.ok()) return opened.status();
    files_.push_back(*std::move(opened));
  }
  return absl::OkStatus();
}

// What an earlier process, or an earlier snapshot at this position, has left.
absl::Status IncomingSnapshot::FindThere() {
  for (size_t file = 0; file < files_.size(); ++file) {
    absl::StatusOr<uint64_t> size = files_[file]->Size();
    if (!size.ok()) return size.status();
    if (*size > manifest_.files[file].bytes) {
      absl::Status status = files_[file]->Resize(manifest_.files[file].bytes);
      if (!status.ok()) return status;
    }
    found_.push_back(std::min(*size, manifest_.files[file].bytes));
    for (uint64_t chunk = 0; chunk < there_[file].size() && chunk * kChunkBytes < *size; ++chunk) {
      absl::StatusOr<bool> matches = Matches({file, chunk});
      if (!matches.ok()) return matches.status();
      if (*matches) Mark({file, chunk}, true);
    }
  }
  return absl::OkStatus();
}

absl::Status IncomingSnapshot::TakeFrom(const StoredSnapshot& have) {
  std::map<ContentId, ChunkPlace> places;
  const std::vector<ManifestFile>& files = have.manifest().files;
  for (size_t file = 0; file < files.size(); ++file) {
    for (uint64_t chunk = 0; chunk < files[file].chunks.size(); ++chunk) {
      places.try_emplace(files[file].chunks[chunk], ChunkPlace{file, chunk});
    }
  }
  for (std::optional<ChunkPlace> wanted = NextMissing({}); wanted;
       wanted = NextMissing({wanted->file, wanted->chunk + 1})) {
    auto place = places.find(manifest_.files[wanted->file].chunks[wanted->chunk]);
    if (place == places.end()) continue;
    absl::StatusOr<std::string> bytes = have.ReadChunk(place->second.file, place->second.chunk);
    if (!bytes.ok()) continue;  // then it comes from the other node
    if (absl::Status status = Put(*wanted, *bytes); !status.ok()) return status;
  }
  return absl::OkStatus();
}

bool IncomingSnapshot::Exists(ChunkPlace place) const {
  return place.file < there_.size() && place.chunk < there_[place.file].size();
}

bool IncomingSnapshot::IsThere(ChunkPlace place) const { return there_[place.file][place.chunk]; }

std::optional<ChunkPlace> IncomingSnapshot::NextMissing(ChunkPlace from) const {
  if (complete()) return std::nullopt;
  for (; from.file < there_.size(); from = {from.file + 1, 0}) {
    for (; from.chunk < there_[from.file].size(); ++from.chunk) {
      if (!IsThere(from)) return from;
    }
  }
  return std::nullopt;
}

uint64_t IncomingSnapshot::LengthOf(ChunkPlace place) const {
  CAIRN_CHECK(Exists(place));
  return manifest_.files[place.file].ChunkLength(place.chunk);
}

absl::Status IncomingSnapshot::Put(ChunkPlace place, absl::string_view bytes) {
  if (!Exists(place)) {
    return absl::OutOfRangeError(absl::StrCat("file ", place.file, " has no chunk ", place.chunk,
                                              " in the snapshot at ",
                                              ToString(manifest_.position)));
  }
  if (IsThere(place)) return absl::OkStatus();
  if (bytes.size() != LengthOf(place) ||
      ContentIdOf(bytes) != manifest_.files[place.file].chunks[place.chunk]) {
    return absl::DataLossError(absl::StrCat("chunk ", place.chunk, " of file ", place.file,
                                            " is not that of the snapshot at ",
                                            ToString(manifest_.position)));
  }
  absl::Status status = files_[place.file]->Write(place.chunk * kChunkBytes, bytes);
  if (status.ok()) Mark(place, true);
  return status;
}

bool IncomingSnapshot::Leave(ChunkPlace place, absl::string_view bytes) {
  CAIRN_CHECK(Exists(place));
  if (bytes.size() != LengthOf(place) ||
      ContentIdOf(bytes) != manifest_.files[place.file].chunks[place.chunk]) {
    return false;
  }
  if (!IsThere(place)) {
    Mark(place, true);
    left_.insert(place);
  }
  return true;
}

absl::StatusOr<std::string> IncomingSnapshot::Read(ChunkPlace place) const {
  std::string bytes(LengthOf(place), '\0');
  absl::StatusOr<size_t> read =
      files_[place.file]->Read(place.chunk * kChunkBytes, bytes.size(), bytes.data());
  if (!read.ok()) return read.status();
  if (*read == bytes.size() &&
      ContentIdOf(bytes) == manifest_.files[place.file].chunks[place.chunk]) {
    return bytes;
  }
  return absl::DataLossError(absl::StrCat(SnapshotDataPath(stem_, place.file), ": chunk ",
                                          place.chunk, " is not what it was"));
}

absl::Status IncomingSnapshot::Keep(ChunkPlace place, uint64_t offset, absl::string_view bytes) {
  if (!Exists(place) || offset > LengthOf(place) || bytes.size() > LengthOf(place) - offset) {
    return absl::OutOfRangeError(absl::StrCat("no bytes ", offset, "+", bytes.size(), " in chunk ",
                                              place.chunk, " of file ", place.file));
  }
  if (IsThere(place)) return absl::OkStatus();
  return files_[place.file]->Write(place.chunk * kChunkBytes + offset, bytes);
}

std::string IncomingSnapshot::Kept(ChunkPlace place) const {
  CAIRN_CHECK(Exists(place));
  const uint64_t begin = place.chunk * kChunkBytes;
  if (IsThere(place) || begin >= found_[place.file]) return "";
  std::string bytes(LengthOf(place), '\0');
  absl::StatusOr<size_t> read = files_[place.file]->Read(begin, bytes.size(), bytes.data());
  return read.ok() ? bytes : "";  // what cannot be read comes again
}

// Through the page cache, if need be: what the disk made of it is checked before it is restored.
absl::StatusOr<bool> IncomingSnapshot::Matches(ChunkPlace place) const {
  std::string bytes(LengthOf(place), '\0');
  absl::StatusOr<size_t> read =
      files_[place.file]->Read(place.chunk * kChunkBytes, bytes.size(), bytes.data());
  if (!read.ok()) return read.status();
  return *read == bytes.size() &&
         ContentIdOf(bytes) == manifest_.files[place.file].chunks[place.chunk];
}

void IncomingSnapshot::Mark(ChunkPlace place, bool there) {
  CAIRN_CHECK_NE(IsThere(place), there);
  there_[place.file][place.chunk] = there;
  const uint64_t length = LengthOf(place);
  missing_ = there ? missing_ - 1 : missing_ + 1;
  missing_bytes_ = there ? missing_bytes_ - length : missing_bytes_ + length;
}

absl::Status IncomingSnapshot::Finish() {
  CAIRN_CHECK(complete() && left_.empty());
  for (const std::unique_ptr<File>& file : files_) {
    if (absl::Status status = file_system_->SyncNow(*file); !status.ok()) return status;
  }
  if (absl::Status status = file_system_->SyncDirectory(DirectoryOf(stem_)); !status.ok()) {
    return status;
  }
  for (size_t file = 0; file < there_.size(); ++file) {
    for (uint64_t chunk = 0; chunk < there_[file].size(); ++chunk) {
      absl::StatusOr<bool> matches = Matches({file, chunk});
      if (!matches.ok()) return matches.status();
      if (!*matches) Mark({file, chunk}, false);
    }
  }
  if (complete()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(stem_, ": ", missing_, " chunks are not as they were written"));
}

}  // namespace cairn

#include "raft/snapshots/served_snapshots.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

constexpr size_t kVerifiedChunks = 8;

}  // namespace

std::string FrozenContent::NameOf(size_t file) const {
  return file == 0 ? kArchiveFile : frozen_.machine->files()[file - 1].name;
}

uint64_t FrozenContent::BytesOf(size_t file) const {
  return file == 0 ? frozen_.archive.size() : frozen_.machine->files()[file - 1].bytes;
}

absl::StatusOr<std::string> FrozenContent::Read(size_t file, uint64_t offset, size_t bytes) const {
  if (file >= files() || offset > BytesOf(file) || bytes > BytesOf(file) - offset) {
    return absl::OutOfRangeError(absl::StrCat("no bytes ", offset, "+", bytes, " in file ", file));
  }
  if (file == 0) return frozen_.archive.substr(offset, bytes);
  return frozen_.machine->Read(file - 1, offset, bytes);
}

absl::StatusOr<std::string> ServedFromDisk::Read(size_t file, uint64_t offset, size_t bytes) const {
  const ChunkPlace place = {file, offset / kChunkBytes};
  auto verified = std::find_if(verified_.begin(), verified_.end(),
                               [&](const auto& each) { return each.first == place; });
  if (verified == verified_.end()) {
    absl::StatusOr<std::string> chunk = stored_->ReadChunk(place.file, place.chunk);
    if (!chunk.ok()) {
      if (!absl::IsOutOfRange(chunk.status())) damaged_(chunk.status());
      return chunk.status();
    }
    if (verified_.size() >= kVerifiedChunks) verified_.pop_front();
    verified = verified_.insert(verified_.end(), {place, *std::move(chunk)});
  }
  const size_t within = offset % kChunkBytes;
  if (within > verified->second.size() || bytes > verified->second.size() - within) {
    return absl::OutOfRangeError("a piece of two chunks");
  }
  return verified->second.substr(within, bytes);
}

absl::StatusOr<std::shared_ptr<const ServedFromMemory>> ServedFromMemory::Make(
    FrozenState frozen, SnapshotManifest head, const std::function<bool()>& aborted) {
  std::shared_ptr<ServedFromMemory> served(new ServedFromMemory(std::move(frozen)));
  const FrozenContent& content = served->content_;
  for (size_t file = 0; file < content.files(); ++file) {
    ManifestFile entry = {content.NameOf(file), content.BytesOf(file), {}};
    for (uint64_t offset = 0; offset < entry.bytes; offset += kChunkBytes) {
      if (aborted()) return absl::CancelledError("the snapshot was aborted");
      const auto length = static_cast<size_t>(std::min(kChunkBytes, entry.bytes - offset));
      absl::StatusOr<std::string> chunk = content.Read(file, offset, length);
      if (!chunk.ok()) return chunk.status();
      entry.chunks.push_back(ContentIdOf(*chunk));
    }
    head.files.push_back(std::move(entry));
  }
  served->encoded_ = EncodeManifest(head);
  return std::shared_ptr<const ServedFromMemory>(std::move(served));
}

absl::StatusOr<std::string> ServedFromMemory::Read(size_t file, uint64_t offset,
                                                   size_t bytes) const {
  return content_.Read(file, offset, bytes);
}

}  // namespace cairn

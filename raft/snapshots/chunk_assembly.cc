#include "raft/snapshots/chunk_assembly.h"

#include <algorithm>

namespace cairn {

ChunkAssembly::ChunkAssembly(uint64_t bytes)
    : bytes_(static_cast<size_t>(bytes), '\0'),
      grains_((bytes_.size() + kSnapshotGrainBytes - 1) / kSnapshotGrainBytes, Grain::kMissing),
      missing_(grains_.size()) {}

ChunkAssembly::ChunkAssembly(std::string kept) : ChunkAssembly(kept.size()) {
  for (size_t grain = 0; grain < grains_.size(); ++grain) {
    const size_t offset = grain * kSnapshotGrainBytes;
    const absl::string_view bytes = absl::string_view(kept).substr(offset, LengthOf(grain));
    if (bytes.find_first_not_of('\0') == absl::string_view::npos) continue;
    grains_[grain] = Grain::kThere;
    --missing_;
  }
  if (missing_ == 0) {
    std::fill(grains_.begin(), grains_.end(), Grain::kMissing);
    missing_ = grains_.size();
  }
  inherited_ = missing_ < grains_.size();
  if (inherited_) bytes_ = std::move(kept);
}

size_t ChunkAssembly::LengthOf(size_t grain) const {
  return std::min(kSnapshotGrainBytes, bytes_.size() - grain * kSnapshotGrainBytes);
}

std::optional<std::pair<uint64_t, size_t>> ChunkAssembly::Ask(size_t most) {
  while (next_ < grains_.size() && grains_[next_] != Grain::kMissing) ++next_;
  if (next_ == grains_.size()) return std::nullopt;
  const size_t first = next_;
  size_t bytes = 0;
  for (; next_ < grains_.size() && grains_[next_] == Grain::kMissing; ++next_) {
    if (bytes != 0 && bytes + LengthOf(next_) > most) break;
    bytes += LengthOf(next_);
    grains_[next_] = Grain::kAsked;
  }
  return std::pair<uint64_t, size_t>(first * kSnapshotGrainBytes, bytes);
}

void ChunkAssembly::Lost(uint64_t offset, size_t bytes) {
  const size_t first = offset / kSnapshotGrainBytes;
  for (size_t grain = first; grain * kSnapshotGrainBytes < offset + bytes; ++grain) {
    if (grains_[grain] == Grain::kAsked) grains_[grain] = Grain::kMissing;
  }
  next_ = std::min(next_, first);
}

bool ChunkAssembly::Put(uint64_t offset, absl::string_view bytes) {
  const bool whole_grains =
      bytes.size() % kSnapshotGrainBytes == 0 || offset + bytes.size() == bytes_.size();
  if (offset % kSnapshotGrainBytes != 0 || offset >= bytes_.size() ||
      bytes.size() > bytes_.size() - offset || !whole_grains) {
    return false;
  }
  bool wanted = false;
  for (size_t at = 0; at < bytes.size(); at += kSnapshotGrainBytes) {
    const size_t grain = (offset + at) / kSnapshotGrainBytes;
    if (grains_[grain] == Grain::kThere) continue;
    bytes.copy(&bytes_[offset + at], LengthOf(grain), at);
    grains_[grain] = Grain::kThere;
    --missing_;
    wanted = true;
  }
  return wanted;
}

}  // namespace cairn

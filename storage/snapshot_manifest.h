// SnapshotManifest: what a snapshot consists of: its place in the log, and its files as lists of
// chunks. storage/SNAPSHOTS.md describes the bytes.

#ifndef STORAGE_SNAPSHOT_MANIFEST_H_
#define STORAGE_SNAPSHOT_MANIFEST_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "base/types.h"

namespace cairn {

// SHA-256: equal ids mean equal bytes, also where somebody chose them. Names a chunk by what stands
// in it, and a snapshot by its manifest.
struct ContentId {
  std::array<uint8_t, 32> bytes = {};
  friend auto operator<=>(const ContentId&, const ContentId&) = default;
};
ContentId ContentIdOf(absl::string_view bytes);
std::string ToString(const ContentId& id);  // hexadecimal

// Files are cut into pieces of this length, the last one shorter. Part of the format: members share
// chunks because they cut alike.
inline constexpr uint64_t kChunkBytes = uint64_t{256} << 10;
// What a manifest may be long, a bound of what a peer makes a node hold: half a TiB of content.
inline constexpr size_t kMaxManifestBytes = size_t{64} << 20;

struct ManifestFile {
  std::string name;  // [a-z0-9._-]{1,64} without a dot in front, each once
  uint64_t bytes = 0;
  std::vector<ContentId> chunks;

  // Of chunk number `chunk`, which there is.
  uint64_t ChunkLength(uint64_t chunk) const;
};

struct SnapshotManifest {
  ClusterId cluster;
  GroupId group = GroupId::kNone;
  // The snapshot is what the entries up to here have made, whose last one has this hash.
  LogPosition position;
  EntryHash hash;
  // The configuration in force there, where it stood, and its encoded body.
  LogPosition configuration_at;
  std::string configuration;
  WallTime time;  // that the state machine has been told last
  std::vector<ManifestFile> files;

  uint64_t content_bytes() const;
};

// The bytes end with the id of the snapshot, which is their own: ContentIdOf all before.
std::string EncodeManifest(const SnapshotManifest& manifest);
// DATA_LOSS for what EncodeManifest never gives, FAILED_PRECONDITION for a newer format. Allocates
// no more than a small multiple of `bytes`.
absl::StatusOr<SnapshotManifest> DecodeManifest(absl::string_view bytes);
// Of encoded bytes that were decoded.
ContentId SnapshotIdOf(absl::string_view encoded);

}  // namespace cairn

#endif  // STORAGE_SNAPSHOT_MANIFEST_H_

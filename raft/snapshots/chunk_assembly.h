// ChunkAssembly: a chunk of a snapshot, or its manifest, while its pieces come.

#ifndef RAFT_SNAPSHOTS_CHUNK_ASSEMBLY_H_
#define RAFT_SNAPSHOTS_CHUNK_ASSEMBLY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace cairn {

// Pieces begin at multiples of this, and end there or at the end of the chunk.
inline constexpr size_t kSnapshotGrainBytes = size_t{4} << 10;

// Threads: one at a time.
class ChunkAssembly {
 public:
  explicit ChunkAssembly(uint64_t bytes);
  // Some of it may be there: `kept` is as long as the chunk, and grains of zeros are missing. All
  // of it is missing if none is, since the whole does not match then.
  explicit ChunkAssembly(std::string kept);

  const std::string& bytes() const { return bytes_; }
  std::string Take() { return std::move(bytes_); }
  bool complete() const { return missing_ == 0; }
  // Some of it is what another process kept.
  bool inherited() const { return inherited_; }

  // The first piece, of at most `most` bytes, that is missing and not asked for: offset and length.
  // It counts as asked for from now on.
  std::optional<std::pair<uint64_t, size_t>> Ask(size_t most);
  // It was lost: what is missing of it is to be asked for again.
  void Lost(uint64_t offset, size_t bytes);
  // Takes a piece; false if it is none, or nothing of it was missing.
  bool Put(uint64_t offset, absl::string_view bytes);

 private:
  enum class Grain : uint8_t { kMissing, kAsked, kThere };
  size_t LengthOf(size_t grain) const;

  std::string bytes_;
  std::vector<Grain> grains_;
  size_t missing_ = 0;  // grains that are not there
  size_t next_ = 0;     // all before it are there or asked for
  bool inherited_ = false;
};

}  // namespace cairn

#endif  // RAFT_SNAPSHOTS_CHUNK_ASSEMBLY_H_

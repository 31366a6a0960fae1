// StreamCheckpoint: the state of a group's streams on the disk, twice. Layout: FORMAT.md.

#ifndef STORAGE_STREAM_STREAM_CHECKPOINT_H_
#define STORAGE_STREAM_STREAM_CHECKPOINT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/file_system.h"
#include "storage/stream/stream_image.h"

namespace cairn {

struct StreamCheckpoint {
  uint64_t generation = 1;  // of the blocks it names
  StreamImage image;
  std::string archive;  // the caller's, as of the same position
};

// A snapshot on its way to be the state: the checkpoint it makes, and where its blocks come from.
struct StreamAdoption {
  StreamCheckpoint checkpoint;
  std::vector<std::string> sources;  // paths, one for each block
};

// The files CHECKPOINT and CHECKPOINT.copy, which say the same, and ADOPTION. Each changes at once
// or not at all, whenever the power goes.
//
// Threads: one at a time.
class StreamCheckpointFiles {
 public:
  // `directory` exists.
  StreamCheckpointFiles(FileSystem* file_system, std::string directory, GroupId group)
      : file_system_(file_system), directory_(std::move(directory)), group_(group) {}

  // The newest checkpoint of which a copy is whole; nothing if there is no copy. DATA_LOSS if there
  // are copies and none is whole; but FAILED_PRECONDITION if one is of another version, or what the
  // system says if one cannot be read now. Where one is missing, damaged or older, it is written
  // anew.
  absl::StatusOr<std::optional<StreamCheckpoint>> Load();
  // Of a store that has saved one: reads the copies, and writes anew what is not as it should be;
  // true if that was needed. DATA_LOSS if none is whole.
  absl::StatusOr<bool> Heal();
  // Durable, twice, when this returns.
  absl::Status Save(const StreamCheckpoint& checkpoint);

  absl::StatusOr<std::optional<StreamAdoption>> LoadAdoption();
  absl::Status SaveAdoption(const StreamAdoption& adoption);
  // Fine if there is none.
  absl::Status RemoveAdoption();

 private:
  std::string PathOf(absl::string_view name) const;

  FileSystem* const file_system_;
  const std::string directory_;
  const GroupId group_;
  bool rewritten_ = false;  // by the last Load
};

}  // namespace cairn

#endif  // STORAGE_STREAM_STREAM_CHECKPOINT_H_

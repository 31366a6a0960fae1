// FrozenStreams: the state of a StreamStore as of one position, to be read as files.

#ifndef STORAGE_STREAM_FROZEN_STREAMS_H_
#define STORAGE_STREAM_FROZEN_STREAMS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "storage/stream/stream_blocks.h"
#include "storage/stream/stream_image.h"

namespace cairn {

// The files are the image, then the blocks. Equal state gives equal files on every member, and the
// blocks of a later state begin with the bytes of an earlier one's.
//
// Threads: any. Ownership: keeps the files it needs, also when the store has others by now or is
// gone.
class FrozenStreams {
 public:
  struct FrozenFile {
    std::string name;
    uint64_t bytes = 0;
  };

  FrozenStreams(StreamImage image, std::shared_ptr<const StreamBlocks> blocks)
      : image_(std::move(image)), blocks_(std::move(blocks)) {}

  // The first call encodes the image.
  const std::vector<FrozenFile>& files() const;

  // Bytes of files()[file], all of which are there. Before the first byte of a block is given the
  // whole block was verified: DATA_LOSS if it is damaged.
  absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const;

 private:
  void Encode() const CAIRN_REQUIRES(mutex_);

  const StreamImage image_;
  const std::shared_ptr<const StreamBlocks> blocks_;
  mutable Mutex mutex_;
  mutable std::string encoded_ CAIRN_GUARDED_BY(mutex_);
  mutable std::vector<FrozenFile> files_ CAIRN_GUARDED_BY(mutex_);  // set once, then constant
  mutable std::vector<bool> verified_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // STORAGE_STREAM_FROZEN_STREAMS_H_

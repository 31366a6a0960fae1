#include "storage/stream/frozen_streams.h"

#include "absl/strings/str_format.h"
#include "base/check.h"

namespace cairn {

void FrozenStreams::Encode() const {
  if (!files_.empty()) return;
  encoded_ = EncodeStreamImage(image_);
  files_.push_back({"streams", encoded_.size()});
  for (size_t i = 0; i < image_.lengths.size(); ++i) {
    files_.push_back({absl::StrFormat("%08d.block", i + 1), image_.lengths[i]});
  }
  verified_.assign(image_.lengths.size(), false);
}

const std::vector<FrozenStreams::FrozenFile>& FrozenStreams::files() const {
  MutexLock lock(mutex_);
  Encode();
  return files_;
}

absl::StatusOr<std::string> FrozenStreams::Read(size_t file, uint64_t offset, size_t bytes) const {
  MutexLock lock(mutex_);
  Encode();
  CAIRN_CHECK_LT(file, files_.size());
  if (offset > files_[file].bytes || bytes > files_[file].bytes - offset) {
    return absl::OutOfRangeError("the file has no such bytes");
  }
  if (file == 0) return encoded_.substr(offset, bytes);
  const auto block = static_cast<uint32_t>(file);
  if (!verified_[block - 1]) {
    const bool full = block < image_.lengths.size();
    absl::Status status = blocks_->Verify(block, image_.lengths[block - 1], full);
    if (!status.ok()) return status;
    verified_[block - 1] = true;
  }
  return blocks_->ReadBytes(block, offset, bytes);
}

}  // namespace cairn

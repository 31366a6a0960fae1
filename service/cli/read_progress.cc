#include "service/cli/read_progress.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace cairn {
namespace {

constexpr uint64_t kMebibyte = uint64_t{1} << 20;

uint64_t BytesBelow(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code failed;
  std::filesystem::recursive_directory_iterator at(directory, failed);
  for (; !failed && at != std::filesystem::recursive_directory_iterator(); at.increment(failed)) {
    std::error_code unknown;
    const uint64_t size = at->is_regular_file(unknown) ? at->file_size(unknown) : 0;
    if (!unknown) bytes += size;
  }
  return bytes;
}

}  // namespace

void ReadProgress::Begin(const std::string& what, const std::string& directory) {
  const uint64_t total = BytesBelow(directory);
  MutexLock lock(mutex_);
  bytes_ = 0;
  total_ = total;
  line_.emplace(what + ", MiB read:", total / kMebibyte);
}

void ReadProgress::End() {
  MutexLock lock(mutex_);
  line_.reset();
}

void ReadProgress::Read(size_t bytes) {
  MutexLock lock(mutex_);
  if (!line_) return;
  bytes_ += bytes;
  // Some of it is read twice.
  line_->Update(std::min(bytes_, total_) / kMebibyte);
}

}  // namespace cairn

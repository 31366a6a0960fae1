#include "storage/rocksdb/unwritten_log.h"

#include <utility>

namespace cairn {

void UnwrittenLog::SetClaim(DiskReserve::Claim claim) {
  MutexLock lock(mutex_);
  claim_ = claim;
}

absl::Status UnwrittenLog::WriteNow(File& file, uint64_t offset, absl::string_view data) {
  return reserve_.WithRoom(claim_, data.size(), [&] { return file.Write(offset, data); });
}

absl::Status UnwrittenLog::WriteKept() {
  while (!kept_.empty()) {
    const Piece& piece = kept_.front();
    absl::Status status = WriteNow(*piece.file, piece.offset, piece.data);
    if (!status.ok()) return status;
    kept_.pop_front();
  }
  keeps_ = false;
  return absl::OkStatus();
}

absl::Status UnwrittenLog::Write(const std::shared_ptr<File>& file, uint64_t offset,
                                 absl::string_view data) {
  MutexLock lock(mutex_);
  absl::Status status = WriteKept();
  if (status.ok()) status = WriteNow(*file, offset, data);
  if (!absl::IsResourceExhausted(status)) return status;
  kept_.push_back({file, offset, std::string(data)});
  keeps_ = true;
  return absl::OkStatus();
}

absl::Status UnwrittenLog::WriteOut() {
  MutexLock lock(mutex_);
  return WriteKept();
}

void UnwrittenLog::Forget(const std::string& path) {
  MutexLock lock(mutex_);
  std::erase_if(kept_, [&path](const Piece& piece) { return piece.file->path() == path; });
  keeps_ = !kept_.empty();
}

}  // namespace cairn

#include "storage/rocksdb/disk_reserve.h"

#include <algorithm>
#include <utility>

namespace cairn {
namespace {

// File systems give and take whole pages, and need some for themselves.
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kLeastBytes = uint64_t{64} << 10;

uint64_t KeptFrom(DiskReserve::Claim claim, uint64_t bytes) {
  switch (claim) {
    case DiskReserve::Claim::kEntries:
      return bytes / 4;
    case DiskReserve::Claim::kRecords:
      return bytes / 16;
    case DiskReserve::Claim::kDatabase:
      return 0;
  }
  return 0;
}

}  // namespace

DiskReserve::DiskReserve(FileSystem& file_system, std::string path, uint64_t bytes)
    : file_system_(file_system),
      path_(std::move(path)),
      bytes_((bytes + kPageBytes - 1) / kPageBytes * kPageBytes) {}

absl::Status DiskReserve::Open() {
  MutexLock lock(mutex_);
  const absl::StatusOr<bool> probed = file_system_.Exists(probe_path());
  if (probed.ok() && *probed) file_system_.Remove(probe_path()).IgnoreError();  // or the next one
  const absl::StatusOr<bool> there = file_system_.Exists(path_);
  if (!there.ok() || !*there) return there.status();
  if (bytes_ == 0) return file_system_.Remove(path_);
  if (absl::Status status = Reopen(); !status.ok()) return status;
  const absl::StatusOr<uint64_t> size = file_->Size();
  if (!size.ok()) return size.status();
  left_ = std::min(*size, bytes_);
  return *size > bytes_ ? file_->Resize(bytes_) : absl::OkStatus();
}

absl::Status DiskReserve::Reopen() {
  file_ = nullptr;
  auto file = file_system_.Open(path_, {.mode = FileSystem::OpenMode::kOpenOrCreate});
  if (file.ok()) file_ = *std::move(file);
  return file.status();
}

absl::Status DiskReserve::WithRoom(Claim claim, uint64_t bytes,
                                   absl::FunctionRef<absl::Status()> write) {
  absl::Status status = write();
  while (absl::IsResourceExhausted(status) && GiveUp(claim, bytes)) status = write();
  return status;
}

bool DiskReserve::GiveUp(Claim claim, uint64_t bytes) {
  MutexLock lock(mutex_);
  short_ = true;
  const uint64_t kept = KeptFrom(claim, bytes_) / kPageBytes * kPageBytes;
  if (left_ <= kept || file_ == nullptr) return false;
  const uint64_t wanted = (std::max(bytes, kLeastBytes) / kPageBytes + 1) * kPageBytes;
  const uint64_t left = left_ - std::min(left_ - kept, wanted);
  if (!file_->Resize(left).ok()) return false;
  left_ = left;
  return true;
}

void DiskReserve::Fill() {
  MutexLock lock(mutex_);
  if (left_ < bytes_) {
    short_ = true;
    // A file of which a call failed is not used again.
    absl::Status status = Reopen();
    if (status.ok()) status = file_system_.Preallocate(*file_, bytes_);
    if (!status.ok()) {
      // What it got of it goes to whoever needs it.
      if (Reopen().ok() && !file_->Resize(left_).ok()) file_ = nullptr;
      return;
    }
    left_ = bytes_;
  }
  short_ = false;
}

absl::Status DiskReserve::Probe(uint64_t bytes) const {
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_.Open(probe_path(), {.mode = FileSystem::OpenMode::kOpenOrCreate});
  if (!file.ok()) return file.status();
  absl::Status taken = file_system_.ReserveZeroes(**file, bytes);
  file->reset();
  absl::Status removed = file_system_.Remove(probe_path());
  return taken.ok() ? removed : taken;
}

uint64_t DiskReserve::bytes_left() const {
  MutexLock lock(mutex_);
  return left_;
}

}  // namespace cairn

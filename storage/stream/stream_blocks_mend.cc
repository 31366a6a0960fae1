// The part of StreamBlocks that puts right what the disk holds.

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/no_room.h"
#include "storage/stream/stream_blocks.h"

namespace cairn {
namespace {

constexpr uint64_t kPage = 4096;
constexpr size_t kCopied = size_t{1} << 20;

}  // namespace

StreamBlocks::Written StreamBlocks::WrittenOf(uint32_t block) const {
  MutexLock lock(mutex_);
  if (block == 0 || block > lengths_.size()) return {};
  const Written whole = {lengths_[block - 1], block < lengths_.size()};
  const std::optional<Place> memory = tail_.begin();
  if (!memory || memory->block > block) return whole;
  return {memory->block == block ? memory->offset : 0, false};
}

absl::StatusOr<Bytes> StreamBlocks::ReadDirect(uint32_t block, uint64_t offset,
                                               size_t bytes) const {
  absl::StatusOr<std::unique_ptr<File>> file =
      options_.file_system->Open(PathOf(block), {.mode = FileSystem::OpenMode::kRead});
  if (absl::IsNotFound(file.status())) return absl::DataLossError("the file is not there");
  if (!file.ok()) return file.status();
  const uint64_t begin = offset / kPage * kPage;
  const uint64_t length = (offset + bytes - begin + kPage - 1) / kPage * kPage;
  std::shared_ptr<char> read(static_cast<char*>(std::aligned_alloc(kPage, length)), std::free);
  absl::StatusOr<size_t> got = (*file)->ReadDirect(begin, length, read.get());
  // A sector that cannot be read is as rot.
  if (!got.ok()) return absl::DataLossError(got.status().message());
  if (*got < offset + bytes - begin) return absl::DataLossError("the file ends before");
  const absl::string_view view(read.get() + (offset - begin), bytes);
  return Bytes(std::move(read), view);
}

absl::StatusOr<bool> StreamBlocks::WriteAgain(uint32_t block) {
  pages_.Forget(block);
  const Written written = WrittenOf(block);
  absl::Status status = Verify(block, written.bytes, written.full);
  if (absl::IsDataLoss(status)) return false;  // and noted
  if (!status.ok()) return status;
  for (uint64_t offset = 0; offset < written.bytes && status.ok(); offset += kCopied) {
    const size_t bytes = std::min<uint64_t>(kCopied, written.bytes - offset);
    absl::StatusOr<std::string> copy = ReadBytes(block, offset, bytes);
    if (!copy.ok())
      return absl::IsDataLoss(copy.status()) ? absl::StatusOr<bool>(false) : copy.status();
    status = Mend(block, offset, *copy);
  }
  if (status.ok()) status = EndMending(block, 0);
  if (!status.ok()) return status;
  return !damage_.Has(block);
}

// What is not known to be on the disk is never written again.
absl::Status StreamBlocks::Finish(const absl::Status& status) {
  if (failure_.ok()) failure_ = status;
  return status;
}

// The bytes are those that stand there, or should: whatever part of a write the power cuts off,
// nothing that was right gets wrong.
absl::Status StreamBlocks::Mend(uint32_t block, uint64_t offset, absl::string_view bytes) {
  MutexLock writing(writing_);
  if (!failure_.ok()) return failure_;
  absl::StatusOr<std::unique_ptr<File>> file =
      options_.file_system->Open(PathOf(block), {.mode = FileSystem::OpenMode::kOpenOrCreate});
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->Write(offset, bytes);
  // Told by a write, and not by a sync, no harm is done: the same may be written again.
  if (absl::IsResourceExhausted(status)) return NoRoomError(status.message());
  return Finish(status);
}

absl::Status StreamBlocks::EndMending(uint32_t block, uint64_t full_bytes) {
  {
    MutexLock lock(mutex_);
    // Where it was damaged at the start, it was ended here without all of its marks.
    if (full_bytes != 0 && block < lengths_.size()) lengths_[block - 1] = full_bytes;
  }
  if (full_bytes != 0) damage_.SetLacksMarks(block, false);
  {
    MutexLock writing(writing_);
    if (!failure_.ok()) return failure_;
    absl::StatusOr<std::unique_ptr<File>> file =
        options_.file_system->Open(PathOf(block), {.mode = FileSystem::OpenMode::kReadWrite});
    if (!file.ok()) return file.status();
    absl::Status status = options_.file_system->SyncNow(**file);
    if (status.ok()) status = options_.file_system->SyncDirectory(options_.directory);
    if (status = Finish(status); !status.ok()) return status;
    MutexLock files(files_mutex_);
    std::erase_if(files_, [block](const OpenFile& open) { return open.block == block; });
  }
  pages_.Forget(block);
  const Written written = WrittenOf(block);
  damage_.Remove(block);
  absl::Status status = Verify(block, written.bytes, written.full);
  const bool ended = [this, block] {
    MutexLock lock(mutex_);
    return block < lengths_.size();
  }();
  // Who gave it had not seen its end; whoever has applied as much as this node now has.
  if (status.ok() && ended && damage_.LacksMarks(block)) {
    status = Damage(block, written.bytes, "its footer lacks what could not be read");
  }
  return absl::IsDataLoss(status) ? absl::OkStatus() : status;  // noted as damage
}

}  // namespace cairn

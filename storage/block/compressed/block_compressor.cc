#include "storage/block/compressed/block_compressor.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/block/block_walk.h"

namespace cairn {
namespace {

// A file that is to take a block's place is shorter by this part of it at least, and so much of the
// block is in use.
constexpr uint64_t kLeastPart = 8;

bool IsSame(const BlockSeal& a, const BlockSeal& b) { return a.Encode() == b.Encode(); }

}  // namespace

BlockCompressor::Check::Check(std::unique_ptr<BlockFile> written)
    : file(std::move(written)),
      block(*file),
      walker(block.bytes(), file->geometry(), file->tag()) {}

uint64_t BlockCompressor::Job::bytes() const {
  return (writer == nullptr ? 0 : writer->bytes()) +
         (check == nullptr ? 0 : check->block.bytes_read());
}

CompressStep BlockCompressor::Step(uint64_t head, uint64_t max_bytes) {
  head_ = head;
  CompressStep step;
  while (step.bytes < max_bytes && !ended_ && head_ != full_at_) {
    if (!job_ && !Begin(head)) break;
    const uint64_t before = job_->bytes();
    Advance();
    // A file that was thrown away or has its place was counted while it was made.
    if (job_) step.bytes += job_->bytes() - before;
    step.bytes += kSectorBytes;
  }
  step.problems = std::exchange(problems_, {});
  return step;
}

// The oldest block first.
bool BlockCompressor::Begin(uint64_t head) {
  if (!parts_.blocks->HasReserve()) return false;
  const std::vector<uint64_t> blocks = parts_.blocks->Ids();
  if (!blocks.empty()) skipped_.erase(skipped_.begin(), skipped_.lower_bound(blocks.front()));
  for (uint64_t id : blocks) {
    if (id + parts_.distance > head) break;
    if (skipped_.contains(id)) continue;
    const std::shared_ptr<BlockFile> block = parts_.blocks->Find(id);
    if (block == nullptr || block->is_compressed() || !IsWorthIt(*block)) continue;
    const FoundSeal seal = ReadSeal(*block);
    // What has rotted is for the scrub, and to be copied elsewhere.
    const bool whole = seal.good[0] && seal.good[1] && !seal.seal->has_bad_entries &&
                       seal.seal->first_batch != 0 &&
                       (seal.seal->footer_begin == 0 || ReadFooter(*block, *seal.seal).ok());
    if (!whole) {
      skipped_.insert(id);
      continue;
    }
    job_.emplace(Job{.block = id,
                     .from = block.get(),
                     .path = JoinPath(parts_.directory, CompressedFileName(id)),
                     .seal = *seal.seal});
    return true;
  }
  return false;
}

// What has another cipher than is wanted, or is to be avoided, is written anew entry by entry.
bool BlockCompressor::IsWorthIt(const BlockFile& block) const {
  return block.trusted() && parts_.blocks->HasCurrentCipher(block) &&
         parts_.bytes_in_use(block.block()) >= block.geometry().block_bytes / kLeastPart;
}

// Does the next little piece.
void BlockCompressor::Advance() {
  // Held for this piece only: nobody releases a block meanwhile.
  const std::shared_ptr<BlockFile> from = parts_.blocks->Find(job_->block);
  if (from.get() != job_->from || !from->trusted()) return Abandon();
  absl::Status status;
  if (job_->check == nullptr) {
    status = Write(*from);
  } else if (job_->check->next_batch <= job_->seal.last_batch) {
    status = CheckSome();
  } else {
    status = Commit(from);
  }
  if (!status.ok()) Failed(status);
}

absl::Status BlockCompressor::Write(const BlockFile& from) {
  FileSystem& file_system = *parts_.file_system;
  if (job_->writer == nullptr) {
    // An earlier one may have been left. If it cannot be removed, Create fails and says so.
    file_system.Remove(job_->path).IgnoreError();
    absl::StatusOr<std::unique_ptr<CompressedBlockWriter>> writer =
        CompressedBlockWriter::Create(file_system, job_->path, from, job_->seal, parts_.keys.get());
    if (!writer.ok()) return writer.status();
    job_->writer = *std::move(writer);
    return absl::OkStatus();
  }
  const uint64_t stored = from.header().geometry.block_bytes;
  if (job_->writer->file_bytes() > stored - stored / kLeastPart) {
    return absl::OutOfRangeError("it does not get smaller");
  }
  if (!job_->writer->all_frames()) return job_->writer->AddFrame(from);
  if (absl::Status status = job_->writer->Finish(from); !status.ok()) return status;
  return OpenWritten();
}

// DATA_LOSS where it is not as it should be.
absl::Status BlockCompressor::OpenWritten() {
  absl::StatusOr<std::unique_ptr<BlockFile>> file =
      BlockFile::Open(*parts_.file_system, job_->path, job_->block, std::nullopt, parts_.keys.get(),
                      FileSystem::OpenMode::kReadWrite);
  if (!file.ok()) return file.status();
  const FoundSeal seal = ReadSeal(**file);
  const bool whole = (*file)->good_headers()[0] && (*file)->good_headers()[1] &&
                     (*file)->good_tables()[0] && (*file)->good_tables()[1] && seal.good[0] &&
                     seal.good[1] && IsSame(*seal.seal, job_->seal) &&
                     (seal.seal->footer_begin == 0 || ReadFooter(**file, *seal.seal).ok());
  if (!whole) return absl::DataLossError("it cannot be read back");
  job_->check = std::make_unique<Check>(*std::move(file));
  job_->check->next_batch = job_->seal.first_batch;
  return absl::OkStatus();
}

// One batch. What is bad was bad before, or the disk has it so.
absl::Status BlockCompressor::CheckSome() {
  Check& check = *job_->check;
  const std::optional<FoundBatch> batch = check.walker.Peek();
  const bool good = batch && batch->head_good && batch->id_good &&
                    batch->id.batch == check.next_batch &&
                    (!check.previous || batch->id.previous == *check.previous) &&
                    check.walker.Verify(*batch).empty();
  if (!good) return absl::DataLossError("it cannot be read back");
  check.previous = batch->hash;
  check.walker.MoveBehind(*batch);
  ++check.next_batch;
  return absl::OkStatus();
}

absl::Status BlockCompressor::Commit(const std::shared_ptr<BlockFile>& from) {
  FileSystem& file_system = *parts_.file_system;
  absl::Status after;  // the name is taken
  const auto finish = [&]() -> absl::StatusOr<std::shared_ptr<BlockFile>> {
    std::shared_ptr<BlockFile> written = std::move(job_->check->file);
    if (parts_.keys != nullptr) {
      if (absl::Status status = written->Rewrap(*parts_.keys); !status.ok()) return status;
    }
    const std::string path = from->path();
    if (absl::Status status = file_system.Rename(job_->path, path); !status.ok()) return status;
    after = file_system.SyncDirectory(parts_.directory);
    // Under its name, for errors to name it.
    absl::StatusOr<std::unique_ptr<BlockFile>> opened =
        BlockFile::Open(file_system, path, job_->block, std::nullopt, parts_.keys.get(),
                        FileSystem::OpenMode::kReadWrite);
    if (opened.ok()) return std::shared_ptr<BlockFile>(*std::move(opened));
    return written;
  };
  const absl::StatusOr<bool> replaced = parts_.blocks->Replace(from, finish);
  if (!replaced.ok()) return replaced.status();
  if (*replaced) {
    job_.reset();
  } else {
    Abandon();
  }
  return after;
}

void BlockCompressor::Failed(const absl::Status& status) {
  const std::string path = job_ ? job_->path : parts_.directory;
  if (job_ && (absl::IsOutOfRange(status) || absl::IsDataLoss(status))) {
    skipped_.insert(job_->block);
  } else if (job_ && absl::IsResourceExhausted(status)) {
    full_at_ = head_;
  } else {
    ended_ = true;
    problems_.push_back(
        absl::StrCat(path, ": ", status.message(), "; nothing is compressed any more"));
  }
  if (job_) Abandon();
}

void BlockCompressor::Abandon() {
  const std::string path = job_->path;
  job_.reset();
  // What stays means nothing: the next attempt and the next start remove it.
  parts_.file_system->Remove(path).IgnoreError();
}

}  // namespace cairn

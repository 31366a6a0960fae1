#include "storage/block/log_end.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr uint64_t kBulkBytes = uint64_t{256} << 10;

}  // namespace

void LogEnd::Continue(std::shared_ptr<BlockFile> block, uint64_t first_batch, uint64_t data_end,
                      uint64_t id_begin) {
  block_ = std::move(block);
  first_batch_ = first_batch;
  data_end_ = data_end;
  id_begin_ = id_begin;
}

void LogEnd::Begin(std::shared_ptr<BlockFile> block) {
  const BlockGeometry& geometry = block->geometry();
  const uint64_t data_begin = geometry.data_begin();
  const uint64_t id_end = geometry.id_end();
  Continue(std::move(block), 0, data_begin, id_end);
}

bool LogEnd::Fits(const SyncBatch& batch) const {
  return block_->geometry().Fits(data_end_, id_begin_, batch.data_bytes(), batch.id_bytes());
}

bool LogEnd::FitsBefore(const SyncBatch& batch, uint64_t bytes) const {
  return block_->geometry().Fits(data_end_, id_begin_, batch.data_bytes() + bytes,
                                 batch.id_bytes());
}

bool LogEnd::Fit(const SyncBatch& first, const SyncBatch& second) const {
  const BlockGeometry& geometry = block_->geometry();
  return geometry.Fits(data_end_ + geometry.RoundUp(first.data_bytes()),
                       id_begin_ - std::min(id_begin_, geometry.RoundUp(first.id_bytes())),
                       second.data_bytes(), second.id_bytes());
}

uint64_t LogEnd::BlockBytesFor(const SyncBatch& batch) const {
  const BlockGeometry& geometry = block_->geometry();
  const uint64_t bytes = geometry.RoundUp(batch.data_bytes()) + geometry.RoundUp(batch.id_bytes());
  // Both ends, and a gap that is at most a sixteenth of the block or 1 MiB.
  return bytes + bytes / 8 + 16 * geometry.unit_bytes;
}

void LogEnd::Place(SyncBatch& batch) const {
  IdRecord& id = batch.id();
  id.batch = last_batch_ + 1;
  id.block_tag = block_->tag();
  id.boot = boot_;
  id.data_begin = data_end_;
  id.data_bytes = batch.data_bytes();
  id.id_begin = id_begin_ - block_->geometry().RoundUp(batch.id_bytes());
  id.previous = last_id_hash_;
}

absl::Status LogEnd::Write(const SyncBatch& batch) {
  CAIRN_CHECK(Fits(batch));
  CAIRN_CHECK_EQ(batch.id().batch, last_batch_ + 1);
  const SyncBatch::Encoded encoded = batch.Encode(block_->geometry());
  absl::Status status = block_->Write(data_end_, encoded.data);
  if (status.ok()) status = block_->Write(batch.id().id_begin, encoded.id);
  if (!status.ok()) return status;
  last_batch_ = batch.id().batch;
  last_id_hash_ = encoded.hash;
  if (first_batch_ == 0) first_batch_ = last_batch_;
  data_end_ += encoded.data.size();
  last_bytes_ = encoded.data.size();
  id_begin_ = batch.id().id_begin;
  return absl::OkStatus();
}

// The youngest entries are in memory anyway, and what comes in such pieces is written by a member
// that catches up, or under a load that would fill the page cache with what hardly anybody reads.
// To keep it there costs more than to read it again: pages that the system has to find, and on a
// virtual machine its host, too.
void LogEnd::Synced() const {
  if (last_bytes_ >= kBulkBytes) block_->DropCached(data_end_ - last_bytes_, last_bytes_);
}

absl::Status LogEnd::Seal(FileSystem& file_system, const BlockFooter& footer) {
  const uint64_t unit = block_->geometry().unit_bytes;
  return Seal(file_system, footer, SealMarks(), data_end_ + unit, id_begin_ - unit);
}

absl::Status LogEnd::Seal(FileSystem& file_system, const BlockFooter& footer, SealMarks marks,
                          uint64_t free_begin, uint64_t free_end) {
  BlockSeal seal = {.tag = block_->tag(),
                    .first_batch = first_batch_,
                    .last_batch = last_batch_,
                    .data_end = data_end_,
                    .id_begin = id_begin_,
                    .last_id_hash = last_id_hash_,
                    .has_bad_entries = marks.has_bad_entries || marks.end_lost,
                    .last_is_faulty = marks.last_is_faulty,
                    .end_lost = marks.end_lost};
  std::string bytes = footer.Encode();
  const uint64_t length = block_->geometry().RoundUp(bytes.size());
  if (!seal.has_bad_entries && free_begin + length <= free_end) {
    seal.footer_begin = free_begin;
    seal.footer_bytes = bytes.size();
    seal.footer_checksum = Checksum(bytes);
  }
  absl::Status status;
  for (int copy : {0, 1}) {
    if (status.ok()) status = block_->WriteSeal(seal, copy);
  }
  // The footer must not stand where recovery still looks for torn batches.
  if (status.ok()) status = file_system.SyncNow(block_->file());
  if (!status.ok() || seal.footer_begin == 0) return status;
  bytes.resize(length, kFiller);
  status = block_->Write(free_begin, bytes);
  if (status.ok()) status = file_system.SyncNow(block_->file());
  return status;
}

}  // namespace cairn

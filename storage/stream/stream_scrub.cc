#include "storage/stream/stream_scrub.h"

#include <algorithm>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace cairn {

StreamScrub::Step StreamScrub::Go(const std::shared_ptr<StreamBlocks>& blocks, uint64_t& block,
                                  uint64_t max_bytes) {
  if (of_.lock() != blocks || block_ != block || block_ == 0) {
    of_ = blocks;
    block_ = block > UINT32_MAX ? 1 : std::max<uint32_t>(1, static_cast<uint32_t>(block));
    next_ = data_end_ = 0;
  }
  Step step;
  while (step.bytes < max_bytes) {
    // The end of what is in files: the rest is in memory, where it is right.
    if (blocks->WrittenOf(block_).bytes == 0) {
      step.ended = true;
      block_ = 0;
      break;
    }
    const bool known = blocks->damage().Has(block_);
    if (!known && ReadOn(*blocks, step, max_bytes - step.bytes)) continue;
    ++block_;
    next_ = data_end_ = 0;
  }
  block = block_;
  return step;
}

bool StreamScrub::ReadOn(StreamBlocks& blocks, Step& step, uint64_t max_bytes) {
  const StreamBlocks::Written written = blocks.WrittenOf(block_);
  absl::Status status;
  if (next_ == 0 || (written.full && data_end_ == 0)) status = ReadEnds(blocks, step);
  const uint64_t end = data_end_ != 0 ? data_end_ : written.bytes;
  if (status.ok() && next_ >= end) return false;
  if (status.ok()) status = ReadRecords(blocks, step, max_bytes);
  if (status.ok()) return next_ < end;
  if (!absl::IsDataLoss(status)) return false;  // of the system, for now
  absl::StatusOr<bool> again = blocks.WriteAgain(block_);
  step.bytes += written.bytes;
  if (again.ok() && *again) {
    step.healed.push_back(absl::StrCat("block ", block_, " of the streams: ", status.message()));
  } else if (again.ok() && !blocks.damage().Has(block_)) {
    // It gives what it notes, which is all that is wanted here.
    blocks.Damage(block_, next_, status.message()).IgnoreError();
  }
  return false;
}

// Its header and, where it has one, its footer.
absl::Status StreamScrub::ReadEnds(const StreamBlocks& blocks, Step& step) {
  const StreamBlocks::Written written = blocks.WrittenOf(block_);
  absl::StatusOr<Bytes> header = blocks.ReadDirect(block_, 0, kStreamBlockHeaderBytes);
  if (!header.ok()) return header.status();
  absl::Status status = CheckStreamBlockHeader(header->view(), blocks.group(), block_);
  if (!status.ok()) return absl::DataLossError(status.message());
  step.bytes += kStreamBlockHeaderBytes;
  next_ = std::max<uint64_t>(next_, kStreamBlockHeaderBytes);
  if (!written.full) return absl::OkStatus();
  if (written.bytes < kStreamBlockHeaderBytes + kStreamTrailerBytes) {
    return absl::DataLossError("it is too short for a footer");
  }
  absl::StatusOr<Bytes> trailer =
      blocks.ReadDirect(block_, written.bytes - kStreamTrailerBytes, kStreamTrailerBytes);
  if (!trailer.ok()) return trailer.status();
  const std::optional<size_t> length = StreamFooterLength(trailer->view());
  if (!length || *length > written.bytes - kStreamBlockHeaderBytes) {
    return absl::DataLossError("its footer is damaged");
  }
  absl::StatusOr<Bytes> footer = blocks.ReadDirect(block_, written.bytes - *length, *length);
  if (!footer.ok()) return footer.status();
  step.bytes += *length;
  absl::StatusOr<StreamFooter> decoded =
      DecodeStreamFooter(footer->view(), block_, written.bytes, blocks.tag());
  if (!decoded.ok()) return absl::DataLossError(decoded.status().message());
  data_end_ = decoded->data_end;
  return absl::OkStatus();
}

absl::Status StreamScrub::ReadRecords(const StreamBlocks& blocks, Step& step, uint64_t max_bytes) {
  const uint64_t end = data_end_ != 0 ? data_end_ : blocks.WrittenOf(block_).bytes;
  uint64_t wanted = std::clamp<uint64_t>(max_bytes, kStreamRecordHeaderBytes, size_t{1} << 20);
  wanted = std::min(wanted, end - next_);
  const uint64_t begin = next_;
  while (next_ == begin && wanted > 0) {
    absl::StatusOr<Bytes> bytes = blocks.ReadDirect(block_, begin, wanted);
    if (!bytes.ok()) return bytes.status();
    step.bytes += wanted;
    uint64_t at = 0;
    wanted = 0;
    while (at + kStreamRecordHeaderBytes <= bytes->size()) {
      const std::optional<size_t> length = StreamRecordLength(bytes->view().substr(at));
      if (!length || begin + at + *length > end) {
        return absl::DataLossError("the length of a record is damaged");
      }
      if (at + *length > bytes->size()) {
        wanted = *length;  // once more, if it is the first
        break;
      }
      const Place place = {block_, static_cast<uint32_t>(begin + at)};
      absl::StatusOr<StreamRecord> record =
          LoadStreamRecord(bytes->view().substr(at, *length), place, blocks.tag());
      if (!record.ok()) return absl::DataLossError(record.status().message());
      at += *length;
    }
    next_ = begin + at;
    if (at == 0 && wanted == 0) return absl::DataLossError("a record is cut short");
  }
  return absl::OkStatus();
}

}  // namespace cairn

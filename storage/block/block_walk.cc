#include "storage/block/block_walk.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

class Walk {
 public:
  Walk(const BlockFile& file, BlockBytes& image, const std::optional<BlockSeal>& seal,
       uint64_t first_batch)
      : file_(file),
        seal_(seal),
        next_batch_(seal ? seal->first_batch : first_batch),
        image_(image),
        walker_(image_, file.geometry(), file.tag()) {}

  absl::StatusOr<BlockWalk> Run() {
    while (!AtEnd()) {
      std::optional<FoundBatch> batch = Next();
      if (!batch) break;
      if (absl::Status status = Take(*std::move(batch)); !status.ok()) return status;
    }
    walk_.data_end = walker_.data_end();
    walk_.id_begin = walker_.id_begin();
    if (seal_) {
      if (!AtEnd()) walk_.lost_before.push_back(walk_.batches.size());
    } else {
      walk_.remainder = JudgeRemainder(image_, walker_.data_end(), walker_.id_begin());
      FindFreeStretch();
    }
    return std::move(walk_);
  }

 private:
  bool AtEnd() const {
    if (!seal_) return false;
    if (seal_->first_batch == 0) return true;
    return !walk_.batches.empty() && walk_.batches.back().id.batch >= seal_->last_batch;
  }

  std::optional<FoundBatch> Next() {
    std::optional<FoundBatch> batch = walker_.Peek();
    if (batch && (next_batch_ == 0 || batch->id.batch == next_batch_)) return batch;
    batch = walker_.FindLater(next_batch_ == 0 ? 1 : next_batch_);
    if (!batch || (seal_ && batch->id.batch > seal_->last_batch)) return std::nullopt;
    walk_.lost_before.push_back(walk_.batches.size());
    return batch;
  }

  absl::Status Take(FoundBatch batch) {
    if (!walk_.batches.empty() && batch.id.batch == walk_.batches.back().id.batch + 1 &&
        batch.id.previous != walk_.batches.back().hash) {
      return absl::DataLossError(absl::StrCat(file_.path(), ": batch ", batch.id.batch, " at ",
                                              batch.id.data_begin,
                                              " does not follow the one before it"));
    }
    next_batch_ = batch.id.batch + 1;
    walker_.MoveBehind(batch);
    std::vector<BadEntry> bad = walker_.Verify(batch);
    if (!bad.empty()) walk_.bad[walk_.batches.size()] = std::move(bad);
    walk_.batches.push_back(std::move(batch));
    return absl::OkStatus();
  }

  void FindFreeStretch() {
    const uint64_t unit = file_.geometry().unit_bytes;
    uint64_t begin = walker_.data_end();
    while (begin < walker_.id_begin()) {
      uint64_t end = image_.FirstNonZero(begin, walker_.id_begin()) / unit * unit;
      if (end > begin && end - begin > walk_.free_end - walk_.free_begin) {
        walk_.free_begin = begin;
        walk_.free_end = end;
      }
      begin = std::max(begin, end) + unit;
    }
  }

  const BlockFile& file_;
  const std::optional<BlockSeal> seal_;
  uint64_t next_batch_;
  BlockBytes& image_;
  BatchWalker walker_;
  BlockWalk walk_;
};

// Where the span says that it stands, something can stand.
bool IsInside(const BlockFile& file, const Span& span) {
  if (!span.is_in_block()) return true;
  const BlockGeometry& geometry = file.geometry();
  auto is_place = [&](const Mark& mark) {
    return mark.data_begin >= geometry.data_begin() && mark.data_begin < mark.id_end &&
           mark.id_end <= geometry.id_end() && mark.data_begin % geometry.unit_bytes == 0 &&
           mark.id_end % geometry.unit_bytes == 0;
  };
  return span.block == file.block() && std::all_of(span.marks.begin(), span.marks.end(), is_place);
}

}  // namespace

FoundSeal ReadSeal(const BlockFile& file) {
  FoundSeal found;
  for (int copy : {0, 1}) {
    Bytes sector = file.ReadDirect(file.geometry().seal_at(copy), file.seal_bytes());
    absl::StatusOr<BlockSeal> seal = BlockSeal::Decode(sector.view(), file.tag());
    if (!seal.ok()) continue;
    if (found.seal && found.seal->Encode() != seal->Encode()) continue;
    found.seal = *seal;
    found.good[copy] = true;
  }
  if (!found.seal && file.frame_table() != nullptr) found.seal = file.frame_table()->seal;
  return found;
}

absl::StatusOr<BlockFooter> ReadFooter(const BlockFile& file, const BlockSeal& seal) {
  const uint64_t end = file.geometry().block_bytes;
  if (seal.footer_begin == 0 || seal.footer_begin > end ||
      seal.footer_bytes > end - seal.footer_begin) {
    return absl::DataLossError("no footer");
  }
  Bytes bytes = file.ReadDirect(seal.footer_begin, seal.footer_bytes);
  if (Checksum(bytes.view()) != seal.footer_checksum) {
    return absl::DataLossError("footer checksum");
  }
  absl::StatusOr<BlockFooter> footer = BlockFooter::Decode(bytes.view(), file.tag());
  if (!footer.ok()) return footer;
  for (const auto& [group, spans] : footer->spans) {
    const bool is_own = std::all_of(spans.begin(), spans.end(),
                                    [&](const Span& span) { return IsInside(file, span); });
    if (group == GroupId::kNone || !is_own) return absl::DataLossError("footer: group or place");
  }
  return footer;
}

absl::StatusOr<BlockWalk> WalkBlock(const BlockFile& file, const std::optional<BlockSeal>& seal,
                                    uint64_t first_batch) {
  const std::unique_ptr<BlockBytes> image = file.Image();
  return WalkBlock(file, *image, seal, first_batch);
}

absl::StatusOr<BlockWalk> WalkBlock(const BlockFile& file, BlockBytes& image,
                                    const std::optional<BlockSeal>& seal, uint64_t first_batch) {
  return Walk(file, image, seal, first_batch).Run();
}

bool LooksUnused(const BlockFile& file) {
  const BlockGeometry& geometry = file.geometry();
  auto is_zero = [&](uint64_t offset) {
    const Bytes bytes = file.ReadDirect(offset, geometry.unit_bytes);
    return bytes.view().find_first_not_of('\0') == absl::string_view::npos;
  };
  return is_zero(geometry.data_begin()) && is_zero(geometry.id_end() - geometry.unit_bytes);
}

}  // namespace cairn

// The part of StreamStore that finds damage and puts it right.

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/stream/mark_intake.h"
#include "storage/stream/stream_store.h"

namespace cairn {

absl::Status StreamStore::Mend(const std::vector<uint64_t>& lengths, MendPieces pieces,
                               absl::FunctionRef<std::string()> archive) {
  std::shared_ptr<StreamBlocks> blocks;
  StreamTable table;
  {
    MutexLock lock(mutex_);
    blocks = blocks_;
    table = table_.Freeze();
  }
  const std::set<uint32_t> damaged = blocks->damage().all();
  const size_t count = std::min(lengths.size(), blocks->lengths().size());
  for (uint32_t block = 1; block <= count; ++block) {
    // What can be read here is right, whatever others have; what is in memory alone comes yet.
    if (!damaged.contains(block) || blocks->WrittenOf(block).bytes == 0) continue;
    absl::Status status = pieces(block, [&](uint64_t offset, absl::string_view bytes) {
      return blocks->Mend(block, offset, bytes);
    });
    // The last one goes on, here or there.
    const bool full = block < lengths.size();
    if (status.ok()) status = blocks->EndMending(block, full ? lengths[block - 1] : 0);
    if (!status.ok()) {
      Wrote(blocks->Flush());  // which gives it again, if it is final
      return status;
    }
  }
  // What could not be read had no marks in the index.
  StreamIndex index(options_.max_marks);
  MarkIntake intake(table, index);
  blocks->VisitMarks(
      [&intake](const StreamMark& mark, uint32_t block) { intake.Take(mark, block); });
  {
    MutexLock lock(mutex_);
    index_ = std::move(index);
  }
  blocks->damage().Remove(0);
  Checkpoint(archive);
  const std::set<uint32_t> left = blocks->damage().all();
  if (left.empty()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(left.size(), " of the streams' files are still damaged"));
}

StreamScrub::Step StreamStore::Scrub(uint64_t& block, uint64_t max_bytes) {
  std::shared_ptr<StreamBlocks> blocks;
  {
    MutexLock lock(mutex_);
    blocks = blocks_;
  }
  StreamScrub::Step step = scrub_.Go(blocks, block, max_bytes);
  if (!step.ended) return step;
  MutexLock publishing(publishing_);
  absl::StatusOr<bool> healed = files_.Heal();
  if (healed.ok() && *healed) step.healed.push_back("a copy of the streams' checkpoint was bad");
  if (absl::IsDataLoss(healed.status())) blocks->damage().Add(0, healed.status());
  return step;
}

}  // namespace cairn

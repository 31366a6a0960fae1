#include "storage/block/scanned_block.h"

#include <cstddef>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/shared_work.h"
#include "storage/block/log_directory.h"

namespace cairn {
namespace {

// A block that is walked is in memory as a whole. Of all that are at a time so much, or one.
constexpr uint64_t kImageBytes = uint64_t{128} << 20;

class ImageBudget {
 public:
  void Take(uint64_t bytes) {
    MutexLock lock(mutex_);
    while (taken_ > 0 && taken_ + bytes > kImageBytes) given_.Wait(mutex_);
    taken_ += bytes;
  }
  void Give(uint64_t bytes) {
    MutexLock lock(mutex_);
    taken_ -= bytes;
    given_.NotifyAll();
  }

 private:
  Mutex mutex_;
  CondVar given_;
  uint64_t taken_ CAIRN_GUARDED_BY(mutex_) = 0;
};

// What came of one block.
struct Outcome {
  absl::Status status;  // DATA_LOSS: it is lost
  std::vector<std::string> notes;
};

// Takes `id` off `blocks`.
void Lose(uint64_t id, const absl::Status& why, ScannedBlocks& blocks, LostBlocks* lost) {
  blocks.erase(id);
  (*lost)[id] = std::string(why.message());
}

// Works on each of these blocks, in any order, and gives the first error by their order. The notes
// are those up to there.
absl::Status WorkOnEach(const std::vector<uint64_t>& ids, const ReadHelpers& helpers,
                        const std::function<void(size_t, Outcome&)>& work, ScannedBlocks& blocks,
                        LostBlocks* lost, std::vector<std::string>* notes) {
  std::vector<Outcome> outcomes(ids.size());
  ShareWork(ids.size(), helpers, [&](size_t i) { work(i, outcomes[i]); });
  for (size_t i = 0; i < ids.size(); ++i) {
    Outcome& outcome = outcomes[i];
    if (absl::IsDataLoss(outcome.status)) {
      Lose(ids[i], outcome.status, blocks, lost);
      continue;
    }
    if (!outcome.status.ok()) return std::move(outcome.status);
    for (std::string& note : outcome.notes) notes->push_back(std::move(note));
  }
  return absl::OkStatus();
}

absl::StatusOr<ScannedBlock> OpenBlock(const BlockSource& source, uint64_t id,
                                       std::vector<std::string>& notes) {
  const std::string path = JoinPath(source.directory, BlockFileName(id));
  absl::StatusOr<std::unique_ptr<BlockFile>> file =
      BlockFile::Open(source.file_system, path, id, source.identity, source.keys, source.mode);
  if (!file.ok()) return file.status();
  ScannedBlock block;
  block.file = *std::move(file);
  block.seal = ReadSeal(*block.file);
  for (int copy : {0, 1}) {
    if (!block.file->good_headers()[copy]) {
      notes.push_back(absl::StrCat(path, ": one header copy is bad"));
    }
    if (block.seal.seal && !block.seal.good[copy]) {
      notes.push_back(absl::StrCat(path, ": one seal copy is bad"));
    }
    if (!block.file->good_tables()[copy]) {
      notes.push_back(absl::StrCat(path, ": one copy of its frame table is bad"));
    }
  }
  // Nothing may be written to it, so it must not be taken for the end of the log.
  if (block.file->is_compressed() && !block.seal.seal) {
    return absl::DataLossError(
        absl::StrCat(path, ": both copies of its seal and of its frame table are bad"));
  }
  return block;
}

// `before`: of the block before, null if that is not there.
absl::Status Walk(uint64_t id, const ScannedBlock* before, ScannedBlock& block) {
  // Numbers go on from the block before, if that one is sealed and there.
  uint64_t first_batch = id == 1 ? 1 : 0;
  if (before != nullptr && before->seal.seal) first_batch = before->seal.seal->last_batch + 1;
  absl::StatusOr<BlockWalk> walk = WalkBlock(*block.file, block.seal.seal, first_batch);
  if (!walk.ok()) return walk.status();
  block.walk = *std::move(walk);
  return absl::OkStatus();
}

const ScannedBlock* Find(const ScannedBlocks& blocks, uint64_t id) {
  const auto found = blocks.find(id);
  return found == blocks.end() ? nullptr : &found->second;
}

}  // namespace

absl::StatusOr<ScannedBlocks> OpenBlocks(const BlockSource& source,
                                         const std::vector<uint64_t>& ids,
                                         const ReadHelpers& helpers, LostBlocks* lost,
                                         std::vector<std::string>* notes) {
  std::vector<ScannedBlock> opened(ids.size());
  ScannedBlocks blocks;
  for (uint64_t id : ids) blocks[id] = {};
  const absl::Status status = WorkOnEach(
      ids, helpers,
      [&](size_t i, Outcome& outcome) {
        absl::StatusOr<ScannedBlock> block = OpenBlock(source, ids[i], outcome.notes);
        outcome.status = block.status();
        if (block.ok()) opened[i] = *std::move(block);
      },
      blocks, lost, notes);
  if (!status.ok()) return status;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (blocks.contains(ids[i])) blocks[ids[i]] = std::move(opened[i]);
  }
  return blocks;
}

absl::StatusOr<bool> WalkOne(uint64_t id, ScannedBlocks& blocks, LostBlocks* lost) {
  const absl::Status status = Walk(id, Find(blocks, id - 1), blocks.at(id));
  if (status.ok()) return true;
  if (!absl::IsDataLoss(status)) return status;
  Lose(id, status, blocks, lost);
  return false;
}

absl::Status ReadFootersOrWalk(ScannedBlocks& blocks, const ReadHelpers& helpers, LostBlocks* lost,
                               std::vector<std::string>* notes) {
  std::vector<uint64_t> wanted;
  for (auto& [id, block] : blocks) {
    if (!block.walk) wanted.push_back(id);
  }
  ImageBudget budget;
  return WorkOnEach(
      wanted, helpers,
      [&](size_t i, Outcome& outcome) {
        const uint64_t id = wanted[i];
        ScannedBlock* const block = &blocks.at(id);
        if (block->seal.seal && !block->seal.seal->has_bad_entries) {
          absl::StatusOr<BlockFooter> footer = ReadFooter(*block->file, *block->seal.seal);
          if (footer.ok()) {
            block->footer = *std::move(footer);
            return;
          }
          outcome.notes.push_back(
              absl::StrCat(block->file->path(), ": no footer, read its id records instead"));
        }
        const uint64_t bytes = block->file->geometry().block_bytes;
        budget.Take(bytes);
        outcome.status = Walk(id, Find(blocks, id - 1), *block);
        budget.Give(bytes);
      },
      blocks, lost, notes);
}

}  // namespace cairn

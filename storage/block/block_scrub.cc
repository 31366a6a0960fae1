#include "storage/block/block_scrub.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "storage/block/batch_walker.h"
#include "storage/block/block_walk.h"
#include "storage/block/direct_window.h"
#include "storage/block/log_directory.h"
#include "storage/block/log_reader.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

// A step goes on so much longer while each batch has bad entries.
constexpr uint64_t kInRot = 4;

Term TermOf(const std::vector<TermRun>& runs, Index index) {
  for (const TermRun& run : runs) {
    if (run.last_index >= index) return run.term;
  }
  return 0;
}

}  // namespace

// One block, as far as one step gets.
class BlockScrub::Pass {
 public:
  Pass(BlockScrub& scrub, BlockFile& file, ScrubStep& step)
      : scrub_(scrub), file_(file), step_(step), seal_(ReadSeal(file)), window_(file) {
    step_.bytes += 2 * file_.seal_bytes();
  }
  ~Pass() { step_.bytes += bytes_read(); }

  // True if the block is done.
  bool Run(ScrubPosition& position, uint64_t max_bytes) {
    const BlockGeometry& geometry = file_.geometry();
    if (!Continues(position)) {
      CheckEnds();
      position = {.block = file_.block(),
                  .offset = geometry.data_begin(),
                  .id_end = geometry.id_end(),
                  .batch = seal_.seal ? seal_.seal->first_batch : 0};
    }
    if (!seal_.seal) {
      CheckWhole();
      return true;
    }
    if (seal_.seal->first_batch == 0) return true;
    BatchWalker walker(window_.bytes(), geometry, file_.tag());
    walker.MoveTo(position.offset, position.id_end);
    std::optional<EntryHash> previous;
    uint64_t limit = max_bytes;
    while (position.batch <= seal_.seal->last_batch) {
      // One batch at least, or it would get nowhere.
      if (previous && step_.bytes + bytes_read() >= limit) return false;
      std::optional<FoundBatch> batch = walker.Peek();
      const bool follows = batch && batch->id.batch == position.batch &&
                           (!previous || batch->id.previous == *previous);
      if (!follows) {
        CheckWhole();
        return true;
      }
      CheckCopies(*batch);
      const size_t found = step_.damaged.size();
      for (const BadEntry& entry : walker.Verify(*batch)) Report(entry);
      // What stands in one bad place is told, and repaired, together.
      limit = step_.damaged.size() == found ? max_bytes : max_bytes * kInRot;
      previous = batch->hash;
      walker.MoveBehind(*batch);
      position.offset = walker.data_end();
      position.id_end = walker.id_begin();
      position.batch = batch->id.batch + 1;
    }
    return true;
  }

 private:
  uint64_t bytes_read() const {
    return window_.bytes_read() + (behind_ ? behind_->bytes_read() : 0);
  }

  bool Continues(const ScrubPosition& position) const {
    const BlockGeometry& geometry = file_.geometry();
    return seal_.seal && position.offset >= geometry.data_begin() &&
           position.offset < position.id_end && position.id_end <= geometry.id_end() &&
           position.offset % geometry.unit_bytes == 0 &&
           position.id_end % geometry.unit_bytes == 0 && position.batch != 0 &&
           position.batch >= seal_.seal->first_batch;
  }

  void Avoid(absl::string_view why) {
    file_.Distrust();
    scrub_.Avoid(file_.block());
    step_.avoided.push_back(absl::StrCat(file_.path(), ": ", why));
  }

  void Took(const absl::Status& status, absl::string_view what) {
    if (!status.ok()) return Avoid(absl::StrCat(what, " is bad: ", status.message()));
    step_.healed.push_back(absl::StrCat(file_.path(), ": ", what, " was bad"));
  }

  // Headers, seals, footer.
  void CheckEnds() {
    const absl::StatusOr<bool> headers = file_.RestoreHeaders();
    step_.bytes += 2 * kSectorBytes;
    if (!headers.ok() || *headers) Took(headers.status(), "a copy of its header");
    const absl::StatusOr<bool> tables = file_.RestoreTables();
    if (file_.frame_table() != nullptr) step_.bytes += 2 * file_.frame_table()->Encode().size();
    if (!tables.ok() || *tables) Took(tables.status(), "a copy of its frame table");
    if (!seal_.seal) return Avoid("both copies of its seal are bad");
    const BlockSeal& seal = *seal_.seal;
    for (int copy : {0, 1}) {
      if (seal_.good[copy]) continue;
      Took(PutBack(file_.geometry().seal_at(copy), seal.Encode(file_.seal_bytes())),
           "a copy of its seal");
    }
    if (seal.footer_begin == 0) return;
    const absl::StatusOr<BlockFooter> footer = ReadFooter(file_, seal);
    step_.bytes += seal.footer_bytes;
    if (!footer.ok()) Avoid(footer.status().message());
  }

  // Of an encrypted block whole units.
  absl::Status PutBack(uint64_t offset, std::string bytes) {
    if (file_.header().is_encrypted()) {
      bytes.resize(file_.geometry().RoundUp(bytes.size()), kFiller);
    }
    return file_.PutBack(offset, bytes);
  }

  void CheckCopies(const FoundBatch& batch) {
    if (batch.head_good && batch.id_good) return;
    const std::string bytes = EncodeIdRecord(batch.id);
    const std::string name = absl::StrCat("a copy of the id record of batch ", batch.id.batch);
    if (Hash128(bytes) != batch.hash) return Avoid(absl::StrCat(name, " is bad"));
    if (!batch.id_good) Took(PutBack(batch.id.id_begin, Filled(bytes)), name);
    if (batch.head_good) return;
    if (!file_.is_compressed()) return Took(PutBackHead(batch, bytes), name);
    if (!std::exchange(head_lost_, true)) {
      Avoid(absl::StrCat(name, " is bad, with the frame it is in"));
    }
  }

  std::string Filled(std::string bytes) const {
    bytes.resize(file_.geometry().RoundUp(bytes.size()), kFiller);
    return bytes;
  }

  // Records stand behind it in its last unit.
  absl::Status PutBackHead(const FoundBatch& batch, std::string bytes) {
    const uint64_t unit = file_.geometry().unit_bytes;
    const uint64_t used = bytes.size() % unit;
    if (file_.header().is_encrypted() && used != 0) {
      const uint64_t end = batch.id.data_begin + file_.geometry().RoundUp(bytes.size());
      const Bytes last = file_.ReadDirect(end - unit, unit);
      if (last.view().find_first_not_of(kUnreadableByte) == absl::string_view::npos) {
        return absl::DataLossError("and what stands behind it in its unit");
      }
      bytes.append(last.view().data() + used, last.size() - used);
    }
    return file_.PutBack(batch.id.data_begin, bytes);
  }

  // An entry is not as its batch says. What is in force may stand elsewhere in the block, too.
  void Report(const BadEntry& entry) {
    const std::optional<Span> span = scrub_.parts_.find(entry.group, entry.at);
    if (!span || span->block != file_.block()) return;
    if (!behind_) behind_.emplace(file_);
    const absl::Status status = ReadEntries(file_, behind_->bytes(), span->MarkFor(entry.at.index),
                                            entry.group, entry.at.index, entry.at.index, 1)
                                    .status();
    if (absl::IsDataLoss(status)) step_.damaged.push_back({entry.group, entry.at, status});
  }

  // Where the batches do not stand one behind the other.
  void CheckWhole() {
    const absl::StatusOr<BlockWalk> walk = WalkBlock(file_, seal_.seal, 0);
    step_.bytes += file_.header().geometry.block_bytes;
    if (!walk.ok()) return Avoid(walk.status().message());
    for (size_t i = 0; i < walk->batches.size(); ++i) {
      CheckCopies(walk->batches[i]);
      auto bad = walk->bad.find(i);
      if (bad == walk->bad.end()) continue;
      for (const BadEntry& entry : bad->second) Report(entry);
    }
    if (!walk->lost_before.empty()) Avoid("a batch is lost: both its id records are bad");
    if (!walk->lost_before.empty() || !seal_.seal) ReportLost(*walk);
  }

  // What is in use here, and in no batch that was found.
  void ReportLost(const BlockWalk& walk) {
    std::map<std::pair<GroupId, Index>, Term> lost;
    for (const auto& [group, span] : scrub_.parts_.spans_in(file_.block())) {
      for (Index index = span.first; index <= span.last; ++index) {
        lost.insert(lost.end(), {{group, index}, TermOf(span.term_runs, index)});
      }
    }
    const auto erase = [&](GroupId group, const EntryIds& ids) {
      for (Index index = ids.first; index <= ids.last(); ++index) {
        auto found = lost.find({group, index});
        if (found != lost.end() && found->second == TermOf(ids.term_runs, index)) lost.erase(found);
      }
    };
    for (const FoundBatch& batch : walk.batches) {
      for (const GroupSection& section : batch.id.sections) {
        for (const EntryIds& ids : section.copied) erase(section.group, ids);
        if (section.appended) erase(section.group, *section.appended);
      }
    }
    for (const auto& [entry, term] : lost) {
      const auto& [group, index] = entry;
      step_.damaged.push_back(
          {group,
           {index, term},
           absl::DataLossError(absl::StrCat(file_.path(), ": entry ", index,
                                            ": both id records of its batch are bad"))});
    }
  }

  BlockScrub& scrub_;
  BlockFile& file_;
  ScrubStep& step_;
  const FoundSeal seal_;
  DirectBlock window_;
  // For what begins at a mark before, so that neither takes the place of the other.
  std::optional<DirectBlock> behind_;
  bool head_lost_ = false;  // in a frame; told
};

ScrubStep BlockScrub::Step(ScrubPosition& position, uint64_t max_bytes) {
  ScrubStep step;
  {
    MutexLock lock(mutex_);
    step.damaged.swap(found_);
  }
  if (position.block == 0) {
    CheckManifest(step);
    position = {.block = 1};
  }
  while (step.bytes < max_bytes) {
    const std::vector<uint64_t> blocks = parts_.blocks->Ids();
    const auto next = std::lower_bound(blocks.begin(), blocks.end(), position.block);
    if (next == blocks.end() || *next >= head_.load(std::memory_order_acquire)) {
      position = {};
      step.round_ended = true;
      break;
    }
    if (*next != position.block) position = {.block = *next};
    // Held for this step only: nobody releases a block meanwhile.
    const std::shared_ptr<BlockFile> file = parts_.blocks->Find(*next);
    if (file == nullptr || Pass(*this, *file, step).Run(position, max_bytes)) {
      position = {.block = *next + 1};
    }
  }
  return step;
}

CompressStep BlockScrub::Compress(uint64_t max_bytes) {
  if (parts_.compressor == nullptr) return {};
  return parts_.compressor->Step(head_.load(std::memory_order_acquire), max_bytes);
}

void BlockScrub::CheckManifest(ScrubStep& step) {
  const absl::StatusOr<LogManifest> manifest = LoadManifest(*parts_.file_system, parts_.directory);
  if (!manifest.ok()) {
    step.avoided.push_back(std::string(manifest.status().message()));
  } else if (!manifest->good[0] || !manifest->good[1]) {
    const absl::Status saved = SaveManifest(*parts_.file_system, parts_.directory, *manifest);
    const std::string what = absl::StrCat(parts_.directory, ": one copy of the manifest was bad");
    (saved.ok() ? step.healed : step.avoided).push_back(what);
  }
}

void BlockScrub::Found(GroupId group, const Span& span, Index index, const absl::Status& why) {
  MutexLock lock(mutex_);
  found_.push_back({group, {index, TermOf(span.term_runs, index)}, why});
}

void BlockScrub::Avoid(uint64_t block) {
  MutexLock lock(mutex_);
  avoided_.insert(block);
  has_avoided_.store(true, std::memory_order_release);
}

std::set<uint64_t> BlockScrub::TakeAvoided() {
  // Asked before each batch, and nearly always for nothing.
  if (!has_avoided_.load(std::memory_order_acquire)) return {};
  MutexLock lock(mutex_);
  has_avoided_.store(false, std::memory_order_release);
  return std::exchange(avoided_, {});
}

}  // namespace cairn

// The part of BlockLog that writes entries to another place: those of blocks that shall be
// released, those of blocks that are not encrypted as is wanted now or that have rotted, and those
// that were bad where they stood.

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/append_fit.h"
#include "storage/block/block_log.h"
#include "storage/block/block_log_store.h"
#include "storage/block/log_reader.h"
#include "storage/no_room.h"

namespace cairn {
namespace {

// At most this part of a block is spent on copies each time the log goes on in another one.
constexpr uint64_t kCopyDivisor = 8;
// And so much is written anew, of blocks that are not encrypted as is wanted, before a batch.
constexpr uint64_t kRewriteBytes = 256 << 10;
// So many that cannot be read are met, at most.
constexpr int kUnreadableAtOnce = 4;

}  // namespace

// Moves what idle groups have in old blocks to the end, so that the blocks can be released. A batch
// of its own, and synced: if it is torn it can be forgotten. `next` has to fit behind it.
absl::Status BlockLog::WriteCopies(const SyncBatch& next) {
  SyncBatch batch = GatherBounds();
  const uint64_t limit = options_.geometry.block_bytes / kCopyDivisor;
  uint64_t copied = 0;
  for (uint64_t id : blocks_->Ids()) {
    if (id + options_.copy_distance > end_.block()->block()) break;
    BlockUsage::Usage usage;
    {
      MutexLock lock(mutex_);
      usage = usage_->Of(id);
    }
    if (usage.spans == 0 || usage.bytes > limit - copied) continue;
    if (AddCopiesOf(id, batch)) copied += usage.bytes;
  }
  if (copied == 0 || !end_.Fit(batch, next)) return absl::OkStatus();
  return WriteCopyBatch(batch);
}

// The beginning of a batch of copies: how things stand in blocks.
SyncBatch BlockLog::GatherBounds() const {
  SyncBatch batch;
  batch.id().is_checkpoint = true;
  batch.id().live_blocks = blocks_->Ids();
  MutexLock lock(mutex_);
  for (const auto& [id, group] : groups_) group->AddBoundsTo(batch);
  return batch;
}

// With bounds behind them, or on a full disk nothing could make them final (SeekRoom).
bool BlockLog::FitsAsCopies(const SyncBatch& batch) const {
  return end_.Fit(batch, GatherBounds());
}

// What it says is in force when this returns: the copies stand on the disk.
absl::Status BlockLog::WriteCopyBatch(SyncBatch& batch) {
  absl::Status status = WriteApart(batch);
  if (status.ok()) copies_.last_batch = end_.last_batch();
  return status;
}

// A batch of bounds, by itself and synced.
absl::Status BlockLog::WriteApart(SyncBatch& batch) {
  end_.Place(batch);
  const BatchPlace place = end_.place();
  absl::Status status = end_.Write(batch);
  if (status.ok()) status = SyncNow();
  if (!status.ok()) return status;
  MutexLock lock(mutex_);
  for (const GroupSection& section : batch.id().sections) {
    groups_.at(section.group)->written().Apply(section, place);
  }
  return absl::OkStatus();
}

// All that is in use in `block`; false, and nothing, if some of it cannot be read.
bool BlockLog::AddCopiesOf(uint64_t block, SyncBatch& batch) const {
  std::vector<std::pair<GroupSection*, std::vector<RecordRun>>> copies;
  const std::shared_ptr<BlockFile> file = blocks_->Find(block);
  for (GroupSection& section : batch.id().sections) {
    std::vector<Span> spans;
    {
      MutexLock lock(mutex_);
      const WrittenLog& log = groups_.at(section.group)->written();
      for (const Span& span : log.spans.spans()) {
        if (span.block == block) spans.push_back(span);
      }
    }
    for (const Span& span : spans) {
      absl::StatusOr<std::vector<RecordRun>> runs = ReadEntries(
          *file, span.MarkFor(span.first), section.group, span.first, span.last, SIZE_MAX);
      if (!runs.ok() || runs->back().last().index != span.last) return false;
      copies.emplace_back(&section, *std::move(runs));
    }
  }
  for (const auto& [section, runs] : copies) section->copied.push_back(batch.AddRuns(runs));
  return true;
}

// Some of what stands in the first block that is not encrypted as is wanted, or bad. So all of them
// are empty after some batches, and released with the others. NoRoomError if there is none for it.
absl::Status BlockLog::RewriteSome() {
  if (!blocks_->IsCurrent(*end_.block())) return absl::OkStatus();
  for (uint64_t id : scrub_->TakeAvoided()) copies_.due.Add(id);
  for (uint64_t id : copies_.due.Blocks()) {
    BlockUsage::Usage usage;
    {
      MutexLock lock(mutex_);
      if (blocks_->Find(id) != nullptr) usage = usage_->Of(id);
    }
    if (usage.spans == 0) {
      copies_.due.Remove(id);
      continue;
    }
    if (copies_.due.IsWaiting(id, usage)) continue;
    SyncBatch batch = GatherBounds();
    const Added added = AddSomeOf(id, batch);
    if (added == Added::kNothing) {
      copies_.due.Wait(id, usage);
      continue;
    }
    if (added == Added::kNothingYet) return absl::OkStatus();
    if (!FitsAsCopies(batch)) {
      const absl::Status status = Roll(batch, BlockSet::Reserve::kKeep);
      if (IsNoRoom(status)) copies_.refused_in = end_.block()->block();
      if (!status.ok()) return status;
      batch = GatherBounds();
      if (AddSomeOf(id, batch) != Added::kSome) return absl::OkStatus();
    }
    return WriteCopyBatch(batch);
  }
  return absl::OkStatus();
}

// The first entries that are in use in `block`, of any group, at least one. Steps over those that
// cannot be read, a few at once, for each may take some time. kNothing if there are no others;
// kNothingYet if there may be. What may be torn is for the peers to decide first.
BlockLog::Added BlockLog::AddSomeOf(uint64_t block, SyncBatch& batch) {
  const std::shared_ptr<BlockFile> file = blocks_->Find(block);
  const uint64_t limit = std::min(kRewriteBytes, options_.geometry.block_bytes / kCopyDivisor);
  uint64_t bytes = 0;
  int unreadable = 0;
  bool more = false;
  for (GroupSection& section : batch.id().sections) {
    std::vector<Span> spans;
    Index end = 0;
    {
      MutexLock lock(mutex_);
      const WrittenLog& log = groups_.at(section.group)->written();
      end = log.torn_from.value_or(kMaxIndex);
      for (const Span& span : log.spans.spans()) {
        if (span.block == block) spans.push_back(span);
      }
    }
    for (const Span& span : spans) {
      if (span.last >= end) more = true;
      const Index last = std::min(span.last, end - 1);
      for (Index next = span.first; next <= last;) {
        if (bytes >= limit) return Added::kSome;
        if (copies_.due.IsUnreadable(block, section.group, next)) {
          ++next;
          continue;
        }
        absl::StatusOr<std::vector<RecordRun>> runs =
            ReadEntries(*file, span.MarkFor(next), section.group, next, last, limit - bytes);
        if (!runs.ok()) {
          copies_.due.AddUnreadable(block, section.group, next);
          if (absl::IsDataLoss(runs.status())) {
            scrub_->Found(section.group, span, next, runs.status());
          }
          ++next;
          if (++unreadable < kUnreadableAtOnce) continue;
          return bytes > 0 ? Added::kSome : Added::kNothingYet;
        }
        for (const RecordRun& run : *runs) bytes += run.byte_size();
        next = runs->back().last().index + 1;
        section.copied.push_back(batch.AddRuns(*runs));
      }
    }
  }
  if (bytes > 0) return Added::kSome;
  return more ? Added::kNothingYet : Added::kNothing;
}

// Upkeep ------------------------------------------------------------------------------------------

// What RewriteSome does before each batch is done without one here, and what else waits for writes.
absl::StatusOr<bool> BlockLog::Upkeep() {
  CAIRN_CHECK(!syncing_);
  {
    MutexLock lock(mutex_);
    if (!failed_.ok()) return failed_;
    if (!dirty_.empty()) return false;  // refused for want of room; that comes first
  }
  // A batch that says nothing: the log goes on in a block as is wanted now, or what was copied last
  // cannot be cut any more and the blocks it stood in can go.
  const auto write_empty = [this]() -> absl::StatusOr<bool> {
    absl::StatusOr<bool> written = WriteBatch(/*opening=*/true);
    if (IsNoRoom(written.status())) {
      refused_ = false;  // nobody's batch was
      return written;
    }
    absl::Status status = written.ok() ? SyncNow() : written.status();
    if (!status.ok()) return Fail(std::move(status));
    return true;
  };
  if (!blocks_->IsCurrent(*end_.block())) {
    if (!blocks_->HasReserve()) return false;
    return write_empty();
  }
  const uint64_t before = end_.last_batch();
  // First what is empty already, or a log would be there twice before the first of it goes.
  if (!UnusedBlocks().empty()) {
    if (end_.at_block_begin() || before == copies_.last_batch) return write_empty();
    if (absl::Status status = ReleaseUnused(); !status.ok()) return Fail(std::move(status));
  }
  // What is left of a full disk is for votes.
  if (!blocks_->HasReserve()) return false;
  absl::Status status = RewriteSome();
  if (IsNoRoom(status)) return status;
  if (!status.ok()) return Fail(std::move(status));
  return end_.last_batch() != before;
}

LogUpkeep BlockLog::upkeep() const {
  LogUpkeep upkeep;
  for (uint64_t id : blocks_->Ids()) {
    const std::shared_ptr<BlockFile> block = blocks_->Find(id);
    if (block == nullptr) continue;
    ++upkeep.blocks;
    if (!blocks_->HasCurrentCipher(*block)) {
      ++upkeep.to_rewrite;
    } else if (!blocks_->IsCurrent(*block)) {
      ++upkeep.to_rewrap;
    }
  }
  return upkeep;
}

// Scrub -------------------------------------------------------------------------------------------

std::unique_ptr<BlockScrub> BlockLog::MakeScrub() {
  BlockScrub::Parts parts;
  parts.file_system = &file_system_;
  parts.directory = options_.directory;
  parts.blocks = blocks_;
  parts.find = [this](GroupId id, LogPosition at) -> std::optional<Span> {
    MutexLock lock(mutex_);
    auto found = groups_.find(id);
    if (found == groups_.end()) return std::nullopt;
    const GroupState& group = *found->second;
    const WrittenLog& log = group.written();
    const Index end = std::min(group.first_pending(), log.torn_from.value_or(kMaxIndex));
    if (at.index <= group.base().index || at.index >= end) return std::nullopt;
    if (group.TermAt(at.index) != at.term) return std::nullopt;
    const Span* span = log.spans.Find(at.index);
    return span == nullptr || !span->is_in_block() ? std::nullopt : std::optional(*span);
  };
  parts.spans_in = [this](uint64_t block) {
    std::vector<std::pair<GroupId, Span>> spans;
    MutexLock lock(mutex_);
    for (const auto& [id, group] : groups_) {
      for (const Span& span : group->written().spans.spans()) {
        if (span.block == block) spans.emplace_back(id, span);
      }
    }
    return spans;
  };
  if (options_.compression == LogCompression::kZstd) {
    BlockCompressor::Parts compressor;
    compressor.file_system = &file_system_;
    compressor.directory = options_.directory;
    compressor.blocks = blocks_;
    compressor.keys = options_.keys;
    compressor.bytes_in_use = [this](uint64_t block) {
      MutexLock lock(mutex_);
      return usage_->Of(block).bytes;
    };
    compressor.distance = std::max(options_.compression_distance, uint64_t{1});
    parts.compressor = std::make_unique<BlockCompressor>(std::move(compressor));
  }
  return std::make_unique<BlockScrub>(std::move(parts), end_.block()->block());
}

// Repair ------------------------------------------------------------------------------------------

// The hash of an entry covers the entries before it, so that of the last one proves the whole run.
// Where nobody knows it any more, the `next` run does, which was found right, if it follows; or the
// id records do, with the 32 bits they keep of each. Where those are lost with their batch the run
// has to follow an entry whose hash is known: a term has one entry at an index, and the run that
// comes to the last one of the batch, whose hash is known from behind, proves them all.
absl::Status BlockLog::CheckRepair(const GroupState& group, const RecordRun& run,
                                   const RecordRun* next) const {
  const auto refuse = [&](absl::string_view why) {
    return absl::FailedPreconditionError(
        absl::StrCat("repair of ", ToString(run.first()), "..", ToString(run.last()), ": ", why));
  };
  if (run.empty() || run[0].group() != group.group()) return refuse("it is of another group");
  if (absl::Status whole = CheckHeaders(run); !whole.ok()) return refuse(whole.message());
  std::vector<std::pair<std::shared_ptr<BlockFile>, Span>> places;
  {
    MutexLock lock(mutex_);
    const WrittenLog& log = group.written();
    const Index end = std::min(group.first_pending(), log.torn_from.value_or(kMaxIndex));
    if (run.first().index <= group.base().index || run.last().index >= end) {
      return refuse(absl::StrCat("blocks hold entries ", group.base().index + 1, "..", end - 1));
    }
    for (size_t i = 0; i < run.size(); ++i) {
      const LogPosition at = run[i].position();
      if (group.TermAt(at.index) != at.term) return refuse("another entry stands there");
    }
    for (Index index = run.first().index; index <= run.last().index;) {
      const Span* span = log.spans.Find(index);
      CAIRN_CHECK(span != nullptr) << "entry " << index;
      // Null where it is in none.
      places.emplace_back(span->is_in_block() ? blocks_->Find(span->block) : nullptr, *span);
      index = span->last + 1;
    }
  }
  absl::StatusOr<EntryHash> before = HashAt(group, run.first().index - 1);
  if (before.ok() && *before != run.previous_hash()) return refuse("it follows another entry");
  absl::StatusOr<EntryHash> last = HashAt(group, run.last().index);
  if (last.ok()) {
    return *last == run.last_hash() ? absl::OkStatus() : refuse("another entry stood there");
  }
  if (next != nullptr && next->first().index == run.last().index + 1) {
    return next->previous_hash() == run.last_hash() ? absl::OkStatus()
                                                    : refuse("another entry stood there");
  }
  for (const auto& [block, span] : places) {
    const Index first = std::max(span.first, run.first().index);
    const absl::Status status =
        block == nullptr ? absl::NotFoundError("nothing here tells which entry stood there")
                         : CheckEntries(*block, span.MarkFor(first),
                                        run.Slice(first, std::min(span.last, run.last().index)));
    if (absl::IsNotFound(status) && before.ok()) continue;
    if (!status.ok()) return refuse(status.message());
  }
  return absl::OkStatus();
}

// At once, as a batch of copies: if that is lost, the entries are as bad as before.
absl::Status BlockLog::Repair(GroupState& group, const std::vector<RecordRun>& runs) {
  CAIRN_CHECK(!syncing_) << "what was written last is not synced yet";
  {
    MutexLock lock(mutex_);
    if (!failed_.ok()) return failed_;
  }
  const RecordRun* next = nullptr;
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    if (absl::Status status = CheckRepair(group, *run, next); !status.ok()) return status;
    next = &*run;
  }
  if (runs.empty()) return absl::OkStatus();
  const auto gather = [&] {
    SyncBatch batch = GatherBounds();
    for (GroupSection& section : batch.id().sections) {
      if (section.group != group.group()) continue;
      for (const RecordRun& run : runs) section.copied.push_back(batch.AddRuns({run}));
    }
    return batch;
  };
  SyncBatch batch = gather();
  absl::Status status;
  if (!FitsAsCopies(batch)) {
    status = Roll(batch, BlockSet::Reserve::kKeep);
    if (IsNoRoom(status)) return status;
    batch = gather();
  }
  if (status.ok()) status = WriteCopyBatch(batch);
  return status.ok() ? status : Fail(std::move(status));
}

}  // namespace cairn

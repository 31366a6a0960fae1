#include "storage/block/block_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/append_fit.h"
#include "storage/block/block_log_store.h"
#include "storage/block/failed_sync.h"
#include "storage/block/log_reader.h"
#include "storage/no_room.h"

namespace cairn {
namespace {

// In a block whose zeros are only reserved each sync also writes down which of them have been
// written over. So many syncs cost less than half of what writing the zeros does.
constexpr uint64_t kFewBatches = 32;

BlockSet::Options BlockSetOptions(const BlockLogOptions& options) {
  return {.directory = options.directory,
          .identity = options.identity,
          .geometry = options.geometry,
          .max_spares = options.max_spares,
          .reserve = (options.reserve_bytes + options.geometry.block_bytes - 1) /
                     options.geometry.block_bytes,
          .keys = options.keys};
}

absl::StatusOr<RecoveredDisk> Recover(FileSystem& file_system, const BlockLogOptions& options) {
  ReadHelpers helpers;
  while (options.make_reader != nullptr && helpers.size() < options.readers) {
    helpers.push_back(options.make_reader());
  }
  return RecoverLog(file_system, BlockSetOptions(options), helpers);
}

}  // namespace

absl::StatusOr<std::unique_ptr<BlockLog>> BlockLog::Open(FileSystem& file_system,
                                                         BlockLogOptions options) {
  if (!options.geometry.IsValid()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "block_bytes: ", options.geometry.block_bytes, " with units of ",
        options.geometry.unit_bytes, ": must be a multiple of 4096 and at least 16 units"));
  }
  absl::StatusOr<RecoveredDisk> disk = Recover(file_system, options);
  if (!disk.ok()) return disk.status();
  // If new blocks are to be encrypted otherwise, the log goes on in one.
  const bool write_checkpoint =
      disk->write_checkpoint || !disk->blocks->IsCurrent(*disk->end.block());
  std::unique_ptr<BlockLog> log(new BlockLog(file_system, std::move(options), *std::move(disk)));
  if (write_checkpoint) {
    absl::StatusOr<bool> written = log->WriteBatch(/*opening=*/true);
    if (!written.ok()) return written.status();
    absl::Status status = log->SyncNow();
    if (!status.ok()) return status;
  }
  absl::Status forgotten = ForgetFailedSync(file_system, log->options_.directory);
  if (!forgotten.ok()) return forgotten;
  log->PrepareNext();
  return log;
}

BlockLog::BlockLog(FileSystem& file_system, BlockLogOptions options, RecoveredDisk disk)
    : file_system_(file_system),
      options_(std::move(options)),
      lock_(std::move(disk.lock)),
      blocks_(std::move(disk.blocks)),
      notes_(std::move(disk.notes)),
      findings_({.lost_files = std::move(disk.lost_files),
                 .lost_batches = disk.lost_batches || options_.new_groups_are_lost,
                 .torn_bytes = disk.torn_bytes,
                 .torn = std::move(disk.torn)}),
      end_(std::move(disk.end)),
      copies_{.last_batch = end_.last_batch()},
      usage_(std::move(disk.usage)),
      cached_{RecentEntries(options_.recent_bytes), {}},
      scrub_(MakeScrub()) {
  for (uint64_t id : blocks_->Ids()) {
    if (!blocks_->HasCurrentCipher(*blocks_->Find(id))) copies_.due.Add(id);
  }
  MutexLock lock(mutex_);
  for (auto& [group, log] : disk.groups) {
    groups_[group] = std::make_unique<GroupState>(group, std::move(log));
  }
}

BlockLog::~BlockLog() { blocks_->Close(); }

absl::Status BlockLog::Fail(absl::Status status) {
  MutexLock lock(mutex_);
  if (failed_.ok()) failed_ = std::move(status);
  return failed_;
}

absl::Status BlockLog::Append(GroupState& group, const LogAppend& append) {
  if (absl::Status whole = CheckHeaders(append.runs); !whole.ok()) return Fail(std::move(whole));
  Index end = 0;
  Index last = 0;
  {
    MutexLock lock(mutex_);
    if (!failed_.ok()) return failed_;
    end = group.EndFor(append);
    last = group.last().index;
  }
  absl::StatusOr<EntryHash> hash = HashAt(group, end);
  const auto run = std::find_if(append.runs.begin(), append.runs.end(),
                                [](const RecordRun& each) { return !each.empty(); });
  // What shall follow an entry that cannot be read knows its hash.
  if (absl::IsDataLoss(hash.status()) && run != append.runs.end()) hash = run->previous_hash();
  if (!hash.ok()) return Fail(hash.status());
  absl::Status status;
  {
    MutexLock lock(mutex_);
    status = group.CheckFits(append, *hash);
    if (status.ok()) {
      group.Append(append, *hash);
      if (end < last) cached_.recent.TruncateFrom(group.group(), end + 1);
      if (group.dirty()) dirty_.insert(group.group());
    }
  }
  return status.ok() ? status : Fail(std::move(status));
}

absl::Status BlockLog::DropPrefix(GroupState& group, Index up_to) {
  {
    MutexLock lock(mutex_);
    if (!failed_.ok()) return failed_;
    if (up_to <= group.base().index) return absl::OkStatus();
    if (up_to > group.last().index) {
      return absl::OutOfRangeError(absl::StrCat("no entry ", up_to, " to drop up to"));
    }
  }
  absl::StatusOr<EntryHash> hash = HashAt(group, up_to);
  if (!hash.ok()) return hash.status();
  MutexLock lock(mutex_);
  group.DropPrefix(up_to, *hash);
  dirty_.insert(group.group());
  return absl::OkStatus();
}

absl::Status BlockLog::Reset(GroupState& group, LogPosition base, EntryHash hash) {
  MutexLock lock(mutex_);
  if (!failed_.ok()) return failed_;
  if (base.index < group.base().index) {
    return absl::FailedPreconditionError(absl::StrCat("reset to before ", group.base().index));
  }
  group.Reset(base, hash);
  cached_.recent.TruncateFrom(group.group(), 0);
  dirty_.insert(group.group());
  return absl::OkStatus();
}

LogPosition BlockLog::BaseOf(const GroupState& group) const {
  MutexLock lock(mutex_);
  return group.base();
}

LogPosition BlockLog::LastOf(const GroupState& group) const {
  MutexLock lock(mutex_);
  return group.last();
}

absl::StatusOr<std::vector<RecordRun>> BlockLog::Read(const GroupState& group, Index first,
                                                      Index last, size_t max_bytes) const {
  std::vector<RecordRun> runs;
  size_t bytes = 0;
  while (runs.empty() || (first <= last && bytes < max_bytes)) {
    absl::StatusOr<std::vector<RecordRun>> more =
        ReadPiece(group, first, last, max_bytes - std::min(bytes, max_bytes));
    if (!more.ok()) {
      if (runs.empty()) return more.status();
      break;  // what was read is good
    }
    for (RecordRun& run : *more) {
      // The log may be truncated and written again while it is read.
      const bool follows = runs.empty() || runs.back().last_hash() == run.previous_hash();
      const bool fits = runs.empty() || bytes + run.byte_size() <= max_bytes;
      if (!follows || !fits) return runs;
      bytes += run.byte_size();
      first = run.last().index + 1;
      runs.push_back(std::move(run));
    }
  }
  return runs;
}

absl::StatusOr<std::vector<RecordRun>> BlockLog::ReadPiece(const GroupState& group, Index first,
                                                           Index last, size_t max_bytes) const {
  std::shared_ptr<BlockFile> block;
  Mark mark;
  LastBatch last_batch;
  {
    MutexLock lock(mutex_);
    last = std::min(last, group.last().index);
    if (first <= group.base().index || first > last) {  // also where `last` was before `first`
      return absl::OutOfRangeError(absl::StrCat("entry ", first, " is not in the log, which has ",
                                                group.base().index + 1, "..", group.last().index));
    }
    if (const RecordRun* run = group.FindPending(first)) {
      return std::vector<RecordRun>{TakeUpTo(*run, first, last, max_bytes)};
    }
    if (RecordRun run = cached_.recent.Find(group.group(), first, last, max_bytes); !run.empty()) {
      return std::vector<RecordRun>{std::move(run)};
    }
    last = std::min(last, group.first_pending() - 1);
    const WrittenLog& log = group.written();
    if (log.torn_from && first >= *log.torn_from) {
      return absl::DataLossError(absl::StrCat("entry ", first, " may be torn"));
    }
    if (log.torn_from) last = std::min(last, *log.torn_from - 1);
    const Span* span = log.spans.Find(first);
    CAIRN_CHECK(span != nullptr) << "entry " << first;
    if (!span->is_in_block()) {
      return absl::DataLossError(absl::StrCat(options_.directory, ": entry ", first,
                                              " is in no block: the batch that held it is lost"));
    }
    last = std::min(last, span->last);
    mark = span->MarkFor(first);
    block = blocks_->Find(span->block);
    CAIRN_CHECK(block != nullptr) << "block " << span->block;
    last_batch = cached_.last_read;
  }
  auto runs = ReadEntries(*block, mark, group.group(), first, last, max_bytes, &last_batch);
  MutexLock lock(mutex_);
  cached_.last_read = std::move(last_batch);
  return runs;
}

std::optional<EntryHash> BlockLog::HashInMemory(const GroupState& group, Index index) const {
  if (index == group.last().index) return group.last_hash();
  if (index == group.base().index) return group.base_hash();
  if (const RecordRun* run = group.FindPending(index)) return run->At(index).hash();
  if (RecordRun run = cached_.recent.Find(group.group(), index, index, 1); !run.empty()) {
    return run.last_hash();
  }
  const SpanIndex& spans = group.written().spans;
  const Span* span = spans.Find(index);
  if (span != nullptr && span->last == index && span->last_hash_known) return span->last_hash;
  if (index + 1 == group.first_pending()) return std::nullopt;
  span = spans.Find(index + 1);
  if (span != nullptr && span->first == index + 1 && span->previous_hash_known) {
    return span->previous_hash;
  }
  return std::nullopt;
}

absl::StatusOr<EntryHash> BlockLog::HashAt(const GroupState& group, Index index) const {
  bool has_next = false;
  {
    MutexLock lock(mutex_);
    if (index < group.base().index || index > group.last().index) {
      return absl::OutOfRangeError(absl::StrCat("entry ", index, " is not in the log"));
    }
    if (std::optional<EntryHash> hash = HashInMemory(group, index)) return *hash;
    has_next = index < group.last().index;
  }
  absl::StatusOr<std::vector<RecordRun>> runs = ReadPiece(group, index, index, 1);
  if (runs.ok()) return runs->front().last_hash();
  if (!has_next) return runs.status();
  // The next entry knows it too.
  absl::StatusOr<std::vector<RecordRun>> next = ReadPiece(group, index + 1, index + 1, 1);
  if (!next.ok()) return runs.status();
  return next->front().previous_hash();
}

void BlockLog::Sync(absl::AnyInvocable<void(absl::Status)> done) {
  CAIRN_CHECK(!syncing_) << "one sync at a time";
  absl::StatusOr<bool> written = WriteBatch(/*opening=*/false);
  if (!written.ok() || !*written) {
    done(written.status());
    return;
  }
  syncing_ = true;
  file_system_.Sync(
      end_.block()->file(), [this, alive = std::weak_ptr<bool>(alive_), block = end_.block(),
                             done = std::move(done)](absl::Status status) mutable {
        if (alive.expired()) return;
        syncing_ = false;
        if (!status.ok()) {
          MarkFailedSync(file_system_, options_.directory, end_.boot(), end_.last_batch());
          status = Fail(std::move(status));
        }
        if (status.ok()) {
          end_.Synced();
          MutexLock lock(mutex_);
          for (GroupState* group : syncing_groups_) group->Synced();
          syncing_groups_.clear();
        }
        done(std::move(status));
      });
}

// The last batch, outside the write path.
absl::Status BlockLog::SyncNow() {
  absl::Status status = file_system_.SyncNow(end_.block()->file());
  if (!status.ok()) {
    MarkFailedSync(file_system_, options_.directory, end_.boot(), end_.last_batch());
  }
  return status;
}

absl::StatusOr<bool> BlockLog::WriteBatch(bool opening) {
  {
    MutexLock lock(mutex_);
    if (!failed_.ok()) return failed_;
    if (dirty_.empty() && !opening) return false;
  }
  // Each attempt takes what room there is for a moment.
  if (!opening && copies_.refused_in != end_.block()->block()) {
    absl::Status status = RewriteSome();
    if (!status.ok() && !IsNoRoom(status)) return Fail(std::move(status));
  }
  SyncBatch batch = Gather(end_.at_block_begin());
  if (!end_.Fits(batch) || !LeavesRoom(batch) || !blocks_->IsCurrent(*end_.block())) {
    const bool may_take = !batch.has_entries() || blocks_->HasReserve();
    batch = Gather(/*checkpoint=*/true);
    absl::Status status =
        Roll(batch, may_take ? BlockSet::Reserve::kTake : BlockSet::Reserve::kKeep);
    refused_ = IsNoRoom(status);
    if (refused_) return status;
    if (status.ok() && !opening) status = WriteCopies(batch);
    if (!status.ok()) return Fail(std::move(status));
    if (!end_.at_block_begin()) batch = Gather(/*checkpoint=*/false);
    // What was released meanwhile is not to be missed.
    std::erase_if(batch.id().live_blocks,
                  [this](uint64_t id) { return blocks_->Find(id) == nullptr; });
  }
  end_.Place(batch);
  const BatchPlace place = end_.place();
  if (absl::Status status = end_.Write(batch); !status.ok()) return Fail(std::move(status));
  Written(batch, place);
  refused_ = false;
  return true;
}

// On a full disk entries leave some of the reserve to what has none.
bool BlockLog::LeavesRoom(const SyncBatch& batch) const {
  return !batch.has_entries() || blocks_->HasReserve() ||
         end_.FitsBefore(batch, options_.geometry.block_bytes / 4);
}

void BlockLog::SeekRoom() {
  CAIRN_CHECK(!syncing_);
  {
    MutexLock lock(mutex_);
    if (!failed_.ok()) return;
  }
  absl::Status status;
  // Of what is pending nothing can be written, so something else has to stand behind the copies.
  if (!CanRelease() && !UnusedBlocks().empty()) {
    SyncBatch batch = GatherBounds();
    if (end_.Fits(batch)) status = WriteApart(batch);
  }
  if (status.ok()) status = ReleaseUnused();
  if (!status.ok()) {
    Fail(std::move(status)).IgnoreError();
    return;
  }
  PrepareNext();
}

SyncBatch BlockLog::Gather(bool checkpoint) const {
  SyncBatch batch;
  MutexLock lock(mutex_);
  if (checkpoint) {
    batch.id().is_checkpoint = true;
    batch.id().live_blocks = blocks_->Ids();
    for (const auto& [id, group] : groups_) group->AddTo(batch, checkpoint);
  } else {
    for (GroupId id : dirty_) groups_.at(id)->AddTo(batch, checkpoint);
  }
  return batch;
}

void BlockLog::Written(const SyncBatch& batch, const BatchPlace& place) {
  MutexLock lock(mutex_);
  syncing_groups_.clear();
  for (const GroupSection& section : batch.id().sections) {
    GroupState& group = *groups_.at(section.group);
    for (const RecordRun& run : group.Written(section, place)) {
      cached_.recent.Add(section.group, run);
    }
    syncing_groups_.push_back(&group);
    dirty_.erase(section.group);  // and no others, which may have been opened meanwhile
  }
}

// Goes on in another block, which will hold `batch`. NoRoomError if there is none; then the log has
// not moved.
absl::Status BlockLog::Roll(const SyncBatch& batch, BlockSet::Reserve reserve) {
  absl::Status status = ReleaseUnused();
  if (!status.ok()) return status;
  blocks_->FillWith(end_.batches_in_block() <= kFewBatches ? Zeroes::kReserved : Zeroes::kWritten);
  absl::StatusOr<std::shared_ptr<BlockFile>> next =
      blocks_->Begin(end_.block()->block() + 1, end_.BlockBytesFor(batch), reserve);
  if (!next.ok()) return next.status();
  BlockFooter footer;
  {
    MutexLock lock(mutex_);
    footer = MakeFooter(*end_.block(), groups_,
                        [](const std::unique_ptr<GroupState>& group) -> const WrittenLog& {
                          return group->written();
                        });
  }
  // Nothing is written behind the last batch before its sync returned, so the seal may say so.
  status = end_.Seal(file_system_, footer);
  if (!status.ok()) return status;
  end_.Begin(*std::move(next));
  scrub_->SetHead(end_.block()->block());
  PrepareNext();
  return absl::OkStatus();
}

// And the blocks before this one get the newest master key, if there is a newer one.
void BlockLog::PrepareNext() {
  const uint64_t head = end_.block()->block();
  if (options_.background == nullptr) {
    blocks_->FillReserve().IgnoreError();
    blocks_->RewrapBefore(head);
    return;
  }
  options_.background->Post([blocks = blocks_, head] {
    // What fails is tried again when it is needed.
    blocks->Prepare(head + 1).IgnoreError();
    blocks->FillReserve().IgnoreError();
    blocks->RewrapBefore(head);
  });
}

// Blocks that hold nothing in use any more. What took it out of use is durable: all that was
// written is, when this is called, and the first batch of the last block says what else there is to
// say of them. But a last batch of copies may be cut when the log is opened.
bool BlockLog::CanRelease() const {
  return !end_.at_block_begin() && end_.last_batch() != copies_.last_batch;
}

absl::Status BlockLog::ReleaseUnused() {
  if (!CanRelease()) return absl::OkStatus();
  for (uint64_t id : UnusedBlocks()) {
    if (absl::Status status = blocks_->Release(id); !status.ok()) return status;
  }
  return RemoveLostFiles();
}

std::vector<uint64_t> BlockLog::UnusedBlocks() const {
  std::vector<uint64_t> unused = blocks_->Ids();
  MutexLock lock(mutex_);
  std::erase_if(unused, [this](uint64_t id) {
    return id >= end_.block()->block() || usage_->Of(id).spans != 0;
  });
  return unused;
}

// No entry is in no block, and no group is one that may have forgotten what it promised.
bool BlockLog::IsWhole() const {
  MutexLock lock(mutex_);
  return usage_->Of(0).spans == 0 &&
         std::none_of(groups_.begin(), groups_.end(),
                      [](const auto& group) { return group.second->written().hard_state_lost; });
}

// Nobody can read them, but as long as something is missing they are what is left of it.
absl::Status BlockLog::RemoveLostFiles() {
  if (findings_.lost_files.empty() || !IsWhole()) return absl::OkStatus();
  for (const std::string& path : findings_.lost_files) {
    if (absl::Status status = file_system_.Remove(path); !status.ok()) return status;
  }
  findings_.lost_files.clear();
  // Those that come back are lost files again.
  const absl::Status status = file_system_.SyncDirectory(options_.directory);
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

BlockLog::Figures BlockLog::figures() const {
  Figures figures;
  for (uint64_t id : blocks_->Ids()) {
    const std::shared_ptr<BlockFile> block = blocks_->Find(id);
    if (block == nullptr) continue;
    ++figures.blocks;
    if (block->is_compressed()) ++figures.compressed_blocks;
  }
  MutexLock lock(mutex_);
  for (const auto& [id, group] : groups_) {
    figures.spans += group->written().spans.spans().size();
    figures.index_bytes += group->written().spans.memory_bytes();
  }
  figures.recent_bytes = cached_.recent.bytes();
  figures.batches = end_.last_batch();
  return figures;
}

}  // namespace cairn

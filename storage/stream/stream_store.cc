#include "storage/stream/stream_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/no_room.h"
#include "storage/stream/checkpoint_end.h"
#include "storage/stream/files_aside.h"
#include "storage/stream/mark_intake.h"

namespace cairn {
namespace {

// How long a full disk is left alone.
constexpr Duration kPatience = Seconds(1);

absl::Status CheckLength(FileSystem& file_system, const std::string& path, uint64_t length) {
  auto file = file_system.Open(path, {.mode = FileSystem::OpenMode::kRead});
  if (!file.ok()) return file.status();
  absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  if (*size == length) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(path, " of a snapshot has ", *size, " bytes, not ", length));
}

}  // namespace

// Life --------------------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<StreamStore>> StreamStore::Open(StreamStoreOptions options) {
  std::unique_ptr<StreamStore> store(new StreamStore(std::move(options)));
  absl::Status status = store->Recover();
  if (absl::IsDataLoss(status) && store->options_.lost != nullptr) {
    // Before it is done: a start that is cut short behind it finds nothing to tell.
    store->options_.lost(absl::DataLossError(
        absl::StrCat(status.message(), "; what is left of the files is kept as ",
                     store->options_.directory, "/*", kAsideSuffix)));
    status = store->BeginAgain();
  }
  if (!status.ok()) return status;
  MutexLock lock(store->life_->mutex);
  store->life_->store = store.get();
  return store;
}

StreamStore::StreamStore(StreamStoreOptions options)
    : options_(std::move(options)),
      files_(options_.file_system, options_.directory, options_.group),
      index_(options_.max_marks) {}

StreamStore::~StreamStore() {
  {
    // Who still reads what was frozen may outlive who is told.
    MutexLock lock(mutex_);
    if (blocks_ != nullptr) blocks_->damage().Silence();
  }
  MutexLock lock(life_->mutex);
  life_->store = nullptr;
}

StreamBlockOptions StreamStore::BlockOptions(uint64_t generation) const {
  StreamBlockOptions options;
  options.file_system = options_.file_system;
  options.directory = options_.directory;
  options.group = options_.group;
  options.generation = generation;
  options.block_bytes = options_.block_bytes;
  options.tail_bytes = options_.tail_bytes;
  options.cached_pages = options_.cached_pages;
  options.damaged = options_.damaged;
  return options;
}

absl::Status StreamStore::Recover() {
  if (absl::Status status = RollForward(); !status.ok()) return status;
  absl::StatusOr<std::optional<StreamCheckpoint>> loaded = files_.Load();
  if (!loaded.ok()) return loaded.status();
  StreamCheckpoint checkpoint;
  if (*loaded) {
    checkpoint = *std::move(*loaded);
    absl::Status status = RemoveOtherGenerations(checkpoint.generation);
    if (!status.ok()) return status;
  } else {
    auto names = options_.file_system->List(options_.directory);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      uint64_t generation = 0;
      uint32_t block = 0;
      if (!StreamBlocks::ParseName(name, &generation, &block)) continue;
      return absl::DataLossError(
          absl::StrCat("streams: ", options_.directory, " has blocks and no checkpoint"));
    }
    // Before the first block, so that blocks without a checkpoint are always damage.
    checkpoint.image.group = options_.group;
    if (absl::Status status = files_.Save(checkpoint); !status.ok()) return status;
  }
  recovered_.at = checkpoint.image.applied;
  // Opening them cuts them off there.
  absl::Status status = CheckEndOfBlocks(
      *options_.file_system, checkpoint.image, [this, &checkpoint](uint32_t block) {
        return absl::StrCat(options_.directory, "/",
                            StreamBlocks::NameOf(checkpoint.generation, block));
      });
  if (status.ok()) status = OpenBlocks(checkpoint);
  if (!status.ok()) return status;
  recovered_.archive = std::move(checkpoint.archive);
  return absl::OkStatus();
}

// Cut short, it leaves what is damage again, or nothing.
absl::Status StreamStore::BeginAgain() {
  absl::Status status = SetFilesAside(*options_.file_system, options_.directory);
  return status.ok() ? Recover() : status;
}

absl::Status StreamStore::OpenBlocks(const StreamCheckpoint& checkpoint) {
  StreamIndex index(options_.max_marks);
  MarkIntake intake(checkpoint.image.table, index);
  const auto add = [&intake](const StreamMark& mark, uint32_t block) { intake.Take(mark, block); };
  absl::StatusOr<std::shared_ptr<StreamBlocks>> blocks =
      StreamBlocks::Open(BlockOptions(checkpoint.generation), checkpoint.image.lengths, add);
  if (!blocks.ok()) return blocks.status();
  MutexLock publishing(publishing_);
  generation_ = checkpoint.generation;
  MutexLock lock(mutex_);
  table_ = checkpoint.image.table;
  index_ = std::move(index);
  blocks_ = *std::move(blocks);
  applied_ = checkpoint.image.applied;
  checkpointed_ = applied_.index;
  bytes_since_checkpoint_ = 0;
  return absl::OkStatus();
}

// Left by a Restore that did not end, or that did not get to take its own note away.
absl::Status StreamStore::RemoveOtherGenerations(uint64_t generation) {
  auto names = options_.file_system->List(options_.directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    uint64_t other = 0;
    uint32_t block = 0;
    if (!StreamBlocks::ParseName(name, &other, &block) || other == generation) continue;
    absl::Status removed =
        options_.file_system->Remove(absl::StrCat(options_.directory, "/", name));
    if (!removed.ok()) return removed;
  }
  return absl::OkStatus();
}

// Appending ---------------------------------------------------------------------------------------

StreamId StreamStore::Create(std::string definition, WallTime time) {
  StreamRow row;
  row.definition = std::make_shared<const std::string>(std::move(definition));
  row.create_time = time;
  MutexLock lock(mutex_);
  return table_.Add(std::move(row));
}

uint64_t StreamStore::Append(const StreamAppend& append) {
  CAIRN_CHECK_GT(append.messages, 0u);
  const uint64_t bytes = kStreamRecordHeaderBytes + append.payload.size();
  StreamRecord record;
  record.at = append.at;
  record.time = append.time;
  record.stream = append.stream;
  record.messages = append.messages;
  StreamBlocks* blocks = nullptr;
  {
    MutexLock lock(mutex_);
    const StreamRow& row = table_[append.stream];
    record.previous = row.last;
    record.first_sequence = row.last_sequence + 1;
    record.marked = row.last.block == 0 || row.bytes_since_mark + bytes > kBytesPerMark ||
                    row.records_since_mark >= kRecordsPerMark;
    blocks = blocks_.get();
  }
  // Readers need not wait for the copy; nobody knows of the record yet.
  const Place place = blocks->Append(record, append.payload);
  bytes_since_checkpoint_ += bytes;
  MutexLock lock(mutex_);
  StreamRow& row = table_.Change(append.stream);
  if (record.marked) {
    row.bytes_since_mark = 0;
    row.records_since_mark = 0;
    index_.Add(append.stream, {record.first_sequence, place});
  }
  row.bytes_since_mark += bytes;
  ++row.records_since_mark;
  row.last = place;
  row.last_sequence += append.messages;
  row.bytes += append.counted_bytes;
  row.last_time = append.time;
  return record.first_sequence;
}

void StreamStore::AppliedUpTo(LogPosition position, absl::FunctionRef<std::string()> archive) {
  std::shared_ptr<StreamBlocks> blocks;
  bool flush = false;
  bool checkpoint = false;
  bool has_room = true;
  {
    MutexLock lock(mutex_);
    applied_ = position;
    blocks = blocks_;
    checkpoint = !checkpointing_ && !failed_ && has_room_ &&
                 (checkpoint_again_ || bytes_since_checkpoint_ >= options_.checkpoint_bytes ||
                  position.index - checkpointed_ >= options_.checkpoint_entries);
    flush = !flushing_ && has_room_ && blocks->unwritten_bytes() >= options_.flush_bytes;
    if (flush) flushing_ = true;
    has_room = has_room_;
  }
  if (checkpoint) BeginCheckpoint(archive());
  if (flush) InBackground(&StreamStore::FlushInBackground);
  if (has_room && blocks->unwritten_bytes() > options_.max_unwritten_bytes) {
    Wrote(blocks->Flush());
  }
}

bool StreamStore::Checkpoint(absl::FunctionRef<std::string()> archive) {
  {
    MutexLock lock(mutex_);
    if (failed_) return false;
    if (checkpointing_) return true;
  }
  BeginCheckpoint(archive());
  return true;
}

void StreamStore::BeginCheckpoint(std::string archive) {
  auto due = std::make_unique<StreamCheckpoint>();
  due->archive = std::move(archive);
  {
    MutexLock lock(mutex_);
    due->image = {options_.group, applied_, blocks_->lengths(), table_.Freeze()};
    due_ = std::move(due);
    checkpointing_ = true;
    checkpointed_ = applied_.index;
  }
  bytes_since_checkpoint_ = 0;
  InBackground(&StreamStore::CheckpointInBackground);
}

// Background --------------------------------------------------------------------------------------

void StreamStore::InBackground(void (StreamStore::*work)()) {
  options_.background->Post([life = life_, work] {
    MutexLock lock(life->mutex);
    if (life->store != nullptr) (life->store->*work)();
  });
}

void StreamStore::FlushInBackground() {
  std::shared_ptr<StreamBlocks> blocks;
  {
    MutexLock lock(mutex_);
    flushing_ = false;
    blocks = blocks_;
  }
  Wrote(blocks->Flush());
}

// What came of a flush or a checkpoint.
void StreamStore::Wrote(const absl::Status& status) {
  const bool full = IsNoRoom(status) && options_.room != nullptr;
  if (!status.ok() && !full) return Fail(status);
  bool changed = false;
  bool again = false;
  {
    MutexLock lock(mutex_);
    changed = std::exchange(has_room_, !full) == full;
    again = full && !std::exchange(flushing_, true);
  }
  if (changed) options_.room(!full);
  if (!again) return;
  options_.background->PostAt(options_.clock->Now() + kPatience, [life = life_] {
    MutexLock lock(life->mutex);
    if (life->store != nullptr) life->store->FlushInBackground();
  });
}

void StreamStore::CheckpointInBackground() {
  std::unique_ptr<StreamCheckpoint> checkpoint;
  std::shared_ptr<StreamBlocks> blocks;
  {
    MutexLock publishing(publishing_);
    MutexLock lock(mutex_);
    checkpoint = std::move(due_);
    if (checkpoint == nullptr) {  // a Restore came between
      checkpointing_ = false;
      return;
    }
    checkpoint->generation = generation_;
    blocks = blocks_;
  }
  absl::Status status = blocks->Flush();
  if (status.ok()) status = blocks->Sync();
  if (status.ok()) {
    status = WriteCheckpoint(*checkpoint, *blocks);
    // The last one is as good as it was.
    if (absl::IsResourceExhausted(status)) status = NoRoomError(status.message());
  }
  {
    MutexLock lock(mutex_);
    checkpointing_ = false;
    checkpoint_again_ = !status.ok();
  }
  Wrote(status);
  if (!status.ok()) return;
  if (options_.durable != nullptr) options_.durable(checkpoint->image.applied);
}

absl::Status StreamStore::WriteCheckpoint(const StreamCheckpoint& checkpoint,
                                          const StreamBlocks& blocks) {
  MutexLock publishing(publishing_);
  if (checkpoint.generation != generation_) return absl::OkStatus();  // a Restore came between
  absl::Status status = files_.Save(checkpoint);
  if (status.ok()) blocks.damage().Healed(0);  // whatever was there before
  return status;
}

void StreamStore::Fail(const absl::Status& status) {
  {
    MutexLock lock(mutex_);
    if (std::exchange(failed_, true)) return;
  }
  if (options_.failed != nullptr) options_.failed(status);
}

// Snapshots ---------------------------------------------------------------------------------------

std::shared_ptr<const FrozenStreams> StreamStore::Freeze() {
  MutexLock lock(mutex_);
  return std::make_shared<FrozenStreams>(
      StreamImage{options_.group, applied_, blocks_->lengths(), table_.Freeze()}, blocks_);
}

absl::Status StreamStore::Restore(absl::string_view image, std::vector<std::string> sources,
                                  LogPosition position, std::string archive) {
  absl::StatusOr<StreamImage> decoded = DecodeStreamImage(image, options_.group);
  if (!decoded.ok()) return decoded.status();
  if (decoded->applied != position || decoded->lengths.size() != sources.size()) {
    return absl::DataLossError(absl::StrCat("the snapshot's streams are as of ",
                                            ToString(decoded->applied), " in ",
                                            decoded->lengths.size(), " blocks, not as of ",
                                            ToString(position), " in ", sources.size()));
  }
  // Before anything changes: from then on there is no way back.
  for (size_t i = 0; i < sources.size(); ++i) {
    absl::Status status = CheckLength(*options_.file_system, sources[i], decoded->lengths[i]);
    if (!status.ok()) return status;
  }
  absl::Status ends = CheckEndOfBlocks(*options_.file_system, *decoded,
                                       [&sources](uint32_t block) { return sources[block - 1]; });
  if (!ends.ok()) return ends;
  StreamAdoption adoption;
  adoption.sources = std::move(sources);
  adoption.checkpoint.image = *std::move(decoded);
  adoption.checkpoint.archive = std::move(archive);
  std::shared_ptr<StreamBlocks> old;
  {
    MutexLock publishing(publishing_);
    adoption.checkpoint.generation = generation_ + 1;
    absl::Status status = files_.SaveAdoption(adoption);
    if (status.ok()) status = AdoptFiles(adoption);
    if (!status.ok()) return status;
    // A checkpoint under way is of the old generation, and is not written any more.
    generation_ = adoption.checkpoint.generation;
    MutexLock lock(mutex_);
    old = blocks_;
    due_ = nullptr;
  }
  old->damage().Silence();
  absl::Status status = OpenBlocks(adoption.checkpoint);
  if (status.ok()) old->RemoveAtEnd();
  return status;
}

// Can be done again from the start after it was done in part.
absl::Status StreamStore::AdoptFiles(const StreamAdoption& adoption) {
  FileSystem& file_system = *options_.file_system;
  for (size_t i = 0; i < adoption.sources.size(); ++i) {
    const std::string path = absl::StrCat(
        options_.directory, "/",
        StreamBlocks::NameOf(adoption.checkpoint.generation, static_cast<uint32_t>(i + 1)));
    absl::StatusOr<bool> there = file_system.Exists(path);
    if (!there.ok()) return there.status();
    absl::Status status;
    if (!*there) status = file_system.Rename(adoption.sources[i], path);
    if (!status.ok()) return status;
    status = CheckLength(file_system, path, adoption.checkpoint.image.lengths[i]);
    if (!status.ok()) return status;
    auto file = file_system.Open(path, {.mode = FileSystem::OpenMode::kReadWrite});
    if (!file.ok()) return file.status();
    status = file_system.SyncNow(**file);
    if (!status.ok()) return status;
  }
  absl::Status status = file_system.SyncDirectory(options_.directory);
  if (status.ok()) status = files_.Save(adoption.checkpoint);
  return status.ok() ? files_.RemoveAdoption() : status;
}

// Ends a Restore that was cut short once it had said what it does.
absl::Status StreamStore::RollForward() {
  absl::StatusOr<std::optional<StreamAdoption>> adoption = files_.LoadAdoption();
  // The checkpoint tells which state is whole, and it changes last. What a snapshot lacks by now is
  // noticed where it is to be restored.
  if (absl::IsDataLoss(adoption.status())) return files_.RemoveAdoption();
  if (!adoption.ok()) return adoption.status();
  if (!*adoption) return absl::OkStatus();
  absl::StatusOr<std::optional<StreamCheckpoint>> current = files_.Load();
  // Without a checkpoint the snapshot is all there is: its note goes before the next one is made.
  if (!current.ok() && !absl::IsDataLoss(current.status())) return current.status();
  if (current.ok() && *current && (*current)->generation >= (*adoption)->checkpoint.generation) {
    return files_.RemoveAdoption();
  }
  absl::Status status = AdoptFiles(**adoption);
  // What is not there any more cannot be adopted: the state from before is whole.
  const bool gone = absl::IsNotFound(status) || absl::IsDataLoss(status);
  return gone ? files_.RemoveAdoption() : status;
}

// Reading -----------------------------------------------------------------------------------------

size_t StreamStore::size() const {
  MutexLock lock(mutex_);
  return table_.size();
}

StreamRow StreamStore::Row(StreamId stream) const {
  MutexLock lock(mutex_);
  return table_[stream];
}

size_t StreamStore::index_bytes() const {
  MutexLock lock(mutex_);
  return index_.memory_bytes();
}

StreamWindow StreamStore::Find(StreamId stream, uint64_t sequence) const {
  StreamWindow window;
  MutexLock lock(mutex_);
  const StreamRow& row = table_[stream];
  if (sequence > row.last_sequence) return window;
  window.blocks = blocks_;
  window.mark = index_.AtOrBefore(stream, sequence);
  window.behind = index_.Behind(stream, sequence);
  window.last = row.last;
  window.end_sequence =
      window.behind.sequence != 0 ? window.behind.sequence : row.last_sequence + 1;
  return window;
}

absl::Status StreamStore::Read(StreamId stream, uint64_t from, size_t max_bytes,
                               absl::FunctionRef<bool(const StoredStreamRecord&)> visit) const {
  StreamReader reader(stream, from, max_bytes, visit);
  while (!reader.done()) {
    const StreamWindow window = Find(stream, reader.next());
    if (window.blocks == nullptr) return absl::OkStatus();
    const uint64_t before = reader.next();
    absl::Status status = reader.ReadWindow(window);
    if (!status.ok()) return status;
    if (!reader.done() && reader.next() == before) {  // the table has a sequence that cannot be
      return absl::DataLossError(absl::StrCat(options_.directory, ": no record of stream ", stream,
                                              " holds sequence ", before));
    }
  }
  return absl::OkStatus();
}

}  // namespace cairn

#include "service/stream_machine.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace cairn {
namespace {

constexpr absl::string_view kImageFile = "streams";

RefusedReply Refuse(RefusedReply::Reason reason, uint64_t actual_sequence = 0,
                    std::string subject = "") {
  return {reason, actual_sequence, std::move(subject)};
}

absl::Status NoSuchStream(absl::string_view name) {
  return absl::NotFoundError(
      absl::StrCat("there is no stream \"", absl::CHexEscape(name.substr(0, 64)), "\""));
}

StreamState StateOf(const StreamRow& row) {
  StreamState state;
  state.last_sequence = row.last_sequence;
  state.messages = row.last_sequence;  // none is ever taken away
  state.bytes = row.bytes;
  state.create_time = row.create_time;
  state.last_time = row.last_time;
  return state;
}

}  // namespace

// One WatchAppends. The lock is held during a call, so that the end of the Watch waits for it.
class StreamMachine::Watcher {
 public:
  explicit Watcher(absl::AnyInvocable<void()> appended) : appended_(std::move(appended)) {}

  void Call() {
    MutexLock lock(mutex_);
    if (appended_) appended_();
  }
  void End() {
    MutexLock lock(mutex_);
    appended_ = nullptr;
  }

 private:
  Mutex mutex_;
  absl::AnyInvocable<void()> appended_ CAIRN_GUARDED_BY(mutex_);
};

class StreamMachine::Frozen final : public SnapshotSource {
 public:
  explicit Frozen(std::shared_ptr<const FrozenStreams> streams) : streams_(std::move(streams)) {}

  const std::vector<SnapshotFile>& files() const override {
    if (files_.empty()) {
      for (const FrozenStreams::FrozenFile& file : streams_->files()) {
        files_.push_back({file.name, file.bytes});
      }
    }
    return files_;
  }
  absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const override {
    return streams_->Read(file, offset, bytes);
  }

 private:
  const std::shared_ptr<const FrozenStreams> streams_;
  mutable std::vector<SnapshotFile> files_;  // there is always one; made by who asks first
};

StreamMachine::StreamMachine(std::unique_ptr<Executor> background, uint64_t checkpoint_bytes,
                             uint64_t block_bytes)
    : background_(std::move(background)),
      checkpoint_bytes_(checkpoint_bytes),
      block_bytes_(block_bytes) {}
StreamMachine::~StreamMachine() = default;

absl::StatusOr<LogPosition> StreamMachine::Open(const OpenContext& context) {
  CAIRN_CHECK(context.file_system != nullptr) << "streams need a directory";
  archive_ = context.archive;
  StreamStoreOptions options;
  options.file_system = context.file_system;
  options.directory = context.directory;
  options.group = context.group;
  options.background = background_.get();
  options.durable = context.durable;
  options.checkpoint_bytes = checkpoint_bytes_;
  options.block_bytes = block_bytes_;
  options.damaged = context.damaged;
  options.lost = context.lost;
  options.failed = context.failed;
  options.room = context.room;
  options.clock = context.clock;
  absl::StatusOr<std::unique_ptr<StreamStore>> store = StreamStore::Open(std::move(options));
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  absl::StatusOr<Streams> streams = LoadStreams();
  if (!streams.ok()) return streams.status();
  const LogPosition position = store_->recovered();
  const std::string archive = store_->TakeRecoveredArchive();
  if (position.index > 0 && archive_ != nullptr) {
    if (absl::Status status = archive_->Restore(archive); !status.ok()) return status;
  }
  MutexLock lock(mutex_);
  streams_ = *std::move(streams);
  applied_ = position.index;
  return position;
}

absl::StatusOr<StreamMachine::Streams> StreamMachine::LoadStreams() const {
  Streams streams;
  for (StreamId id = 1; id <= store_->size(); ++id) {
    absl::StatusOr<StreamDefinition> definition = DecodeCreateStream(*store_->Row(id).definition);
    if (!definition.ok()) {
      return absl::DataLossError(absl::StrCat(
          "the definition of stream ", id, " cannot be decoded: ", definition.status().message()));
    }
    absl::StatusOr<SubjectFilters> filters = SubjectFilters::Parse(definition->subjects);
    CAIRN_CHECK(filters.ok()) << filters.status();  // DecodeCreateStream checked them
    Stream& stream = streams[definition->name];
    stream.id = id;
    stream.filters = *std::move(filters);
  }
  return streams;
}

void StreamMachine::Apply(ApplyBatch& batch) {
  MutexLock lock(mutex_);
  for (ApplyEntry& entry : batch) entry.Reply(EncodeReply(ApplyOne(entry)));
}

void StreamMachine::AppliedUpTo(LogPosition position, WallTime /*time*/) {
  store_->AppliedUpTo(position,
                      [this] { return archive_ == nullptr ? std::string() : archive_->Save(); });
  std::vector<std::shared_ptr<Watcher>> watchers;
  {
    MutexLock lock(mutex_);
    applied_ = std::max(applied_, position.index);
    for (Stream* stream : touched_) {
      stream->touched = false;
      watchers.insert(watchers.end(), stream->watchers.begin(), stream->watchers.end());
    }
    touched_.clear();
  }
  for (const std::shared_ptr<Watcher>& watcher : watchers) watcher->Call();
}

StreamReply StreamMachine::ApplyOne(const ApplyEntry& entry) {
  switch (KindOf(entry.command().view())) {
    case CommandKind::kCreateStream:
      return Create(entry);
    case CommandKind::kAppend:
      return Append(entry);
    case CommandKind::kUnknown:
      break;
  }
  return Refuse(RefusedReply::Reason::kBadCommand);
}

StreamReply StreamMachine::Create(const ApplyEntry& entry) {
  absl::StatusOr<StreamDefinition> definition = DecodeCreateStream(entry.command().view());
  if (!definition.ok()) return Refuse(RefusedReply::Reason::kBadCommand);
  std::string encoded = EncodeCreateStream(*definition);
  auto found = streams_.find(definition->name);
  if (found != streams_.end()) {
    const StreamRow row = store_->Row(found->second.id);
    if (*row.definition != encoded) return Refuse(RefusedReply::Reason::kStreamExists);
    return CreatedReply{.created = false, .state = StateOf(row)};
  }
  if (streams_.size() >= kMaxStreams) return Refuse(RefusedReply::Reason::kTooManyStreams);
  absl::StatusOr<SubjectFilters> filters = SubjectFilters::Parse(definition->subjects);
  CAIRN_CHECK(filters.ok()) << filters.status();  // DecodeCreateStream checked them
  Stream& stream = streams_[definition->name];
  stream.id = store_->Create(std::move(encoded), entry.time());
  stream.filters = *std::move(filters);
  return CreatedReply{.created = true, .state = StateOf(store_->Row(stream.id))};
}

StreamReply StreamMachine::Append(const ApplyEntry& entry) {
  absl::StatusOr<AppendCommand> command = DecodeAppend(entry.command().view());
  if (!command.ok()) return Refuse(RefusedReply::Reason::kBadCommand);
  auto found = streams_.find(command->stream());
  if (found == streams_.end()) return Refuse(RefusedReply::Reason::kStreamNotFound);
  Stream& stream = found->second;
  if (command->expected_last_sequence()) {
    const uint64_t last = store_->Row(stream.id).last_sequence;
    if (*command->expected_last_sequence() != last) {
      return Refuse(RefusedReply::Reason::kConflict, last);
    }
  }
  const std::string& name = found->first;
  uint64_t bytes = 0;
  std::optional<std::string> not_taken;
  command->ForEach([&](const MessageView& message) {
    absl::string_view subject = message.subject.empty() ? name : message.subject;
    bool takes = stream.filters.empty() ? subject == name : stream.filters.Matches(subject);
    if (!takes) {
      not_taken = std::string(subject);
      return false;
    }
    bytes += CountedBytes(message, subject.size());
    return true;
  });
  if (not_taken) {
    return Refuse(RefusedReply::Reason::kSubjectNotTaken, 0, *std::move(not_taken));
  }
  StreamAppend append;
  append.stream = stream.id;
  append.at = entry.position();
  append.time = entry.time();
  append.messages = command->message_count();
  append.counted_bytes = bytes;
  append.payload = command->messages();
  const uint64_t first_sequence = store_->Append(append);
  if (!stream.touched) {
    stream.touched = true;
    touched_.push_back(&stream);
  }
  return AppendedReply{.first_sequence = first_sequence,
                       .last_sequence = first_sequence + command->message_count() - 1,
                       .time = entry.time()};
}

StreamMachine::Info StreamMachine::InfoOf(const Stream& stream) const {
  const StreamRow row = store_->Row(stream.id);
  absl::StatusOr<StreamDefinition> definition = DecodeCreateStream(*row.definition);
  CAIRN_CHECK(definition.ok()) << definition.status();  // Create made it, or Open looked at it
  return {*std::move(definition), StateOf(row)};
}

std::optional<StreamMachine::Info> StreamMachine::Find(absl::string_view name) const {
  MutexLock lock(mutex_);
  auto found = streams_.find(name);
  if (found == streams_.end()) return std::nullopt;
  return InfoOf(found->second);
}

std::vector<StreamMachine::Info> StreamMachine::List(absl::string_view after, size_t limit) const {
  MutexLock lock(mutex_);
  std::vector<Info> streams;
  for (auto it = streams_.upper_bound(after); it != streams_.end() && streams.size() < limit;
       ++it) {
    streams.push_back(InfoOf(it->second));
  }
  return streams;
}

Index StreamMachine::applied_index() const {
  MutexLock lock(mutex_);
  return applied_;
}

absl::StatusOr<StreamMachine::ReadEnd> StreamMachine::Read(
    absl::string_view stream, uint64_t from, size_t max_bytes,
    absl::FunctionRef<bool(const StoredMessageView&)> visit) const {
  StreamId id = 0;
  {
    MutexLock lock(mutex_);
    auto found = streams_.find(stream);
    if (found == streams_.end()) return NoSuchStream(stream);
    id = found->second.id;
  }
  const StreamState state = StateOf(store_->Row(id));
  if (from == 0) from = state.first_sequence;
  if (from > state.last_sequence + 1) {
    return absl::OutOfRangeError(
        absl::StrCat("sequence ", from, " is not there yet; the last is ", state.last_sequence));
  }
  ReadEnd end = {.next_sequence = from, .last_sequence = state.last_sequence};
  if (from > state.last_sequence) return end;
  uint64_t sequence = 0;
  absl::Status decoded;
  absl::Status status = store_->Read(id, from, max_bytes, [&](const StoredStreamRecord& stored) {
    sequence = stored.record.first_sequence;
    bool stopped = false;
    bool whole = ForEachMessage(
        stored.payload.view(), stored.record.messages, [&](const MessageView& message) {
          if (sequence >= from) {
            stopped = !visit({.sequence = sequence,
                              .at = stored.record.at,
                              .time = stored.record.time,
                              .subject = message.subject.empty() ? stream : message.subject,
                              .message = message});
            if (stopped) return false;
            end.next_sequence = sequence + 1;
          }
          ++sequence;
          return true;
        });
    if (!whole) {
      decoded = absl::DataLossError(
          absl::StrCat("the messages from ", sequence, " on cannot be decoded"));
    }
    return whole && !stopped;
  });
  if (status.ok()) status = decoded;
  // What was visited is right; who goes on from there comes to the error again.
  if (!status.ok() && end.next_sequence == from) return status;
  return end;
}

bool StreamMachine::MakeDurable() {
  return store_->Checkpoint(
      [this] { return archive_ == nullptr ? std::string() : archive_->Save(); });
}

std::unique_ptr<SnapshotSource> StreamMachine::Freeze() {
  return std::make_unique<Frozen>(store_->Freeze());
}

absl::Status StreamMachine::Restore(const SnapshotReader& snapshot, LogPosition position) {
  const std::vector<SnapshotFile>& files = snapshot.files();
  if (files.empty() || files[0].name != kImageFile) {
    return absl::DataLossError("a snapshot of something else than streams");
  }
  absl::StatusOr<std::string> image = snapshot.Read(0, 0, files[0].bytes);
  if (!image.ok()) return image.status();
  std::vector<std::string> blocks;
  for (size_t i = 1; i < files.size(); ++i) blocks.push_back(snapshot.PathOf(i));
  absl::Status status = store_->Restore(*image, std::move(blocks), position,
                                        archive_ == nullptr ? "" : archive_->Save());
  if (!status.ok()) return status;
  absl::StatusOr<Streams> streams = LoadStreams();
  if (!streams.ok()) return streams.status();
  std::vector<std::shared_ptr<Watcher>> watchers;
  {
    MutexLock lock(mutex_);
    for (auto& [name, stream] : streams_) {
      watchers.insert(watchers.end(), stream.watchers.begin(), stream.watchers.end());
      auto found = streams->find(name);
      if (found != streams->end()) found->second.watchers = std::move(stream.watchers);
    }
    streams_ = *std::move(streams);
    touched_.clear();
    applied_ = position.index;
  }
  for (const std::shared_ptr<Watcher>& watcher : watchers) watcher->Call();
  return absl::OkStatus();
}

absl::Status StreamMachine::Mend(const StatePatch& patch, LogPosition /*position*/) {
  const std::vector<SnapshotFile>& files = patch.files();
  if (files.empty() || files[0].name != kImageFile) {
    return absl::DataLossError("a snapshot of something else than streams");
  }
  std::vector<uint64_t> lengths;
  for (size_t i = 1; i < files.size(); ++i) lengths.push_back(files[i].bytes);
  return store_->Mend(
      lengths,
      [&patch](uint32_t block, StatePatch::Take take) { return patch.ForEachPiece(block, take); },
      [this] { return archive_ == nullptr ? std::string() : archive_->Save(); });
}

StateScrubStep StreamMachine::Scrub(uint64_t& at, uint64_t max_bytes) {
  StreamScrub::Step step = store_->Scrub(at, max_bytes);
  return {.bytes = step.bytes, .round_ended = step.ended, .healed = std::move(step.healed)};
}

std::unique_ptr<StreamMachine::Watch> StreamMachine::WatchAppends(
    absl::string_view stream, absl::AnyInvocable<void()> appended) {
  auto watcher = std::make_shared<Watcher>(std::move(appended));
  MutexLock lock(mutex_);
  auto found = streams_.find(stream);
  if (found == streams_.end()) return nullptr;
  found->second.watchers.push_back(watcher);
  return std::unique_ptr<Watch>(new Watch(this, found->first, std::move(watcher)));
}

StreamMachine::Watch::Watch(StreamMachine* machine, std::string stream,
                            std::shared_ptr<Watcher> watcher)
    : machine_(machine), stream_(std::move(stream)), watcher_(std::move(watcher)) {}

StreamMachine::Watch::~Watch() {
  {
    MutexLock lock(machine_->mutex_);
    auto found = machine_->streams_.find(stream_);
    if (found != machine_->streams_.end()) std::erase(found->second.watchers, watcher_);
  }
  watcher_->End();
}

}  // namespace cairn

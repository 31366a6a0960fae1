#include "service/stream_machine.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/record.h"

namespace cairn {
namespace {

// A read of the log begins small, for who wants one message, and grows for who wants many.
constexpr size_t kFirstReadBytes = size_t{16} << 10;
constexpr size_t kLargestReadBytes = size_t{256} << 10;

RefusedReply Refuse(RefusedReply::Reason reason, uint64_t actual_sequence = 0,
                    std::string subject = "") {
  return {reason, actual_sequence, std::move(subject)};
}

absl::Status NoSuchStream(absl::string_view name) {
  return absl::NotFoundError(
      absl::StrCat("there is no stream \"", absl::CHexEscape(name.substr(0, 64)), "\""));
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

StreamMachine::StreamMachine() = default;
StreamMachine::~StreamMachine() = default;

absl::StatusOr<LogPosition> StreamMachine::Open(const OpenContext& context) {
  log_ = context.log;
  return LogPosition{};
}

void StreamMachine::Apply(ApplyBatch& batch) {
  MutexLock lock(mutex_);
  for (ApplyEntry& entry : batch) entry.Reply(EncodeReply(ApplyOne(entry)));
}

void StreamMachine::AppliedUpTo(LogPosition position, WallTime /*time*/) {
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
  auto found = streams_.find(definition->name);
  if (found != streams_.end()) {
    if (found->second.definition != *definition) return Refuse(RefusedReply::Reason::kStreamExists);
    return CreatedReply{.created = false, .state = found->second.state};
  }
  if (streams_.size() >= kMaxStreams) return Refuse(RefusedReply::Reason::kTooManyStreams);
  absl::StatusOr<SubjectFilters> filters = SubjectFilters::Parse(definition->subjects);
  CAIRN_CHECK(filters.ok()) << filters.status();  // DecodeCreateStream checked them
  Stream& stream = streams_[definition->name];
  stream.definition = *std::move(definition);
  stream.filters = *std::move(filters);
  stream.state.create_time = entry.time();
  return CreatedReply{.created = true, .state = stream.state};
}

StreamReply StreamMachine::Append(const ApplyEntry& entry) {
  absl::StatusOr<AppendCommand> command = DecodeAppend(entry.command().view());
  if (!command.ok()) return Refuse(RefusedReply::Reason::kBadCommand);
  auto found = streams_.find(command->stream());
  if (found == streams_.end()) return Refuse(RefusedReply::Reason::kStreamNotFound);
  Stream& stream = found->second;
  StreamState& state = stream.state;
  if (command->expected_last_sequence() &&
      *command->expected_last_sequence() != state.last_sequence) {
    return Refuse(RefusedReply::Reason::kConflict, state.last_sequence);
  }
  const std::string& name = stream.definition.name;
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
  uint64_t first_sequence = state.last_sequence + 1;
  stream.index.Add(first_sequence, entry.position().index);
  accepted_.Add(entry.position().index);
  state.last_sequence += command->message_count();
  state.messages += command->message_count();
  state.bytes += bytes;
  state.last_time = entry.time();
  if (!stream.touched) {
    stream.touched = true;
    touched_.push_back(&stream);
  }
  return AppendedReply{
      .first_sequence = first_sequence, .last_sequence = state.last_sequence, .time = entry.time()};
}

std::optional<StreamMachine::Info> StreamMachine::Find(absl::string_view name) const {
  MutexLock lock(mutex_);
  auto found = streams_.find(name);
  if (found == streams_.end()) return std::nullopt;
  return Info{found->second.definition, found->second.state};
}

std::vector<StreamMachine::Info> StreamMachine::List(absl::string_view after, size_t limit) const {
  MutexLock lock(mutex_);
  std::vector<Info> streams;
  for (auto it = streams_.upper_bound(after); it != streams_.end() && streams.size() < limit;
       ++it) {
    streams.push_back({it->second.definition, it->second.state});
  }
  return streams;
}

Index StreamMachine::applied_index() const {
  MutexLock lock(mutex_);
  return applied_;
}

// A read under way. Walks the log from the mark before the wanted sequence; where the log goes on
// without the stream, it jumps to the stream's next mark.
class StreamMachine::Scan {
 public:
  Scan(const StreamMachine& machine, absl::string_view stream, Place place, uint64_t from,
       Index through, absl::FunctionRef<bool(const StoredMessageView&)> visit)
      : machine_(machine),
        stream_(stream),
        place_(place),
        from_(from),
        through_(through),
        visit_(visit) {}

  // Reads until the visitor has enough, or the end, or the limit (at least one message).
  absl::Status Run(size_t max_log_bytes) {
    size_t read_bytes = kFirstReadBytes;
    size_t done_bytes = 0;
    while (!stopped_ && place_.index <= through_ && (done_bytes < max_log_bytes || visited_ == 0)) {
      absl::StatusOr<std::vector<RecordRun>> runs =
          machine_.log_->Read(place_.index, through_, read_bytes);
      if (!runs.ok()) return runs.status();
      for (const RecordRun& run : *runs) {
        done_bytes += run.byte_size();
        if (absl::Status status = VisitRun(run); !status.ok()) return status;
        if (stopped_) return absl::OkStatus();
      }
      Jump();
      read_bytes = std::min(2 * read_bytes, kLargestReadBytes);
    }
    return absl::OkStatus();
  }

  // The first sequence at or behind the start that was not visited.
  uint64_t next_sequence() const { return std::max(from_, place_.sequence); }

 private:
  absl::Status VisitRun(const RecordRun& run) {
    std::vector<bool> accepted = Accepted(run);
    for (size_t i = 0; i < run.size() && !stopped_; ++i) {
      RecordView record = run[i];
      if (record.position().index < place_.index) continue;
      if (accepted[i]) {
        Bytes payload = record.Payload(run.bytes());
        absl::StatusOr<AppendCommand> command = DecodeAppend(payload.view());
        if (!command.ok()) {
          return absl::DataLossError(
              absl::StrCat("entry ", record.position().index,
                           " was applied and cannot be decoded: ", command.status().message()));
        }
        if (command->stream() == stream_) VisitCommand(record, *command);
      }
      if (!stopped_) place_.index = record.position().index + 1;
    }
    return absl::OkStatus();
  }

  void VisitCommand(const RecordView& record, const AppendCommand& command) {
    if (place_.sequence + command.message_count() <= from_) {
      place_.sequence += command.message_count();
      return;
    }
    command.ForEach([&](const MessageView& message) {
      if (place_.sequence >= from_) {
        absl::string_view subject = message.subject.empty() ? stream_ : message.subject;
        if (!visit_({.sequence = place_.sequence,
                     .at = record.position(),
                     .time = record.timestamp(),
                     .subject = subject,
                     .message = message})) {
          stopped_ = true;
          return false;
        }
        ++visited_;
      }
      ++place_.sequence;
      return true;
    });
  }

  std::vector<bool> Accepted(const RecordRun& run) const {
    std::vector<bool> accepted(run.size());
    Index first = run.empty() ? 0 : run.first().index;
    MutexLock lock(machine_.mutex_);
    for (size_t i = 0; i < run.size(); ++i) accepted[i] = machine_.accepted_.Contains(first + i);
    return accepted;
  }

  void Jump() {
    MutexLock lock(machine_.mutex_);
    auto stream = machine_.streams_.find(stream_);
    if (stream == machine_.streams_.end()) return;
    StreamIndex::Mark mark = stream->second.index.Before(place_.sequence);
    if (mark.sequence == place_.sequence && mark.index > place_.index) place_.index = mark.index;
  }

  const StreamMachine& machine_;
  const absl::string_view stream_;
  Place place_;
  const uint64_t from_;
  const Index through_;
  absl::FunctionRef<bool(const StoredMessageView&)> visit_;
  uint64_t visited_ = 0;
  bool stopped_ = false;
};

absl::StatusOr<StreamMachine::ReadEnd> StreamMachine::Read(
    absl::string_view stream, uint64_t from, size_t max_log_bytes,
    absl::FunctionRef<bool(const StoredMessageView&)> visit) const {
  ReadEnd end;
  Place place;
  Index through = 0;
  {
    MutexLock lock(mutex_);
    auto found = streams_.find(stream);
    if (found == streams_.end()) return NoSuchStream(stream);
    const StreamState& state = found->second.state;
    if (from == 0) from = state.first_sequence;
    if (from > state.last_sequence + 1) {
      return absl::OutOfRangeError(
          absl::StrCat("sequence ", from, " is not there yet; the last is ", state.last_sequence));
    }
    end = {.next_sequence = from, .last_sequence = state.last_sequence};
    if (from > state.last_sequence) return end;
    StreamIndex::Mark mark = found->second.index.Before(from);
    place = {.sequence = mark.sequence, .index = mark.index};
    through = applied_;
  }
  CAIRN_CHECK_GT(place.index, Index{0});
  Scan scan(*this, stream, place, from, through, visit);
  if (absl::Status status = scan.Run(max_log_bytes); !status.ok()) return status;
  end.next_sequence = scan.next_sequence();
  return end;
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

#include "service/stream_wire.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

constexpr int64_t kLongestStalenessSeconds = 24 * 3600;

constexpr size_t kDefaultReadBytes = size_t{1} << 20;
constexpr size_t kLargestReadBytes = size_t{3} << 20;
// A read that finds little among much stops for air after so much of the log.
constexpr size_t kLogBytesOfRead = size_t{8} << 20;
constexpr size_t kMaxFilters = 64;

MessageView ViewOf(const v1::NewMessage& message) {
  MessageView view;
  view.subject = message.subject();
  view.payload = message.payload();
  view.headers.reserve(static_cast<size_t>(message.headers_size()));
  for (const v1::Header& header : message.headers()) {
    view.headers.push_back({header.key(), header.value()});
  }
  return view;
}

void Write(const StoredMessageView& from, v1::StoredMessage* to) {
  to->set_sequence(from.sequence);
  to->set_index(from.at.index);
  to->set_term(from.at.term);
  *to->mutable_time() = ToProto(from.time);
  to->set_subject(from.subject.data(), from.subject.size());
  for (const HeaderView& header : from.message.headers) {
    v1::Header* added = to->add_headers();
    added->set_key(header.key.data(), header.key.size());
    added->set_value(header.value.data(), header.value.size());
  }
  to->set_payload(from.message.payload.data(), from.message.payload.size());
}

}  // namespace

OrError<std::string> BuildAppend(absl::string_view stream,
                                 const google::protobuf::RepeatedPtrField<v1::NewMessage>& messages,
                                 std::optional<uint64_t> expected_last_sequence,
                                 const ServiceLimits& limits) {
  if (messages.empty()) return InvalidField("messages", "there is no message");
  if (static_cast<uint32_t>(messages.size()) > limits.max_batch_messages) {
    return InvalidField("messages", absl::StrCat(messages.size(), " messages are more than ",
                                                 limits.max_batch_messages));
  }
  size_t size = 0;
  for (const v1::NewMessage& message : messages) {
    size += 16 + message.payload().size() + message.subject().size();
  }
  AppendCommandBuilder builder(stream, expected_last_sequence,
                               std::min(size, limits.max_batch_bytes));
  for (const v1::NewMessage& message : messages) {
    MessageView view = ViewOf(message);
    if (absl::Status status = Check(view); !status.ok()) {
      return InvalidField("messages", status.message());
    }
    size_t bytes = CountedBytes(view, view.subject.size());
    if (bytes > limits.max_message_bytes) {
      return EntryTooLarge("messages", bytes, limits.max_message_bytes);
    }
    builder.Add(view.subject, view.headers, view.payload);
    if (builder.size() > limits.max_batch_bytes) {
      return EntryTooLarge("messages", builder.size(), limits.max_batch_bytes);
    }
  }
  return std::move(builder).Build();
}

OrError<StreamDefinition> ReadDefinition(const v1::StreamDefinition& definition) {
  StreamDefinition read = {definition.name(),
                           {definition.subjects().begin(), definition.subjects().end()}};
  if (absl::Status status = CheckStreamName(read.name); !status.ok()) {
    return InvalidField("definition.name", status.message());
  }
  if (absl::Status status = Check(read); !status.ok()) {
    return InvalidField("definition.subjects", status.message());
  }
  return read;
}

google::protobuf::Timestamp ToProto(WallTime time) {
  constexpr int64_t kSecond = 1'000'000'000;
  google::protobuf::Timestamp timestamp;
  int64_t seconds = time.nanoseconds / kSecond;
  int64_t nanos = time.nanoseconds % kSecond;
  if (nanos < 0) {
    nanos += kSecond;
    --seconds;
  }
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(static_cast<int32_t>(nanos));
  return timestamp;
}

void Write(const StreamDefinition& definition, const StreamState& state, v1::Stream* stream) {
  stream->mutable_definition()->set_name(definition.name);
  for (const std::string& subject : definition.subjects) {
    stream->mutable_definition()->add_subjects(subject);
  }
  v1::StreamState* to = stream->mutable_state();
  to->set_first_sequence(state.first_sequence);
  to->set_last_sequence(state.last_sequence);
  to->set_messages(state.messages);
  to->set_bytes(state.bytes);
  *to->mutable_create_time() = ToProto(state.create_time);
  if (state.last_sequence != 0) *to->mutable_last_time() = ToProto(state.last_time);
}

void Write(const StreamMachine::Info& info, v1::Stream* stream) {
  Write(info.definition, info.state, stream);
}

OrError<Freshness> ReadFreshness(v1::Consistency consistency,
                                 const std::optional<google::protobuf::Duration>& max_staleness) {
  if (max_staleness && consistency != v1::CONSISTENCY_STALE) {
    return InvalidField("max_staleness", "it goes with CONSISTENCY_STALE only");
  }
  switch (consistency) {
    case v1::CONSISTENCY_UNSPECIFIED:
    case v1::CONSISTENCY_LINEARIZABLE:
      return Freshness{};
    case v1::CONSISTENCY_LEASE:
      return Freshness{.lease = true};
    case v1::CONSISTENCY_STALE: {
      if (!max_staleness) return Freshness{.any = true};
      const Duration age =
          Seconds(std::clamp<int64_t>(max_staleness->seconds(), -1, kLongestStalenessSeconds + 1)) +
          Nanoseconds(max_staleness->nanos());
      if (age < Milliseconds(1) || age > Seconds(kLongestStalenessSeconds)) {
        return InvalidField("max_staleness", "it is not in 1 ms to 1 day");
      }
      return Freshness{.max_staleness = age};
    }
    default:
      return InvalidField("consistency",
                          absl::StrCat("unknown consistency ", static_cast<int>(consistency)));
  }
}

OrError<SubjectFilters> ReadFilters(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  if (static_cast<size_t>(texts.size()) > kMaxFilters) {
    return InvalidField("subject_filters", absl::StrCat("more than ", kMaxFilters, " filters"));
  }
  absl::StatusOr<SubjectFilters> filters =
      SubjectFilters::Parse(std::vector<std::string>(texts.begin(), texts.end()));
  if (!filters.ok()) return InvalidField("subject_filters", filters.status().message());
  return *std::move(filters);
}

OrError<ReadPlan> PlanRead(const v1::ReadRequest& request) {
  ReadPlan plan;
  plan.stream = request.stream();
  if (absl::Status status = CheckStreamName(plan.stream); !status.ok()) {
    return InvalidField("stream", status.message());
  }
  OrError<SubjectFilters> filters = ReadFilters(request.subject_filters());
  if (auto* error = std::get_if<RpcError>(&filters)) return std::move(*error);
  plan.filters = std::get<SubjectFilters>(std::move(filters));
  OrError<Freshness> freshness = ReadFreshness(request);
  if (auto* error = std::get_if<RpcError>(&freshness)) return std::move(*error);
  plan.freshness = std::get<Freshness>(freshness);
  plan.from = request.from_sequence();
  if (request.max_messages() != 0) plan.max_messages = request.max_messages();
  plan.max_bytes = request.max_bytes() == 0
                       ? kDefaultReadBytes
                       : std::min<uint64_t>(request.max_bytes(), kLargestReadBytes);
  return plan;
}

OrError<ReadProgress> ReadMessages(
    const StreamMachine& machine, const ReadPlan& plan, uint64_t from, uint64_t max_messages,
    google::protobuf::RepeatedPtrField<v1::StoredMessage>* messages) {
  size_t bytes = 0;
  uint64_t taken = 0;
  absl::StatusOr<StreamMachine::ReadEnd> end =
      machine.Read(plan.stream, from, kLogBytesOfRead, [&](const StoredMessageView& message) {
        if (taken == max_messages) return false;
        if (!plan.filters.Matches(message.subject)) return true;
        // What protobuf adds to a message is below this.
        size_t size = 64 + CountedBytes(message.message, message.subject.size()) +
                      8 * message.message.headers.size();
        if (taken > 0 && bytes + size > plan.max_bytes) return false;
        bytes += size;
        ++taken;
        Write(message, messages->Add());
        return true;
      });
  if (!end.ok()) {
    std::optional<StreamMachine::Info> info = machine.Find(plan.stream);
    return ErrorOfRead(end.status(), plan.stream, info ? info->state.last_sequence : 0,
                       machine.applied_index());
  }
  return ReadProgress{end->next_sequence, end->last_sequence};
}

}  // namespace cairn

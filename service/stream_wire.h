// Requests and responses of streams.proto to our own types and back.

#ifndef SERVICE_STREAM_WIRE_H_
#define SERVICE_STREAM_WIRE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "base/time.h"
#include "cairn/v1/streams.pb.h"
#include "service/errors.h"
#include "service/reads/linearize.h"
#include "service/service_context.h"
#include "service/stream_command.h"
#include "service/stream_machine.h"
#include "storage/stream/subject_filter.h"

namespace cairn {

// A value, or the error the client gets.
template <typename T>
using OrError = std::variant<T, RpcError>;

// The append command of a call's messages. INVALID_ARGUMENT errors for everything a client can get
// wrong: no message, too many, too large, bad subjects or headers.
OrError<std::string> BuildAppend(absl::string_view stream,
                                 const google::protobuf::RepeatedPtrField<v1::NewMessage>& messages,
                                 std::optional<uint64_t> expected_last_sequence,
                                 const ServiceLimits& limits);

OrError<StreamDefinition> ReadDefinition(const v1::StreamDefinition& definition);
void Write(const StreamMachine::Info& info, v1::Stream* stream);
void Write(const StreamDefinition& definition, const StreamState& state, v1::Stream* stream);
google::protobuf::Timestamp ToProto(WallTime time);
// An error that ends no call: an AppendFailure or a ReadFailure.
template <typename Failure>
void Write(const RpcError& error, Failure* failure) {
  failure->set_code(static_cast<int>(error.code));
  failure->set_reason(error.reason);
  failure->set_message(error.message);
  for (const auto& [key, value] : error.metadata) (*failure->mutable_metadata())[key] = value;
  if (!error.field.empty()) (*failure->mutable_metadata())["field"] = error.field;
}

// How fresh an answer must be. INVALID_ARGUMENT for an unknown consistency, and for a staleness
// that is none or does not go with it.
OrError<Freshness> ReadFreshness(v1::Consistency consistency,
                                 const std::optional<google::protobuf::Duration>& max_staleness);
template <typename Request>
OrError<Freshness> ReadFreshness(const Request& request) {
  std::optional<google::protobuf::Duration> max_staleness;
  if (request.has_max_staleness()) max_staleness = request.max_staleness();
  return ReadFreshness(request.consistency(), max_staleness);
}

// What a read of messages asks for, checked.
struct ReadPlan {
  std::string stream;
  uint64_t from = 0;  // 0: the first
  uint64_t max_messages = UINT64_MAX;
  size_t max_bytes = 0;
  SubjectFilters filters;
  Freshness freshness;
};
OrError<ReadPlan> PlanRead(const v1::ReadRequest& request);
OrError<SubjectFilters> ReadFilters(const google::protobuf::RepeatedPtrField<std::string>& texts);

// Messages from `from` on into `messages`, as many as the plan's limits allow. Blocks on the disk.
struct ReadProgress {
  uint64_t next_sequence = 0;
  uint64_t last_sequence = 0;
};
OrError<ReadProgress> ReadMessages(const StreamMachine& machine, const ReadPlan& plan,
                                   uint64_t from, uint64_t max_messages,
                                   google::protobuf::RepeatedPtrField<v1::StoredMessage>* messages);

}  // namespace cairn

#endif  // SERVICE_STREAM_WIRE_H_

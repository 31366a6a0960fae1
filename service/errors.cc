#include "service/errors.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace cairn {
namespace {

using absl::StatusCode;

RpcError Make(StatusCode code, absl::string_view reason, absl::string_view message) {
  RpcError error;
  error.code = code;
  error.reason = std::string(reason);
  error.message = std::string(message);
  return error;
}

RpcError NotApplied(StatusCode code, absl::string_view reason, absl::string_view message) {
  RpcError error = Make(code, reason, message);
  error.metadata["outcome"] = kOutcomeNotApplied;
  return error;
}

void SetRetry(RpcError& error, Duration after) {
  error.retry_after = after;
  error.pushback_ms = ToMilliseconds(after);
}

void AddLeader(RpcError& error, NodeId leader, const ErrorContext& context) {
  if (context.group == nullptr) return;
  error.metadata["term"] = absl::StrCat(context.group->term);
  if (leader == NodeId::kNone) leader = context.group->leader;
  if (leader == NodeId::kNone) return;
  error.metadata["leaderId"] = absl::StrCat(ToInteger(leader));
  const Member* member = context.group->configuration.Find(leader);
  if (member != nullptr) error.metadata["leaderAddress"] = member->address;
}

RpcError NotLeader(NodeId leader, const ErrorContext& context) {
  RpcError error =
      Make(StatusCode::kUnavailable, "NOT_LEADER", "this member does not lead the group");
  AddLeader(error, leader, context);
  error.pushback_ms = 0;
  return error;
}

RpcError NoLeader(const ErrorContext& context) {
  RpcError error = Make(StatusCode::kUnavailable, "NO_LEADER", "nobody is known to lead the group");
  if (context.group != nullptr) error.metadata["term"] = absl::StrCat(context.group->term);
  SetRetry(error, context.election_timeout / 2);
  return error;
}

RpcError Overloaded(const ErrorContext& context) {
  RpcError error =
      Make(StatusCode::kResourceExhausted, "OVERLOADED", "too much is under way; try again later");
  error.metadata["pendingBytes"] = absl::StrCat(context.pending_bytes);
  SetRetry(error, Milliseconds(100));
  return error;
}

RpcError NoSpace() {
  RpcError error = Make(StatusCode::kResourceExhausted, "NO_SPACE",
                        "the disk of the group's leader is full, and no other member can lead");
  error.pushback_ms = -1;
  return error;
}

RpcError NotFormed() {
  RpcError error = Make(StatusCode::kUnavailable, "NOT_FORMED",
                        "the cluster's members have not all found each other yet");
  SetRetry(error, Milliseconds(500));
  return error;
}

RpcError Fenced(const ErrorContext& context) {
  RpcError error = Make(StatusCode::kUnavailable, "FENCED", "this member's storage failed");
  AddLeader(error, NodeId::kNone, context);
  error.pushback_ms = 0;
  return error;
}

}  // namespace

std::string EncodeDetails(const RpcError& error) {
  google::rpc::Status status;
  status.set_code(static_cast<int>(error.code));
  status.set_message(error.message);
  google::rpc::ErrorInfo info;
  info.set_reason(error.reason);
  info.set_domain(kErrorDomain);
  for (const auto& [key, value] : error.metadata) (*info.mutable_metadata())[key] = value;
  status.add_details()->PackFrom(info);
  if (error.retry_after) {
    google::rpc::RetryInfo retry;
    int64_t nanoseconds = error.retry_after->nanoseconds;
    retry.mutable_retry_delay()->set_seconds(nanoseconds / 1'000'000'000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(nanoseconds % 1'000'000'000));
    status.add_details()->PackFrom(retry);
  }
  if (!error.field.empty()) {
    google::rpc::BadRequest bad;
    bad.add_field_violations()->set_field(error.field);
    bad.mutable_field_violations(0)->set_description(error.message);
    status.add_details()->PackFrom(bad);
  }
  if (!error.resource_type.empty()) {
    google::rpc::ResourceInfo resource;
    resource.set_resource_type(error.resource_type);
    resource.set_resource_name(error.resource_name);
    resource.set_description(error.message);
    status.add_details()->PackFrom(resource);
  }
  return status.SerializeAsString();
}

RpcError ErrorOf(const ProposalNotApplied& refusal, const ErrorContext& context) {
  using Reason = ProposalNotApplied::Reason;
  RpcError error;
  switch (refusal.reason) {
    case Reason::kNotLeader:
      error = NotLeader(refusal.leader, context);
      break;
    case Reason::kNoLeader:
      error = NoLeader(context);
      break;
    case Reason::kOverloaded:
      error = Overloaded(context);
      break;
    case Reason::kNoSpace:
      error = NoSpace();
      break;
    case Reason::kTooLarge:
      error = EntryTooLarge("messages", 0, context.max_entry_bytes);
      break;
    case Reason::kDeadline:
      error = DeadlineBeforeProposal();
      break;
    case Reason::kStopping:
      error = Stopping();
      break;
    case Reason::kFenced:
      error = Fenced(context);
      break;
    case Reason::kSessionExpired:
      error = Make(StatusCode::kAborted, "SESSION_EXPIRED",
                   "the session is unknown: closed, or forgotten for newer ones");
      break;
    case Reason::kSessionNumberReused:
      error = Make(StatusCode::kFailedPrecondition, "SEQ_REUSED",
                   "this session number was used for another call");
      break;
    case Reason::kSessionGap:
      error = Make(StatusCode::kFailedPrecondition, "SEQUENCE_GAP",
                   "the session's call before this one was not applied");
      break;
    case Reason::kSessionNumberTooOld:
      error = Make(StatusCode::kFailedPrecondition, "SESSION_NUMBER_TOO_OLD",
                   "this session number is so far behind that its answer is forgotten");
      break;
    case Reason::kNotFormed:
      error = NotFormed();
      break;
    case Reason::kOrderBroken:
      error = Make(StatusCode::kAborted, "ORDER_BROKEN", "a batch before this one was refused");
      break;
    case Reason::kTermChanged:
      error = Make(StatusCode::kAborted, "TERM_CHANGED", "the call was for another term");
      error.metadata["term"] = absl::StrCat(refusal.term);
      break;
  }
  CAIRN_CHECK(!error.reason.empty()) << "refusal " << static_cast<int>(refusal.reason);
  if (!refusal.message.empty()) absl::StrAppend(&error.message, " (", refusal.message, ")");
  error.metadata["outcome"] = kOutcomeNotApplied;
  return error;
}

RpcError ErrorOf(const ProposalUnknown& unknown, const ErrorContext& context) {
  RpcError error =
      Make(context.deadline_passed ? StatusCode::kDeadlineExceeded : StatusCode::kUnavailable,
           "OUTCOME_UNKNOWN",
           context.deadline_passed ? "the deadline passed while the call was under way"
                                   : "leadership was lost while the call was under way");
  if (!unknown.message.empty()) absl::StrAppend(&error.message, " (", unknown.message, ")");
  if (unknown.at.index != 0) {
    error.metadata["index"] = absl::StrCat(unknown.at.index);
    error.metadata["term"] = absl::StrCat(unknown.at.term);
  }
  error.metadata["outcome"] = kOutcomeUnknown;
  if (!context.has_session) error.pushback_ms = -1;
  return error;
}

RpcError ErrorOf(const ReadRefused& refusal, const ErrorContext& context) {
  using Reason = ReadRefused::Reason;
  switch (refusal.reason) {
    case Reason::kNoLeader:
      return NoLeader(context);
    case Reason::kDeadline:
      return Make(StatusCode::kDeadlineExceeded, "READ_TIMED_OUT",
                  "the deadline passed before a quorum confirmed the read");
    case Reason::kOverloaded:
      return Overloaded(context);
    case Reason::kStopping:
      return Stopping();
    case Reason::kFenced:
      return Fenced(context);
    case Reason::kNotFormed:
      return NotFormed();
  }
  CAIRN_CHECK(false) << "refusal " << static_cast<int>(refusal.reason);
  return {};
}

RpcError ErrorOf(const ControlRefused& refusal, const ErrorContext& context) {
  using Reason = ControlRefused::Reason;
  const auto precondition = [&](absl::string_view reason) {
    return Make(StatusCode::kFailedPrecondition, reason, refusal.message);
  };
  RpcError error;
  switch (refusal.reason) {
    case Reason::kNotLeader:
      error =
          refusal.leader == NodeId::kNone ? NoLeader(context) : NotLeader(refusal.leader, context);
      break;
    case Reason::kNotReady:
      error = Make(StatusCode::kUnavailable, "NO_LEADER", refusal.message);
      SetRetry(error, context.election_timeout / 4);
      break;
    case Reason::kInProgress:
      error = precondition("CONFIG_BUSY");
      break;
    case Reason::kInvalid:
      error = Make(StatusCode::kInvalidArgument, "INVALID_MEMBERS", refusal.message);
      break;
    case Reason::kWouldLoseQuorum:
      error = precondition("QUORUM_AT_RISK");
      break;
    case Reason::kLagging:
      error = precondition("LEARNER_BEHIND");
      break;
    case Reason::kBadTarget:
      error = precondition("BAD_TARGET");
      break;
    case Reason::kTimeout:
      error = Make(StatusCode::kDeadlineExceeded, "TRANSFER_TIMED_OUT", refusal.message);
      break;
    case Reason::kNothingToDo:
      error = precondition("NOTHING_TO_DO");
      break;
    case Reason::kNotLost:
      error = precondition("MAJORITY_NOT_LOST");
      break;
    case Reason::kUnknown:
      error = Make(StatusCode::kUnavailable, "OUTCOME_UNKNOWN", refusal.message);
      error.metadata["outcome"] = kOutcomeUnknown;
      return error;
    case Reason::kOverloaded:
      error = Overloaded(context);
      break;
    case Reason::kStopping:
      error = Stopping();
      break;
    case Reason::kFenced:
      error = Fenced(context);
      break;
    case Reason::kNotFormed:
      error = NotFormed();
      break;
  }
  CAIRN_CHECK(!error.reason.empty()) << "refusal " << static_cast<int>(refusal.reason);
  error.metadata["outcome"] = kOutcomeNotApplied;
  return error;
}

RpcError ErrorOf(const RefusedReply& refusal, absl::string_view stream) {
  using Reason = RefusedReply::Reason;
  RpcError error;
  switch (refusal.reason) {
    case Reason::kStreamNotFound:
      error = StreamNotFound(stream);
      break;
    case Reason::kStreamExists:
      error = Make(StatusCode::kAlreadyExists, "STREAM_EXISTS",
                   absl::StrCat("stream \"", stream, "\" exists with another definition"));
      error.resource_type = "stream";
      error.resource_name = std::string(stream);
      break;
    case Reason::kConflict:
      error = Make(StatusCode::kAborted, "APPEND_CONFLICT",
                   absl::StrCat("the stream's last sequence is ", refusal.actual_sequence));
      error.metadata["actualSequence"] = absl::StrCat(refusal.actual_sequence);
      break;
    case Reason::kSubjectNotTaken:
      error = Make(StatusCode::kInvalidArgument, "SUBJECT_NOT_TAKEN",
                   absl::StrCat("stream \"", stream, "\" does not take subject \"",
                                absl::Utf8SafeCHexEscape(refusal.subject), "\""));
      error.field = "messages.subject";
      break;
    case Reason::kTooManyStreams:
      error = Make(StatusCode::kResourceExhausted, "TOO_MANY_STREAMS",
                   absl::StrCat("there are ", kMaxStreams, " streams already"));
      break;
    case Reason::kBadCommand:
      error = Make(StatusCode::kInternal, "BAD_COMMAND", "the members cannot decode the command");
      break;
  }
  CAIRN_CHECK(!error.reason.empty()) << "refusal " << static_cast<int>(refusal.reason);
  error.metadata["outcome"] = kOutcomeNotApplied;
  return error;
}

RpcError ErrorOfRead(const absl::Status& status, absl::string_view stream, uint64_t last_sequence,
                     Index applied_index) {
  RpcError error;
  switch (status.code()) {
    case StatusCode::kNotFound:
      return StreamNotFound(stream);
    case StatusCode::kOutOfRange:
      error = Make(status.code(), "INDEX_IN_FUTURE", status.message());
      error.metadata["lastSequence"] = absl::StrCat(last_sequence);
      error.metadata["committedIndex"] = absl::StrCat(applied_index);
      return error;
    case StatusCode::kDataLoss:
      return Make(status.code(), "CORRUPT", status.message());
    default:
      return Make(StatusCode::kInternal, "READ_FAILED", status.message());
  }
}

RpcError InvalidField(absl::string_view field, absl::string_view message) {
  RpcError error = NotApplied(StatusCode::kInvalidArgument, "INVALID_FIELD", message);
  error.field = std::string(field);
  return error;
}

RpcError StreamNotFound(absl::string_view stream) {
  RpcError error = NotApplied(StatusCode::kNotFound, "STREAM_NOT_FOUND",
                              absl::StrCat("there is no stream \"", stream, "\""));
  error.resource_type = "stream";
  error.resource_name = std::string(stream);
  return error;
}

RpcError MemberNotFound(NodeId node) {
  RpcError error = NotApplied(StatusCode::kNotFound, "MEMBER_NOT_FOUND",
                              absl::StrCat("node ", ToInteger(node), " is no member"));
  error.resource_type = "member";
  error.resource_name = absl::StrCat(ToInteger(node));
  return error;
}

RpcError GroupNotFound(uint64_t group) {
  RpcError error = NotApplied(StatusCode::kNotFound, "GROUP_NOT_FOUND",
                              absl::StrCat("there is no group ", group));
  error.resource_type = "group";
  error.resource_name = absl::StrCat(group);
  return error;
}

RpcError EntryTooLarge(absl::string_view field, size_t bytes, size_t limit) {
  RpcError error =
      NotApplied(StatusCode::kInvalidArgument, "ENTRY_TOO_LARGE",
                 bytes == 0 ? absl::StrCat("larger than the limit of ", limit, " bytes")
                            : absl::StrCat(bytes, " bytes are over the limit of ", limit));
  error.metadata["limit"] = absl::StrCat(limit);
  error.field = std::string(field);
  return error;
}

RpcError DeadlineBeforeProposal() {
  return NotApplied(StatusCode::kDeadlineExceeded, "NOT_PROPOSED",
                    "the deadline passed before the call was proposed");
}

RpcError SnapshotFailed(const absl::Status& status) {
  switch (status.code()) {
    case StatusCode::kUnavailable:
      return Stopping();
    case StatusCode::kFailedPrecondition:
    case StatusCode::kUnimplemented:
      return Make(status.code(), "NO_SNAPSHOTS", status.message());
    default:
      return Make(StatusCode::kInternal, "SNAPSHOT_FAILED", status.message());
  }
}

RpcError Stopping() {
  RpcError error = NotApplied(StatusCode::kUnavailable, "STOPPING", "this member is stopping");
  error.pushback_ms = 0;
  return error;
}

RpcError Starting() {
  RpcError error = NotApplied(StatusCode::kUnavailable, "STARTING", "this member is starting");
  SetRetry(error, Milliseconds(200));
  return error;
}

}  // namespace cairn

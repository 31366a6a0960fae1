// RpcError: an error as clients get it. One place decides code, reason and metadata of each.

#ifndef SERVICE_ERRORS_H_
#define SERVICE_ERRORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/control/control.h"
#include "raft/group.h"
#include "raft/proposal.h"
#include "service/stream_command.h"

namespace cairn {

inline constexpr char kErrorDomain[] = "cairn.dev";

// A gRPC status (the code's number is that of gRPC) and what goes into grpc-status-details-bin.
struct RpcError {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string reason;  // ErrorInfo.reason; empty for what gRPC itself would say
  std::string message;
  std::map<std::string, std::string> metadata;  // ErrorInfo.metadata
  std::optional<Duration> retry_after;          // RetryInfo
  // Trailer grpc-retry-pushback-ms: when a stock client may retry by itself; -1: never.
  std::optional<int64_t> pushback_ms;
  std::string field;          // BadRequest: the request's field that is wrong
  std::string resource_type;  // ResourceInfo
  std::string resource_name;
};

// The serialized google.rpc.Status of an error.
std::string EncodeDetails(const RpcError& error);

// What every failed mutation says in its metadata under "outcome".
inline constexpr char kOutcomeNotApplied[] = "not_applied";
inline constexpr char kOutcomeUnknown[] = "unknown";

// What an error says beside what happened.
struct ErrorContext {
  const GroupStatus* group = nullptr;  // as this member knows it
  Duration election_timeout;
  size_t max_entry_bytes = 0;
  size_t pending_bytes = 0;
  bool has_session = false;
  bool deadline_passed = false;
};

// The table of docs/protocol.md, "Errors".
RpcError ErrorOf(const ProposalNotApplied& refusal, const ErrorContext& context);
RpcError ErrorOf(const ProposalUnknown& unknown, const ErrorContext& context);
RpcError ErrorOf(const ReadRefused& refusal, const ErrorContext& context);
RpcError ErrorOf(const ControlRefused& refusal, const ErrorContext& context);
// `stream` is the one the command names.
RpcError ErrorOf(const RefusedReply& refusal, absl::string_view stream);
// Of StreamMachine::Read and of checks of names, subjects and headers.
RpcError ErrorOfRead(const absl::Status& status, absl::string_view stream, uint64_t last_sequence,
                     Index applied_index);

RpcError InvalidField(absl::string_view field, absl::string_view message);
RpcError StreamNotFound(absl::string_view stream);
RpcError MemberNotFound(NodeId node);
RpcError GroupNotFound(uint64_t group);
RpcError EntryTooLarge(absl::string_view field, size_t bytes, size_t limit);
RpcError DeadlineBeforeProposal();
RpcError Stopping();
// Of Group::Snapshot.
RpcError SnapshotFailed(const absl::Status& status);
// A group that is not open yet.
RpcError Starting();

}  // namespace cairn

#endif  // SERVICE_ERRORS_H_

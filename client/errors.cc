#include "client/errors.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "client/grpc_status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace cairn {
namespace {

constexpr char kReasonPayload[] = "cairn.dev/reason";
constexpr char kUnknownPayload[] = "cairn.dev/outcome-unknown";
constexpr char kErrorDomain[] = "cairn.dev";

// The reason in the details of `status`, if Cairn's server put one there.
std::string ReasonInDetails(const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return "";
  for (const google::protobuf::Any& any : details.details()) {
    google::rpc::ErrorInfo info;
    if (any.UnpackTo(&info) && info.domain() == kErrorDomain) return info.reason();
  }
  return "";
}

// Codes gRPC gives only when the request did not reach a method of the server, or was refused by
// it before anything was done. Everything else may have been carried out.
bool SurelyRefused(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNIMPLEMENTED || code == grpc::StatusCode::INVALID_ARGUMENT ||
         code == grpc::StatusCode::RESOURCE_EXHAUSTED ||
         code == grpc::StatusCode::UNAUTHENTICATED || code == grpc::StatusCode::PERMISSION_DENIED;
}

}  // namespace

absl::Status MakeClientError(absl::StatusCode code, const std::string& reason,
                             const std::string& message, bool outcome_unknown) {
  absl::Status status(code, message);
  if (!reason.empty()) status.SetPayload(kReasonPayload, absl::Cord(reason));
  if (outcome_unknown) status.SetPayload(kUnknownPayload, absl::Cord("1"));
  return status;
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  std::string reason = ReasonInDetails(status);
  bool unknown = reason.empty() ? !SurelyRefused(status.error_code()) : reason == "OUTCOME_UNKNOWN";
  return MakeClientError(static_cast<absl::StatusCode>(status.error_code()), reason,
                         status.error_message(), unknown);
}

std::string ReasonOf(const absl::Status& status) {
  const auto reason = status.GetPayload(kReasonPayload);
  return reason.has_value() ? std::string(*reason) : "";
}

bool OutcomeUnknown(const absl::Status& status) {
  return status.GetPayload(kUnknownPayload).has_value();
}

}  // namespace cairn

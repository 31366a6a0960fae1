#include "service/cli/exit_code.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/errors.h"

namespace cairn {

ExitCode ExitCodeOf(const absl::Status& status, bool mutation) {
  if (status.ok()) return kExitOk;
  if (mutation && OutcomeUnknown(status)) return kExitOutcomeUnknown;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:
      return kExitUsage;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kOutOfRange:
      return kExitPrecondition;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitPermission;
    case absl::StatusCode::kDeadlineExceeded:
      return kExitDeadline;
    case absl::StatusCode::kResourceExhausted:
      return kExitResourceExhausted;
    case absl::StatusCode::kDataLoss:
      return kExitDataLoss;
    default:
      return kExitUnavailable;
  }
}

std::string ErrorLine(const absl::Status& status) {
  std::string reason = ReasonOf(status);
  return absl::StrCat("error: ", absl::StatusCodeToString(status.code()), reason.empty() ? "" : " ",
                      reason, ": ", absl::Utf8SafeCEscape(status.message()));
}

}  // namespace cairn

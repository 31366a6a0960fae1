// Exit codes of cairn, and the line an error ends with. Part of the outside contract.

#ifndef SERVICE_CLI_EXIT_CODE_H_
#define SERVICE_CLI_EXIT_CODE_H_

#include <string>

#include "absl/status/status.h"

namespace cairn {

enum ExitCode : int {
  kExitOk = 0,
  kExitUsage = 1,
  kExitConfiguration = 2,
  kExitNotFound = 3,
  kExitPrecondition = 4,
  kExitPermission = 5,
  kExitUnavailable = 6,
  kExitDeadline = 7,
  kExitResourceExhausted = 8,
  kExitOutcomeUnknown = 9,
  kExitDataLoss = 10,
  kExitSomeFailed = 11,
  kExitDirectoryInUse = 73,  // as cairnd's: a process has the data directory
};

// For a failed call. `mutation`: the call would have changed something, so that an open outcome is
// told apart (exit 9).
ExitCode ExitCodeOf(const absl::Status& status, bool mutation);

// "error: UNAVAILABLE NO_LEADER: text"; control characters of the text are escaped.
std::string ErrorLine(const absl::Status& status);

}  // namespace cairn

#endif  // SERVICE_CLI_EXIT_CODE_H_

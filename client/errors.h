// What a failed call of the client means: the reasons of docs/protocol.md as absl::Status.

#ifndef CLIENT_ERRORS_H_
#define CLIENT_ERRORS_H_

#include <string>

#include "absl/status/status.h"

namespace cairn {

// The reason of the server's ErrorInfo ("NO_LEADER", "STREAM_NOT_FOUND", …); empty if the error did
// not come from a Cairn server.
std::string ReasonOf(const absl::Status& status);

// True if the failed call may have been carried out all the same: repeat it only with the session
// number it had. False: it surely has no effect and never will have.
bool OutcomeUnknown(const absl::Status& status);

// Builds what ReasonOf and OutcomeUnknown read. For errors the client finds itself.
absl::Status MakeClientError(absl::StatusCode code, const std::string& reason,
                             const std::string& message, bool outcome_unknown);

}  // namespace cairn

#endif  // CLIENT_ERRORS_H_

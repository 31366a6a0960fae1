// From gRPC's status to ours. For the sources of this folder only.

#ifndef CLIENT_GRPC_STATUS_H_
#define CLIENT_GRPC_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace cairn {

// Keeps code and text, the ErrorInfo's reason, and whether the outcome is unknown
// (client/errors.h). An error without Cairn's details came from gRPC itself: the connection broke
// or the deadline passed, and the call may have been carried out.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace cairn

#endif  // CLIENT_GRPC_STATUS_H_

#include "service/grpc_status.h"

#include "absl/strings/str_cat.h"

namespace cairn {

grpc::Status ToGrpc(const RpcError& error, grpc::ServerContextBase& context) {
  if (error.pushback_ms) {
    context.AddTrailingMetadata("grpc-retry-pushback-ms", absl::StrCat(*error.pushback_ms));
  }
  // An error of gRPC's own has no reason, so no details.
  return grpc::Status(static_cast<grpc::StatusCode>(error.code), error.message,
                      error.reason.empty() ? "" : EncodeDetails(error));
}

}  // namespace cairn

// ToGrpc: an RpcError as a handler returns it. For the sources of the services only, because it
// brings gRPC's headers.

#ifndef SERVICE_GRPC_STATUS_H_
#define SERVICE_GRPC_STATUS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "service/errors.h"

namespace cairn {

// The status with its details. The pushback goes into the trailing metadata of `context`, which
// must not have been sent yet.
grpc::Status ToGrpc(const RpcError& error, grpc::ServerContextBase& context);

}  // namespace cairn

#endif  // SERVICE_GRPC_STATUS_H_

// AppendStream: the reactor of one pipelined append call. For log_service only, because it brings
// gRPC's headers.

#ifndef SERVICE_APPEND_STREAM_H_
#define SERVICE_APPEND_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "service/service_context.h"

namespace cairn {

// `context` outlives the call.
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartAppendStream(
    grpc::CallbackServerContext* call, ServiceContext* context);

}  // namespace cairn

#endif  // SERVICE_APPEND_STREAM_H_

// AppendStream: the reactor of one pipelined append call. For log_service only, because it brings
// gRPC's headers.

#ifndef SERVICE_APPEND_STREAM_H_
#define SERVICE_APPEND_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "cairn/v1/streams.pb.h"
#include "service/service_context.h"

namespace cairn {

// `context` outlives the call.
grpc::ServerBidiReactor<v1::AppendStreamRequest, v1::AppendStreamResponse>* StartAppendStream(
    grpc::CallbackServerContext* call, ServiceContext* context);

}  // namespace cairn

#endif  // SERVICE_APPEND_STREAM_H_

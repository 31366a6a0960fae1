// ReadStream: the reactor of one call. For log_service only, because it brings gRPC's headers.

#ifndef SERVICE_READS_READ_STREAM_H_
#define SERVICE_READS_READ_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "service/service_context.h"

namespace cairn {

// `context` outlives the call.
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartReadStream(
    grpc::CallbackServerContext* call, ServiceContext* context);

}  // namespace cairn

#endif  // SERVICE_READS_READ_STREAM_H_

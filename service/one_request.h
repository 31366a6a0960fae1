// OneRequest: what a client sends on calls that take one message. For the sources of the services
// only, because it brings gRPC's headers.
//
// The services take bytes and parse them here, because gRPC's callback API does not tell bytes that
// are no message from a method that is not there, nor from the end of a stream of requests; and it
// serves the first of several messages where one is due.

#ifndef SERVICE_ONE_REQUEST_H_
#define SERVICE_ONE_REQUEST_H_

#include <google/protobuf/message_lite.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <optional>

#include "absl/functional/any_invocable.h"
#include "service/errors.h"

namespace cairn {

// Fills `request`; the error, which is gRPC's own, if there is no message (UNIMPLEMENTED) or the
// bytes are none (INTERNAL).
std::optional<RpcError> ParseRequest(const grpc::ByteBuffer& bytes,
                                     google::protobuf::MessageLite* request);

// Calls `done` once, on a thread of gRPC's, when the client has ended its side of the call, or is
// gone; with the error, which is gRPC's own, if it sent another message (UNIMPLEMENTED). Nothing
// else may read from the call, and it must not be finished before.
void AwaitEndOfRequests(grpc::CallbackServerContext* call,
                        absl::AnyInvocable<void(std::optional<RpcError>)> done);

// `message` as bytes.
grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message);

}  // namespace cairn

#endif  // SERVICE_ONE_REQUEST_H_

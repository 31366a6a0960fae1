// UnaryCall: the reactor of a call with one request and one response. For the sources of the
// services only, because it brings gRPC's headers.

#ifndef SERVICE_UNARY_CALL_H_
#define SERVICE_UNARY_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <optional>
#include <utility>

#include "service/errors.h"
#include "service/grpc_status.h"
#include "service/one_request.h"

namespace cairn {

// Lives until the call is over. Threads: any, one at a time.
template <typename Request, typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  // Calls `handle(call)` once the request is there, alone and whole, on a thread of gRPC's; it, or
  // what it starts, calls End once. Otherwise ends the call with gRPC's own error; also where the
  // client has cancelled it by then, or its deadline is over.
  template <typename Handle>
  static grpc::ServerUnaryReactor* Start(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response, Handle handle) {
    auto* call = new UnaryCall(context, response);  // OnDone deletes it
    if (auto error = ParseRequest(*request, &call->request_)) {
      call->End(std::move(error));
      return call;
    }
    AwaitEndOfRequests(context, [call, handle](std::optional<RpcError> error) {
      if (error) {
        call->End(std::move(error));
      } else if (call->context_.IsCancelled()) {
        call->Finish(grpc::Status::CANCELLED);
      } else {
        handle(call);
      }
    });
    return call;
  }

  grpc::CallbackServerContext& context() { return context_; }
  const Request& request() const { return request_; }
  Response& response() { return response_; }

  // Answers with the error, or without one with response().
  void End(std::optional<RpcError> error) {
    if (!error) bytes_ = Serialize(response_);
    Finish(error ? ToGrpc(*error, context_) : grpc::Status::OK);
  }

  void OnDone() override { delete this; }

 private:
  UnaryCall(grpc::CallbackServerContext* context, grpc::ByteBuffer* bytes)
      : context_(*context), bytes_(*bytes) {}

  grpc::CallbackServerContext& context_;
  grpc::ByteBuffer& bytes_;  // gRPC's
  Request request_;
  Response response_;
};

}  // namespace cairn

#endif  // SERVICE_UNARY_CALL_H_

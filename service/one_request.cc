#include "service/one_request.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <memory>
#include <utility>

#include "base/check.h"

namespace cairn {
namespace {

RpcError OfGrpc(absl::StatusCode code, absl::string_view message) {
  RpcError error;
  error.code = code;
  error.message = std::string(message);
  return error;
}

// Receives what comes behind the one message. Deletes itself.
class NextMessage final : public grpc_completion_queue_functor {
 public:
  explicit NextMessage(absl::AnyInvocable<void(std::optional<RpcError>)> done)
      : grpc_completion_queue_functor{}, done_(std::move(done)) {
    functor_run = [](grpc_completion_queue_functor* functor, int) {
      std::unique_ptr<NextMessage> self(static_cast<NextMessage*>(functor));
      self->Run();
    };
  }

  void Start(grpc_call* call) {
    grpc_op receive = {};
    receive.op = GRPC_OP_RECV_MESSAGE;
    receive.data.recv_message.recv_message = &received_;
    grpc_call_error error = grpc_call_start_batch(call, &receive, 1, this, nullptr);
    CAIRN_CHECK_EQ(error, GRPC_CALL_OK);
  }

 private:
  void Run() {
    if (received_ == nullptr) return done_(std::nullopt);
    grpc_byte_buffer_destroy(received_);
    done_(OfGrpc(absl::StatusCode::kUnimplemented, "the method takes one message"));
  }

  absl::AnyInvocable<void(std::optional<RpcError>)> done_;
  grpc_byte_buffer* received_ = nullptr;
};

}  // namespace

std::optional<RpcError> ParseRequest(const grpc::ByteBuffer& bytes,
                                     google::protobuf::MessageLite* request) {
  if (!bytes.Valid()) {
    return OfGrpc(absl::StatusCode::kUnimplemented, "the method takes one message");
  }
  grpc::ByteBuffer shared = bytes;  // the reader wants one it may change
  grpc::ProtoBufferReader reader(&shared);
  if (reader.status().ok() && request->ParseFromZeroCopyStream(&reader)) return std::nullopt;
  return OfGrpc(absl::StatusCode::kInternal, "the request's bytes are not its message");
}

void AwaitEndOfRequests(grpc::CallbackServerContext* call,
                        absl::AnyInvocable<void(std::optional<RpcError>)> done) {
  auto* next = new NextMessage(std::move(done));  // deletes itself
  next->Start(call->c_call());
}

grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message) {
  grpc::Slice slice(message.ByteSizeLong());
  bool fits =
      message.SerializeToArray(const_cast<uint8_t*>(slice.begin()), static_cast<int>(slice.size()));
  CAIRN_CHECK(fits) << "a message of " << slice.size() << " bytes";
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace cairn

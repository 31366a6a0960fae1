#include "service/stream_service.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "cairn/v1/streams.grpc.pb.h"
#include "service/call_context.h"
#include "service/grpc_status.h"
#include "service/linearize.h"
#include "service/stream_wire.h"

namespace cairn {
namespace {

constexpr uint32_t kLargestPage = 1000;

// Fills `response`, or gives the error.
std::optional<RpcError> ReadCreated(const ServiceContext& context, const ProposalResult& result,
                                    const StreamDefinition& definition, Instant deadline,
                                    v1::CreateStreamResponse* response) {
  if (const auto* refused = std::get_if<ProposalNotApplied>(&result)) {
    return context.Explain(*refused);
  }
  if (const auto* unknown = std::get_if<ProposalUnknown>(&result)) {
    // Repeating it is harmless: it finds the stream it made.
    return context.Explain(*unknown, true, deadline);
  }
  const auto& applied = std::get<ProposalApplied>(result);
  absl::StatusOr<StreamReply> reply = DecodeReply(applied.reply.view());
  if (reply.ok()) {
    if (const auto* refusal = std::get_if<RefusedReply>(&*reply)) {
      return ErrorOf(*refusal, definition.name);
    }
    if (const auto* created = std::get_if<CreatedReply>(&*reply)) {
      Write(definition, created->state, response->mutable_stream());
      response->set_created(created->created);
      response->set_index(applied.at.index);
      response->set_term(applied.at.term);
      return std::nullopt;
    }
  }
  RpcError error;
  error.code = absl::StatusCode::kInternal;
  error.reason = "BAD_REPLY";
  error.message = "the state machine's answer is of another kind";
  error.metadata["outcome"] = kOutcomeUnknown;
  return error;
}

class StreamServiceImpl final : public v1::Streams::CallbackService {
 public:
  explicit StreamServiceImpl(ServiceContext* context) : context_(*context) {}

  grpc::ServerUnaryReactor* Create(grpc::CallbackServerContext* call,
                                   const v1::CreateStreamRequest* request,
                                   v1::CreateStreamResponse* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* call,
                                const v1::GetStreamRequest* request,
                                v1::GetStreamResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* call,
                                 const v1::ListStreamsRequest* request,
                                 v1::ListStreamsResponse* response) override;

 private:
  // Answers a read: `fill` gives the response its fields, or the error, once it may.
  template <typename Fill>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* call, v1::Consistency consistency,
                                   Fill fill);

  ServiceContext& context_;
};

grpc::ServerUnaryReactor* StreamServiceImpl::Create(grpc::CallbackServerContext* call,
                                                    const v1::CreateStreamRequest* request,
                                                    v1::CreateStreamResponse* response) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  Instant deadline = DeadlineOf(*call, context_);
  OrError<StreamDefinition> definition = ReadDefinition(request->definition());
  std::optional<RpcError> error;
  if (auto* invalid = std::get_if<RpcError>(&definition)) error = std::move(*invalid);
  if (context_.opened() == nullptr) error = Starting();
  if (!error && context_.Now() >= deadline) error = DeadlineBeforeProposal();
  if (error) {
    reactor->Finish(ToGrpc(*error, *call));
    return reactor;
  }
  std::string command = EncodeCreateStream(std::get<StreamDefinition>(definition));
  ProposeOptions options;
  options.deadline = deadline;
  options.forward = !MustNotForward(*call);
  Group group = context_.opened()->group;
  group.Propose(
      std::move(command), std::move(options),
      [this, call, response, reactor, deadline,
       wanted = std::get<StreamDefinition>(std::move(definition))](ProposalResult result) {
        auto failed = ReadCreated(context_, result, wanted, deadline, response);
        reactor->Finish(failed ? ToGrpc(*failed, *call) : grpc::Status::OK);
      });
  return reactor;
}

template <typename Fill>
grpc::ServerUnaryReactor* StreamServiceImpl::Answer(grpc::CallbackServerContext* call,
                                                    v1::Consistency consistency, Fill fill) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  OrError<bool> linearizable = IsLinearizable(consistency);
  std::optional<RpcError> error;
  if (auto* invalid = std::get_if<RpcError>(&linearizable)) error = std::move(*invalid);
  if (context_.opened() == nullptr) error = Starting();
  if (error) {
    reactor->Finish(ToGrpc(*error, *call));
    return reactor;
  }
  Linearize(context_, std::get<bool>(linearizable), DeadlineOf(*call, context_),
            [call, reactor, fill = std::move(fill)](std::optional<RpcError> refused) mutable {
              if (!refused) refused = fill();
              reactor->Finish(refused ? ToGrpc(*refused, *call) : grpc::Status::OK);
            });
  return reactor;
}

grpc::ServerUnaryReactor* StreamServiceImpl::Get(grpc::CallbackServerContext* call,
                                                 const v1::GetStreamRequest* request,
                                                 v1::GetStreamResponse* response) {
  if (absl::Status status = CheckStreamName(request->name()); !status.ok()) {
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    reactor->Finish(ToGrpc(InvalidField("name", status.message()), *call));
    return reactor;
  }
  return Answer(
      call, request->consistency(), [this, request, response]() -> std::optional<RpcError> {
        std::optional<StreamMachine::Info> info = context_.opened()->machine->Find(request->name());
        if (!info) return StreamNotFound(request->name());
        Write(*info, response->mutable_stream());
        return std::nullopt;
      });
}

grpc::ServerUnaryReactor* StreamServiceImpl::List(grpc::CallbackServerContext* call,
                                                  const v1::ListStreamsRequest* request,
                                                  v1::ListStreamsResponse* response) {
  return Answer(
      call, request->consistency(), [this, request, response]() -> std::optional<RpcError> {
        size_t size =
            request->page_size() == 0 ? kLargestPage : std::min(request->page_size(), kLargestPage);
        // The token is the last name of the page before.
        auto streams = context_.opened()->machine->List(request->page_token(), size + 1);
        for (size_t i = 0; i < std::min(size, streams.size()); ++i) {
          Write(streams[i], response->add_streams());
        }
        if (streams.size() > size) {
          response->set_next_page_token(streams[size - 1].definition.name);
        }
        return std::nullopt;
      });
}

}  // namespace

std::unique_ptr<grpc::Service> MakeStreamService(ServiceContext* context) {
  return std::make_unique<StreamServiceImpl>(context);
}

}  // namespace cairn

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
#include "service/reads/linearize.h"
#include "service/stream_wire.h"
#include "service/unary_call.h"

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

using CreateCall = UnaryCall<v1::CreateStreamRequest, v1::CreateStreamResponse>;
using GetCall = UnaryCall<v1::GetStreamRequest, v1::GetStreamResponse>;
using ListCall = UnaryCall<v1::ListStreamsRequest, v1::ListStreamsResponse>;

using RawStreams = v1::Streams::WithRawCallbackMethod_Create<v1::Streams::WithRawCallbackMethod_Get<
    v1::Streams::WithRawCallbackMethod_List<v1::Streams::Service>>>;

class StreamServiceImpl final : public RawStreams {
 public:
  explicit StreamServiceImpl(ServiceContext* context) : context_(*context) {}

  grpc::ServerUnaryReactor* Create(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override {
    return CreateCall::Start(context, request, response,
                             [this](CreateCall* call) { Handle(call); });
  }
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer* request,
                                grpc::ByteBuffer* response) override {
    return GetCall::Start(context, request, response, [this](GetCall* call) { Handle(call); });
  }
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const grpc::ByteBuffer* request,
                                 grpc::ByteBuffer* response) override {
    return ListCall::Start(context, request, response, [this](ListCall* call) { Handle(call); });
  }

 private:
  void Handle(CreateCall* call);
  void Handle(GetCall* call);
  void Handle(ListCall* call);

  // Answers a read: `fill` gives the response its fields, or the error, once it may.
  template <typename Call, typename Fill>
  void Answer(Call* call, Fill fill);

  ServiceContext& context_;
};

void StreamServiceImpl::Handle(CreateCall* call) {
  Instant deadline = DeadlineOf(call->context(), context_);
  OrError<StreamDefinition> definition = ReadDefinition(call->request().definition());
  std::optional<RpcError> error;
  if (auto* invalid = std::get_if<RpcError>(&definition)) error = std::move(*invalid);
  if (context_.opened() == nullptr) error = Starting();
  if (!error && context_.Now() >= deadline) error = DeadlineBeforeProposal();
  if (error) return call->End(std::move(error));
  std::string command = EncodeCreateStream(std::get<StreamDefinition>(definition));
  ProposeOptions options;
  options.deadline = deadline;
  options.forward = !MustNotForward(call->context());
  Group group = context_.opened()->group;
  group.Propose(std::move(command), std::move(options),
                [this, call, deadline, wanted = std::get<StreamDefinition>(std::move(definition))](
                    ProposalResult result) {
                  call->End(ReadCreated(context_, result, wanted, deadline, &call->response()));
                });
}

template <typename Call, typename Fill>
void StreamServiceImpl::Answer(Call* call, Fill fill) {
  OrError<Freshness> freshness = ReadFreshness(call->request());
  std::optional<RpcError> error;
  if (auto* invalid = std::get_if<RpcError>(&freshness)) error = std::move(*invalid);
  if (context_.opened() == nullptr) error = Starting();
  if (error) return call->End(std::move(error));
  Linearize(context_, std::get<Freshness>(freshness), DeadlineOf(call->context(), context_),
            [call, fill = std::move(fill)](std::optional<RpcError> refused) mutable {
              if (!refused) refused = fill();
              call->End(std::move(refused));
            });
}

void StreamServiceImpl::Handle(GetCall* call) {
  const std::string& name = call->request().name();
  if (absl::Status status = CheckStreamName(name); !status.ok()) {
    return call->End(InvalidField("name", status.message()));
  }
  Answer(call, [this, call, &name]() -> std::optional<RpcError> {
    std::optional<StreamMachine::Info> info = context_.opened()->machine->Find(name);
    if (!info) return StreamNotFound(name);
    Write(*info, call->response().mutable_stream());
    return std::nullopt;
  });
}

void StreamServiceImpl::Handle(ListCall* call) {
  Answer(call, [this, call]() -> std::optional<RpcError> {
    uint32_t wanted = call->request().page_size();
    size_t size = wanted == 0 ? kLargestPage : std::min(wanted, kLargestPage);
    // The token is the last name of the page before.
    auto streams = context_.opened()->machine->List(call->request().page_token(), size + 1);
    for (size_t i = 0; i < std::min(size, streams.size()); ++i) {
      Write(streams[i], call->response().add_streams());
    }
    if (streams.size() > size) {
      call->response().set_next_page_token(streams[size - 1].definition.name);
    }
    return std::nullopt;
  });
}

}  // namespace

std::unique_ptr<grpc::Service> MakeStreamService(ServiceContext* context) {
  return std::make_unique<StreamServiceImpl>(context);
}

}  // namespace cairn

#include "service/log_service.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "cairn/v1/streams.grpc.pb.h"
#include "service/append_stream.h"
#include "service/call_context.h"
#include "service/reads/linearize.h"
#include "service/reads/read_range.h"
#include "service/reads/read_stream.h"
#include "service/reads/subscription.h"
#include "service/stream_wire.h"
#include "service/unary_call.h"

namespace cairn {
namespace {

// Fills `response`, or gives the error.
std::optional<RpcError> ReadAppended(const ServiceContext& context, const ProposalResult& result,
                                     const v1::AppendRequest& request, Instant deadline,
                                     v1::AppendResponse* response) {
  if (const auto* refused = std::get_if<ProposalNotApplied>(&result)) {
    return context.Explain(*refused);
  }
  if (const auto* unknown = std::get_if<ProposalUnknown>(&result)) {
    return context.Explain(*unknown, request.session_id() != 0, deadline);
  }
  const auto& applied = std::get<ProposalApplied>(result);
  absl::StatusOr<StreamReply> reply = DecodeReply(applied.reply.view());
  if (reply.ok()) {
    if (const auto* refusal = std::get_if<RefusedReply>(&*reply)) {
      return ErrorOf(*refusal, request.stream());
    }
    if (const auto* appended = std::get_if<AppendedReply>(&*reply)) {
      response->set_first_sequence(appended->first_sequence);
      response->set_last_sequence(appended->last_sequence);
      response->set_index(applied.at.index);
      response->set_term(applied.at.term);
      response->set_duplicate(applied.duplicate);
      *response->mutable_time() = ToProto(appended->time);
      return std::nullopt;
    }
  }
  // The session number belongs to another kind of call.
  return context.Explain(
      ProposalNotApplied{ProposalNotApplied::Reason::kSessionNumberReused, NodeId::kNone, ""});
}

using AppendCall = UnaryCall<v1::AppendRequest, v1::AppendResponse>;
using ReadCall = UnaryCall<v1::ReadRequest, v1::ReadResponse>;

using RawLog = v1::Log::WithRawCallbackMethod_Append<
    v1::Log::WithRawCallbackMethod_Read<v1::Log::WithRawCallbackMethod_AppendStream<
        v1::Log::WithRawCallbackMethod_ReadRange<v1::Log::WithRawCallbackMethod_ReadStream<
            v1::Log::WithRawCallbackMethod_Subscribe<v1::Log::Service>>>>>>;

class LogServiceImpl final : public RawLog {
 public:
  explicit LogServiceImpl(ServiceContext* context) : context_(*context) {}

  grpc::ServerUnaryReactor* Append(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override {
    return AppendCall::Start(context, request, response,
                             [this](AppendCall* call) { Handle(call); });
  }
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* context,
                                 const grpc::ByteBuffer* request,
                                 grpc::ByteBuffer* response) override {
    return ReadCall::Start(context, request, response, [this](ReadCall* call) { Handle(call); });
  }
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* AppendStream(
      grpc::CallbackServerContext* call) override {
    return StartAppendStream(call, &context_);
  }
  grpc::ServerWriteReactor<grpc::ByteBuffer>* ReadRange(grpc::CallbackServerContext* call,
                                                        const grpc::ByteBuffer* request) override {
    return StartReadRange(call, request, &context_);
  }
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ReadStream(
      grpc::CallbackServerContext* call) override {
    return StartReadStream(call, &context_);
  }
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Subscribe(grpc::CallbackServerContext* call,
                                                        const grpc::ByteBuffer* request) override {
    return StartSubscription(call, request, &context_);
  }

 private:
  void Handle(AppendCall* call);
  void Handle(ReadCall* call);
  // Why the call cannot be proposed.
  std::optional<RpcError> CheckAppend(const v1::AppendRequest& request, Instant deadline) const;

  ServiceContext& context_;
};

std::optional<RpcError> LogServiceImpl::CheckAppend(const v1::AppendRequest& request,
                                                    Instant deadline) const {
  if (context_.opened() == nullptr) return Starting();
  if (context_.Now() >= deadline) return DeadlineBeforeProposal();
  if (absl::Status status = CheckStreamName(request.stream()); !status.ok()) {
    return InvalidField("stream", status.message());
  }
  if (request.session_id() != 0 && request.session_number() == 0) {
    return InvalidField("session_number", "sessions count from 1");
  }
  if (request.session_id() == 0 && request.session_number() != 0) {
    return InvalidField("session_number", "there is no session to count in");
  }
  return std::nullopt;
}

void LogServiceImpl::Handle(AppendCall* call) {
  const v1::AppendRequest& request = call->request();
  Instant deadline = DeadlineOf(call->context(), context_);
  if (auto error = CheckAppend(request, deadline)) return call->End(std::move(error));
  std::optional<uint64_t> expected;
  if (request.has_expected_last_sequence()) expected = request.expected_last_sequence();
  OrError<std::string> command =
      BuildAppend(request.stream(), request.messages(), expected, context_.limits());
  if (auto* error = std::get_if<RpcError>(&command)) return call->End(std::move(*error));
  auto& payload = std::get<std::string>(command);
  size_t bytes = payload.size();
  ProposeOptions options;
  options.deadline = deadline;
  options.forward = !MustNotForward(call->context());
  options.expected_term = request.expected_term();
  PreparedEntry entry =
      PreparedEntry::Make(EntryType::kCommand, std::move(payload),
                          {request.session_id(), request.session_number(), false});
  context_.AddPending(bytes);
  Group group = context_.opened()->group;
  group.Propose(
      std::move(entry), std::move(options), [this, call, deadline, bytes](ProposalResult result) {
        context_.RemovePending(bytes);
        call->End(ReadAppended(context_, result, call->request(), deadline, &call->response()));
      });
}

void LogServiceImpl::Handle(ReadCall* call) {
  if (context_.opened() == nullptr) return call->End(Starting());
  OrError<ReadPlan> plan = PlanRead(call->request());
  if (auto* invalid = std::get_if<RpcError>(&plan)) return call->End(std::move(*invalid));
  const Freshness freshness = std::get<ReadPlan>(plan).freshness;
  auto read = [this, call, plan = std::get<ReadPlan>(std::move(plan))](
                  std::optional<RpcError> refused) mutable {
    if (refused) return call->End(std::move(refused));
    // Reading the log may block, so it has threads of its own.
    context_.NextReader().Post([this, call, plan = std::move(plan)] {
      OrError<ReadProgress> progress =
          ReadMessages(*context_.opened()->machine, plan, plan.from, plan.max_messages,
                       call->response().mutable_messages());
      if (auto* failed = std::get_if<RpcError>(&progress)) return call->End(std::move(*failed));
      call->response().set_next_sequence(std::get<ReadProgress>(progress).next_sequence);
      call->response().set_last_sequence(std::get<ReadProgress>(progress).last_sequence);
      call->End(std::nullopt);
    });
  };
  Linearize(context_, freshness, DeadlineOf(call->context(), context_), std::move(read));
}

}  // namespace

std::unique_ptr<grpc::Service> MakeLogService(ServiceContext* context) {
  return std::make_unique<LogServiceImpl>(context);
}

}  // namespace cairn

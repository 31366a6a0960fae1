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
#include "service/grpc_status.h"
#include "service/linearize.h"
#include "service/read_stream.h"
#include "service/stream_wire.h"
#include "service/subscription.h"

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

class LogServiceImpl final : public v1::Log::CallbackService {
 public:
  explicit LogServiceImpl(ServiceContext* context) : context_(*context) {}

  grpc::ServerUnaryReactor* Append(grpc::CallbackServerContext* call,
                                   const v1::AppendRequest* request,
                                   v1::AppendResponse* response) override;
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* call, const v1::ReadRequest* request,
                                 v1::ReadResponse* response) override;

  grpc::ServerBidiReactor<v1::AppendStreamRequest, v1::AppendStreamResponse>* AppendStream(
      grpc::CallbackServerContext* call) override {
    return StartAppendStream(call, &context_);
  }
  grpc::ServerWriteReactor<v1::ReadResponse>* ReadRange(grpc::CallbackServerContext* call,
                                                        const v1::ReadRequest* request) override {
    return StartReadRange(call, request, &context_);
  }
  grpc::ServerWriteReactor<v1::SubscribeResponse>* Subscribe(
      grpc::CallbackServerContext* call, const v1::SubscribeRequest* request) override {
    return StartSubscription(call, request, &context_);
  }

 private:
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

grpc::ServerUnaryReactor* LogServiceImpl::Append(grpc::CallbackServerContext* call,
                                                 const v1::AppendRequest* request,
                                                 v1::AppendResponse* response) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  Instant deadline = DeadlineOf(*call, context_);
  if (auto error = CheckAppend(*request, deadline)) {
    reactor->Finish(ToGrpc(*error, *call));
    return reactor;
  }
  std::optional<uint64_t> expected;
  if (request->has_expected_last_sequence()) expected = request->expected_last_sequence();
  OrError<std::string> command =
      BuildAppend(request->stream(), request->messages(), expected, context_.limits());
  if (const auto* error = std::get_if<RpcError>(&command)) {
    reactor->Finish(ToGrpc(*error, *call));
    return reactor;
  }
  auto& payload = std::get<std::string>(command);
  size_t bytes = payload.size();
  ProposeOptions options;
  options.deadline = deadline;
  options.forward = !MustNotForward(*call);
  PreparedEntry entry =
      PreparedEntry::Make(EntryType::kCommand, std::move(payload),
                          {request->session_id(), request->session_number(), false});
  context_.AddPending(bytes);
  Group group = context_.opened()->group;
  group.Propose(std::move(entry), std::move(options),
                [this, call, request, response, reactor, deadline, bytes](ProposalResult result) {
                  context_.RemovePending(bytes);
                  auto error = ReadAppended(context_, result, *request, deadline, response);
                  reactor->Finish(error ? ToGrpc(*error, *call) : grpc::Status::OK);
                });
  return reactor;
}

grpc::ServerUnaryReactor* LogServiceImpl::Read(grpc::CallbackServerContext* call,
                                               const v1::ReadRequest* request,
                                               v1::ReadResponse* response) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  OrError<ReadPlan> plan = PlanRead(*request);
  std::optional<RpcError> error;
  if (context_.opened() == nullptr) error = Starting();
  if (auto* invalid = std::get_if<RpcError>(&plan); invalid && !error) error = std::move(*invalid);
  if (error) {
    reactor->Finish(ToGrpc(*error, *call));
    return reactor;
  }
  const bool linearizable = std::get<ReadPlan>(plan).linearizable;
  auto read = [this, call, response, reactor, plan = std::get<ReadPlan>(std::move(plan))](
                  std::optional<RpcError> refused) mutable {
    if (refused) {
      reactor->Finish(ToGrpc(*refused, *call));
      return;
    }
    // Reading the log may block, so it has threads of its own.
    context_.NextReader().Post([this, call, response, reactor, plan = std::move(plan)] {
      OrError<ReadProgress> progress =
          ReadMessages(*context_.opened()->machine, plan, plan.from, plan.max_messages,
                       response->mutable_messages());
      if (const auto* failed = std::get_if<RpcError>(&progress)) {
        reactor->Finish(ToGrpc(*failed, *call));
        return;
      }
      response->set_next_sequence(std::get<ReadProgress>(progress).next_sequence);
      response->set_last_sequence(std::get<ReadProgress>(progress).last_sequence);
      reactor->Finish(grpc::Status::OK);
    });
  };
  Linearize(context_, linearizable, DeadlineOf(*call, context_), std::move(read));
  return reactor;
}

}  // namespace

std::unique_ptr<grpc::Service> MakeLogService(ServiceContext* context) {
  return std::make_unique<LogServiceImpl>(context);
}

}  // namespace cairn

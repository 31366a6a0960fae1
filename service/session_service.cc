#include "service/session_service.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "cairn/v1/streams.grpc.pb.h"
#include "service/call_context.h"
#include "service/unary_call.h"

namespace cairn {
namespace {

constexpr size_t kMaxClientNameBytes = 255;

using OpenCall = UnaryCall<v1::OpenSessionRequest, v1::OpenSessionResponse>;
using CloseCall = UnaryCall<v1::CloseSessionRequest, v1::CloseSessionResponse>;

using RawSessions = v1::Sessions::WithRawCallbackMethod_Open<
    v1::Sessions::WithRawCallbackMethod_Close<v1::Sessions::Service>>;

class SessionServiceImpl final : public RawSessions {
 public:
  explicit SessionServiceImpl(ServiceContext* context) : context_(*context) {}

  grpc::ServerUnaryReactor* Open(grpc::CallbackServerContext* context,
                                 const grpc::ByteBuffer* request,
                                 grpc::ByteBuffer* response) override {
    return OpenCall::Start(context, request, response, [this](OpenCall* call) { Handle(call); });
  }
  grpc::ServerUnaryReactor* Close(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override {
    return CloseCall::Start(context, request, response, [this](CloseCall* call) { Handle(call); });
  }

 private:
  void Handle(OpenCall* call) {
    std::optional<RpcError> invalid;
    if (call->request().client_name().size() > kMaxClientNameBytes) {
      invalid = InvalidField("client_name",
                             absl::StrCat("it is longer than ", kMaxClientNameBytes, " bytes"));
    }
    Propose(
        call, std::move(invalid),
        [call](Group& group, ProposeOptions options, ProposalCallback done) {
          group.OpenSession(call->request().client_name(), std::move(options), std::move(done));
        },
        [call](const ProposalApplied& applied) {
          call->response().set_session_id(applied.at.index);
        });
  }

  void Handle(CloseCall* call) {
    std::optional<RpcError> invalid;
    uint64_t id = call->request().session_id();
    if (id == 0) invalid = InvalidField("session_id", "sessions count from 1");
    Propose(
        call, std::move(invalid),
        [id](Group& group, ProposeOptions options, ProposalCallback done) {
          group.CloseSession(id, std::move(options), std::move(done));
        },
        [](const ProposalApplied&) {});
  }

  template <typename Call, typename Make, typename Fill>
  void Propose(Call* call, std::optional<RpcError> error, Make propose, Fill fill) {
    Instant deadline = DeadlineOf(call->context(), context_);
    if (context_.opened() == nullptr) error = Starting();
    if (!error && context_.Now() >= deadline) error = DeadlineBeforeProposal();
    if (error) return call->End(std::move(error));
    ProposeOptions options;
    options.deadline = deadline;
    options.forward = !MustNotForward(call->context());
    Group group = context_.opened()->group;
    propose(group, std::move(options), [this, call, deadline, fill](ProposalResult result) {
      std::optional<RpcError> failed;
      if (const auto* refused = std::get_if<ProposalNotApplied>(&result)) {
        failed = context_.Explain(*refused);
      } else if (const auto* unknown = std::get_if<ProposalUnknown>(&result)) {
        // Repeating it is harmless: at worst a session nobody uses is left over.
        failed = context_.Explain(*unknown, true, deadline);
      } else {
        fill(std::get<ProposalApplied>(result));
      }
      call->End(std::move(failed));
    });
  }

  ServiceContext& context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSessionService(ServiceContext* context) {
  return std::make_unique<SessionServiceImpl>(context);
}

}  // namespace cairn

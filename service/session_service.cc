#include "service/session_service.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "cairn/v1/streams.grpc.pb.h"
#include "service/call_context.h"
#include "service/grpc_status.h"

namespace cairn {
namespace {

constexpr size_t kMaxClientNameBytes = 255;

class SessionServiceImpl final : public v1::Sessions::CallbackService {
 public:
  explicit SessionServiceImpl(ServiceContext* context) : context_(*context) {}

  grpc::ServerUnaryReactor* Open(grpc::CallbackServerContext* call,
                                 const v1::OpenSessionRequest* request,
                                 v1::OpenSessionResponse* response) override {
    std::optional<RpcError> invalid;
    if (request->client_name().size() > kMaxClientNameBytes) {
      invalid = InvalidField("client_name",
                             absl::StrCat("it is longer than ", kMaxClientNameBytes, " bytes"));
    }
    return Propose(
        call, std::move(invalid),
        [name = request->client_name()](Group& group, ProposeOptions options,
                                        ProposalCallback done) {
          group.OpenSession(name, std::move(options), std::move(done));
        },
        [response](const ProposalApplied& applied) { response->set_session_id(applied.at.index); });
  }

  grpc::ServerUnaryReactor* Close(grpc::CallbackServerContext* call,
                                  const v1::CloseSessionRequest* request,
                                  v1::CloseSessionResponse*) override {
    std::optional<RpcError> invalid;
    if (request->session_id() == 0) invalid = InvalidField("session_id", "sessions count from 1");
    return Propose(
        call, std::move(invalid),
        [id = request->session_id()](Group& group, ProposeOptions options, ProposalCallback done) {
          group.CloseSession(id, std::move(options), std::move(done));
        },
        [](const ProposalApplied&) {});
  }

 private:
  template <typename Call, typename Fill>
  grpc::ServerUnaryReactor* Propose(grpc::CallbackServerContext* call,
                                    std::optional<RpcError> error, Call propose, Fill fill) {
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    Instant deadline = DeadlineOf(*call, context_);
    if (context_.opened() == nullptr) error = Starting();
    if (!error && context_.Now() >= deadline) error = DeadlineBeforeProposal();
    if (error) {
      reactor->Finish(ToGrpc(*error, *call));
      return reactor;
    }
    ProposeOptions options;
    options.deadline = deadline;
    options.forward = !MustNotForward(*call);
    Group group = context_.opened()->group;
    propose(group, std::move(options),
            [this, call, reactor, deadline, fill](ProposalResult result) {
              std::optional<RpcError> failed;
              if (const auto* refused = std::get_if<ProposalNotApplied>(&result)) {
                failed = context_.Explain(*refused);
              } else if (const auto* unknown = std::get_if<ProposalUnknown>(&result)) {
                // Repeating it is harmless: at worst a session nobody uses is left over.
                failed = context_.Explain(*unknown, true, deadline);
              } else {
                fill(std::get<ProposalApplied>(result));
              }
              reactor->Finish(failed ? ToGrpc(*failed, *call) : grpc::Status::OK);
            });
    return reactor;
  }

  ServiceContext& context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSessionService(ServiceContext* context) {
  return std::make_unique<SessionServiceImpl>(context);
}

}  // namespace cairn

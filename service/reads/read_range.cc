#include "service/reads/read_range.h"

#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "service/call_context.h"
#include "service/reads/linearize.h"
#include "service/reads/write_chain.h"
#include "service/stream_wire.h"

namespace cairn {
namespace {

class ReadRangeCall final : public WriteChain<v1::ReadResponse> {
 public:
  using WriteChain::WriteChain;

  void Start(const v1::ReadRequest& request) {
    if (context().opened() == nullptr) {
      EndWith(Starting());
      return;
    }
    OrError<ReadPlan> plan = PlanRead(request);
    if (const auto* error = std::get_if<RpcError>(&plan)) {
      EndWith(*error);
      return;
    }
    plan_ = std::get<ReadPlan>(std::move(plan));
    next_ = plan_.from;
    left_ = plan_.max_messages;
    auto self = std::static_pointer_cast<ReadRangeCall>(shared_from_this());
    Linearize(context(), plan_.freshness, DeadlineOf(call(), context()),
              [self](std::optional<RpcError> error) {
                if (error) {
                  self->EndWith(*error);
                } else {
                  self->Wake();
                }
              });
  }

 private:
  Step Next(v1::ReadResponse* response, std::optional<RpcError>* error) override {
    while (!ending()) {
      if (end_ && (next_ > *end_ || left_ == 0)) return Step::kFinish;
      OrError<ReadProgress> read = ReadMessages(*context().opened()->machine, plan_, next_, left_,
                                                response->mutable_messages());
      if (auto* failed = std::get_if<RpcError>(&read)) {
        *error = std::move(*failed);
        return Step::kFinish;
      }
      const auto& progress = std::get<ReadProgress>(read);
      if (!end_) end_ = progress.last_sequence;
      // Nothing is left, or was there.
      if (end_ && next_ == progress.next_sequence) end_ = next_ - 1;
      next_ = progress.next_sequence;
      left_ -= static_cast<uint64_t>(response->messages_size());
      response->set_next_sequence(next_);
      response->set_last_sequence(progress.last_sequence);
      // Little found in much: the client hears of it only at the end.
      if (response->messages_size() > 0 || next_ > *end_) return Step::kWrite;
    }
    return Step::kWait;
  }

  ReadPlan plan_;
  uint64_t next_ = 0;
  uint64_t left_ = 0;
  std::optional<uint64_t> end_;  // last sequence of the stream when the first step was made
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartReadRange(grpc::CallbackServerContext* call,
                                                           const grpc::ByteBuffer* request,
                                                           ServiceContext* context) {
  auto range = std::make_shared<ReadRangeCall>(call, context);
  ReadRangeCall::Begin(range, *request, &ReadRangeCall::Start);
  return range.get();
}

}  // namespace cairn

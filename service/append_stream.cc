#include "service/append_stream.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "service/append_pipeline.h"
#include "service/call_context.h"
#include "service/grpc_status.h"
#include "service/one_request.h"

namespace cairn {
namespace {

// Reads go on while earlier batches are under way; answers are collected while a response is being
// written, so many batches share one response.
//
// Whatever happens is noted under the lock, then one thread at a time drives: it decides what to
// start next and starts it outside the lock. So gRPC's operations never overlap, and a result that
// comes from within a proposal finds no lock held.
//
// Order: batches with a session are proposed in order (SessionCall::in_order), wherever they go.
// Without one only proposals made on the leader itself keep their order while they are pipelined;
// what has to be forwarded waits until what went before is answered.
class AppendStreamCall final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                               public std::enable_shared_from_this<AppendStreamCall> {
 public:
  AppendStreamCall(grpc::CallbackServerContext* call, ServiceContext* context)
      : call_(*call),
        context_(*context),
        deadline_(HasDeadline(*call) ? std::optional(DeadlineOf(*call, *context)) : std::nullopt),
        may_forward_(!MustNotForward(*call)),
        pipeline_(context->limits(),
                  [this](const ProposalResult& result) { return Explain(result); }) {}

  void Start(std::shared_ptr<AppendStreamCall> self) {
    self_ = std::move(self);
    if (context_.opened() == nullptr) {
      End(Starting());
      return;
    }
    entry_ = context_.endless_calls().Add([weak = weak_from_this()] {
      if (auto stream = weak.lock()) stream->End(Stopping());
    });
    Drive();
  }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override { End(std::nullopt); }
  void OnDone() override {
    entry_.reset();
    self_.reset();
  }

 private:
  struct Next {
    std::vector<PreparedEntry> entries;
    uint64_t first = 0;
    bool forward = false;
    Term expected_term = 0;
    bool read = false;
    bool write = false;
    std::optional<grpc::Status> finish;
  };

  RpcError Explain(const ProposalResult& result) const CAIRN_NO_THREAD_SAFETY_ANALYSIS;
  void Drive();
  Next Decide() CAIRN_REQUIRES(mutex_);
  void DecideProposal(Next* next) CAIRN_REQUIRES(mutex_);
  void Propose(Next* next);
  void OnResults(uint64_t first, Instant deadline, std::vector<ProposalResult> results);
  // Ends the call with `error`, or as cancelled, without waiting for answers.
  void End(std::optional<RpcError> error);

  grpc::CallbackServerContext& call_;
  ServiceContext& context_;
  const std::optional<Instant> deadline_;  // of the whole call
  const bool may_forward_;
  const std::shared_ptr<ProposalOrder> order_ = std::make_shared<ProposalOrder>();
  struct {
    grpc::ByteBuffer bytes;
    v1::AppendStreamRequest request;
  } read_;  // the reader's
  struct {
    v1::AppendStreamResponse response;
    grpc::ByteBuffer bytes;
  } written_;  // the writer's
  std::unique_ptr<CallRegistry::Entry> entry_;
  std::shared_ptr<AppendStreamCall> self_;  // until OnDone

  Mutex mutex_;
  AppendPipeline pipeline_ CAIRN_GUARDED_BY(mutex_);
  AppendPipeline::Taken held_ CAIRN_GUARDED_BY(mutex_);  // taken and not yet proposed
  uint64_t proposed_ CAIRN_GUARDED_BY(mutex_) = 0;       // and not yet answered
  Instant answered_deadline_ CAIRN_GUARDED_BY(mutex_);   // of the results being noted
  // What is under way.
  enum class Reading { kIdle, kReading, kAllRead };
  Reading reading_ CAIRN_GUARDED_BY(mutex_) = Reading::kIdle;
  bool writing_ CAIRN_GUARDED_BY(mutex_) = false;
  bool driving_ CAIRN_GUARDED_BY(mutex_) = false;
  bool drive_again_ CAIRN_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_ CAIRN_GUARDED_BY(mutex_);
  bool ended_ CAIRN_GUARDED_BY(mutex_) = false;
};

// Called by the pipeline, which is called under the lock.
RpcError AppendStreamCall::Explain(const ProposalResult& result) const {
  if (const auto* refused = std::get_if<ProposalNotApplied>(&result)) {
    return context_.Explain(*refused);
  }
  return context_.Explain(std::get<ProposalUnknown>(result), pipeline_.has_session(),
                          answered_deadline_);
}

void AppendStreamCall::OnReadDone(bool ok) {
  std::optional<RpcError> error;
  if (ok) error = ParseRequest(read_.bytes, &read_.request);
  {
    MutexLock lock(mutex_);
    reading_ = ok ? Reading::kIdle : Reading::kAllRead;
    if (error) {
      pipeline_.Refuse(*std::move(error));
    } else if (ok && !ended_) {
      AppendPipeline::Taken taken = pipeline_.Take(read_.request);
      if (held_.entries.empty()) {
        held_ = std::move(taken);
      } else {
        std::move(taken.entries.begin(), taken.entries.end(), std::back_inserter(held_.entries));
        held_.bytes += taken.bytes;
      }
    }
  }
  Drive();
}

void AppendStreamCall::OnWriteDone(bool ok) {
  {
    MutexLock lock(mutex_);
    writing_ = false;
    if (!ok && !end_) end_ = grpc::Status::CANCELLED;
  }
  Drive();
}

void AppendStreamCall::OnResults(uint64_t first, Instant deadline,
                                 std::vector<ProposalResult> results) {
  {
    MutexLock lock(mutex_);
    proposed_ -= results.size();
    answered_deadline_ = deadline;
    context_.RemovePending(pipeline_.Answer(first, std::move(results)));
  }
  Drive();
}

void AppendStreamCall::End(std::optional<RpcError> error) {
  {
    MutexLock lock(mutex_);
    if (!end_) end_ = error ? ToGrpc(*error, call_) : grpc::Status::CANCELLED;
  }
  Drive();
}

void AppendStreamCall::Drive() {
  {
    MutexLock lock(mutex_);
    drive_again_ = true;
    if (driving_) return;
    driving_ = true;
  }
  while (true) {
    Next next;
    {
      MutexLock lock(mutex_);
      if (!std::exchange(drive_again_, false)) {
        driving_ = false;
        return;
      }
      next = Decide();
    }
    if (next.write) {
      written_.bytes = Serialize(written_.response);
      StartWrite(&written_.bytes);
    }
    if (!next.entries.empty()) Propose(&next);
    if (next.read) StartRead(&read_.bytes);
    if (next.finish) Finish(*next.finish);
  }
}

AppendStreamCall::Next AppendStreamCall::Decide() {
  Next next;
  if (ended_) return next;
  if (end_) {
    ended_ = true;
    next.finish = std::move(end_);
    return next;
  }
  DecideProposal(&next);
  if (!writing_ && pipeline_.Collect(&written_.response)) {
    writing_ = true;
    next.write = true;
  }
  bool done = pipeline_.failure() || (reading_ == Reading::kAllRead && pipeline_.idle());
  if (done && !writing_) {
    ended_ = true;
    next.finish = pipeline_.failure() ? ToGrpc(*pipeline_.failure(), call_) : grpc::Status::OK;
    return next;
  }
  if (reading_ == Reading::kIdle && !pipeline_.closed() && !pipeline_.full()) {
    reading_ = Reading::kReading;
    next.read = true;
  }
  return next;
}

void AppendStreamCall::DecideProposal(Next* next) {
  bool here = context_.leads() && !pipeline_.has_session();
  bool pipelined = here || pipeline_.has_session();
  if (held_.entries.empty() || pipeline_.failure() || (!pipelined && proposed_ > 0)) return;
  next->entries = std::move(held_.entries);
  next->first = held_.first;
  next->forward = may_forward_ && !here;
  next->expected_term = pipeline_.expected_term();
  context_.AddPending(held_.bytes);
  held_ = {};
  proposed_ += next->entries.size();
}

void AppendStreamCall::Propose(Next* next) {
  ProposeOptions options;
  Instant deadline = deadline_.value_or(context_.Now() + context_.limits().default_deadline);
  options.deadline = deadline;
  options.forward = next->forward;
  options.expected_term = next->expected_term;
  options.order = order_;
  Group group = context_.opened()->group;
  group.ProposeBatch(std::move(next->entries), std::move(options),
                     [self = shared_from_this(), first = next->first, deadline](
                         size_t offset, std::vector<ProposalResult> results) {
                       self->OnResults(first + offset, deadline, std::move(results));
                     });
}

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartAppendStream(
    grpc::CallbackServerContext* call, ServiceContext* context) {
  auto stream = std::make_shared<AppendStreamCall>(call, context);
  AppendStreamCall* reactor = stream.get();
  reactor->Start(std::move(stream));
  return reactor;
}

}  // namespace cairn

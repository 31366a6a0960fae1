#include "service/service_context.h"

#include <utility>

#include "base/check.h"

namespace cairn {

ServiceContext::ServiceContext(ServiceOptions options) : options_(std::move(options)) {
  CAIRN_CHECK(!options_.readers.empty());
}

void ServiceContext::Open(Group group, StreamMachine* machine) {
  CAIRN_CHECK(opened_storage_ == nullptr);
  opened_storage_ = std::make_unique<Opened>(Opened{group, machine});
  group.WatchLeadership([standing = standing_](const GroupStatus& status) {
    standing->leads.store(status.serving_leader, std::memory_order_relaxed);
    auto copy = std::make_shared<const GroupStatus>(status);
    MutexLock lock(standing->mutex);
    standing->status = std::move(copy);
  });
  opened_.store(opened_storage_.get(), std::memory_order_release);
}

void ServiceContext::Stop() {
  stopping_.store(true, std::memory_order_relaxed);
  endless_calls_.Stop();
}

std::shared_ptr<const GroupStatus> ServiceContext::standing() const {
  MutexLock lock(standing_->mutex);
  return standing_->status;
}

Executor& ServiceContext::NextReader() {
  uint64_t n = next_reader_.fetch_add(1, std::memory_order_relaxed);
  return *options_.readers[n % options_.readers.size()];
}

ErrorContext ServiceContext::MakeErrorContext(const GroupStatus* group) const {
  ErrorContext context;
  context.group = group;
  context.election_timeout = options_.election_timeout;
  context.max_entry_bytes = options_.limits.max_batch_bytes;
  context.pending_bytes = pending_bytes_.load(std::memory_order_relaxed);
  return context;
}

RpcError ServiceContext::Explain(const ProposalNotApplied& refusal) const {
  std::shared_ptr<const GroupStatus> group = standing();
  return ErrorOf(refusal, MakeErrorContext(group.get()));
}

RpcError ServiceContext::Explain(const ProposalUnknown& unknown, bool has_session,
                                 Instant deadline) const {
  std::shared_ptr<const GroupStatus> group = standing();
  ErrorContext context = MakeErrorContext(group.get());
  context.has_session = has_session;
  context.deadline_passed = Now() >= deadline;
  return ErrorOf(unknown, context);
}

RpcError ServiceContext::Explain(const ControlRefused& refusal) const {
  // Who leads may be a member that was added since leadership last changed.
  const GroupStatus group = opened()->group.Status();
  return ErrorOf(refusal, MakeErrorContext(&group));
}

RpcError ServiceContext::Explain(const ReadRefused& refusal) const {
  std::shared_ptr<const GroupStatus> group = standing();
  return ErrorOf(refusal, MakeErrorContext(group.get()));
}

}  // namespace cairn

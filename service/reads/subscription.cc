#include "service/reads/subscription.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "service/call_context.h"
#include "service/reads/linearize.h"
#include "service/reads/write_chain.h"
#include "service/stream_wire.h"

namespace cairn {
namespace {

constexpr Duration kDefaultHeartbeat = Seconds(10);
constexpr Duration kShortestHeartbeat = Milliseconds(100);
constexpr Duration kLongestHeartbeat = Seconds(3600);
constexpr uint64_t kDefaultBatchMessages = 1000;
constexpr size_t kBatchBytes = size_t{256} << 10;

struct SubscriptionPlan {
  ReadPlan read;
  v1::SubscribeStart start = v1::SUBSCRIBE_START_FIRST;
  Duration heartbeat = kDefaultHeartbeat;
};

OrError<SubscriptionPlan> PlanSubscription(const v1::SubscribeRequest& request) {
  SubscriptionPlan plan;
  plan.read.stream = request.stream();
  if (absl::Status status = CheckStreamName(request.stream()); !status.ok()) {
    return InvalidField("stream", status.message());
  }
  OrError<SubjectFilters> filters = ReadFilters(request.subject_filters());
  if (auto* error = std::get_if<RpcError>(&filters)) return std::move(*error);
  plan.read.filters = std::get<SubjectFilters>(std::move(filters));
  plan.read.max_bytes = kBatchBytes;
  plan.read.max_messages =
      request.max_batch_messages() == 0 ? kDefaultBatchMessages : request.max_batch_messages();
  if (request.start() != v1::SUBSCRIBE_START_UNSPECIFIED) plan.start = request.start();
  bool at_sequence = plan.start == v1::SUBSCRIBE_START_SEQUENCE;
  if (!v1::SubscribeStart_IsValid(plan.start)) {
    return InvalidField("start", absl::StrCat("unknown start ", static_cast<int>(plan.start)));
  }
  if (at_sequence != (request.from_sequence() != 0)) {
    return InvalidField("from_sequence",
                        at_sequence ? "sequences count from 1" : "the start is not at a sequence");
  }
  plan.read.from = at_sequence ? request.from_sequence() : 1;
  if (request.has_heartbeat()) {
    plan.heartbeat = Seconds(std::clamp<int64_t>(request.heartbeat().seconds(), -1, 4000)) +
                     Nanoseconds(request.heartbeat().nanos());
    if (plan.heartbeat < kShortestHeartbeat || plan.heartbeat > kLongestHeartbeat) {
      return InvalidField("heartbeat", "it is between 100 ms and 1 h");
    }
  }
  return plan;
}

class Subscription final : public WriteChain<v1::SubscribeResponse> {
 public:
  using WriteChain::WriteChain;

  void Start(const v1::SubscribeRequest& request) {
    if (context().opened() == nullptr) {
      EndWith(Starting());
      return;
    }
    OrError<SubscriptionPlan> plan = PlanSubscription(request);
    if (const auto* error = std::get_if<RpcError>(&plan)) {
      EndWith(*error);
      return;
    }
    plan_ = std::get<SubscriptionPlan>(std::move(plan));
    // What is there can be sent at once; what is not there, or not known to be the newest, only
    // after a quorum was asked.
    bool ask = plan_.start == v1::SUBSCRIBE_START_NEW || !machine().Find(plan_.read.stream);
    auto self = std::static_pointer_cast<Subscription>(shared_from_this());
    Linearize(context(), Freshness{.any = !ask},
              context().Now() + context().limits().default_deadline,
              [self](std::optional<RpcError> error) { self->Subscribe(std::move(error)); });
  }

 private:
  StreamMachine& machine() { return *context().opened()->machine; }

  void Subscribe(std::optional<RpcError> error) {
    if (error) {
      EndWith(*error);
      return;
    }
    auto weak = weak_from_this();
    auto watch = machine().WatchAppends(plan_.read.stream, [weak] {
      if (auto chain = weak.lock()) chain->Wake();
    });
    if (watch == nullptr) {
      EndWith(StreamNotFound(plan_.read.stream));
      return;
    }
    next_ = plan_.start == v1::SUBSCRIBE_START_NEW
                ? machine().Find(plan_.read.stream)->state.last_sequence + 1
                : plan_.read.from;
    {
      MutexLock lock(watch_mutex_);
      if (!done_) watch_ = std::move(watch);
    }
    Wake();
  }

  Step Next(v1::SubscribeResponse* response, std::optional<RpcError>* error) override {
    Instant now = context().Now();
    if (!greeted_) {
      greeted_ = true;
      return WriteProgress(response, now);
    }
    uint64_t last = machine().Find(plan_.read.stream)->state.last_sequence;
    while (next_ <= last && !ending()) {
      OrError<ReadProgress> read =
          ReadMessages(machine(), plan_.read, next_, plan_.read.max_messages,
                       response->mutable_batch()->mutable_messages());
      if (auto* failed = std::get_if<RpcError>(&read)) {
        *error = std::move(*failed);
        return Step::kFinish;
      }
      uint64_t read_from = std::exchange(next_, std::get<ReadProgress>(read).next_sequence);
      if (response->batch().messages_size() > 0) {
        last_sent_ = now;
        return Step::kWrite;
      }
      if (next_ == read_from) break;  // nothing new; the watch will tell
    }
    if (now - last_sent_ >= plan_.heartbeat) return WriteProgress(response, now);
    return Step::kWait;
  }

  Step WriteProgress(v1::SubscribeResponse* response, Instant now) {
    last_sent_ = now;
    response->mutable_progress()->set_sequence(next_ - 1);
    response->mutable_progress()->set_applied_index(machine().applied_index());
    return Step::kWrite;
  }

  Duration TickInterval() const override {
    return std::min(plan_.heartbeat, WriteChain::TickInterval());
  }
  void TimePassed() override {
    MutexLock lock(watch_mutex_);
    if (watch_ != nullptr) Wake();
  }

  // Not from within a call of the watch: that would wait for itself.
  void Done() override {
    std::unique_ptr<StreamMachine::Watch> watch;
    MutexLock lock(watch_mutex_);
    done_ = true;
    watch = std::move(watch_);
  }

  SubscriptionPlan plan_;
  // Of the steps.
  uint64_t next_ = 1;
  bool greeted_ = false;
  Instant last_sent_;

  Mutex watch_mutex_;
  bool done_ CAIRN_GUARDED_BY(watch_mutex_) = false;
  std::unique_ptr<StreamMachine::Watch> watch_ CAIRN_GUARDED_BY(watch_mutex_);
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartSubscription(grpc::CallbackServerContext* call,
                                                              const grpc::ByteBuffer* request,
                                                              ServiceContext* context) {
  auto subscription = std::make_shared<Subscription>(call, context);
  Subscription::Begin(subscription, *request, &Subscription::Start);
  return subscription.get();
}

}  // namespace cairn

#include "service/reads/read_stream.h"

#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "service/call_context.h"
#include "service/one_request.h"
#include "service/reads/linearize.h"
#include "service/reads/write_chain.h"
#include "service/stream_wire.h"

namespace cairn {
namespace {

using BidiReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// Nothing is added to a response that is so large. One answer may be of 3 MiB, and clients take 4.
constexpr size_t kResponseBytes = size_t{512} << 10;

// A request's reads of one freshness go to the group together, and are answered on the chain's
// executor once they may be; those that are ready by then share a response. Requests are read only
// between writes and while not too much is unanswered: so what a call holds is bounded, however
// slow its client is.
class ReadStreamCall final : public WriteChain<v1::ReadStreamResponse, BidiReactor> {
 public:
  using WriteChain::WriteChain;

  void OnReadDone(bool ok) override {
    std::optional<RpcError> error;
    if (ok) error = ParseRequest(bytes_read_, &request_);
    if (ok && !error) error = Take();
    {
      MutexLock lock(mutex_);
      reading_ = ok ? Reading::kIdle : Reading::kAllRead;
    }
    if (error) {
      EndWith(*std::move(error));
    } else {
      Wake();
    }
  }

 private:
  struct Read {
    uint64_t id = 0;
    std::variant<ReadPlan, RpcError> todo;  // the error is its answer
  };
  using Reads = std::vector<Read>;

  // The request's reads, which are ready once they are fresh enough.
  std::optional<RpcError> Take();
  void Ready(Reads reads);

  Step Next(v1::ReadStreamResponse* response, std::optional<RpcError>* error) override;
  void ReadMore();
  std::optional<Read> TakeReady();
  void Answer(const Read& read, v1::StreamedAnswer* answer);

  grpc::ByteBuffer bytes_read_;    // the reader's
  v1::ReadStreamRequest request_;  // the reader's

  Mutex mutex_;
  enum class Reading { kIdle, kReading, kAllRead };
  Reading reading_ CAIRN_GUARDED_BY(mutex_) = Reading::kIdle;
  std::deque<Read> ready_ CAIRN_GUARDED_BY(mutex_);
  uint64_t unanswered_ CAIRN_GUARDED_BY(mutex_) = 0;  // taken; in ready_ or not yet
};

std::optional<RpcError> ReadStreamCall::Take() {
  const auto count = static_cast<uint64_t>(request_.reads_size());
  if (const uint64_t most = context().limits().stream_inflight_reads; count > most) {
    return InvalidField("reads", absl::StrCat(count, " in one request; at most ", most));
  }
  {
    MutexLock lock(mutex_);
    unanswered_ += count;
  }
  Reads refused;
  // Seldom more than one.
  std::vector<std::pair<Freshness, Reads>> groups;
  for (const v1::StreamedRead& read : request_.reads()) {
    OrError<ReadPlan> plan = PlanRead(read.request());
    if (auto* invalid = std::get_if<RpcError>(&plan)) {
      refused.push_back({read.id(), std::move(*invalid)});
      continue;
    }
    const Freshness& freshness = std::get<ReadPlan>(plan).freshness;
    auto group = groups.begin();
    while (group != groups.end() && group->first != freshness) ++group;
    if (group == groups.end()) group = groups.insert(group, {freshness, {}});
    group->second.push_back({read.id(), std::get<ReadPlan>(std::move(plan))});
  }
  if (!refused.empty()) Ready(std::move(refused));
  const Instant deadline = DeadlineOf(call(), context());
  auto self = std::static_pointer_cast<ReadStreamCall>(shared_from_this());
  for (auto& [freshness, reads] : groups) {
    Linearize(context(), freshness, deadline,
              [self, reads = std::move(reads)](std::optional<RpcError> error) mutable {
                if (error) {
                  for (Read& read : reads) read.todo = *error;
                }
                self->Ready(std::move(reads));
              });
  }
  return std::nullopt;
}

void ReadStreamCall::Ready(Reads reads) {
  {
    MutexLock lock(mutex_);
    for (Read& read : reads) ready_.push_back(std::move(read));
  }
  Wake();
}

// Steps are made one after the other and none behind the last: nothing is begun on a call that has
// ended.
ReadStreamCall::Step ReadStreamCall::Next(v1::ReadStreamResponse* response,
                                          std::optional<RpcError>* error) {
  if (context().opened() == nullptr) {
    *error = Starting();
    return Step::kFinish;
  }
  size_t bytes = 0;
  while (bytes < kResponseBytes) {
    const std::optional<Read> read = TakeReady();
    if (!read) break;
    v1::StreamedAnswer* answer = response->add_answers();
    Answer(*read, answer);
    bytes += answer->ByteSizeLong();
  }
  ReadMore();
  if (response->answers_size() > 0) return Step::kWrite;
  MutexLock lock(mutex_);
  return reading_ == Reading::kAllRead && unanswered_ == 0 ? Step::kFinish : Step::kWait;
}

void ReadStreamCall::ReadMore() {
  {
    MutexLock lock(mutex_);
    if (reading_ != Reading::kIdle || unanswered_ >= context().limits().stream_inflight_reads) {
      return;
    }
    reading_ = Reading::kReading;
  }
  StartRead(&bytes_read_);
}

std::optional<ReadStreamCall::Read> ReadStreamCall::TakeReady() {
  MutexLock lock(mutex_);
  if (ready_.empty()) return std::nullopt;
  Read read = std::move(ready_.front());
  ready_.pop_front();
  --unanswered_;
  return read;
}

void ReadStreamCall::Answer(const Read& read, v1::StreamedAnswer* answer) {
  answer->set_id(read.id);
  if (const auto* refused = std::get_if<RpcError>(&read.todo)) {
    return Write(*refused, answer->mutable_failure());
  }
  const auto& plan = std::get<ReadPlan>(read.todo);
  v1::ReadResponse& found = *answer->mutable_response();
  OrError<ReadProgress> progress = ReadMessages(*context().opened()->machine, plan, plan.from,
                                                plan.max_messages, found.mutable_messages());
  if (const auto* failed = std::get_if<RpcError>(&progress)) {
    return Write(*failed, answer->mutable_failure());
  }
  found.set_next_sequence(std::get<ReadProgress>(progress).next_sequence);
  found.set_last_sequence(std::get<ReadProgress>(progress).last_sequence);
}

}  // namespace

BidiReactor* StartReadStream(grpc::CallbackServerContext* call, ServiceContext* context) {
  auto stream = std::make_shared<ReadStreamCall>(call, context);
  ReadStreamCall::BeginStream(stream);
  return stream.get();
}

}  // namespace cairn

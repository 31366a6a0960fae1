#include "client/appender.h"

#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "cairn/v1/streams.grpc.pb.h"
#include "client/append_window.h"
#include "client/errors.h"
#include "client/grpc_status.h"
#include "client/retry.h"
#include "client/stream_call.h"
#include "grpcpp/grpcpp.h"

namespace cairn {
namespace {

// About what one gRPC message carries: enough to make its fixed cost small, little enough that the
// first acknowledgement does not wait for long.
constexpr size_t kRequestBytes = size_t{128} << 10;

class StreamAppender final : public Appender, public AppendCall::Observer {
 public:
  StreamAppender(Channels& channels, const std::string& stream, const ClientOptions& client_options,
                 const AppenderOptions& options)
      : channels_(channels),
        stream_(stream),
        name_(client_options.name),
        timeout_(absl::Nanoseconds(client_options.timeout.nanoseconds)),
        expected_term_(options.expected_term),
        window_(options),
        connector_([this] { KeepConnected(); }) {}

  ~StreamAppender() override {
    {
      MutexLock lock(mutex_);
      stopping_ = true;
      changed_.NotifyAll();
    }
    connector_.join();
  }

  void Append(v1::NewMessage message, Done done) override {
    std::shared_ptr<AppendCall> call;
    {
      MutexLock lock(mutex_);
      while (!window_.HasRoom()) has_room_.Wait(mutex_);
      if (window_.empty()) last_progress_ = absl::Now();
      window_.Add(std::move(message), std::move(done));
      ++unreported_;
      call = call_;
      if (call == nullptr) changed_.NotifyAll();
    }
    if (call != nullptr) call->Send();
  }

  absl::Status Flush() override {
    MutexLock lock(mutex_);
    while (unreported_ > 0) all_reported_.Wait(mutex_);
    return std::exchange(first_error_, absl::OkStatus());
  }

  // --- AppendCall::Observer: on gRPC's threads ---

  bool NextRequest(v1::AppendStreamRequest* request) override {
    MutexLock lock(mutex_);
    // Not before the server has taken the stream and the session: what was never sent surely has
    // no effect.
    return opened_ && window_.FillRequest(kRequestBytes, request);
  }

  absl::Status OnResponse(v1::AppendStreamResponse& response) override {
    std::vector<AppendWindow::Completion> completions;
    absl::Status status;
    std::shared_ptr<AppendCall> just_opened;
    {
      MutexLock lock(mutex_);
      if (response.has_opened() && !std::exchange(opened_, true)) just_opened = call_;
      status = window_.TakeAnswers(response, &completions);
      last_progress_ = absl::Now();
      has_room_.NotifyAll();
    }
    if (just_opened != nullptr) just_opened->Send();
    Report(std::move(completions));
    return status;
  }

  void OnCallDone(const absl::Status& status) override {
    MutexLock lock(mutex_);
    call_status_ = status;
    changed_.NotifyAll();
  }

 private:
  // --- The connector's thread ---

  void KeepConnected() {
    while (WaitForWork()) {
      absl::Status status = RunCall();
      std::vector<AppendWindow::Completion> completions;
      bool pause = false;
      {
        MutexLock lock(mutex_);
        window_.Rewind();
        bool overdue = absl::Now() - last_progress_ >= timeout_;
        if (!status.ok() && (overdue || !Resumable(status))) FailAll(status, &completions);
        pause = !status.ok();
      }
      Report(std::move(completions));
      if (pause) Pause();
    }
    std::vector<AppendWindow::Completion> completions;
    {
      MutexLock lock(mutex_);
      FailAll(absl::CancelledError("the appender was closed"), &completions);
    }
    Report(std::move(completions));
  }

  // A broken connection or a change of leader says nothing of what was sent, nor does it that a
  // batch before was not applied; and the session makes sending it again safe.
  static bool Resumable(const absl::Status& status) {
    return WorthRetrying(status) || OutcomeUnknown(status) || ReasonOf(status) == "ORDER_BROKEN";
  }

  // False: the appender is being closed.
  bool WaitForWork() {
    MutexLock lock(mutex_);
    while (!stopping_ && !window_.HasUnsent()) changed_.Wait(mutex_);
    return !stopping_;
  }

  void Pause() {
    absl::Time until = absl::Now() + kPause;
    MutexLock lock(mutex_);
    while (!stopping_ && absl::Now() < until) changed_.WaitFor(mutex_, until - absl::Now());
  }

  // One call, from finding the leader to the end of the call.
  absl::Status RunCall() {
    absl::StatusOr<std::string> leader = channels_.FindLeader(kAskPatience);
    if (!leader.ok()) return leader.status();
    absl::Status opened = OpenSession(*leader);
    if (!opened.ok()) return opened;
    v1::AppendStreamRequest first;
    v1::AppendStreamOpen& open = *first.mutable_open();
    open.set_stream(stream_);
    open.set_expected_term(expected_term_);
    MutexLock lock(mutex_);
    open.set_session_id(session_);
    open.set_first_session_number(window_.first_unanswered());
    call_status_.reset();
    opened_ = false;
    call_ = std::make_shared<AppendCall>(*this, channels_.To(*leader),
                                         &v1::Log::Stub::async::AppendStream, &first);
    bool cancelled = false;
    while (!call_status_.has_value()) {
      bool overdue = !window_.empty() && absl::Now() - last_progress_ >= timeout_;
      if ((stopping_ || overdue) && !std::exchange(cancelled, true)) call_->End(/*cancel=*/true);
      changed_.WaitFor(mutex_, timeout_ / 4);
    }
    call_.reset();
    if (call_status_->ok()) return absl::UnavailableError("the server ended the call");
    channels_.Avoid(*leader);
    return *call_status_;
  }

  // Opens the session that numbers this appender's batches, if there is none.
  absl::Status OpenSession(const std::string& member) {
    {
      MutexLock lock(mutex_);
      if (session_ != 0) return absl::OkStatus();
    }
    grpc::ClientContext context;
    SetDeadline(&context, {absl::ToInt64Nanoseconds(timeout_)});
    v1::OpenSessionRequest request;
    request.set_client_name(name_);
    v1::OpenSessionResponse response;
    grpc::Status status =
        v1::Sessions::NewStub(channels_.To(member))->Open(&context, request, &response);
    if (!status.ok()) {
      channels_.Avoid(member);
      return FromGrpc(status);
    }
    MutexLock lock(mutex_);
    session_ = response.session_id();
    return absl::OkStatus();
  }

  void FailAll(const absl::Status& status, std::vector<AppendWindow::Completion>* completions)
      CAIRN_REQUIRES(mutex_) {
    absl::Status unknown =
        MakeClientError(status.code(), "OUTCOME_UNKNOWN",
                        absl::StrCat("may have been appended: ", std::string(status.message())),
                        /*outcome_unknown=*/true);
    absl::Status not_applied =
        MakeClientError(status.code(), ReasonOf(status), std::string(status.message()), false);
    window_.FailAll(unknown, not_applied, completions);
    session_ = 0;  // the numbers start again
    has_room_.NotifyAll();
  }

  void Report(std::vector<AppendWindow::Completion> completions) {
    if (completions.empty()) return;
    absl::Status error;
    for (AppendWindow::Completion& completion : completions) {
      if (!completion.result.ok() && error.ok()) error = completion.result.status();
      completion.done(std::move(completion.result));
    }
    MutexLock lock(mutex_);
    if (first_error_.ok()) first_error_ = error;
    unreported_ -= completions.size();
    if (unreported_ == 0) all_reported_.NotifyAll();
  }

  static constexpr absl::Duration kPause = absl::Milliseconds(20);
  static constexpr Duration kAskPatience = Milliseconds(500);

  Channels& channels_;
  const std::string stream_;
  const std::string name_;
  const absl::Duration timeout_;  // without any answer, before everything fails
  const uint64_t expected_term_;

  Mutex mutex_;
  CondVar changed_;       // for the connector: work, the end of a call, the end of it all
  CondVar has_room_;      // the window
  CondVar all_reported_;  // unreported_ is 0
  AppendWindow window_ CAIRN_GUARDED_BY(mutex_);
  uint64_t session_ CAIRN_GUARDED_BY(mutex_) = 0;  // 0: none
  std::shared_ptr<AppendCall> call_ CAIRN_GUARDED_BY(mutex_);
  bool opened_ CAIRN_GUARDED_BY(mutex_) = false;  // the server has taken the call
  std::optional<absl::Status> call_status_ CAIRN_GUARDED_BY(mutex_);  // of a call that is done
  absl::Time last_progress_ CAIRN_GUARDED_BY(mutex_) = absl::Now();
  absl::Status first_error_ CAIRN_GUARDED_BY(mutex_);
  size_t unreported_ CAIRN_GUARDED_BY(mutex_) = 0;  // appended, callback not run
  bool stopping_ CAIRN_GUARDED_BY(mutex_) = false;
  std::thread connector_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<Appender> MakeAppender(Channels& channels, const std::string& stream,
                                       const ClientOptions& client_options,
                                       const AppenderOptions& options) {
  return std::make_unique<StreamAppender>(channels, stream, client_options, options);
}

}  // namespace cairn

#include "client/reader.h"

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "cairn/v1/streams.grpc.pb.h"
#include "client/errors.h"
#include "client/read_window.h"
#include "client/retry.h"
#include "client/stream_call.h"
#include "grpcpp/grpcpp.h"

namespace cairn {
namespace {

// Enough to make the fixed cost of a request small.
constexpr size_t kRequestReads = 512;

class StreamReader final : public Reader, public ReadCall::Observer {
 public:
  StreamReader(Channels& channels, const ClientOptions& client_options,
               const ReaderOptions& options)
      : channels_(channels),
        timeout_(absl::Nanoseconds(client_options.timeout.nanoseconds)),
        window_(options),
        connector_([this] { KeepConnected(); }) {}

  ~StreamReader() override {
    {
      MutexLock lock(mutex_);
      stopping_ = true;
      changed_.NotifyAll();
    }
    connector_.join();
  }

  void Read(v1::ReadRequest request, Done done) override {
    std::shared_ptr<ReadCall> call;
    {
      MutexLock lock(mutex_);
      while (!window_.HasRoom()) has_room_.Wait(mutex_);
      window_.Add(std::move(request), std::move(done), absl::Now() + timeout_);
      call = call_;
      if (call == nullptr) changed_.NotifyAll();
    }
    if (call != nullptr) call->Send();
  }

  // --- ReadCall::Observer: on gRPC's threads ---

  bool NextRequest(v1::ReadStreamRequest* request) override {
    MutexLock lock(mutex_);
    return window_.FillRequest(kRequestReads, request);
  }

  absl::Status OnResponse(v1::ReadStreamResponse& response) override {
    std::vector<ReadWindow::Completion> completions;
    absl::Status again;
    {
      MutexLock lock(mutex_);
      again = window_.TakeAnswers(response, &completions);
      has_room_.NotifyAll();
    }
    Report(std::move(completions));
    return again;
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
      const absl::Status status = RunCall();
      std::vector<ReadWindow::Completion> completions;
      {
        MutexLock lock(mutex_);
        window_.Rewind();
        if (WorthRetrying(status)) {
          window_.FailOverdue(absl::Now(), status, &completions);
        } else {
          window_.FailAll(status, &completions);
        }
        has_room_.NotifyAll();
      }
      Report(std::move(completions));
      Pause();
    }
    std::vector<ReadWindow::Completion> completions;
    {
      MutexLock lock(mutex_);
      window_.FailAll(absl::CancelledError("the reader was closed"), &completions);
      has_room_.NotifyAll();
    }
    Report(std::move(completions));
  }

  // False: the reader is being closed.
  bool WaitForWork() {
    MutexLock lock(mutex_);
    while (!stopping_ && window_.empty()) changed_.Wait(mutex_);
    return !stopping_;
  }

  void Pause() {
    const absl::Time until = absl::Now() + kPause;
    MutexLock lock(mutex_);
    while (!stopping_ && absl::Now() < until) changed_.WaitFor(mutex_, until - absl::Now());
  }

  // One call, from finding a member to the end of the call. The leader answers soonest; without one
  // there are still stale reads.
  absl::Status RunCall() {
    const absl::StatusOr<std::string> leader = channels_.FindLeader(kAskPatience);
    const std::string member = leader.ok() ? *leader : channels_.Preferred();
    std::shared_ptr<ReadCall> call;
    {
      MutexLock lock(mutex_);
      call_status_.reset();
      call = call_ = std::make_shared<ReadCall>(*this, channels_.To(member),
                                                &v1::Log::Stub::async::ReadStream, nullptr);
    }
    call->Send();
    MutexLock lock(mutex_);
    bool cancelled = false;
    while (!call_status_.has_value()) {
      // Who lets a read wait for so long is left, too.
      const bool overdue = window_.first_deadline() <= absl::Now();
      if ((stopping_ || overdue) && !std::exchange(cancelled, true)) call->End(/*cancel=*/true);
      absl::Duration wait = timeout_ / 4;
      if (!cancelled) wait = std::min(wait, window_.first_deadline() - absl::Now());
      changed_.WaitFor(mutex_, wait);
    }
    call_.reset();
    channels_.Avoid(member);
    if (cancelled) return absl::UnavailableError("a read was not answered in time");
    return call_status_->ok() ? absl::UnavailableError("the server ended the call") : *call_status_;
  }

  static void Report(std::vector<ReadWindow::Completion> completions) {
    for (ReadWindow::Completion& completion : completions) {
      completion.done(std::move(completion.result));
    }
  }

  static constexpr absl::Duration kPause = absl::Milliseconds(20);
  static constexpr Duration kAskPatience = Milliseconds(500);

  Channels& channels_;
  const absl::Duration timeout_;  // of each read

  Mutex mutex_;
  CondVar changed_;   // for the connector: work, the end of a call, the end of it all
  CondVar has_room_;  // the window
  ReadWindow window_ CAIRN_GUARDED_BY(mutex_);
  std::shared_ptr<ReadCall> call_ CAIRN_GUARDED_BY(mutex_);
  std::optional<absl::Status> call_status_ CAIRN_GUARDED_BY(mutex_);  // of a call that is done
  bool stopping_ CAIRN_GUARDED_BY(mutex_) = false;
  std::thread connector_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<Reader> MakeReader(Channels& channels, const ClientOptions& client_options,
                                   const ReaderOptions& options) {
  return std::make_unique<StreamReader>(channels, client_options, options);
}

}  // namespace cairn

// StreamCall: one try of a call with a stream either way. For the sources of this folder only,
// because it brings gRPC's headers.

#ifndef CLIENT_STREAM_CALL_H_
#define CLIENT_STREAM_CALL_H_

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "cairn/v1/streams.grpc.pb.h"
#include "client/grpc_status.h"
#include "grpcpp/grpcpp.h"

namespace cairn {

// What a call tells its owner, on gRPC's threads.
template <typename Request, typename Response>
class StreamCallObserver {
 public:
  virtual ~StreamCallObserver() = default;
  // More may be sent: fill `request` and return true, or return false and call Send later.
  virtual bool NextRequest(Request* request) = 0;
  // May take from the response. An error ends the call.
  virtual absl::Status OnResponse(Response& response) = 0;
  // The last that is heard of the call, which may be deleted now.
  virtual void OnCallDone(const absl::Status& status) = 0;
};

// One write and one read under way at a time.
// Threads: Send and End from any, while the observer has not got OnCallDone.
template <typename Request, typename Response>
class StreamCall final : public grpc::ClientBidiReactor<Request, Response> {
 public:
  using Observer = StreamCallObserver<Request, Response>;
  // Of the stub's async interface, such as &v1::Log::Stub::async::AppendStream.
  using Method = void (v1::Log::Stub::async::*)(grpc::ClientContext*,
                                                grpc::ClientBidiReactor<Request, Response>*);

  // Begins the call, and sends `first` if it is not null.
  StreamCall(Observer& observer, const std::shared_ptr<grpc::Channel>& channel, Method method,
             const Request* first)
      : observer_(observer), stub_(v1::Log::NewStub(channel)), writing_(first != nullptr) {
    (stub_->async()->*method)(&context_, this);
    this->AddHold();  // for the writes that Send starts from outside; given back by End
    if (first != nullptr) {
      request_ = *first;
      this->StartWrite(&request_);
    }
    this->StartRead(&response_);
    this->StartCall();
  }

  // There is something to send. Does nothing while a write is under way: its end asks again.
  void Send() {
    {
      MutexLock lock(mutex_);
      if (ended_) return;
      if (writing_) {
        asked_again_ = true;
        return;
      }
      writing_ = true;
    }
    WriteNext();
  }

  // No more writes; the call ends when the server has answered what it has, or is cancelled.
  void End(bool cancel) {
    {
      MutexLock lock(mutex_);
      if (ended_) return;
      ended_ = true;
    }
    if (cancel) context_.TryCancel();
    this->RemoveHold();
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      WriteNext();
    } else {
      EndOnError(absl::OkStatus());
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return EndOnError(absl::OkStatus());
    absl::Status status = observer_.OnResponse(response_);
    if (!status.ok()) return EndOnError(status);
    this->StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    absl::Status reported;
    {
      MutexLock lock(mutex_);
      reported = error_;
    }
    if (reported.ok()) reported = FromGrpc(status);
    observer_.OnCallDone(reported);
    // The observer may have deleted this.
  }

 private:
  // With writing_ set: starts the next write, or clears writing_ if there is nothing to write.
  void WriteNext() {
    while (true) {
      bool more = observer_.NextRequest(&request_);
      MutexLock lock(mutex_);
      if (ended_) return;
      if (more) {
        // Under the lock: a write that has started keeps the call from being done, and End waits.
        this->StartWrite(&request_);
        return;
      }
      // What was added since NextRequest looked has called Send and found writing_ set.
      writing_ = asked_again_;
      asked_again_ = false;
      if (!writing_) return;
    }
  }

  void EndOnError(const absl::Status& error) {
    {
      MutexLock lock(mutex_);
      if (error_.ok()) error_ = error;
    }
    End(/*cancel=*/true);
  }

  Observer& observer_;
  std::unique_ptr<v1::Log::Stub> stub_;
  grpc::ClientContext context_;
  Request request_;
  Response response_;
  Mutex mutex_;
  bool writing_ CAIRN_GUARDED_BY(mutex_);
  bool asked_again_ CAIRN_GUARDED_BY(mutex_) = false;
  bool ended_ CAIRN_GUARDED_BY(mutex_) = false;
  absl::Status error_ CAIRN_GUARDED_BY(mutex_);
};

using AppendCall = StreamCall<v1::AppendStreamRequest, v1::AppendStreamResponse>;
using ReadCall = StreamCall<v1::ReadStreamRequest, v1::ReadStreamResponse>;

extern template class StreamCall<v1::AppendStreamRequest, v1::AppendStreamResponse>;
extern template class StreamCall<v1::ReadStreamRequest, v1::ReadStreamResponse>;

}  // namespace cairn

#endif  // CLIENT_STREAM_CALL_H_

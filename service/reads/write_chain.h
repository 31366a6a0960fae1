// WriteChain: the reactor of a call that answers with a stream. For the sources of the services
// only, because it brings gRPC's headers.
//
// `Reactor` is gRPC's: for one request, or for a stream of them.

#ifndef SERVICE_READS_WRITE_CHAIN_H_
#define SERVICE_READS_WRITE_CHAIN_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <utility>

#include "base/executor.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "base/time.h"
#include "service/errors.h"
#include "service/grpc_status.h"
#include "service/one_request.h"
#include "service/service_context.h"

namespace cairn {

// One step after the other: read, write, wait until woken, and again; so at most one response is in
// memory, however slow the client is, and a client that takes nothing for the time of
// ServiceLimits::write_patience is cut off. Steps run on one of the context's reader executors,
// where they may block.
//
// Threads: Wake and EndWith on any thread.
template <typename Response, typename Reactor = grpc::ServerWriteReactor<grpc::ByteBuffer>>
class WriteChain : public Reactor,
                   public std::enable_shared_from_this<WriteChain<Response, Reactor>> {
 public:
  WriteChain(grpc::CallbackServerContext* call, ServiceContext* context)
      : call_(*call), context_(*context), executor_(context->NextReader()) {}

  // Begins to watch the clock, and calls `start(request)` on `self` once the request is there,
  // alone and whole; otherwise the call ends with gRPC's own error. After the start, Wake makes
  // the first step. `self` is kept until the call is done.
  template <typename Request, typename Derived>
  static void Begin(std::shared_ptr<Derived> self, const grpc::ByteBuffer& bytes,
                    void (Derived::*start)(const Request&)) {
    self->Keep(self);
    // As if a step were under way: so the call cannot end while its request is read and started.
    self->MarkBusy();
    auto request = std::make_shared<Request>();
    auto go_on = [self, request, start](std::optional<RpcError> error) {
      if (error) {
        self->EndWith(*std::move(error));
      } else {
        (self.get()->*start)(*request);
      }
      self->executor_.Post([self] { self->Run(); });
    };
    if (auto error = ParseRequest(bytes, request.get())) return go_on(std::move(error));
    AwaitEndOfRequests(&self->call_, std::move(go_on));
  }

  // The same for a call with a stream of requests: the first step is made at once, and may read.
  template <typename Derived>
  static void BeginStream(std::shared_ptr<Derived> self) {
    self->Keep(self);
    self->Wake();
  }

  // Makes a step, or another one if one is under way.
  void Wake() {
    MutexLock lock(mutex_);
    again_ = true;
    if (std::exchange(busy_, true)) return;
    executor_.Post([chain = this->shared_from_this()] { chain->Run(); });
  }

  // Ends the call before its next step.
  void EndWith(RpcError error) { End(std::move(error)); }

  void OnWriteDone(bool ok) final {
    if (!ok) End(std::nullopt);
    MutexLock lock(mutex_);
    writing_since_.reset();
    again_ = true;
    executor_.Post([chain = this->shared_from_this()] { chain->Run(); });
  }
  void OnCancel() final { End(std::nullopt); }
  void OnDone() final {
    entry_.reset();
    Done();
    self_.reset();
  }

 protected:
  enum class Step { kWrite, kWait, kFinish };
  // Fills `response`, or waits for Wake, or ends the call, with `error` if it sets that. On the
  // executor.
  virtual Step Next(Response* response, std::optional<RpcError>* error) = 0;
  // How often TimePassed is called, at most.
  virtual Duration TickInterval() const { return context_.limits().write_patience / 2; }
  virtual void TimePassed() {}
  // Lets go of what may call this object.
  virtual void Done() {}

  grpc::CallbackServerContext& call() { return call_; }
  ServiceContext& context() { return context_; }
  bool ending() const {
    MutexLock lock(mutex_);
    return ending_;
  }

 private:
  void Keep(std::shared_ptr<WriteChain> self) {
    self_ = std::move(self);
    auto weak = this->weak_from_this();
    entry_ = context_.endless_calls().Add([weak] {
      if (auto chain = weak.lock()) chain->EndWith(Stopping());
    });
    Tick(weak);
  }

  // Without an error the client is gone.
  void End(std::optional<RpcError> error) {
    {
      MutexLock lock(mutex_);
      if (!std::exchange(ending_, true)) end_error_ = std::move(error);
    }
    Wake();
  }

  // On the executor. `busy_` is set, and stays so until there is nothing to do.
  void Run() {
    while (true) {
      {
        MutexLock lock(mutex_);
        if (ending_) break;
        if (!std::exchange(again_, false)) {
          busy_ = false;
          return;
        }
      }
      response_.Clear();
      std::optional<RpcError> error;
      switch (Next(&response_, &error)) {
        case Step::kWrite:
          MarkWriting();
          bytes_ = Serialize(response_);
          this->StartWrite(&bytes_);
          return;
        case Step::kWait:
          break;
        case Step::kFinish:
          FinishOnce(error ? ToGrpc(*error, call_) : grpc::Status::OK);
          return;
      }
    }
    std::optional<RpcError> error;
    {
      MutexLock lock(mutex_);
      error = end_error_;
    }
    FinishOnce(error ? ToGrpc(*error, call_) : grpc::Status::CANCELLED);
  }

  // Afterwards nothing runs: busy_ stays set.
  void FinishOnce(const grpc::Status& status) {
    {
      MutexLock lock(mutex_);
      if (std::exchange(ended_, true)) return;
      ending_ = true;
    }
    this->Finish(status);
  }

  void MarkBusy() {
    MutexLock lock(mutex_);
    busy_ = true;
  }

  void MarkWriting() {
    MutexLock lock(mutex_);
    writing_since_ = context_.Now();
  }

  static void Tick(std::weak_ptr<WriteChain> weak) {
    auto chain = weak.lock();
    if (chain == nullptr) return;
    Instant now = chain->context_.Now();
    bool stuck = false;
    {
      MutexLock lock(chain->mutex_);
      if (chain->ended_) return;
      stuck = chain->writing_since_ &&
              now - *chain->writing_since_ >= chain->context_.limits().write_patience;
    }
    if (stuck) {
      chain->call_.TryCancel();
      return;
    }
    chain->TimePassed();
    chain->executor_.PostAt(now + chain->TickInterval(), [weak] { Tick(weak); });
  }

  grpc::CallbackServerContext& call_;
  ServiceContext& context_;
  Executor& executor_;
  Response response_;
  grpc::ByteBuffer bytes_;  // of the response that is being written
  std::unique_ptr<CallRegistry::Entry> entry_;
  std::shared_ptr<WriteChain> self_;

  mutable Mutex mutex_;
  bool busy_ CAIRN_GUARDED_BY(mutex_) = false;   // a step or a write is under way
  bool again_ CAIRN_GUARDED_BY(mutex_) = false;  // something happened since the last step began
  bool ended_ CAIRN_GUARDED_BY(mutex_) = false;
  bool ending_ CAIRN_GUARDED_BY(mutex_) = false;
  std::optional<RpcError> end_error_ CAIRN_GUARDED_BY(mutex_);
  std::optional<Instant> writing_since_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // SERVICE_READS_WRITE_CHAIN_H_

#include "service/peer_service.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "cairn/v1/peer.grpc.pb.h"
#include "service/grpc_status.h"
#include "service/one_request.h"

namespace cairn {
namespace {

class ExchangeReactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  ExchangeReactor(grpc::CallbackServerContext* context, const PeerServiceOptions& options)
      : context_(*context),
        options_(options),
        reader_(options.listener),
        canceller_(std::make_shared<Canceller>()),
        entry_(options.calls->Add([canceller = canceller_] { canceller->Cancel(); })) {
    canceller_->Set(context);
    StartRead(&bytes_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    v1::Frame frame;
    std::optional<RpcError> error = ParseRequest(bytes_, &frame);
    if (!error) {
      options_.frame_begins();
      error = reader_.Read(std::move(frame), options_.deliver);
      options_.frame_ends();
    }
    if (error) {
      options_.log->Log(LogLevel::kWarning,
                        absl::StrCat("refused a frame from ", context_.peer(), ": ", error->reason,
                                     " ", absl::Utf8SafeCHexEscape(error->message)));
      Finish(ToGrpc(*error, context_));
      return;
    }
    // Tells the peer that it may go on.
    if (!std::exchange(greeted_, true)) StartSendInitialMetadata();
    StartRead(&bytes_);
  }
  void OnDone() override {
    canceller_->Set(nullptr);
    delete this;
  }

 private:
  // The way to end the call from outside, for as long as there is a call.
  class Canceller {
   public:
    void Set(grpc::CallbackServerContext* context) {
      MutexLock lock(mutex_);
      context_ = context;
      if (cancelled_ && context_ != nullptr) context_->TryCancel();
    }
    void Cancel() {
      MutexLock lock(mutex_);
      cancelled_ = true;
      if (context_ != nullptr) context_->TryCancel();
    }

   private:
    Mutex mutex_;
    grpc::CallbackServerContext* context_ CAIRN_GUARDED_BY(mutex_) = nullptr;
    bool cancelled_ CAIRN_GUARDED_BY(mutex_) = false;
  };

  grpc::CallbackServerContext& context_;
  const PeerServiceOptions& options_;
  FrameReader reader_;
  grpc::ByteBuffer bytes_;
  bool greeted_ = false;
  const std::shared_ptr<Canceller> canceller_;
  const std::unique_ptr<CallRegistry::Entry> entry_;
};

class PeerServiceImpl final : public v1::Peer::WithRawCallbackMethod_Exchange<v1::Peer::Service> {
 public:
  explicit PeerServiceImpl(PeerServiceOptions options) : options_(std::move(options)) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Exchange(
      grpc::CallbackServerContext* context) override {
    return new ExchangeReactor(context, options_);
  }

 private:
  const PeerServiceOptions options_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakePeerService(PeerServiceOptions options) {
  return std::make_unique<PeerServiceImpl>(std::move(options));
}

}  // namespace cairn

#include "service/peer_service.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <algorithm>
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

// Frames come on one thread after the other; a call may be ended from any. What is to be done is
// noted under the lock, and started outside of it by one thread at a time (as in append_stream.cc).
class ExchangeReactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                              public std::enable_shared_from_this<ExchangeReactor> {
 public:
  ExchangeReactor(grpc::CallbackServerContext* context, const PeerServiceOptions& options)
      : context_(*context),
        options_(options),
        reader_(options.listener),
        canceller_(std::make_shared<Canceller>()),
        entry_(options.calls->Add([canceller = canceller_] { canceller->Cancel(); })) {
    canceller_->Set(context);
  }

  void Start(std::shared_ptr<ExchangeReactor> self) {
    self_ = std::move(self);
    Drive();
  }

  void OnReadDone(bool ok) override {
    std::optional<RpcError> error;
    uint64_t receipt = 0;
    if (ok) error = ReadFrame(&receipt);
    {
      MutexLock lock(mutex_);
      if (error) Refuse(*error);
      receipt_due_ = std::max(receipt_due_, receipt);
      if (!ok && !end_) end_ = grpc::Status::OK;
      reading_ = false;
      heard_ = true;
    }
    Drive();
  }
  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(mutex_);
      writing_ = false;
      // Then the caller is gone, and the read that is under way tells it, too.
      if (!ok) receipt_due_ = 0;
    }
    Drive();
  }
  void OnDone() override {
    canceller_->Set(nullptr);
    if (options_.by_sender != nullptr) options_.by_sender->Remove(place_);
    self_.reset();
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

  // Gives the receipt that the frame asks for, or 0.
  std::optional<RpcError> ReadFrame(uint64_t* receipt);
  // The call ends with `error`, if nothing has ended it yet.
  void Refuse(const RpcError& error) CAIRN_REQUIRES(mutex_);
  void Drive();

  grpc::CallbackServerContext& context_;
  const PeerServiceOptions& options_;
  FrameReader reader_;  // the reader's, as the next two
  grpc::ByteBuffer bytes_;
  uint64_t place_ = 0;        // in by_sender; 0: none
  grpc::ByteBuffer written_;  // the writer's
  const std::shared_ptr<Canceller> canceller_;
  const std::unique_ptr<CallRegistry::Entry> entry_;
  std::shared_ptr<ExchangeReactor> self_;  // until OnDone

  Mutex mutex_;
  bool heard_ CAIRN_GUARDED_BY(mutex_) = false;    // a frame
  bool greeted_ CAIRN_GUARDED_BY(mutex_) = false;  // its sender, which then goes on
  bool reading_ CAIRN_GUARDED_BY(mutex_) = false;
  bool writing_ CAIRN_GUARDED_BY(mutex_) = false;
  uint64_t receipt_due_ CAIRN_GUARDED_BY(mutex_) = 0;  // not yet written
  std::optional<grpc::Status> end_ CAIRN_GUARDED_BY(mutex_);
  bool ended_ CAIRN_GUARDED_BY(mutex_) = false;
  bool driving_ CAIRN_GUARDED_BY(mutex_) = false;
  bool drive_again_ CAIRN_GUARDED_BY(mutex_) = false;
};

std::optional<RpcError> ExchangeReactor::ReadFrame(uint64_t* receipt) {
  v1::Frame frame;
  if (std::optional<RpcError> error = ParseRequest(bytes_, &frame)) return error;
  *receipt = frame.receipt();
  options_.frame_begins();
  std::optional<RpcError> error = reader_.Read(std::move(frame), [this](Envelope envelope) {
    // Before anything it says is looked at, so that its call is found.
    if (place_ == 0 && options_.by_sender != nullptr) {
      place_ = options_.by_sender->Add(reader_.sender(),
                                       [weak = weak_from_this()](const absl::Status& why) {
                                         std::shared_ptr<ExchangeReactor> call = weak.lock();
                                         if (call == nullptr) return;
                                         {
                                           MutexLock lock(call->mutex_);
                                           call->Refuse(ErrorOfRefusal(why));
                                         }
                                         call->Drive();
                                       });
    }
    options_.deliver(std::move(envelope));
  });
  options_.frame_ends();
  return error;
}

void ExchangeReactor::Refuse(const RpcError& error) {
  if (end_ || ended_) return;
  options_.log->Log(LogLevel::kWarning,
                    absl::StrCat("refused a frame from ", context_.peer(), ": ", error.reason, " ",
                                 absl::Utf8SafeCHexEscape(error.message)));
  if (options_.refused != nullptr) options_.refused->Add(error.reason);
  end_ = ToGrpc(error, context_);
}

void ExchangeReactor::Drive() {
  {
    MutexLock lock(mutex_);
    drive_again_ = true;
    if (driving_) return;
    driving_ = true;
  }
  // A call that has ended may be gone in a moment.
  const std::shared_ptr<ExchangeReactor> self = shared_from_this();
  while (true) {
    std::optional<grpc::Status> finish;
    bool greet = false;
    bool read = false;
    v1::ExchangeNote note;
    {
      MutexLock lock(mutex_);
      if (!std::exchange(drive_again_, false)) {
        driving_ = false;
        return;
      }
      // Not beside a write, which ends by itself or with the connection.
      if (end_ && !writing_ && !std::exchange(ended_, true)) {
        finish = std::exchange(end_, std::nullopt);
      }
      greet = !ended_ && heard_ && !std::exchange(greeted_, true);
      if (!ended_ && !end_ && !writing_ && receipt_due_ != 0) {
        note.set_receipt(std::exchange(receipt_due_, 0));
        writing_ = true;
      }
      read = !ended_ && !end_ && !std::exchange(reading_, true);
    }
    if (greet) StartSendInitialMetadata();
    if (note.receipt() != 0) {
      written_ = Serialize(note);
      StartWrite(&written_);
    }
    if (read) StartRead(&bytes_);
    if (finish) Finish(*finish);
  }
}

class PeerServiceImpl final : public v1::Peer::WithRawCallbackMethod_Exchange<v1::Peer::Service> {
 public:
  explicit PeerServiceImpl(PeerServiceOptions options) : options_(std::move(options)) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Exchange(
      grpc::CallbackServerContext* context) override {
    auto call = std::make_shared<ExchangeReactor>(context, options_);
    ExchangeReactor* reactor = call.get();
    reactor->Start(std::move(call));
    return reactor;
  }

 private:
  const PeerServiceOptions options_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakePeerService(PeerServiceOptions options) {
  return std::make_unique<PeerServiceImpl>(std::move(options));
}

}  // namespace cairn

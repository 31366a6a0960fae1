#include "service/monitoring/health.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "service/errors.h"
#include "service/grpc_status.h"
#include "service/one_request.h"
#include "service/unary_call.h"

namespace cairn {
namespace {

namespace v1 = grpc::health::v1;
using Status = v1::HealthCheckResponse::ServingStatus;
using CheckCall = UnaryCall<v1::HealthCheckRequest, v1::HealthCheckResponse>;

}  // namespace

class Health::Impl final : public v1::Health::WithRawCallbackMethod_Check<
                               v1::Health::WithRawCallbackMethod_Watch<v1::Health::Service>> {
 public:
  void Set(const std::string& service, bool serving) {
    std::vector<std::shared_ptr<Watcher>> watchers;
    {
      MutexLock lock(mutex_);
      if (stopped_) return;
      statuses_[service] =
          serving ? v1::HealthCheckResponse::SERVING : v1::HealthCheckResponse::NOT_SERVING;
      watchers = watchers_;
    }
    for (const auto& watcher : watchers) watcher->Drive();
  }

  void Stop() {
    std::vector<std::shared_ptr<Watcher>> watchers;
    {
      MutexLock lock(mutex_);
      stopped_ = true;
      for (auto& [service, status] : statuses_) status = v1::HealthCheckResponse::NOT_SERVING;
      watchers = watchers_;
    }
    for (const auto& watcher : watchers) watcher->Drive();
  }

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override {
    return CheckCall::Start(context, request, response, [this](CheckCall* call) {
      Status status = StatusOf(call->request().service());
      call->response().set_status(status);
      std::optional<RpcError> error;
      if (status == v1::HealthCheckResponse::SERVICE_UNKNOWN) {
        error.emplace();  // as gRPC's health protocol says it, so without a reason of ours
        error->code = absl::StatusCode::kNotFound;
        error->message = "unknown service";
      }
      call->End(std::move(error));
    });
  }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request) override {
    auto watcher = std::make_shared<Watcher>(this, context);
    watcher->Begin(watcher, *request);
    return watcher.get();
  }

 private:
  // Tells the status at first and when it has changed since it was told last.
  class Watcher final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
   public:
    Watcher(Impl* health, grpc::CallbackServerContext* context)
        : health_(*health), context_(*context) {}

    void Begin(std::shared_ptr<Watcher> self, const grpc::ByteBuffer& request) {
      self_ = self;
      health_.Join(self_);
      auto go_on = [self](std::optional<RpcError> error) {
        {
          MutexLock lock(self->mutex_);
          self->begun_ = true;
          self->refusal_ = std::move(error);
        }
        self->Drive();
      };
      if (auto error = ParseRequest(request, &request_)) return go_on(std::move(error));
      AwaitEndOfRequests(&context_, std::move(go_on));
    }

    // One thread at a time starts operations, outside the lock.
    void Drive() {
      {
        MutexLock lock(mutex_);
        again_ = true;
        if (std::exchange(driving_, true)) return;
      }
      while (true) {
        bool write = false, finish = false;
        std::optional<RpcError> refusal;
        {
          MutexLock lock(mutex_);
          if (!std::exchange(again_, false)) {
            driving_ = false;
            return;
          }
          Decide(&write, &finish);
          refusal = refusal_;
        }
        if (write) StartWrite(&bytes_);
        if (finish) Finish(refusal ? ToGrpc(*refusal, context_) : grpc::Status::OK);
      }
    }

    void OnWriteDone(bool ok) override {
      {
        MutexLock lock(mutex_);
        writing_ = false;
        gone_ = gone_ || !ok;
      }
      Drive();
    }
    void OnCancel() override {
      {
        MutexLock lock(mutex_);
        gone_ = true;
      }
      Drive();
    }
    void OnDone() override {
      health_.Leave(self_);
      self_.reset();
    }

   private:
    void Decide(bool* write, bool* finish) CAIRN_REQUIRES(mutex_) {
      if (!begun_ || finished_ || writing_) return;
      Status status = health_.StatusOf(request_.service());
      if (!gone_ && !refusal_ && status != told_) {
        told_ = status;
        v1::HealthCheckResponse response;
        response.set_status(status);
        bytes_ = Serialize(response);
        writing_ = true;
        *write = true;
      } else if (gone_ || refusal_ || health_.stopped()) {
        finished_ = true;
        *finish = true;
      }
    }

    Impl& health_;
    grpc::CallbackServerContext& context_;
    v1::HealthCheckRequest request_;  // not changed once the watcher has begun
    grpc::ByteBuffer bytes_;          // of the response that is being written
    std::shared_ptr<Watcher> self_;
    Mutex mutex_;
    bool begun_ CAIRN_GUARDED_BY(mutex_) = false;
    std::optional<RpcError> refusal_ CAIRN_GUARDED_BY(mutex_);  // of a request that is none
    std::optional<Status> told_ CAIRN_GUARDED_BY(mutex_);
    bool writing_ CAIRN_GUARDED_BY(mutex_) = false;
    bool gone_ CAIRN_GUARDED_BY(mutex_) = false;
    bool finished_ CAIRN_GUARDED_BY(mutex_) = false;
    bool driving_ CAIRN_GUARDED_BY(mutex_) = false;
    bool again_ CAIRN_GUARDED_BY(mutex_) = false;
  };

  Status StatusOf(const std::string& service) const {
    MutexLock lock(mutex_);
    auto found = statuses_.find(service);
    return found == statuses_.end() ? v1::HealthCheckResponse::SERVICE_UNKNOWN : found->second;
  }
  bool stopped() const {
    MutexLock lock(mutex_);
    return stopped_;
  }
  void Join(const std::shared_ptr<Watcher>& watcher) {
    MutexLock lock(mutex_);
    watchers_.push_back(watcher);
  }
  void Leave(const std::shared_ptr<Watcher>& watcher) {
    MutexLock lock(mutex_);
    std::erase(watchers_, watcher);
  }

  mutable Mutex mutex_;
  bool stopped_ CAIRN_GUARDED_BY(mutex_) = false;
  std::map<std::string, Status> statuses_ CAIRN_GUARDED_BY(mutex_) = {
      {"", v1::HealthCheckResponse::NOT_SERVING},
      {"live", v1::HealthCheckResponse::SERVING},
      {"leader", v1::HealthCheckResponse::NOT_SERVING}};
  std::vector<std::shared_ptr<Watcher>> watchers_ CAIRN_GUARDED_BY(mutex_);
};

Health::Health() : impl_(std::make_unique<Impl>()) {}
Health::~Health() = default;

void Health::Set(const std::string& service, bool serving) { impl_->Set(service, serving); }
void Health::Stop() { impl_->Stop(); }
grpc::Service* Health::service() { return impl_.get(); }

}  // namespace cairn

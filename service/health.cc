#include "service/health.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace cairn {
namespace {

namespace v1 = grpc::health::v1;
using Status = v1::HealthCheckResponse::ServingStatus;

}  // namespace

class Health::Impl final : public v1::Health::CallbackService {
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

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* call,
                                  const v1::HealthCheckRequest* request,
                                  v1::HealthCheckResponse* response) override {
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    Status status = StatusOf(request->service());
    response->set_status(status);
    reactor->Finish(status == v1::HealthCheckResponse::SERVICE_UNKNOWN
                        ? grpc::Status(grpc::StatusCode::NOT_FOUND, "unknown service")
                        : grpc::Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext*, const v1::HealthCheckRequest* request) override {
    auto watcher = std::make_shared<Watcher>(this, request->service());
    watcher->Begin(watcher);
    return watcher.get();
  }

 private:
  // Tells the status at first and when it has changed since it was told last.
  class Watcher final : public grpc::ServerWriteReactor<v1::HealthCheckResponse> {
   public:
    Watcher(Impl* health, std::string service) : health_(*health), service_(std::move(service)) {}

    void Begin(std::shared_ptr<Watcher> self) {
      self_ = std::move(self);
      health_.Join(self_);
      Drive();
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
        {
          MutexLock lock(mutex_);
          if (!std::exchange(again_, false)) {
            driving_ = false;
            return;
          }
          Decide(&write, &finish);
        }
        if (write) StartWrite(&response_);
        if (finish) Finish(grpc::Status::OK);
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
      if (finished_ || writing_) return;
      Status status = health_.StatusOf(service_);
      if (!gone_ && status != told_) {
        told_ = status;
        response_.set_status(status);
        writing_ = true;
        *write = true;
      } else if (gone_ || health_.stopped()) {
        finished_ = true;
        *finish = true;
      }
    }

    Impl& health_;
    const std::string service_;
    v1::HealthCheckResponse response_;
    std::shared_ptr<Watcher> self_;
    Mutex mutex_;
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

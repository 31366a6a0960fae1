#include "service/service_set.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "grpcpp/impl/service_type.h"
#include "service/log_service.h"
#include "service/session_service.h"
#include "service/stream_service.h"
#include "service/version.h"

namespace cairn {
namespace {

// Reads of the log block on the disk: so many at a time.
constexpr int kReaders = 2;
// A call's messages make one entry; several of the greatest messages fit.
constexpr size_t kBatchMessages = 4;
// Names, headers and lengths around the messages of a batch.
constexpr size_t kEncodingBytes = size_t{64} << 10;

// Lives as long as the machine, which the host may keep longer than the services.
class MachineThread final : public Executor {
 public:
  void Post(Task task) override { thread_.Post(std::move(task)); }
  void PostAt(Instant when, Task task) override { thread_.PostAt(when, std::move(task)); }

 private:
  SystemClock clock_;
  ThreadExecutor thread_{clock_, "streams"};
};

std::vector<std::unique_ptr<ThreadExecutor>> MakeReaders(const Clock& clock) {
  std::vector<std::unique_ptr<ThreadExecutor>> readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.push_back(std::make_unique<ThreadExecutor>(clock, "reader"));
  }
  return readers;
}

ServiceOptions ContextOptions(const ServerConfig& config, const Clock* clock, LogSink* log,
                              const std::vector<std::unique_ptr<ThreadExecutor>>& readers) {
  ServiceOptions options;
  options.limits.max_message_bytes = config.max_message_bytes;
  options.limits.max_batch_bytes = ServiceSet::MaxCommandBytes(config.max_message_bytes);
  options.limits.stream_inflight_bytes =
      std::min(options.limits.stream_inflight_bytes, config.max_inflight_bytes);
  options.election_timeout = config.election_timeout;
  options.clock = clock;
  options.log = log;
  for (const auto& reader : readers) options.readers.push_back(reader.get());
  return options;
}

NodeDescription Describe(const ServerConfig& config, const Server& server, Instant now) {
  NodeDescription description;
  description.node = config.node;
  description.cluster = server.identity().cluster;
  description.address = config.advertise;
  description.log_store = config.log_store;
  description.version = kVersion;
  description.started = now;
  description.warnings = [&server] { return server.Warnings(); };
  description.scrub = [&server] { return server.Scrub(); };
  description.encrypted_files = [&server] { return server.EncryptedFiles(); };
  description.refused_frames = [&server] { return server.RefusedFrameCounts(); };
  description.losses = &server.losses();
  return description;
}

}  // namespace

size_t ServiceSet::MaxCommandBytes(size_t max_message_bytes) {
  return std::min(max_message_bytes * kBatchMessages + kEncodingBytes, kMaxPayloadBytes);
}

ServiceSet::ServiceSet(const ServerConfig& config, const Server& server, LogSink* log)
    : readers_(MakeReaders(clock_)),
      checkpoint_bytes_(config.snapshot_bytes),
      context_(ContextOptions(config, &clock_, log, readers_)),
      description_(Describe(config, server, clock_.Now())),
      health_(std::make_shared<Health>()) {
  services_.push_back(MakeLogService(&context_));
  services_.push_back(MakeStreamService(&context_));
  services_.push_back(MakeSessionService(&context_));
  services_.push_back(MakeClusterService(&context_, description_));
}

ServiceSet::~ServiceSet() = default;

std::unique_ptr<StateMachine> ServiceSet::MakeMachine() {
  CAIRN_CHECK(machine_ == nullptr);
  auto machine =
      std::make_unique<StreamMachine>(std::make_unique<MachineThread>(), checkpoint_bytes_);
  machine_ = machine.get();
  return machine;
}

void ServiceSet::Open(Group group) {
  context_.Open(group, machine_);
  group.WatchLeadership([health = health_](const GroupStatus& status) {
    // A member that knows no leader can neither write nor read afresh, and one that is behind makes
    // who asks it wait: it is not ready. One whose disk is full still reads, and forwards what it
    // is given.
    GroupStatus ready = status;
    if (ready.disk_full) ready.state = NodeState::kServing;
    health->Set("", !WhyUnhealthy(ready).has_value());
    health->Set("leader", status.serving_leader);
  });
}

std::vector<grpc::Service*> ServiceSet::services() const {
  std::vector<grpc::Service*> all = {health_->service()};
  for (const std::unique_ptr<grpc::Service>& service : services_) all.push_back(service.get());
  return all;
}

void ServiceSet::WriteStatus(v1::GetStatusResponse* to) const {
  cairn::WriteStatus(context_, description_, to);
}

void ServiceSet::Stop() {
  health_->Stop();
  context_.Stop();
}

}  // namespace cairn

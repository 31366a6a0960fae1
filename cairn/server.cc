#include "cairn/server.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "cairn/data_directory.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/impl/service_type.h"
#include "raft/host.h"
#include "service/call_registry.h"
#include "service/grpc_transport.h"
#include "service/peer_service.h"
#include "service/wire/http2_window.h"

namespace cairn {
namespace {

// What all connections together may have received and not handed over yet. gRPC looks at the length
// of a message only when the message is there: without a bound one client fills the memory.
constexpr size_t kMaxBufferedBytes = size_t{256} << 20;
// Threads cost little, but a program has work of its own for its processors.
constexpr size_t kMostAppliers = 4;

class GrpcServer final : public Server {
 public:
  explicit GrpcServer(const ServerOptions& options)
      : options_(options),
        reconnects_(clock_, "reconnect"),
        background_(std::make_unique<ThreadExecutor>(clock_, "background")) {}

  ~GrpcServer() override { Shutdown(Duration()); }

  absl::Status Start();

  absl::StatusOr<Group> Open(GroupId group, std::unique_ptr<StateMachine> state_machine,
                             const GroupOptions& options) override {
    return host_->Open(group, std::move(state_machine), options);
  }
  std::vector<absl::StatusOr<Group>> OpenAll(std::vector<GroupToOpen> groups) override {
    return host_->OpenAll(std::move(groups));
  }
  OpeningsStatus StatusOfOpenings() const override { return host_->StatusOfOpenings(); }

  void Close(GroupId group, Duration patience, LifeDone done) override {
    host_->Close(group, clock_.Now() + patience, std::move(done));
  }
  void Delete(GroupId group, Duration patience, LifeDone done) override {
    host_->Delete(group, clock_.Now() + patience, std::move(done));
  }
  void Reset(GroupId group, LifeDone done) override { host_->Reset(group, std::move(done)); }

  absl::Status Listen(const std::vector<grpc::Service*>& services) override;

  const NodeIdentity& identity() const override { return directory_->identity(); }

  const LossReport& losses() const override { return *losses_; }
  std::vector<std::string> Warnings() const override {
    std::vector<std::string> warnings = transport_->Refusals();
    if (!options_.sync) warnings.push_back("UNSAFE: nothing is synced (--fsync=never)");
    if (const uint64_t open = losses_->counts().open; open > 0) {
      warnings.push_back(absl::StrCat(
          open, " entries cannot be read and are not repaired yet: ", losses_->path()));
    }
    for (std::string& warning : directory_->log_disk().Warnings()) {
      warnings.push_back(std::move(warning));
    }
    if (options_.log_store == "memory") {
      warnings.push_back("UNSAFE: the log is in memory and ends with the process");
    }
    return warnings;
  }

  std::optional<FileUpkeepStatus> EncryptedFiles() const override {
    return upkeep_ == nullptr ? std::nullopt : std::optional(upkeep_->status());
  }
  std::optional<ScrubStatus> Scrub() const override { return host_->Scrub(); }
  std::map<std::string, uint64_t> RefusedFrameCounts() const override {
    return transport_->refused_frames().counts();
  }

  absl::Status HandOver(Duration patience) override;
  void Shutdown(Duration patience) override;

 private:
  DataDirectoryOptions DirectoryOptions() const;
  void OpenLosses(LogSink& log);
  void StartUpkeep(LogSink* log);

  const ServerOptions options_;
  SystemClock clock_;
  // In the order they depend on each other.
  ThreadExecutor reconnects_;
  std::unique_ptr<DataDirectory> directory_;
  std::unique_ptr<LossReport> losses_;
  // Prepares blocks of the directory's log with its file system, so it ends first.
  std::unique_ptr<ThreadExecutor> background_;
  std::unique_ptr<GrpcTransport> transport_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<FileUpkeep> upkeep_;  // null: there are no keys
  bool handed_over_ = false;
  CallRegistry peer_calls_;
  std::unique_ptr<grpc::Service> peer_service_;
  std::unique_ptr<grpc::Server> server_;
};

void GrpcServer::OpenLosses(LogSink& log) {
  losses_ = std::make_unique<LossReport>(directory_->file_system(),
                                         directory_->path() + "/lost-data.jsonl", clock_,
                                         background_.get());
  if (const LossReport::Counts lost = losses_->counts(); lost.damaged > 0) {
    log.Log(
        LogLevel::kWarning,
        absl::StrCat(losses_->path(), ": ", lost.damaged, " entries were found damaged, ",
                     lost.repaired, " were repaired, ", lost.covered, " are covered by the state, ",
                     lost.dropped, " were dropped, ", lost.open, " are open"));
  }
}

void GrpcServer::StartUpkeep(LogSink* log) {
  if (options_.keys == nullptr) return;
  FileUpkeep::Parts parts;
  parts.file_system = &directory_->file_system();
  parts.keys = options_.keys;
  parts.clock = &clock_;
  parts.executor = std::make_unique<ThreadExecutor>(
      clock_, "upkeep", ThreadExecutor::Callers::kOnlyPost, ThreadExecutor::Priority::kLow);
  parts.log = log;
  upkeep_ = std::make_unique<FileUpkeep>(std::move(parts));
}

DataDirectoryOptions GrpcServer::DirectoryOptions() const {
  DataDirectoryOptions directory;
  directory.path = options_.data_directory;
  directory.node = options_.node;
  directory.initial_members = options_.initial_members;
  directory.cluster_token = options_.cluster_token;
  directory.find_cluster = options_.find_cluster;
  directory.log_store = options_.log_store;
  directory.open_log = options_.open_log;
  directory.block_bytes = options_.block_bytes;
  directory.reserve_bytes = options_.reserve_bytes;
  directory.log_compression = options_.log_compression;
  directory.keys = options_.keys;
  directory.sync = options_.sync;
  directory.background = background_.get();
  directory.make_reader = [this] { return std::make_unique<ThreadExecutor>(clock_, "log reader"); };
  return directory;
}

absl::Status GrpcServer::Start() {
  if (options_.log_compression != "none" && options_.scrub_bytes_per_second == 0) {
    return absl::InvalidArgumentError(
        "log_compression: blocks are compressed by the scrub, and scrub_bytes_per_second is 0");
  }
  absl::StatusOr<std::unique_ptr<DataDirectory>> opened = DataDirectory::Open(DirectoryOptions());
  if (!opened.ok()) return opened.status();
  directory_ = *std::move(opened);
  const NodeIdentity& identity = directory_->identity();

  LogSink* log = options_.log != nullptr ? options_.log : &NullLogSink();
  OpenLosses(*log);
  GrpcTransportOptions transport;
  transport.cluster = identity.cluster;
  transport.node = identity.node;
  transport.incarnation = identity.incarnation;
  transport.log = log;
  transport.executor = &reconnects_;
  transport.clock = &clock_;
  transport_ = std::make_unique<GrpcTransport>(transport);

  HostDependencies dependencies;
  dependencies.clock = &clock_;
  dependencies.file_system = &directory_->file_system();
  dependencies.data_directory = directory_->path();
  dependencies.log_disk = &directory_->log_disk();
  const size_t processors = std::max<size_t>(1, std::thread::hardware_concurrency());
  dependencies.appliers = options_.apply_on_runner ? 1
                          : options_.appliers > 0  ? options_.appliers
                                                   : std::min(processors, kMostAppliers);
  dependencies.openers = options_.openers;
  dependencies.log_cache_bytes = options_.log_cache_bytes;
  dependencies.transport = transport_.get();
  dependencies.make_executor = [this](const std::string& name) -> std::unique_ptr<Executor> {
    if (name == "applier" && options_.apply_on_runner) return nullptr;
    // What a peer says and what a sync proves is handled on the thread that brings it, if nothing
    // else is going on: half of the wake-ups of a command that comes alone.
    auto callers =
        name == "runner" ? ThreadExecutor::Callers::kMayRun : ThreadExecutor::Callers::kOnlyPost;
    auto priority =
        name == "scrubber" ? ThreadExecutor::Priority::kLow : ThreadExecutor::Priority::kUsual;
    return std::make_unique<ThreadExecutor>(clock_, name, callers, priority);
  };
  dependencies.snapshot_bytes_per_second = options_.snapshot_bytes_per_second;
  dependencies.scrub = {options_.scrub_bytes_per_second, options_.scrub_period};
  // Differs between nodes, and between starts of one node.
  dependencies.seed = Random(ToInteger(identity.incarnation)).Next() ^
                      static_cast<uint64_t>(clock_.WallNow().nanoseconds);
  dependencies.losses = losses_.get();
  dependencies.log = log;
  if (options_.stopped) {
    dependencies.stopped = [stopped = options_.stopped](GroupId group, NodeState state,
                                                        const absl::Status& status) {
      stopped(group, state, status);
    };
  }
  absl::StatusOr<std::unique_ptr<Host>> host = Host::Start(identity, std::move(dependencies));
  if (!host.ok()) return host.status();
  host_ = *std::move(host);
  StartUpkeep(log);
  return absl::OkStatus();
}

absl::Status GrpcServer::Listen(const std::vector<grpc::Service*>& services) {
  GrpcTransport* transport = transport_.get();
  PeerServiceOptions peer;
  peer.listener = {
      identity().cluster, identity().node,
      [transport, host = host_.get()](NodeId node, const std::vector<Introduction>* introduced) {
        const Standing standing = transport->Hear(
            node, introduced,
            [host](NodeId from, const Introduction& said) { return host->Believes(from, said); });
        const bool removed = standing == Standing::kUnknown && host->WasRemoved(node);
        return removed ? Standing::kPeer : standing;
      },
      [host = host_.get()](const Envelope& envelope) { return host->Vet(envelope); }};
  peer.deliver = [transport](Envelope envelope) { transport->Deliver(std::move(envelope)); };
  peer.frame_begins = [transport] { transport->BeginBurst(); };
  peer.frame_ends = [transport] { transport->EndBurst(); };
  peer.calls = &peer_calls_;
  peer.by_sender = &transport->sender_calls();
  peer.refused = &transport->refused_frames();
  peer.log = options_.log != nullptr ? options_.log : &NullLogSink();
  peer_service_ = MakePeerService(std::move(peer));

  std::string address = options_.listen;
  if (address.empty()) {
    const Member* self = identity().initial_members.Find(identity().node);
    if (self == nullptr) return absl::InvalidArgumentError("no address to listen on");
    address = self->address;
  }
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(options_.max_receive_bytes);
  builder.SetResourceQuota(grpc::ResourceQuota("cairn").Resize(kMaxBufferedBytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options_.max_streams_per_connection);
  // Two processes on one port would split a cluster's calls between them.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  SetHttp2Window(builder);
  builder.RegisterService(peer_service_.get());
  for (grpc::Service* service : services) builder.RegisterService(service);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", address));
  }
  return absl::OkStatus();
}

absl::Status GrpcServer::HandOver(Duration patience) {
  handed_over_ = true;
  // The answer comes at the deadline at the latest.
  std::promise<absl::Status> done;
  host_->HandOver(clock_.Now() + patience,
                  [&done](const absl::Status& status) { done.set_value(status); });
  return done.get_future().get();
}

void GrpcServer::Shutdown(Duration patience) {
  const Instant deadline = clock_.Now() + patience;
  if (host_ != nullptr && !handed_over_ && patience > Duration()) {
    // A group nobody else can lead ends like the others.
    const absl::Status handed_over = HandOver(Nanoseconds(patience.nanoseconds / 2));
    if (!handed_over.ok() && options_.log != nullptr) {
      options_.log->Log(LogLevel::kInfo, std::string(handed_over.message()));
    }
  }
  // Groups first: their waiters answer the calls that are under way.
  if (host_ != nullptr) host_->Shutdown(deadline);
  peer_calls_.Stop();
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now() +
                      std::chrono::nanoseconds(std::max<int64_t>(0, patience.nanoseconds)));
    server_->Wait();
    server_.reset();
  }
  upkeep_.reset();
  host_.reset();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  auto server = std::make_unique<GrpcServer>(options);
  absl::Status status = server->Start();
  if (!status.ok()) return status;
  return server;
}

}  // namespace cairn

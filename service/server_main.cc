// cairnd: a node of a Cairn cluster that keeps message streams. The only place that knows of
// signals and of the process's end.

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/check_handler.h"
#include "base/mutex.h"
#include "base/system_clock.h"
#include "cairn/key_source.h"
#include "cairn/server.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "service/config.h"
#include "service/exit_line.h"
#include "service/membership/joiner.h"
#include "service/monitoring/http_server.h"
#include "service/service_set.h"
#include "service/spdlog_sink.h"

extern char** environ;  // NOLINT: POSIX declares it in no header

namespace cairn {
namespace {

constexpr Duration kDrainPatience = Seconds(5);
constexpr Duration kJoinPatience = Seconds(30);

std::map<std::string, std::string> Environment() {
  std::map<std::string, std::string> environment;
  for (char** each = environ; *each != nullptr; ++each) {
    std::string text = *each;
    size_t equals = text.find('=');
    if (absl::StartsWith(text, "CAIRN_") && equals != std::string::npos) {
      environment[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  return environment;
}

// Signals and the host's end, as one thing to wait for. Threads: Wait on one, Stopped on any.
class Events {
 public:
  enum class Kind { kTerminate, kReload, kStopped, kTimeout };

  // Before any thread is made, so that all of them leave the signals alone.
  Events() {
    sigset_t signals;
    sigemptyset(&signals);
    for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signals_ = signalfd(-1, &signals, SFD_CLOEXEC);
    stopped_event_ = eventfd(0, EFD_CLOEXEC);
    CAIRN_CHECK(signals_ >= 0 && stopped_event_ >= 0) << "no file descriptors";
  }

  void Stopped(NodeState state, const absl::Status& status) {
    {
      MutexLock lock(mutex_);
      if (stop_.has_value()) return;
      stop_ = {state, status};
    }
    uint64_t one = 1;
    CAIRN_CHECK_EQ(write(stopped_event_, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  }

  // The first that happened. kStopped only while `want_stopped`.
  Kind Wait(absl::Time deadline, bool want_stopped) {
    while (true) {
      pollfd waited[] = {{signals_, POLLIN, 0}, {stopped_event_, POLLIN, 0}};
      absl::Duration left =
          std::clamp(deadline - absl::Now(), absl::ZeroDuration(), absl::Hours(1));
      int milliseconds = static_cast<int>(absl::ToInt64Milliseconds(left)) + 1;
      int ready = poll(waited, want_stopped ? 2 : 1, milliseconds);
      if (ready == 0 && absl::Now() >= deadline) return Kind::kTimeout;
      if (ready <= 0) continue;
      if (want_stopped && waited[1].revents != 0) return Kind::kStopped;
      signalfd_siginfo signal = {};
      if (read(signals_, &signal, sizeof(signal)) != sizeof(signal)) continue;
      return signal.ssi_signo == SIGHUP ? Kind::kReload : Kind::kTerminate;
    }
  }

  std::pair<NodeState, absl::Status> stop() {
    MutexLock lock(mutex_);
    return *stop_;
  }

 private:
  int signals_ = -1;
  int stopped_event_ = -1;
  Mutex mutex_;
  std::optional<std::pair<NodeState, absl::Status>> stop_ CAIRN_GUARDED_BY(mutex_);
};

// Null if none are given.
absl::StatusOr<std::shared_ptr<KeyRing>> LoadKeys(const ServerConfig& config) {
  if (config.keys.empty()) return nullptr;
  static auto& random = *new SystemRandomBytes();
  absl::StatusOr<std::vector<MasterKey>> keys = LoadMasterKeys(config.keys);
  if (!keys.ok()) return keys.status();
  return std::make_shared<KeyRing>(config.cipher, *std::move(keys), config.keys.ToString(), random);
}

ServerOptions ToServerOptions(const ServerConfig& config, std::shared_ptr<const KeyRing> keys,
                              LogSink* log, Events* events) {
  ServerOptions options;
  options.keys = std::move(keys);
  options.node = config.node;
  options.data_directory = config.data_directory;
  options.listen = config.listen;
  options.initial_members = config.initial_members;
  options.cluster_token = config.cluster_token;
  if (!config.join.empty()) {
    options.find_cluster = [join = config.join, node = config.node] {
      return FindCluster(join, node, kJoinPatience);
    };
  }
  options.log_store = config.log_store;
  options.block_bytes = config.block_bytes;
  options.reserve_bytes = config.reserve_bytes;
  options.log_compression = config.log_compression;
  options.snapshot_bytes_per_second = config.snapshot_bytes_per_second;
  options.scrub_bytes_per_second = config.scrub_bytes_per_second;
  options.scrub_period = config.scrub_period;
  options.sync = config.sync;
  options.apply_on_runner = true;  // streams are written and synced on a thread of their own
  options.log = log;
  // There is one group: what ends it ends the node, and what ends the node, ends all.
  options.stopped = [events](GroupId, NodeState state, const absl::Status& status) {
    events->Stopped(state, status);
  };
  return options;
}

GroupOptions ToGroupOptions(const ServerConfig& config) {
  GroupOptions options;
  options.election_timeout = config.election_timeout;
  options.heartbeat_interval = config.heartbeat_interval;
  options.max_inflight_bytes = config.max_inflight_bytes;
  options.max_clock_jump = config.max_clock_jump;
  options.slow_disk_timeout = config.slow_disk_timeout;
  options.stall_timeout = config.stall_timeout;
  options.priority = config.priority;
  options.never_campaigns = config.never_campaigns;
  options.lease = config.lease_reads;
  options.max_clock_drift_per_mille = config.max_clock_drift_per_mille;
  options.compaction.snapshot_bytes = config.snapshot_bytes;
  options.compaction.retained_bytes = config.retained_log_bytes;
  options.compaction.retained_entries = config.retained_log_entries;
  options.max_healthy_lag = config.max_healthy_lag;
  options.max_command_bytes = ServiceSet::MaxCommandBytes(config.max_message_bytes);
  return options;
}

void ReloadKeys(const KeySource& source, KeyRing& ring, LogSink& log) {
  absl::StatusOr<std::vector<MasterKey>> keys = LoadMasterKeys(source);
  const absl::Status status = keys.ok() ? ring.Replace(*std::move(keys)) : keys.status();
  if (!status.ok()) {
    log.Log(LogLevel::kError, absl::StrCat("reload refused: ", status.message()));
    return;
  }
  log.Log(LogLevel::kInfo, absl::StrCat("reloaded: ", ring.Describe(),
                                        "; the first is for what is written from now on"));
}

void Reload(const std::vector<std::string>& arguments, const ServerConfig& config, KeyRing* keys,
            SpdlogSink& log) {
  if (keys != nullptr) ReloadKeys(config.keys, *keys, log);
  absl::StatusOr<ParsedConfig> parsed = ParseConfig(arguments, Environment());
  if (!parsed.ok()) {
    log.Log(LogLevel::kError, absl::StrCat("reload refused: ", parsed.status().message()));
    return;
  }
  log.SetLevel(parsed->config.log_level);
  log.Log(LogLevel::kInfo, "reloaded: the log level; settings not named here take a restart");
}

// Until a signal ends it, or storage did and the grace is over.
ExitLine Serve(const std::vector<std::string>& arguments, const ServerConfig& config, KeyRing* keys,
               Events& events, SpdlogSink& log) {
  std::optional<ExitLine> stopped;
  absl::Time deadline = absl::InfiniteFuture();
  while (true) {
    switch (events.Wait(deadline, !stopped.has_value())) {
      case Events::Kind::kTerminate:
        return stopped.value_or(ExitLine{kServerStopped, "", "", ""});
      case Events::Kind::kReload:
        Reload(arguments, config, keys, log);
        break;
      case Events::Kind::kStopped: {
        auto [state, status] = events.stop();
        stopped = ExitOfStop(state, status, config.data_directory);
        if (stopped->code == kServerStopped) {
          log.Log(LogLevel::kWarning,
                  absl::StrCat("removed from the cluster, and ends: ", status.message(),
                               "; to come back, join under a new id"));
        }
        if (state != NodeState::kFenced) return *stopped;
        // A fenced node still says how it is, so that people and balancers notice.
        log.Log(LogLevel::kError,
                absl::StrCat("fenced, and ends in ", ToMilliseconds(config.fence_grace),
                             " ms: ", status.message()));
        deadline = absl::Now() + absl::Nanoseconds(config.fence_grace.nanoseconds);
        break;
      }
      case Events::Kind::kTimeout:
        return *stopped;
    }
  }
}

// Asks the cluster to take this node in, if it came to join and is no member yet.
std::unique_ptr<Joiner> StartJoiner(const ServerConfig& config, const Server& server,
                                    const Group& group, Events* events, LogSink* log) {
  if (config.join.empty()) return nullptr;
  Joiner::Options options;
  options.addresses = config.join;
  options.self = {config.node, server.identity().incarnation, config.advertise};
  options.learner = config.learner;
  options.joined = [group, self = options.self] {
    const GroupStatus status = group.Status();
    const Member* member = status.configuration.Find(self.node);
    return member != nullptr && member->incarnation == self.incarnation;
  };
  options.removed = [events](const absl::Status& status) {
    events->Stopped(NodeState::kHalted, status);
  };
  options.log = log;
  return std::make_unique<Joiner>(std::move(options));
}

// Lets another member lead before this one goes, if it leads and one can.
void HandLeadershipOver(Server& server, Duration patience, LogSink& log) {
  const absl::Status handed_over = server.HandOver(patience);
  if (!handed_over.ok()) log.Log(LogLevel::kWarning, std::string(handed_over.message()));
}

ExitLine ExitOfListen(const absl::Status& status, const std::string& address) {
  return {kServerMismatch, std::string(status.message()), address,
          "another process listens there, or the address is not this machine's"};
}

ExitLine Run(const std::vector<std::string>& arguments, const ServerConfig& config, Events& events,
             SpdlogSink& log) {
  absl::StatusOr<std::shared_ptr<KeyRing>> keys = LoadKeys(config);
  if (!keys.ok()) return ExitOfKeys(keys.status());
  absl::StatusOr<std::unique_ptr<Server>> started =
      Server::Start(ToServerOptions(config, *keys, &log, &events));
  if (!started.ok()) return ExitOfStart(started.status(), config.data_directory);
  Server& server = **started;
  for (const std::string& warning : server.Warnings()) log.Log(LogLevel::kWarning, warning);

  ServiceSet services(config, server, &log);
  auto machine = services.MakeMachine();
  absl::StatusOr<Group> group =
      server.Open(GroupId::kDefault, std::move(machine), ToGroupOptions(config));
  if (!group.ok()) return ExitOfStart(group.status(), config.data_directory);
  services.Open(*group);
  absl::Status listening = server.Listen(services.services());
  if (!listening.ok()) return ExitOfListen(listening, config.listen);
  std::unique_ptr<HttpServer> http;
  if (!config.http_listen.empty()) {
    absl::StatusOr<std::unique_ptr<HttpServer>> serves = HttpServer::Start(
        config.http_listen, [&services](v1::GetStatusResponse* to) { services.WriteStatus(to); });
    if (!serves.ok()) return ExitOfListen(serves.status(), config.http_listen);
    http = *std::move(serves);
  }
  std::cout << "ready node=" << ToInteger(config.node) << " listen=" << config.listen
            << " cluster=" << ToString(server.identity().cluster) << std::endl;
  std::unique_ptr<Joiner> joiner = StartJoiner(config, server, *group, &events, &log);
  ExitLine exit = Serve(arguments, config, keys->get(), events, log);
  joiner.reset();
  if (exit.code == kServerStopped) HandLeadershipOver(server, config.election_timeout * 2, log);
  http.reset();
  services.Stop();
  server.Shutdown(kDrainPatience);
  return exit;
}

// The process may be in any state here: nothing is drained, and no destructor runs.
[[noreturn]] void EndOnFailedCheck(const std::string& text) {
  const std::string line = ExitOfCheck(text).ToString() + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
  std::_Exit(kServerInternal);
}

// A log has a file open for each of its blocks, and systems give 1024 unless they are asked.
void RaiseFileLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Main(const std::vector<std::string>& arguments) {
  SetCheckHandler(EndOnFailedCheck);
  absl::StatusOr<ParsedConfig> parsed = ParseConfig(arguments, Environment());
  if (!parsed.ok()) {
    ExitLine exit = ExitOfConfig(parsed.status());
    std::cerr << exit.ToString() << std::endl;
    return exit.code;
  }
  if (parsed->print.has_value()) {
    std::cout << *parsed->print << std::flush;
    return kServerStopped;
  }
  if (parsed->config.check_only) {
    absl::StatusOr<std::shared_ptr<KeyRing>> keys = LoadKeys(parsed->config);
    if (!keys.ok()) {
      ExitLine exit = ExitOfKeys(keys.status());
      std::cerr << exit.ToString() << std::endl;
      return exit.code;
    }
    std::cout << "ok" << std::endl;
    return kServerStopped;
  }
  umask(077);
  RaiseFileLimit();
  Events events;
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  ExitLine exit;
  {
    SpdlogSink log(parsed->config.log_level, parsed->config.log_format);
    exit = Run(arguments, parsed->config, events, log);
  }
  // The last line, behind what the log still had to write.
  if (exit.code != kServerStopped) std::cerr << exit.ToString() << std::endl;
  return exit.code;
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
  return cairn::Main(std::vector<std::string>(argv + 1, argv + argc));
}

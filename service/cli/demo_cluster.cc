#include "service/cli/demo_cluster.h"

#include <csignal>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "service/cli/free_ports.h"

namespace cairn {
namespace {

constexpr absl::Duration kReadyPatience = absl::Seconds(30);
constexpr absl::Duration kStopPatience = absl::Seconds(10);

// The server that was built or installed with this program.
absl::StatusOr<std::string> FindServer() {
  std::error_code error;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return absl::InternalError("cannot find the path of this program");
  for (const char* place : {"../cairnd", "cairnd"}) {
    std::filesystem::path candidate = self.parent_path() / place;
    if (std::filesystem::is_regular_file(candidate, error)) {
      return std::filesystem::weakly_canonical(candidate, error).string();
    }
  }
  return absl::NotFoundError(absl::StrCat("no cairnd beside ", self.string(),
                                          ": build //service:cairnd, or name it with "
                                          "--cairnd"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DemoCluster>> DemoCluster::Start(DemoOptions options) {
  if (options.cairnd.empty()) {
    absl::StatusOr<std::string> server = FindServer();
    if (!server.ok()) return server.status();
    options.cairnd = *server;
  }
  std::vector<int> ports;
  for (int i = 0; i < options.nodes; ++i) ports.push_back(options.first_port + i);
  if (options.first_port == 0) {
    absl::StatusOr<std::vector<int>> free = FreePorts(options.nodes);
    if (!free.ok()) return free.status();
    ports = *free;
  }
  int nodes = options.nodes;
  std::unique_ptr<DemoCluster> cluster(new DemoCluster(std::move(options)));
  for (int port : ports) cluster->addresses_.push_back(absl::StrCat("127.0.0.1:", port));
  cluster->processes_.resize(static_cast<size_t>(nodes));
  // All at once: a new cluster forms when its members have found each other.
  for (int node = 1; node <= nodes; ++node) {
    absl::Status spawned = cluster->Spawn(node);
    if (!spawned.ok()) return spawned;
  }
  for (int node = 1; node <= nodes; ++node) {
    absl::Status ready = cluster->WaitReady(node);
    if (!ready.ok()) return ready;
  }
  return cluster;
}

std::string DemoCluster::NodeDirectory(int node) const {
  return absl::StrCat(options_.directory, "/node", node);
}

std::string DemoCluster::endpoint_list() const { return absl::StrJoin(addresses_, ","); }

absl::Status DemoCluster::Spawn(int node) {
  size_t place = static_cast<size_t>(node - 1);
  std::error_code error;
  std::filesystem::create_directories(NodeDirectory(node), error);
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot make ", NodeDirectory(node), ": ", error.message()));
  }
  std::vector<std::string> members;
  for (int i = 1; i <= nodes(); ++i) {
    members.push_back(absl::StrCat(i, "=", addresses_[static_cast<size_t>(i - 1)]));
  }
  std::vector<std::string> arguments = {
      options_.cairnd,
      absl::StrCat("--node_id=", node),
      absl::StrCat("--data_dir=", NodeDirectory(node), "/data"),
      absl::StrCat("--listen=", addresses_[place]),
      absl::StrCat("--initial_cluster=", absl::StrJoin(members, ",")),
      absl::StrCat("--log_store=", options_.log_store),
  };
  arguments.insert(arguments.end(), options_.extra_flags.begin(), options_.extra_flags.end());
  absl::StatusOr<std::unique_ptr<ChildProcess>> process =
      ChildProcess::Start(arguments, absl::StrCat(NodeDirectory(node), "/log"));
  if (!process.ok()) return process.status();
  processes_[place] = std::move(*process);
  return absl::OkStatus();
}

absl::Status DemoCluster::WaitReady(int node) {
  absl::StatusOr<std::string> line =
      processes_[static_cast<size_t>(node - 1)]->ReadLine(kReadyPatience);
  if (line.ok()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("node ", node, " does not start (see ",
                                             NodeDirectory(node),
                                             "/log): ", std::string(line.status().message())));
}

absl::StatusOr<ChildProcess*> DemoCluster::Running(int node) {
  if (node < 1 || node > nodes()) {
    return absl::InvalidArgumentError(absl::StrCat("there is no node ", node));
  }
  std::unique_ptr<ChildProcess>& process = processes_[static_cast<size_t>(node - 1)];
  if (process == nullptr || !process->Running()) {
    return absl::FailedPreconditionError(absl::StrCat("node ", node, " is not running"));
  }
  return process.get();
}

absl::Status DemoCluster::Kill(int node) {
  absl::StatusOr<ChildProcess*> process = Running(node);
  if (!process.ok()) return process.status();
  processes_[static_cast<size_t>(node - 1)].reset();
  return absl::OkStatus();
}

absl::Status DemoCluster::Pause(int node) {
  absl::StatusOr<ChildProcess*> process = Running(node);
  if (process.ok()) (*process)->Signal(SIGSTOP);
  return process.status();
}

absl::Status DemoCluster::Resume(int node) {
  absl::StatusOr<ChildProcess*> process = Running(node);
  if (process.ok()) (*process)->Signal(SIGCONT);
  return process.status();
}

absl::Status DemoCluster::Restart(int node) {
  if (node < 1 || node > nodes()) {
    return absl::InvalidArgumentError(absl::StrCat("there is no node ", node));
  }
  processes_[static_cast<size_t>(node - 1)].reset();
  absl::Status spawned = Spawn(node);
  return spawned.ok() ? WaitReady(node) : spawned;
}

void DemoCluster::Stop() {
  for (std::unique_ptr<ChildProcess>& process : processes_) {
    if (process == nullptr) continue;
    process->Signal(SIGCONT);
    process->Signal(SIGTERM);
  }
  for (std::unique_ptr<ChildProcess>& process : processes_) {
    // What does not end in time is killed with its object.
    if (process != nullptr) (void)process->WaitExit(kStopPatience);
    process.reset();
  }
}

}  // namespace cairn

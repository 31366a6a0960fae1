#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "service/cli/cluster_view.h"
#include "service/cli/context.h"
#include "service/cli/demo_cluster.h"
#include "service/cli/demo_control.h"
#include "service/cli/demo_job.h"
#include "service/cli/exit_code.h"
#include "service/cli/output.h"
#include "service/cli/verbs.h"

namespace cairn {
namespace {

struct DemoFlags {
  DemoOptions options;
  std::string input;
  bool once = false;
  std::string node;  // of kill, pause, resume, restart
};

absl::StatusOr<std::vector<std::string>> ReadLines(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  std::vector<std::string> lines;
  std::string line;
  while (std::getline(file, line)) lines.push_back(std::move(line));
  if (lines.empty()) return absl::InvalidArgumentError(absl::StrCat(path, " has no lines"));
  return lines;
}

// A row as a line for people: the step, then name=value.
void PrintStep(CliContext& context, const Row& row) {
  if (context.format() == OutputFormat::kJson) {
    context.output().Print(row);
    return;
  }
  std::string line = " ";
  for (const Row::Field& field : row.fields()) {
    if (field.name == "step") {
      absl::StrAppend(&line, " ", field.text, ":");
    } else {
      absl::StrAppend(&line, " ", field.name, "=", field.text);
    }
  }
  std::cout << line << std::endl;
}

// A directory of its own for a run that leaves nothing behind.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cairn-demo-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code error;  // what cannot be removed stays
    if (!path_.empty()) std::filesystem::remove_all(path_, error);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

absl::StatusOr<std::unique_ptr<DemoCluster>> StartCluster(CliContext& context,
                                                          const DemoOptions& options) {
  absl::Time start = absl::Now();
  absl::StatusOr<std::unique_ptr<DemoCluster>> cluster = DemoCluster::Start(options);
  if (!cluster.ok()) return cluster.status();
  PrintStep(context, Row()
                         .Add("step", "start")
                         .Add("ok", true)
                         .Add("nodes", (*cluster)->nodes())
                         .Add("endpoints", (*cluster)->endpoint_list())
                         .Add("seconds", absl::ToDoubleSeconds(absl::Now() - start)));
  return cluster;
}

std::unique_ptr<Client> ClientOf(CliContext& context, const DemoCluster& cluster) {
  ClientOptions options;
  options.endpoints = cluster.endpoints();
  options.timeout = std::max(context.timeout(), Seconds(30));
  options.name = "cairn demo";
  return Client::Create(std::move(options));
}

int RunJob(CliContext& context, DemoCluster& cluster, const std::vector<std::string>& lines) {
  std::unique_ptr<Client> client = ClientOf(context, cluster);
  absl::StatusOr<DemoResult> result =
      RunDemoJob(cluster, *client, lines, [&context](const Row& row) { PrintStep(context, row); });
  if (!result.ok()) return context.Fail(result.status(), true);
  PrintStep(context, Row()
                         .Add("appended", result->appended)
                         .Add("read_back", result->read_back)
                         .Add("lost", result->lost)
                         .Add("duplicated", result->duplicated)
                         .Add("leader_changes", result->leader_changes)
                         .Add("ok", result->ok()));
  return result->ok() ? kExitOk : kExitDataLoss;
}

// The action asked for in another terminal.
absl::Status Act(DemoCluster& cluster, Client& client, const std::string& action,
                 const std::string& which) {
  int node = 0;
  if (which == "leader") {
    node = static_cast<int>(ViewCluster(client, cluster.endpoints()).leader().node);
    if (node == 0) return absl::UnavailableError("nobody leads now");
  } else if (!absl::SimpleAtoi(which, &node)) {
    return absl::InvalidArgumentError(absl::StrCat(which, " is neither a node nor leader"));
  }
  if (action == "kill") return cluster.Kill(node);
  if (action == "pause") return cluster.Pause(node);
  if (action == "resume") return cluster.Resume(node);
  if (action == "restart") return cluster.Restart(node);
  return absl::InvalidArgumentError(absl::StrCat("unknown action ", action));
}

// Keeps the cluster until Ctrl-C or SIGTERM.
int RunForeground(CliContext& context, const DemoFlags& flags) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  // Before any thread is made, so that all of them leave these signals to the descriptor.
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  int signals = signalfd(-1, &ends, SFD_CLOEXEC);
  std::error_code error;
  std::filesystem::create_directories(flags.options.directory, error);
  absl::StatusOr<std::unique_ptr<DemoControl>> control =
      DemoControl::Listen(flags.options.directory);
  if (!control.ok()) return context.Fail(control.status());
  absl::StatusOr<std::unique_ptr<DemoCluster>> cluster = StartCluster(context, flags.options);
  if (!cluster.ok()) return context.Fail(cluster.status());
  int exit_code = kExitOk;
  if (!flags.input.empty()) {
    absl::StatusOr<std::vector<std::string>> lines = ReadLines(flags.input);
    if (!lines.ok()) return context.Fail(lines.status());
    exit_code = RunJob(context, **cluster, *lines);
  }
  std::cerr << "In another terminal:\n"
            << "  export CAIRN_ENDPOINTS=" << (*cluster)->endpoint_list() << "\n"
            << "  cairn status\n"
            << "  cairn stream create orders && cairn append orders hello && cairn read orders\n"
            << "  cairn demo kill leader --dir " << flags.options.directory << "\n"
            << "Logs: " << flags.options.directory << "/node*/log. Ctrl-C stops the cluster."
            << std::endl;
  std::unique_ptr<Client> client = ClientOf(context, **cluster);
  (*control)->Serve(signals, [&](const std::string& action, const std::string& node) {
    return Act(**cluster, *client, action, node);
  });
  (*cluster)->Stop();
  close(signals);
  return exit_code;
}

// The whole story once, in a directory and on ports of its own; nothing is left behind.
int RunOnce(CliContext& context, DemoFlags flags, bool has_directory) {
  if (flags.input.empty()) {
    return context.Fail(absl::InvalidArgumentError("--once needs --input"));
  }
  absl::StatusOr<std::vector<std::string>> lines = ReadLines(flags.input);
  if (!lines.ok()) return context.Fail(lines.status());
  TemporaryDirectory temporary;
  if (!has_directory) flags.options.directory = temporary.path();
  absl::StatusOr<std::unique_ptr<DemoCluster>> cluster = StartCluster(context, flags.options);
  if (!cluster.ok()) return context.Fail(cluster.status());
  int exit_code = RunJob(context, **cluster, *lines);
  (*cluster)->Stop();
  return exit_code;
}

}  // namespace

void AddDemoVerbs(CLI::App& app, CliContext& context) {
  auto flags = std::make_shared<DemoFlags>();
  CLI::App* demo = app.add_subcommand("demo", "runs a cluster on this machine");
  demo->fallthrough();
  demo->require_subcommand(0, 1);
  CLI::Option* directory =
      demo->add_option("--dir", flags->options.directory, "where the nodes keep their data")
          ->capture_default_str();
  demo->add_option("--nodes", flags->options.nodes, "how many")
      ->check(CLI::Range(1, 5))
      ->capture_default_str();
  demo->add_option("--log_store", flags->options.log_store, "block, rocksdb or memory")
      ->check(CLI::IsMember({"block", "rocksdb", "memory"}))
      ->capture_default_str();
  CLI::Option* port =
      demo->add_option("--port", flags->options.first_port, "of node 1; 0: any that are free")
          ->check(CLI::Range(0, 65'000));
  demo->add_option("--cairnd", flags->options.cairnd, "the server (default: beside this program)");
  demo->add_option("--input", flags->input,
                   "append its lines, kill the leader half-way, read everything back");
  demo->add_flag("--once", flags->once, "do that and end; exit 0 only if nothing was lost");
  demo->callback([&context, flags, demo, directory, port] {
    if (!demo->get_subcommands().empty()) return;
    context.set_exit_code([&] {
      if (!flags->once) return RunForeground(context, *flags);
      DemoFlags once = *flags;
      if (port->count() == 0) once.options.first_port = 0;
      return RunOnce(context, once, directory->count() > 0);
    }());
  });

  for (const char* action : {"kill", "pause", "resume", "restart"}) {
    CLI::App& verb = context.AddVerb(
        *demo, action, absl::StrCat(action, "s a node of the demo that runs in --dir"),
        [&context, flags, action] {
          absl::Status status = AskDemo(flags->options.directory, action, flags->node);
          if (!status.ok()) return context.Fail(status);
          PrintStep(context, Row().Add("step", action).Add("ok", true).Add("node", flags->node));
          return static_cast<int>(kExitOk);
        });
    verb.add_option("NODE", flags->node, "its number, or leader")->required();
  }
}

}  // namespace cairn

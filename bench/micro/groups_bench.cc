// Many groups in one process with three hosts, over gRPC on the loopback, logs on disk:
//
//   idle        processor time of all three hosts together while CAIRN_BENCH_GROUPS (1000) groups
//               have nothing to do, when they rest and (… awake) when they may not; what a group
//               takes of memory
//   throughput  commands of 256 bytes, 1,000 and 10,000 under way in all: in one group, in a
//               hundred, and the ratio, the median of rounds in which both ran in turn
//   dead host   from a host's end until each group it led has a leader that serves
//
// CAIRN_BENCH_STORE=memory: without a disk.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "bench/micro/host_work.h"
#include "cairn/server.h"

namespace cairn {
namespace {

constexpr uint64_t kNodes = 3;
constexpr uint64_t kBusyGroups = 100;

double ProcessorSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  double size = 0;
  double resident = 0;
  file >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

class Cluster {
 public:
  Cluster(std::string directory, uint64_t groups, const GroupOptions& options)
      : directory_(std::move(directory)), groups_(groups) {
    std::filesystem::create_directories(directory_);
    Configuration members;
    const std::vector<int> ports = FreePorts(kNodes);
    for (uint64_t node = 1; node <= kNodes; ++node) {
      members.voters.push_back(
          {NodeId{node}, Incarnation::kUnknown, absl::StrCat("127.0.0.1:", ports[node - 1])});
    }
    for (uint64_t node = 1; node <= kNodes; ++node) {
      ServerOptions server;
      server.node = NodeId{node};
      server.data_directory = absl::StrCat(directory_, "/", node);
      server.initial_members = members;
      server.apply_on_runner = true;
      if (const char* store = getenv("CAIRN_BENCH_STORE")) server.log_store = store;
      Node& parts = nodes_.emplace_back();
      absl::StatusOr<std::unique_ptr<Server>> started = Server::Start(server);
      CAIRN_CHECK(started.ok()) << started.status().ToString();
      parts.server = *std::move(started);
      for (uint64_t group = 1; group <= groups_; ++group) {
        parts.groups.push_back(
            parts.server->Open(GroupId{group}, std::make_unique<NullMachine>(), options).value());
      }
      absl::Status listens = parts.server->Listen();
      CAIRN_CHECK(listens.ok()) << listens.ToString();
    }
  }
  ~Cluster() {
    for (Node& node : nodes_) node.groups.clear();
    nodes_.clear();
    std::filesystem::remove_all(directory_);
  }

  // The member of `group` that serves as leader; null if there is none.
  Group* Leader(uint64_t group) {
    for (Node& node : nodes_) {
      if (node.server == nullptr) continue;
      Group& member = node.groups[group - 1];
      if (member.Status().serving_leader) return &member;
    }
    return nullptr;
  }
  void AwaitLeaders() {
    for (uint64_t group = 1; group <= groups_; ++group) {
      while (Leader(group) == nullptr) Sleep(0.01);
    }
  }
  void AwaitRest() {
    AwaitLeaders();
    for (Node& node : nodes_) {
      for (Group& group : node.groups) {
        while (!group.Status().quiesced) Sleep(0.01);
      }
    }
  }
  void Stop(uint64_t node) {
    nodes_[node - 1].server->Shutdown(Duration{});
    nodes_[node - 1].groups.clear();
    nodes_[node - 1].server.reset();
  }

 private:
  struct Node {
    std::unique_ptr<Server> server;
    std::vector<Group> groups;
  };
  const std::string directory_;
  const uint64_t groups_;
  std::vector<Node> nodes_;
};

// Keeps `in_flight` commands under way, spread over groups first..last at their leaders.
class Load {
 public:
  Load(Cluster& cluster, uint64_t first, uint64_t last, uint64_t in_flight)
      : command_(256, 'x'), slots_(in_flight) {
    for (uint64_t group = first; group <= last; ++group) leaders_.push_back(cluster.Leader(group));
  }

  struct Figures {
    double rate = 0;           // commands a second
    double cpu_us_per_op = 0;  // of all three hosts and the load
  };
  // Over `seconds`, after a quarter of that as a warm-up.
  Figures Run(double seconds) {
    running_ = static_cast<int64_t>(slots_);
    for (uint64_t slot = 0; slot < slots_; ++slot) Next(slot);
    Sleep(seconds / 4);
    const uint64_t before = done_;
    const double cpu_before = ProcessorSeconds();
    const SteadyTime start = Now();
    Sleep(seconds);
    const auto done = static_cast<double>(done_ - before);
    const Figures figures = {done / SecondsSince(start),
                             (ProcessorSeconds() - cpu_before) * 1e6 / std::max(done, 1.0)};
    stop_ = true;
    while (running_ > 0) Sleep(0.001);
    return figures;
  }

 private:
  void Next(uint64_t slot) {
    Group* leader = leaders_[slot % leaders_.size()];
    leader->Propose(command_, {}, [this, slot](const ProposalResult& result) {
      CAIRN_CHECK(std::holds_alternative<ProposalApplied>(result));
      ++done_;
      if (stop_) {
        --running_;
      } else {
        Next(slot);
      }
    });
  }

  const std::string command_;
  const uint64_t slots_;
  std::vector<Group*> leaders_;
  std::atomic<uint64_t> done_ = 0;
  std::atomic<int64_t> running_ = 0;
  std::atomic<bool> stop_ = false;
};

double IdlePercent(double seconds) {
  const double before = ProcessorSeconds();
  const SteadyTime start = Now();
  Sleep(seconds);
  return 100 * (ProcessorSeconds() - before) / SecondsSince(start);
}

void MeasureIdle(const std::string& directory, Report& report) {
  const uint64_t groups = FromEnvironment("CAIRN_BENCH_GROUPS", 1000);
  const auto seconds = static_cast<double>(FromEnvironment("CAIRN_BENCH_IDLE_SECONDS", 20));
  const std::string name = absl::StrCat(groups, " idle groups, three nodes together");
  {
    const double empty = ResidentBytes();
    Cluster cluster(directory, groups, {});
    cluster.AwaitRest();
    const double kibibytes =
        (ResidentBytes() - empty) / 1024 / static_cast<double>(groups * kNodes);
    report.Add(name, {{"core_percent", IdlePercent(seconds)}, {"kib_per_group", kibibytes}});
    cluster.Stop(1);
    const SteadyTime start = Now();
    cluster.AwaitLeaders();
    report.Add(absl::StrCat(groups, " idle groups, a host dies"),
               {{"seconds", SecondsSince(start)}});
  }
  GroupOptions awake;
  awake.quiesce_after = 0;
  Cluster cluster(directory, groups, awake);
  cluster.AwaitLeaders();
  Sleep(2);
  report.Add(absl::StrCat(name, ", awake"), {{"core_percent", IdlePercent(seconds)}});
}

void MeasureThroughput(const std::string& directory, uint64_t in_flight, Report& report) {
  const auto seconds = static_cast<double>(FromEnvironment("CAIRN_BENCH_SECONDS", 4));
  const uint64_t rounds = FromEnvironment("CAIRN_BENCH_ROUNDS", 3);
  Cluster cluster(directory, 1 + kBusyGroups, {});
  cluster.AwaitLeaders();
  struct Column {
    std::vector<double> rates;
    std::vector<double> cpu;
    void Add(const Load::Figures& figures) {
      rates.push_back(figures.rate);
      cpu.push_back(figures.cpu_us_per_op);
    }
  };
  Column one;
  Column many;
  std::vector<double> ratios;
  for (uint64_t round = 0; round < rounds; ++round) {
    one.Add(Load(cluster, 1, 1, in_flight).Run(seconds));
    many.Add(Load(cluster, 2, 1 + kBusyGroups, in_flight).Run(seconds));
    ratios.push_back(many.rates.back() / one.rates.back());
  }
  const std::string load = absl::StrCat(", ", in_flight, " in flight");
  report.Add(absl::StrCat("one group", load),
             {{"ops_per_second", Median(one.rates)}, {"cpu_us_per_op", Median(one.cpu)}});
  report.Add(absl::StrCat(kBusyGroups, " groups", load), {{"ops_per_second", Median(many.rates)},
                                                          {"cpu_us_per_op", Median(many.cpu)},
                                                          {"of_one_group", Median(ratios)}});
}

int Run(const std::string& output) {
  const char* place = getenv("CAIRN_BENCH_DIRECTORY");
  const std::string beside = std::filesystem::absolute(output).parent_path().string();
  const std::string directory =
      absl::StrCat(place != nullptr ? place : beside, "/groups-", getpid());
  Report report;
  MeasureIdle(directory, report);
  for (uint64_t in_flight : {1000, 10'000}) MeasureThroughput(directory, in_flight, report);
  report.Write(output);
  return 0;
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: groups_bench OUTPUT.json\n";
    return 64;
  }
  return cairn::Run(argv[1]);
}

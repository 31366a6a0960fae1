// Rot below one of three hosts in one process, over gRPC on the loopback, logs on disk, found by
// the scrub and repaired by the others:
//
//   one entry      from when it is found until it is durable again; what moved, in its bytes
//   1,000 entries  the same, in a row and spread over the log, while the leader takes commands of
//                  256 bytes, 64 under way; the p99 of commits meanwhile in that of equally long
//                  times before
//
// CAIRN_BENCH_ROUNDS (3): rounds of 1,000 entries each.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "bench/micro/host_work.h"
#include "cairn/server.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kNodes = 3;
constexpr GroupId kGroup{1};
constexpr size_t kCommandBytes = 256;
constexpr size_t kHeaderBytes = 112;  // of an entry on the disk
constexpr uint64_t kCommands = 60'000;
constexpr char kMark[] = "command number ";
constexpr size_t kNumberDigits = 9;

std::string Command(uint64_t number) {
  std::string text = absl::StrCat(kMark, absl::Dec(number, absl::kZeroPad9), " ");
  // No command is found within another one.
  std::minstd_rand draw(static_cast<unsigned>(number + 1));
  while (text.size() < kCommandBytes) text += static_cast<char>('a' + draw() % 16);
  return text;
}

class Cluster {
 public:
  explicit Cluster(std::string directory) : directory_(std::move(directory)) {
    Configuration members;
    const std::vector<int> ports = FreePorts(kNodes);
    for (uint64_t node = 1; node <= kNodes; ++node) {
      members.voters.push_back(
          {NodeId{node}, Incarnation::kUnknown, absl::StrCat("127.0.0.1:", ports[node - 1])});
    }
    for (uint64_t node = 1; node <= kNodes; ++node) {
      ServerOptions options;
      options.node = NodeId{node};
      options.data_directory = Directory(node);
      options.initial_members = members;
      options.apply_on_runner = true;
      options.block_bytes = uint64_t{1} << 20;
      options.scrub_bytes_per_second = uint64_t{256} << 20;
      options.scrub_period = Seconds(1);
      fs::create_directories(options.data_directory);
      Node& parts = nodes_.emplace_back();
      absl::StatusOr<std::unique_ptr<Server>> started = Server::Start(options);
      CAIRN_CHECK(started.ok()) << started.status().ToString();
      parts.server = *std::move(started);
      parts.group = parts.server->Open(kGroup, std::make_unique<NullMachine>()).value();
      const absl::Status listens = parts.server->Listen();
      CAIRN_CHECK(listens.ok()) << listens.ToString();
    }
    while (LeaderNode() == 0) Sleep(0.01);
  }
  ~Cluster() {
    for (Node& node : nodes_) node.server->Shutdown(Duration{});
    for (Node& node : nodes_) node.group.reset();
    nodes_.clear();
    fs::remove_all(directory_);
  }

  uint64_t LeaderNode() {
    for (uint64_t node = 1; node <= kNodes; ++node) {
      if (GroupOf(node).Status().serving_leader) return node;
    }
    return 0;
  }
  Group& GroupOf(uint64_t node) { return *nodes_[node - 1].group; }
  Server& ServerOf(uint64_t node) { return *nodes_[node - 1].server; }
  std::string Directory(uint64_t node) const { return absl::StrCat(directory_, "/", node); }
  // Sealed for some time, in order.
  std::vector<fs::path> OldBlocks(uint64_t node) const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(fs::path(Directory(node)) / "log")) {
      if (entry.path().extension() == ".block") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    files.resize(files.size() - std::min<size_t>(files.size(), 4));
    return files;
  }
  // Of entries the others gave to `node`.
  uint64_t BytesGivenTo(uint64_t node) {
    uint64_t bytes = 0;
    for (uint64_t other = 1; other <= kNodes; ++other) {
      if (other != node) bytes += GroupOf(other).Status().counts.entry_bytes_given;
    }
    return bytes;
  }

 private:
  struct Node {
    std::unique_ptr<Server> server;
    std::optional<Group> group;
  };
  const std::string directory_;
  std::vector<Node> nodes_;
};

// Keeps 64 commands under way at the leader, and how long each took.
class Load {
 public:
  explicit Load(Group& leader) : leader_(leader) {}
  void Start() {
    stop_ = false;
    running_ = static_cast<int64_t>(kInFlight);
    for (uint64_t i = 0; i < kInFlight; ++i) Next();
  }
  void Stop() {
    stop_ = true;
    while (running_ > 0) Sleep(0.001);
  }
  // Ends after so many commands in all.
  void RunTo(uint64_t commands) {
    Start();
    while (number_ < commands) Sleep(0.001);
    Stop();
  }
  // Of those that ended since the last call, in milliseconds.
  double TakeP99() {
    std::vector<double> seconds;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      seconds.swap(seconds_);
    }
    CAIRN_CHECK(!seconds.empty());
    const size_t at = seconds.size() * 99 / 100;
    std::nth_element(seconds.begin(), seconds.begin() + static_cast<ptrdiff_t>(at), seconds.end());
    return seconds[at] * 1e3;
  }

 private:
  static constexpr uint64_t kInFlight = 64;

  void Next() {
    leader_.Propose(Command(number_++), {}, [this, start = Now()](const ProposalResult& result) {
      CAIRN_CHECK(std::holds_alternative<ProposalApplied>(result)) << result.index();
      {
        std::lock_guard<std::mutex> lock(mutex_);
        seconds_.push_back(SecondsSince(start));
      }
      if (stop_) {
        --running_;
      } else {
        Next();
      }
    });
  }

  Group& leader_;
  std::atomic<uint64_t> number_ = 0;
  std::atomic<int64_t> running_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::vector<double> seconds_;
};

struct Place {
  fs::path file;
  uint64_t offset = 0;
};

void Rot(const std::vector<Place>& places) {
  for (const Place& place : places) {
    const int fd = open(place.file.c_str(), O_RDWR | O_CLOEXEC);
    char byte = 0;
    const auto offset = static_cast<off_t>(place.offset);
    CAIRN_CHECK(fd >= 0 && pread(fd, &byte, 1, offset) == 1);
    byte = static_cast<char>(byte ^ 0x10);
    CAIRN_CHECK(pwrite(fd, &byte, 1, offset) == 1);
    close(fd);
  }
}

// Where commands stand in blocks that are sealed, by number.
std::map<uint64_t, Place> FindCommands(const std::vector<fs::path>& files) {
  std::map<uint64_t, Place> places;
  for (const fs::path& file : files) {
    std::ifstream stream(file, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(stream)), {});
    const size_t mark = sizeof(kMark) - 1;
    for (size_t at = bytes.find(kMark); at != std::string::npos; at = bytes.find(kMark, at + 1)) {
      uint64_t number = 0;
      if (!absl::SimpleAtoi(bytes.substr(at + mark, kNumberDigits), &number)) continue;
      places[number] = {file, at + mark + kNumberDigits + 5};
    }
  }
  return places;
}

class Bench {
 public:
  explicit Bench(const std::string& directory)
      : cluster_(directory),
        leader_(cluster_.LeaderNode()),
        rotten_(leader_ % kNodes + 1),
        load_(cluster_.GroupOf(leader_)) {
    load_.RunTo(kCommands);
    // The member that rots has it all, on its disk.
    while (cluster_.GroupOf(rotten_).Status().applied_index < kCommands) Sleep(0.01);
  }

  struct Figures {
    double seconds = 0;  // from the first that was found to the last that is durable again
    double behind = 0;   // of these, after the last was found
    double entries = 0;
    double bytes = 0;  // that moved
  };
  // Rots one byte at each place, and waits until `least` entries or more are found and repaired.
  // No entries, if nothing is found in some rounds of the scrub: nothing there was in use.
  Figures Repair(const std::vector<Place>& places, uint64_t least) {
    const LossReport& losses = cluster_.ServerOf(rotten_).losses();
    const LossReport::Counts before = losses.counts();
    const uint64_t bytes_before = cluster_.BytesGivenTo(rotten_);
    Rot(places);
    const SteadyTime start = Now();
    while (losses.counts().damaged == before.damaged) {
      if (SecondsSince(start) > 20) return {};
      Sleep(20e-6);
    }
    const SteadyTime found = Now();
    SteadyTime all_found = found;
    LossReport::Counts now = losses.counts();
    while (now.damaged - before.damaged < least || now.open > 0) {
      if (now.damaged - before.damaged < least) all_found = Now();
      Sleep(20e-6);
      now = losses.counts();
      CAIRN_CHECK(SecondsSince(found) < 60)
          << now.damaged - before.damaged << " of " << least << " entries are found, " << now.open
          << " not repaired";
    }
    CAIRN_CHECK(now.repaired - before.repaired == now.damaged - before.damaged);
    return {SecondsSince(found), SecondsSince(all_found),
            static_cast<double>(now.damaged - before.damaged),
            static_cast<double>(cluster_.BytesGivenTo(rotten_) - bytes_before)};
  }

  std::vector<fs::path> OldBlocks() const { return cluster_.OldBlocks(rotten_); }
  Load& load() { return load_; }

 private:
  Cluster cluster_;
  const uint64_t leader_;
  const uint64_t rotten_;
  Load load_;
};

void MeasureOne(Bench& bench, const std::map<uint64_t, Place>& places, Report& report) {
  std::vector<double> milliseconds;
  double bytes = 0;
  constexpr uint64_t kTimes = 20;
  for (uint64_t i = 0; i < kTimes; ++i) {
    const Bench::Figures figures = bench.Repair({places.at(1000 + 37 * i)}, 1);
    CAIRN_CHECK(figures.entries == 1) << figures.entries;
    milliseconds.push_back(figures.seconds * 1e3);
    bytes += figures.bytes;
  }
  report.Add("one rotten entry",
             {{"milliseconds", Median(milliseconds)},
              {"milliseconds_max", *std::max_element(milliseconds.begin(), milliseconds.end())},
              {"moved_in_its_bytes", bytes / (kTimes * (kCommandBytes + kHeaderBytes))}});
}

void MeasureMany(const std::string& directory, uint64_t apart, const std::string& name,
                 Report& report) {
  constexpr uint64_t kEntries = 1000;
  std::vector<double> seconds;
  std::vector<double> behind;
  std::vector<double> ratios;
  double bytes = 0;
  const uint64_t rounds = FromEnvironment("CAIRN_BENCH_ROUNDS", 3);
  for (uint64_t round = 0; round < rounds; ++round) {
    // The scrub comes round in a second only where the log is short: each time a new one.
    Bench bench(directory);
    const std::map<uint64_t, Place> places = FindCommands(bench.OldBlocks());
    std::vector<Place> rotten;
    for (uint64_t i = 0; i < kEntries; ++i) rotten.push_back(places.at(1000 + i * apart));
    bench.load().Start();
    Sleep(0.5);
    bench.load().TakeP99();
    Sleep(2);
    const double p99_before = bench.load().TakeP99();
    const SteadyTime start = Now();
    const Bench::Figures figures = bench.Repair(rotten, kEntries);
    CAIRN_CHECK(figures.entries >= kEntries) << figures.entries;
    Sleep(std::max(0.0, 2 - SecondsSince(start)));
    ratios.push_back(bench.load().TakeP99() / p99_before);
    bench.load().Stop();
    seconds.push_back(figures.seconds);
    behind.push_back(figures.behind);
    bytes += figures.bytes / static_cast<double>(kEntries * (kCommandBytes + kHeaderBytes));
  }
  report.Add(name, {{"seconds", Median(seconds)},
                    {"seconds_behind_the_scrub", Median(behind)},
                    {"moved_in_their_bytes", bytes / static_cast<double>(rounds)},
                    {"p99_in_that_before", Median(ratios)}});
}

int Run(const std::string& output) {
  const char* place = getenv("CAIRN_BENCH_DIRECTORY");
  const std::string beside = fs::absolute(output).parent_path().string();
  const std::string directory =
      absl::StrCat(place != nullptr ? place : beside, "/repair-", getpid());
  Report report;
  {
    Bench bench(directory);
    MeasureOne(bench, FindCommands(bench.OldBlocks()), report);
  }
  MeasureMany(directory, 1, "1000 rotten entries in a row, 64 in flight", report);
  MeasureMany(directory, 50, "1000 rotten entries spread, 64 in flight", report);
  fs::remove_all(directory);
  report.Write(output);
  return 0;
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: repair_bench OUTPUT.json\n";
    return 64;
  }
  return cairn::Run(argv[1]);
}

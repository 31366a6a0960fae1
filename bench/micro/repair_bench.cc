// Rot below one of three hosts in one process, over gRPC on the loopback, logs on disk, found by
// the scrub and repaired by the others:
//
//   one entry      from when it is found until it is durable again; what moved, in its bytes
//   one frame      the same of a frame of a compressed block, of which all entries are bad
//   1,000 entries  the same, in a row and spread over the log, while the leader takes commands of
//                  256 bytes, 64 under way, and the scrub has its usual rate; the p99 of commits
//                  meanwhile in that of two seconds before, in which nothing is scrubbed
//
// CAIRN_BENCH_ROUNDS (3): rounds of 1,000 entries each.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
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
#include "base/coding.h"
#include "base/system_clock.h"
#include "base/time.h"
#include "bench/micro/host_work.h"
#include "cairn/server.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kNodes = 3;
constexpr GroupId kGroup{1};
constexpr size_t kCommandBytes = 256;
constexpr size_t kHeaderBytes = 112;  // of an entry on the disk
constexpr uint64_t kCommands = 120'000;
// The latest ones are in memory, in the store and in the group: rot below those is written again
// from there.
constexpr uint64_t kOldCommands = 60'000;
constexpr Duration kPeriod = Seconds(15);  // of the scrub, with a load
constexpr char kMark[] = "command number ";
constexpr size_t kNumberDigits = 9;

std::string Command(uint64_t number) {
  std::string text = absl::StrCat(kMark, absl::Dec(number, absl::kZeroPad9), " ");
  // No command is found within another one.
  std::minstd_rand draw(static_cast<unsigned>(number + 1));
  while (text.size() < kCommandBytes) text += static_cast<char>('a' + draw() % 16);
  return text;
}

struct ScrubbedHow {
  Duration period;
  uint64_t bytes_per_second = ServerOptions().scrub_bytes_per_second;
  std::string log_compression = "none";
};

class Cluster {
 public:
  Cluster(std::string directory, const ScrubbedHow& how) : directory_(std::move(directory)) {
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
      options.scrub_bytes_per_second = how.bytes_per_second;
      options.scrub_period = how.period;
      options.log_compression = how.log_compression;
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

// In the middle of a frame of a compressed block (storage/block/FORMAT.md), in the middle of the
// file; nothing if the block is not compressed.
std::optional<Place> FindFrame(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)), {});
  const auto at32 = [&](uint64_t at) { return LoadLittleEndian<uint32_t>(&bytes.at(at)); };
  constexpr uint32_t kCompressed = 3;
  constexpr uint64_t kTableAt = 2 * 4096;
  if (bytes.size() <= kTableAt || at32(4) != kCompressed) return std::nullopt;
  const uint32_t frames = at32(kTableAt + 4);
  const uint64_t table_bytes = 120 + 12 * uint64_t{frames};
  uint64_t begin = kTableAt + (table_bytes + 4095) / 4096 * 4096;
  for (uint32_t i = 0; i < frames / 2; ++i) begin += at32(kTableAt + 112 + 12 * uint64_t{i});
  return Place{file, begin + at32(kTableAt + 112 + 12 * uint64_t{frames / 2}) / 2};
}

class Bench {
 public:
  Bench(const std::string& directory, const ScrubbedHow& how)
      : cluster_(directory, how),
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
  // Rots one byte at each place, and waits until `least` entries or more are found and repaired,
  // and no other one is found for `quiet` seconds. `found` is called when the first one is,
  // `repaired` when all are durable again.
  Figures Repair(
      const std::vector<Place>& places, uint64_t least, double quiet = 0,
      const std::function<void()>& found = [] {}, const std::function<void()>& repaired = [] {}) {
    const LossReport& losses = cluster_.ServerOf(rotten_).losses();
    const LossReport::Counts before = losses.counts();
    const uint64_t bytes_before = cluster_.BytesGivenTo(rotten_);
    Rot(places);
    LossReport::Counts now = before;
    const SteadyTime start = Now();
    while (now.damaged == before.damaged) {
      CAIRN_CHECK(SecondsSince(start) < 300) << "nothing is found";
      Sleep(20e-6);
      now = losses.counts();
    }
    found();
    const SteadyTime first_found = Now();
    SteadyTime last_found = first_found;
    SteadyTime done = first_found;
    bool whole = false;
    while (!whole || SecondsSince(done) < quiet) {
      const uint64_t known = now.damaged;
      now = losses.counts();
      if (now.damaged > known) last_found = Now();
      const bool is_whole = now.damaged - before.damaged >= least && now.open == 0;
      if (is_whole && (!whole || now.damaged > known)) {
        done = Now();
        repaired();
      }
      whole = is_whole;
      CAIRN_CHECK(SecondsSince(first_found) < 60)
          << now.damaged - before.damaged << " of " << least << " entries are found, " << now.open
          << " not repaired";
      Sleep(20e-6);
    }
    CAIRN_CHECK(now.repaired - before.repaired == now.damaged - before.damaged);
    const auto seconds = [&](SteadyTime from) {
      return std::chrono::duration<double>(done - from).count();
    };
    return {seconds(first_found), seconds(last_found),
            static_cast<double>(now.damaged - before.damaged),
            static_cast<double>(cluster_.BytesGivenTo(rotten_) - bytes_before)};
  }
  // Until the scrub has read all there is, and does not begin again for some seconds; on a busy
  // machine it may never be so far ahead.
  void AwaitPause() {
    for (const SteadyTime start = Now(); SecondsSince(start) < 60;) {
      const ScrubProgress progress = cluster_.ServerOf(rotten_).Scrub()->progress;
      const Duration since = {SystemClock().WallNow().nanoseconds -
                              progress.round_began.nanoseconds};
      if (!progress.in_round && progress.rounds > 0 && since < kPeriod - Seconds(5)) return;
      Sleep(0.001);
    }
  }

  std::vector<fs::path> OldBlocks() const { return cluster_.OldBlocks(rotten_); }
  Load& load() { return load_; }

 private:
  Cluster cluster_;
  const uint64_t leader_;
  const uint64_t rotten_;
  Load load_;
};

// A round each second, so that what rots is soon found.
const ScrubbedHow kOften = {.period = Seconds(1), .bytes_per_second = uint64_t{256} << 20};
constexpr uint64_t kTimes = 20;

void MeasureOne(const std::string& directory, Report& report) {
  Bench bench(directory, kOften);
  const std::map<uint64_t, Place> places = FindCommands(bench.OldBlocks());
  std::vector<double> milliseconds;
  double bytes = 0;
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

void MeasureFrame(const std::string& directory, Report& report) {
  ScrubbedHow how = kOften;
  how.log_compression = "zstd";
  Bench bench(directory, how);
  std::vector<fs::path> blocks;
  while (blocks.size() < kTimes) {
    blocks.clear();
    for (const fs::path& file : bench.OldBlocks()) {
      if (FindFrame(file)) blocks.push_back(file);
    }
    Sleep(0.1);
  }
  std::vector<double> milliseconds;
  std::vector<double> behind;
  double bytes = 0;
  double entries = 0;
  for (uint64_t i = 0; i < kTimes; ++i) {
    const Bench::Figures figures = bench.Repair({*FindFrame(blocks[i])}, 2, /*quiet=*/0.5);
    milliseconds.push_back(figures.seconds * 1e3);
    behind.push_back(figures.behind * 1e3);
    bytes += figures.bytes;
    entries += figures.entries;
  }
  constexpr double kFrameBytes = 64 << 10;
  report.Add("one rotten frame of a compressed block",
             {{"milliseconds", Median(milliseconds)},
              {"milliseconds_max", *std::max_element(milliseconds.begin(), milliseconds.end())},
              {"milliseconds_behind_the_scrub", Median(behind)},
              {"entries", entries / kTimes},
              {"moved_in_a_frames_bytes", bytes / (kTimes * kFrameBytes)}});
}

void MeasureMany(const std::string& directory, uint64_t apart, const std::string& name,
                 Report& report) {
  constexpr uint64_t kEntries = 1000;
  std::vector<double> seconds;
  std::vector<double> behind;
  std::vector<double> before;
  std::vector<double> ratios;
  double bytes = 0;
  const uint64_t rounds = FromEnvironment("CAIRN_BENCH_ROUNDS", 3);
  for (uint64_t round = 0; round < rounds; ++round) {
    // Under load the log grows faster than it is scrubbed: each time a new one, and the load begins
    // when a round has just ended. The next one finds what has rotted when it begins.
    Bench bench(directory, {.period = kPeriod});
    const std::map<uint64_t, Place> places = FindCommands(bench.OldBlocks());
    std::vector<Place> rotten;
    for (uint64_t i = 0; i < kEntries; ++i) rotten.push_back(places.at(1000 + i * apart));
    CAIRN_CHECK(1000 + kEntries * apart < kOldCommands);
    bench.AwaitPause();
    bench.load().Start();
    Sleep(0.5);
    bench.load().TakeP99();
    Sleep(2);
    before.push_back(bench.load().TakeP99());
    double meanwhile = 0;
    const Bench::Figures figures = bench.Repair(
        rotten, kEntries, 0, [&] { bench.load().TakeP99(); },
        [&] { meanwhile = bench.load().TakeP99(); });
    CAIRN_CHECK(figures.entries >= kEntries) << figures.entries;
    bench.load().Stop();
    ratios.push_back(meanwhile / before.back());
    seconds.push_back(figures.seconds);
    behind.push_back(figures.behind);
    bytes += figures.bytes / static_cast<double>(kEntries * (kCommandBytes + kHeaderBytes));
  }
  report.Add(name, {{"seconds", Median(seconds)},
                    {"seconds_max", *std::max_element(seconds.begin(), seconds.end())},
                    {"seconds_behind_the_scrub", Median(behind)},
                    {"moved_in_their_bytes", bytes / static_cast<double>(rounds)},
                    {"p99_before_ms", Median(before)},
                    {"p99_in_that_before", Median(ratios)}});
}

int Run(const std::string& output) {
  const char* place = getenv("CAIRN_BENCH_DIRECTORY");
  const std::string beside = fs::absolute(output).parent_path().string();
  const std::string directory =
      absl::StrCat(place != nullptr ? place : beside, "/repair-", getpid());
  Report report;
  MeasureOne(directory, report);
  MeasureFrame(directory, report);
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

// Opening many groups of one host: CAIRN_BENCH_GROUPS (1000) with 50 commands of 256 bytes and a
// snapshot of 64 KiB each, one after the other and by OpenAll.
//
//   warm   the files are in the page cache: what it costs of the processors
//   cold   they are not
//
// All ways take turns in each of CAIRN_BENCH_ROUNDS (3) rounds; a figure is the median, and so is a
// ratio, of those of each round.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "raft/host.h"
#include "storage/block/block_log.h"
#include "storage/posix_file_system.h"

namespace cairn {
namespace {

constexpr size_t kStateBytes = size_t{64} << 10;
constexpr uint64_t kCommands = 50;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = getenv(name);
  uint64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class StateSource final : public SnapshotSource {
 public:
  const std::vector<SnapshotFile>& files() const override { return files_; }
  absl::StatusOr<std::string> Read(size_t, uint64_t, size_t bytes) const override {
    return std::string(bytes, 's');
  }

 private:
  const std::vector<SnapshotFile> files_ = {{"state", kStateBytes}};
};

class StateMachineOfBytes final : public StateMachine {
 public:
  void Apply(ApplyBatch& batch) override { applied_ += batch.size(); }
  std::unique_ptr<SnapshotSource> Freeze() override { return std::make_unique<StateSource>(); }
  absl::Status Restore(const SnapshotReader& snapshot, LogPosition) override {
    absl::StatusOr<std::string> read = snapshot.Read(0, 0, kStateBytes);
    if (read.ok()) state_ = *std::move(read);
    return read.status();
  }

 private:
  size_t applied_ = 0;
  std::string state_;
};

// There are no other nodes.
class NoTransport final : public Transport {
 public:
  void SetPeer(NodeId, const std::string&) override {}
  void Send(Envelope) override {}
  void Start(Receiver) override {}
  void Stop() override {}
};

// One life of the host on its directory.
class Process {
 public:
  Process(const std::string& directory, size_t openers) {
    std::filesystem::create_directories(directory);
    NodeIdentity identity;
    identity.initial_members.voters.push_back({NodeId{1}, Incarnation{1}, "node1"});
    identity.cluster = MakeClusterId(identity.initial_members, "bench");
    identity.node = NodeId{1};
    identity.incarnation = Incarnation{1};
    identity.formed = true;
    BlockLogOptions log;
    log.directory = directory + "/log";
    log.identity = {identity.cluster, identity.node, identity.incarnation};
    log.geometry.block_bytes = uint64_t{16} << 20;
    log_ = BlockLog::Open(file_system_, log).value();
    HostDependencies dependencies;
    dependencies.clock = &clock_;
    dependencies.file_system = &file_system_;
    dependencies.data_directory = directory;
    dependencies.log_disk = log_.get();
    dependencies.transport = &transport_;
    dependencies.make_executor = [this](const std::string& name) {
      return std::make_unique<ThreadExecutor>(clock_, name);
    };
    dependencies.openers = openers;
    dependencies.seed = 1;
    host_ = Host::Start(identity, std::move(dependencies)).value();
  }
  ~Process() { host_->Shutdown(Instant{}); }

  static GroupToOpen ToOpen(uint64_t group) {
    GroupOptions options;
    options.compaction.retained_entries = 10;
    return {GroupId{group}, std::make_unique<StateMachineOfBytes>(), options};
  }
  std::vector<Group> OpenAll(uint64_t count) {
    std::vector<GroupToOpen> groups;
    for (uint64_t group = 1; group <= count; ++group) groups.push_back(ToOpen(group));
    std::vector<Group> opened;
    for (absl::StatusOr<Group>& group : host_->OpenAll(std::move(groups))) {
      opened.push_back(*std::move(group));
    }
    return opened;
  }
  std::vector<Group> OpenEach(uint64_t count) {
    std::vector<Group> opened;
    for (uint64_t group = 1; group <= count; ++group) {
      GroupToOpen next = ToOpen(group);
      opened.push_back(
          host_->Open(next.group, std::move(next.state_machine), next.options).value());
    }
    return opened;
  }

 private:
  SystemClock clock_;
  PosixFileSystem file_system_;
  NoTransport transport_;
  std::unique_ptr<BlockLog> log_;
  std::unique_ptr<Host> host_;
};

// What the groups hold.
void Fill(const std::string& directory, uint64_t groups) {
  Process process(directory, kUsualOpeners);
  std::vector<Group> opened = process.OpenAll(groups);
  for (Group& group : opened) {
    while (!group.Status().serving_leader) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  std::vector<std::unique_ptr<Pending<ProposalResult>>> calls;
  for (Group& group : opened) {
    for (uint64_t i = 0; i < kCommands; ++i) calls.push_back(group.Propose(std::string(256, 'x')));
  }
  for (auto& call : calls) CAIRN_CHECK(std::holds_alternative<ProposalApplied>(call->Wait()));
  std::vector<std::promise<bool>> taken(opened.size());
  for (size_t i = 0; i < opened.size(); ++i) {
    opened[i].Snapshot(
        [&taken, i](const absl::StatusOr<LogPosition>& at) { taken[i].set_value(at.ok()); });
  }
  for (auto& each : taken) CAIRN_CHECK(each.get_future().get());
}

void DropFromCache(const std::string& directory) {
  sync();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    const int file = open(entry.path().c_str(), O_RDONLY);
    CAIRN_CHECK(file >= 0);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
  }
}

struct Way {
  std::string name;
  size_t openers;  // 0: one after the other
};

double SecondsFor(const Way& way, const std::string& directory, uint64_t groups, bool cold) {
  if (cold) DropFromCache(directory);
  Process process(directory, std::max<size_t>(way.openers, 1));
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Group> opened =
      way.openers == 0 ? process.OpenEach(groups) : process.OpenAll(groups);
  CAIRN_CHECK_EQ(opened.size(), groups);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Run(const std::string& output) {
  const char* place = getenv("CAIRN_BENCH_DIRECTORY");
  const std::string beside = std::filesystem::absolute(output).parent_path().string();
  const std::string directory =
      absl::StrCat(place != nullptr ? place : beside, "/opening-", getpid());
  const uint64_t groups = FromEnvironment("CAIRN_BENCH_GROUPS", 1000);
  const uint64_t rounds = FromEnvironment("CAIRN_BENCH_ROUNDS", 3);
  Fill(directory, groups);
  const std::vector<Way> ways = {{"one after the other", 0},
                                 {"4 at a time", 4},
                                 {absl::StrCat(kUsualOpeners, " at a time"), kUsualOpeners},
                                 {"64 at a time", 64}};
  std::vector<std::string> results;
  for (bool cold : {false, true}) {
    std::vector<std::vector<double>> seconds(ways.size());
    std::vector<std::vector<double>> ratios(ways.size());
    for (uint64_t round = 0; round < rounds; ++round) {
      for (size_t i = 0; i < ways.size(); ++i) {
        seconds[i].push_back(SecondsFor(ways[i], directory, groups, cold));
        ratios[i].push_back(seconds[0].back() / seconds[i].back());
      }
    }
    for (size_t i = 0; i < ways.size(); ++i) {
      const std::string what = absl::StrCat("open ", groups, " groups, ", ways[i].name,
                                            cold ? ", cold" : ", from the page cache");
      const std::string figures =
          absl::StrCat(R"("seconds": )", Median(seconds[i]), R"(, "times_as_fast_as_one_by_one": )",
                       Median(ratios[i]));
      std::cerr << what << ": " << figures << std::endl;
      results.push_back(absl::StrCat(R"({"case": ")", what, R"(", "system": "cairn", "metrics": {)",
                                     figures, "}}"));
    }
  }
  std::ofstream(output) << "{\"results\": [\n" << absl::StrJoin(results, ",\n") << "\n]}\n";
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: opening_bench OUTPUT.json\n";
    return 64;
  }
  cairn::Run(argv[1]);
  return 0;
}

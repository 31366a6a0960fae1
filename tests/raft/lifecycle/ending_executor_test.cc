// What runs on an executor while its owner ends it may still post to it.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "gtest/gtest.h"
#include "raft/host.h"
#include "raft/scrub/scrubber.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/fake_log_disk.h"
#include "tests/raft/loopback_network.h"
#include "tests/raft/manual_executor.h"

namespace cairn {
namespace {

// As a thread that is slow: it runs what was posted when it is ended, and nothing before.
class SlowExecutor final : public Executor {
 public:
  explicit SlowExecutor(int* posted_late) : posted_late_(posted_late) {}
  ~SlowExecutor() override {
    ending_ = true;
    for (Task& task : tasks_) task();
  }
  void Post(Task task) override { PostAt(Instant(), std::move(task)); }
  void PostAt(Instant, Task task) override {
    if (ending_) {
      ++*posted_late_;
    } else {
      tasks_.push_back(std::move(task));
    }
  }

 private:
  int* const posted_late_;
  bool ending_ = false;
  std::vector<Task> tasks_;
};

class NothingToScrub final : public LogScrub {
 public:
  ScrubStep Step(ScrubPosition&, uint64_t) override {
    ScrubStep step;
    step.round_ended = true;
    return step;
  }
};

TEST(EndingExecutorTest, AScrubThatReadsIsWaitedFor) {
  ManualWorld world;
  SimulatedFileSystem files;
  ASSERT_TRUE(files.MakeDirectory("/data").ok());
  NothingToScrub scrub;
  int posted_late = 0;
  Scrubber::Parts parts;
  parts.clock = &world;
  parts.executor = std::make_unique<SlowExecutor>(&posted_late);
  parts.scrub = &scrub;
  parts.file_system = &files;
  parts.path = "/data/SCRUB";
  parts.log = &NullLogSink();
  parts.options = {.bytes_per_second = 1000};
  Scrubber scrubber(std::move(parts));
  scrubber.Stop();
  EXPECT_EQ(posted_late, 1);  // the next turn
}

TEST(EndingExecutorTest, AHostThatAsksWhoTheOthersAreIsWaitedFor) {
  ManualWorld world;
  SimulatedFileSystem files;
  ASSERT_TRUE(files.MakeDirectory("/data").ok());
  ManualExecutor network_executor(&world);
  LoopbackNetwork network(&network_executor, &world, Duration());
  const std::unique_ptr<Transport> transport = network.MakeTransport(NodeId{1});
  FakeLogDisk disk;
  NodeIdentity wanted;
  for (uint64_t node = 1; node <= 3; ++node) {
    wanted.initial_members.voters.push_back(
        {NodeId{node}, Incarnation::kUnknown, std::string("node") + std::to_string(node)});
  }
  wanted.cluster = MakeClusterId(wanted.initial_members, "test");
  wanted.node = NodeId{1};
  wanted.incarnation = Incarnation{101};
  wanted.log_store = "block";
  bool formatted = false;
  const NodeIdentity identity = LoadOrCreateIdentity(files, "/data", wanted, &formatted).value();
  int posted_late = 0;
  HostDependencies dependencies;
  dependencies.clock = &world;
  dependencies.file_system = &files;
  dependencies.data_directory = "/data";
  dependencies.log_disk = &disk;
  dependencies.transport = transport.get();
  dependencies.make_executor = [&](const std::string& name) -> std::unique_ptr<Executor> {
    if (name == "runner") return std::make_unique<SlowExecutor>(&posted_late);
    return std::make_unique<ManualExecutor>(&world);
  };
  dependencies.seed = 1;
  dependencies.stopped = [](GroupId, NodeState, const absl::Status&) {};
  std::unique_ptr<Host> host = Host::Start(identity, std::move(dependencies)).value();
  host.reset();
  EXPECT_EQ(posted_late, 1);  // the next question
}

}  // namespace
}  // namespace cairn

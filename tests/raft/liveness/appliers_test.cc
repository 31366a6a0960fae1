// On threads: a slow state machine delays only those it shares a thread with.

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "base/mutex.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "gtest/gtest.h"
#include "raft/host.h"
#include "storage/memory_log_store.h"
#include "storage/posix_file_system.h"
#include "tests/raft/loopback_network.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

// Something that happens once.
class Signal {
 public:
  void Give() {
    MutexLock lock(mutex_);
    given_ = true;
    changed_.NotifyAll();
  }
  bool Await() {
    MutexLock lock(mutex_);
    while (!given_) {
      if (!changed_.WaitFor(mutex_, absl::Seconds(20))) return given_;
    }
    return true;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool given_ CAIRN_GUARDED_BY(mutex_) = false;
};

// Its Apply waits for the other group's.
class WaitingMachine final : public StateMachine {
 public:
  explicit WaitingMachine(Signal* other) : other_(other) {}
  void Apply(ApplyBatch& batch) override {
    for (ApplyEntry& entry : batch) entry.Reply(other_->Await() ? "together" : "alone");
  }

 private:
  Signal* const other_;
};

class GivingMachine final : public StateMachine {
 public:
  explicit GivingMachine(Signal* signal) : signal_(signal) {}
  void Apply(ApplyBatch&) override { signal_->Give(); }

 private:
  Signal* const signal_;
};

TEST(AppliersTest, ASlowMachineDoesNotHoldUpAnotherAppliersGroups) {
  SystemClock clock;
  PosixFileSystem file_system;
  TestDirectory directory;
  MemoryLogDisk disk;
  ThreadExecutor network_executor(clock, "network");
  LoopbackNetwork network(&network_executor, &clock, Duration{});
  std::unique_ptr<Transport> transport = network.MakeTransport(NodeId{1});
  NodeIdentity identity;
  identity.initial_members.voters.push_back({NodeId{1}, Incarnation{1}, "1"});
  identity.node = NodeId{1};
  identity.incarnation = Incarnation{1};
  identity.formed = true;
  HostDependencies dependencies;
  dependencies.clock = &clock;
  dependencies.file_system = &file_system;
  dependencies.data_directory = directory.path();
  dependencies.log_disk = &disk;
  dependencies.transport = transport.get();
  dependencies.make_executor = [&clock](const std::string& name) -> std::unique_ptr<Executor> {
    return std::make_unique<ThreadExecutor>(clock, name);
  };
  dependencies.seed = 1;
  dependencies.appliers = 2;
  std::unique_ptr<Host> host = Host::Start(identity, std::move(dependencies)).value();
  GroupOptions options;
  options.election_timeout = Milliseconds(60);
  options.heartbeat_interval = Milliseconds(20);
  Signal applied;
  Signal done;
  Signal serves[2];
  Group waiting =
      host->Open(GroupId{1}, std::make_unique<WaitingMachine>(&applied), options).value();
  Group giving = host->Open(GroupId{2}, std::make_unique<GivingMachine>(&applied), options).value();
  auto tell = [](Signal* signal) {
    return [signal](const GroupStatus& status) {
      if (status.serving_leader) signal->Give();
    };
  };
  waiting.WatchLeadership(tell(&serves[0]));
  giving.WatchLeadership(tell(&serves[1]));
  ASSERT_TRUE(serves[0].Await() && serves[1].Await());
  std::string reply;
  waiting.Propose("x", {}, [&](const ProposalResult& result) {
    const auto* known = std::get_if<ProposalApplied>(&result);
    if (known != nullptr) reply = std::string(known->reply.view());
    done.Give();
  });
  giving.Propose("y", {}, [](const ProposalResult&) {});
  ASSERT_TRUE(done.Await());
  EXPECT_EQ(reply, "together");
  host->Shutdown(Instant{});
}

TEST(AppliersTest, NoneAtAllIsRefused) {
  HostDependencies dependencies;
  dependencies.appliers = 0;
  NodeIdentity identity;
  identity.initial_members.voters.push_back({NodeId{1}, Incarnation{1}, "1"});
  identity.node = NodeId{1};
  EXPECT_EQ(Host::Start(identity, std::move(dependencies)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace cairn

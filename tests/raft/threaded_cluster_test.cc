// Hosts on real threads: what the deterministic tests cannot see. Run it with the thread sanitizer.

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

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

constexpr GroupId kGroup{1};
constexpr uint64_t kNodes = 3;

// What a machine has applied; read by the test's threads.
class Journal {
 public:
  size_t Add(std::string command) {
    MutexLock lock(mutex_);
    commands_.push_back(std::move(command));
    return commands_.size();
  }
  std::vector<std::string> commands() const {
    MutexLock lock(mutex_);
    return commands_;
  }
  size_t size() const {
    MutexLock lock(mutex_);
    return commands_.size();
  }

 private:
  mutable Mutex mutex_;
  std::vector<std::string> commands_ CAIRN_GUARDED_BY(mutex_);
};

class JournalMachine final : public StateMachine {
 public:
  explicit JournalMachine(Journal* journal) : journal_(journal) {}
  void Apply(ApplyBatch& batch) override {
    for (ApplyEntry& entry : batch) {
      entry.Reply(std::to_string(journal_->Add(std::string(entry.command().view()))));
    }
  }

 private:
  Journal* const journal_;
};

// Who serves as leader, as the watchers tell.
class Leaders {
 public:
  void Tell(uint64_t node, bool serves) {
    MutexLock lock(mutex_);
    if (serves) {
      serving_.insert(node);
    } else {
      serving_.erase(node);
    }
    changed_.NotifyAll();
  }
  void Forget(uint64_t node) { Tell(node, false); }
  uint64_t Await() {
    MutexLock lock(mutex_);
    while (serving_.empty()) changed_.Wait(mutex_);
    return *serving_.begin();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::set<uint64_t> serving_ CAIRN_GUARDED_BY(mutex_);
};

struct Threads {
  const char* name;
  bool own_applier;                 // state machines have a thread of their own
  ThreadExecutor::Callers callers;  // of the runner
};

class ThreadedClusterTest : public ::testing::TestWithParam<Threads> {
 protected:
  ThreadedClusterTest() {
    for (uint64_t node = 1; node <= kNodes; ++node) {
      members_.voters.push_back({NodeId{node}, Incarnation::kUnknown, std::to_string(node)});
    }
    for (uint64_t node = 1; node <= kNodes; ++node) Start(node);
    leaders_.Await();
  }
  ~ThreadedClusterTest() override {
    for (uint64_t node = 1; node <= kNodes; ++node) nodes_[node].host.reset();
  }

  void Start(uint64_t node) {
    Node& parts = nodes_[node];
    parts.transport = network_.MakeTransport(NodeId{node});
    NodeIdentity identity;
    identity.initial_members = members_;
    identity.cluster = MakeClusterId(members_, "test");
    identity.node = NodeId{node};
    identity.incarnation = Incarnation{node};
    HostDependencies dependencies;
    dependencies.clock = &clock_;
    dependencies.file_system = &file_system_;
    dependencies.data_directory = parts.directory.path();
    dependencies.log_disk = &parts.disk;
    dependencies.transport = parts.transport.get();
    dependencies.make_executor = [this](const std::string& name) -> std::unique_ptr<Executor> {
      const Threads& threads = GetParam();
      if (name == "applier" && !threads.own_applier) return nullptr;
      return std::make_unique<ThreadExecutor>(
          clock_, name, name == "runner" ? threads.callers : ThreadExecutor::Callers::kOnlyPost);
    };
    dependencies.seed = node;
    dependencies.hello_interval = Milliseconds(20);
    parts.host = Host::Start(identity, std::move(dependencies)).value();
    GroupOptions options;
    options.election_timeout = Milliseconds(300);
    options.heartbeat_interval = Milliseconds(50);
    options.log_cache_bytes = 4096;  // so that members read each other what the disk holds
    parts.group =
        parts.host->Open(kGroup, std::make_unique<JournalMachine>(&parts.journal), options).value();
    parts.group->WatchLeadership(
        [this, node](const GroupStatus& status) { leaders_.Tell(node, status.serving_leader); });
  }
  void Stop(uint64_t node) {
    nodes_[node].host.reset();
    leaders_.Forget(node);
  }
  Group& At(uint64_t node) { return *nodes_[node].group; }

  // Proposes until it is applied, in a session, wherever the leader is.
  ProposalApplied ProposeSurely(const std::string& command, SessionCall call) {
    while (true) {
      ProposeOptions options;
      options.session = call;
      options.deadline = clock_.Now() + Seconds(2);
      ProposalResult result = At(leaders_.Await()).Propose(command, options)->Wait();
      if (auto* applied = std::get_if<ProposalApplied>(&result)) return *applied;
    }
  }
  uint64_t OpenSession() {
    while (true) {
      std::unique_ptr<Pending<ProposalResult>> pending;
      Mutex mutex;
      CondVar done;
      std::optional<ProposalResult> result;
      At(leaders_.Await()).OpenSession("client", {}, [&](ProposalResult r) {
        MutexLock lock(mutex);
        result = std::move(r);
        done.NotifyAll();
      });
      MutexLock lock(mutex);
      while (!result.has_value()) done.Wait(mutex);
      if (auto* applied = std::get_if<ProposalApplied>(&*result)) return applied->at.index;
    }
  }
  void AwaitReadable(uint64_t node) {
    while (!std::holds_alternative<ReadReady>(At(node).Linearize()->Wait())) leaders_.Await();
  }

  struct Node {
    TestDirectory directory;
    MemoryLogDisk disk;
    Journal journal;
    std::unique_ptr<Transport> transport;
    std::unique_ptr<Host> host;
    std::optional<Group> group;
  };

  SystemClock clock_;
  PosixFileSystem file_system_;
  ThreadExecutor network_executor_{clock_, "network"};
  LoopbackNetwork network_{&network_executor_, &clock_, Duration{}};
  Configuration members_;
  Leaders leaders_;
  std::map<uint64_t, Node> nodes_;
};

TEST_P(ThreadedClusterTest, EveryMemberTakesCommandsAndAllAgree) {
  constexpr int kThreads = 4;
  constexpr int kEach = 300;
  std::vector<std::thread> clients;
  for (int i = 0; i < kThreads; ++i) {
    clients.emplace_back([this, i] {
      uint64_t session = OpenSession();
      for (int j = 0; j < kEach; ++j) {
        ProposeOptions options;
        options.session = {session, static_cast<uint64_t>(j) + 1};
        std::string command = std::to_string(i) + "/" + std::to_string(j);
        ProposalResult result =
            At(1 + static_cast<uint64_t>(i + j) % kNodes).Propose(command, options)->Wait();
        if (!std::holds_alternative<ProposalApplied>(result))
          ProposeSurely(command, options.session);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  std::set<std::string> unique;
  for (uint64_t node = 1; node <= kNodes; ++node) {
    AwaitReadable(node);
    std::vector<std::string> commands = nodes_[node].journal.commands();
    EXPECT_EQ(commands.size(), size_t{kThreads} * kEach);
    unique = std::set<std::string>(commands.begin(), commands.end());
    EXPECT_EQ(unique.size(), size_t{kThreads} * kEach);
    EXPECT_EQ(commands, nodes_[1].journal.commands());
  }
}

TEST_P(ThreadedClusterTest, RetriesOverALeaderChangeApplyOnce) {
  constexpr int kThreads = 3;
  constexpr int kEach = 200;
  std::atomic<int> done = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < kThreads; ++i) {
    clients.emplace_back([this, i, &done] {
      uint64_t session = OpenSession();
      for (int j = 1; j <= kEach; ++j) {
        ProposeSurely(std::to_string(i) + "/" + std::to_string(j),
                      {session, static_cast<uint64_t>(j)});
        ++done;
      }
    });
  }
  while (done < kThreads * kEach / 3) std::this_thread::yield();
  uint64_t first = leaders_.Await();
  Stop(first);
  for (std::thread& client : clients) client.join();
  for (uint64_t node = 1; node <= kNodes; ++node) {
    if (node == first) continue;
    AwaitReadable(node);
    std::vector<std::string> commands = nodes_[node].journal.commands();
    EXPECT_EQ(commands.size(), size_t{kThreads} * kEach);
    EXPECT_EQ(std::set<std::string>(commands.begin(), commands.end()).size(),
              size_t{kThreads} * kEach);
  }
}

TEST_P(ThreadedClusterTest, ReadsSeeWhatWasAcknowledged) {
  constexpr size_t kWrites = 300;
  std::atomic<size_t> acknowledged = 0;
  std::thread writer([&] {
    uint64_t session = OpenSession();
    for (size_t i = 1; i <= kWrites; ++i) {
      ProposeSurely("x", {session, i});
      acknowledged = i;
    }
  });
  std::vector<std::thread> readers;
  for (uint64_t node = 1; node <= kNodes; ++node) {
    readers.emplace_back([&, node] {
      while (acknowledged < kWrites) {
        size_t before = acknowledged;
        ReadResult result = At(node).Linearize(clock_.Now() + Seconds(1))->Wait();
        if (std::holds_alternative<ReadReady>(result)) {
          EXPECT_GE(nodes_[node].journal.size(), before);
        }
      }
    });
  }
  writer.join();
  for (std::thread& reader : readers) reader.join();
}

TEST_P(ThreadedClusterTest, ShutdownUnderLoadLosesNoCallback) {
  std::atomic<uint64_t> calls = 0;
  std::atomic<uint64_t> answers = 0;
  std::atomic<bool> stop = false;
  uint64_t leader = leaders_.Await();
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&, i] {
      Group group = At(i == 0 ? leader : 1 + static_cast<uint64_t>(i));
      while (!stop) {
        calls += 2;
        group.Propose(std::string(100, 'x'), {}, [&](const ProposalResult&) { ++answers; });
        group.Linearize(std::nullopt, [&](const ReadResult&) { ++answers; });
      }
    });
  }
  while (answers < 2000) std::this_thread::yield();
  nodes_[leader].host->Shutdown(clock_.Now() + Milliseconds(20));
  for (uint64_t node = 1; node <= kNodes; ++node) nodes_[node].host->Shutdown(clock_.Now());
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answers, calls);
}

// A second group comes and goes on a node while many threads propose to both: every call is
// answered once, and nothing of it runs when its machine, and the journal, are gone.
TEST_P(ThreadedClusterTest, AGroupComesAndGoesUnderLoad) {
  std::atomic<bool> done = false;
  std::atomic<int> asked = 0;
  std::atomic<int> answered = 0;
  Mutex mutex;
  std::optional<Group> second;  // guarded by `mutex`
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!done) {
        std::optional<Group> target;
        {
          MutexLock lock(mutex);
          target = second;
        }
        for (std::optional<Group> group : {target, nodes_[1].group}) {
          if (!group.has_value()) continue;
          asked += 2;
          group->Propose("x", {}, [&](const ProposalResult&) { ++answered; });
          group->Linearize(clock_.Now() + Milliseconds(50), [&](const ReadResult&) { ++answered; });
          group->Status();
        }
        std::this_thread::yield();
      }
    });
  }
  GroupOptions options;
  options.election_timeout = Milliseconds(300);
  options.heartbeat_interval = Milliseconds(50);
  for (uint64_t round = 0; round < 12; ++round) {
    const GroupId id{2 + round / 4};  // once deleted it has no members any more
    std::vector<std::unique_ptr<Journal>> journals;
    std::vector<Group> groups;
    for (uint64_t node = 1; node <= kNodes; ++node) {
      journals.push_back(std::make_unique<Journal>());
      auto machine = std::make_unique<JournalMachine>(journals.back().get());
      groups.push_back(nodes_[node].host->Open(id, std::move(machine), options).value());
    }
    {
      MutexLock lock(mutex);
      second = groups[0];
    }
    // Now and then it gets to have a leader.
    if (round % 3 == 0) groups[0].Linearize(clock_.Now() + Milliseconds(400))->Wait();
    for (uint64_t node = 1; node <= kNodes; ++node) {
      std::promise<absl::Status> told;
      auto tell = [&told](const absl::Status& status) { told.set_value(status); };
      const Instant patience = clock_.Now() + Milliseconds(round % 2 == 0 ? 0 : 200);
      if (round % 4 == 3) {
        nodes_[node].host->Delete(id, patience, tell);
      } else {
        nodes_[node].host->Close(id, patience, tell);
      }
      const absl::Status status = told.get_future().get();
      EXPECT_TRUE(status.ok()) << status;
    }
    MutexLock lock(mutex);
    second.reset();
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  for (uint64_t node = 1; node <= kNodes; ++node) Stop(node);
  EXPECT_EQ(asked, answered);
}

TEST_P(ThreadedClusterTest, BatchesFromManyThreadsAreAnsweredWhole) {
  constexpr size_t kThreads = 3;
  constexpr size_t kBatches = 40;
  constexpr size_t kEntries = 50;
  std::atomic<size_t> applied = 0;
  std::atomic<size_t> heard = 0;
  std::vector<std::thread> clients;
  for (size_t i = 0; i < kThreads; ++i) {
    clients.emplace_back([&, i] {
      for (size_t batch = 0; batch < kBatches; ++batch) {
        std::vector<PreparedEntry> entries;
        for (size_t j = 0; j < kEntries; ++j) {
          entries.push_back(PreparedEntry::Make(EntryType::kCommand, "command"));
        }
        At(1 + i).ProposeBatch(std::move(entries), {},
                               [&](size_t, const std::vector<ProposalResult>& results) {
                                 for (const ProposalResult& result : results) {
                                   applied += std::holds_alternative<ProposalApplied>(result);
                                 }
                                 heard += results.size();
                               });
      }
    });
  }
  for (std::thread& client : clients) client.join();
  for (uint64_t node = 1; node <= kNodes; ++node) {
    nodes_[node].host->Shutdown(clock_.Now() + Seconds(node == 1 ? 5 : 0));
  }
  EXPECT_EQ(heard, kThreads * kBatches * kEntries);
  EXPECT_GT(applied, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Threads, ThreadedClusterTest,
    ::testing::Values(Threads{"ApplierOfItsOwn", true, ThreadExecutor::Callers::kOnlyPost},
                      Threads{"AppliedOnTheRunner", false, ThreadExecutor::Callers::kOnlyPost},
                      // As cairnd and programs that embed it run: the network's and the log
                      // writer's threads carry out the runner's tasks where it is idle.
                      Threads{"CallersRunApplierOfItsOwn", true, ThreadExecutor::Callers::kMayRun},
                      Threads{"CallersRunAppliedOnTheRunner", false,
                              ThreadExecutor::Callers::kMayRun}),
    [](const auto& threads) { return threads.param.name; });

}  // namespace
}  // namespace cairn

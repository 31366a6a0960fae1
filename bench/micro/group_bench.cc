// What a command costs from Group::Propose to its answer, in one process: no network, no disk.
//
// Latency: one command under way. Throughput: a window of them. Both with one node and with three.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "benchmark/benchmark.h"
#include "raft/host.h"
#include "storage/memory_log_store.h"
#include "storage/posix_file_system.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};

class NullMachine final : public StateMachine {
 public:
  void Apply(ApplyBatch& batch) override { benchmark::DoNotOptimize(batch.size()); }
};

// Hands envelopes over on the sender's thread.
class DirectNetwork {
 public:
  std::unique_ptr<Transport> MakeTransport(NodeId node) {
    return std::make_unique<DirectTransport>(this, node);
  }

 private:
  class DirectTransport final : public Transport {
   public:
    DirectTransport(DirectNetwork* network, NodeId node) : network_(network), node_(node) {}
    void SetPeer(NodeId, const std::string&) override {}
    void Send(Envelope envelope) override { network_->Send(std::move(envelope)); }
    void Start(Receiver receiver) override {
      MutexLock lock(network_->mutex_);
      network_->receivers_[node_] = std::make_shared<Receiver>(std::move(receiver));
    }
    void Stop() override {
      MutexLock lock(network_->mutex_);
      network_->receivers_.erase(node_);
    }

   private:
    DirectNetwork* const network_;
    const NodeId node_;
  };

  void Send(Envelope envelope) {
    // Under the lock, so that nothing is delivered after Stop; a mailbox takes it quickly.
    MutexLock lock(mutex_);
    auto found = receivers_.find(envelope.to);
    if (found != receivers_.end()) found->second->receive(std::move(envelope));
  }

  Mutex mutex_;
  std::map<NodeId, std::shared_ptr<Transport::Receiver>> receivers_ CAIRN_GUARDED_BY(mutex_);
};

class Cluster {
 public:
  Cluster(uint64_t nodes, bool applier_thread) {
    Configuration members;
    for (uint64_t node = 1; node <= nodes; ++node) {
      members.voters.push_back({NodeId{node}, Incarnation{node}, std::to_string(node)});
    }
    nodes_ = std::vector<Node>(nodes);
    for (uint64_t node = 1; node <= nodes; ++node) {
      Node& parts = nodes_[node - 1];
      parts.transport = network_.MakeTransport(NodeId{node});
      NodeIdentity identity;
      identity.initial_members = members;
      identity.node = NodeId{node};
      identity.incarnation = Incarnation{node};
      identity.formed = true;
      HostDependencies dependencies;
      dependencies.clock = &clock_;
      dependencies.file_system = &file_system_;
      dependencies.log_disk = &parts.disk;
      dependencies.transport = parts.transport.get();
      dependencies.make_executor = [=, this](const std::string& name) -> std::unique_ptr<Executor> {
        if (name == "applier" && !applier_thread) return nullptr;
        return std::make_unique<ThreadExecutor>(clock_, name);
      };
      dependencies.seed = node;
      parts.host = Host::Start(identity, std::move(dependencies)).value();
      GroupOptions options;
      options.priority = node == 1 ? 0 : 10;
      parts.group = parts.host->Open(kGroup, std::make_unique<NullMachine>(), options).value();
    }
    AwaitLeader();
  }
  ~Cluster() {
    for (Node& node : nodes_) node.host->Shutdown(Instant{});
  }

  Group& leader() { return *leader_; }

 private:
  struct Node {
    MemoryLogDisk disk;
    std::unique_ptr<Transport> transport;
    std::unique_ptr<Host> host;
    std::optional<Group> group;
  };

  void AwaitLeader() {
    Mutex mutex;
    CondVar changed;
    Group* found = nullptr;
    for (Node& node : nodes_) {
      node.group->WatchLeadership(
          [&, group = &*node.group, told = false](const GroupStatus& status) mutable {
            if (told || !status.serving_leader) return;
            told = true;
            MutexLock lock(mutex);
            found = group;
            changed.NotifyAll();
          });
    }
    MutexLock lock(mutex);
    while (found == nullptr) changed.Wait(mutex);
    leader_ = found;
  }

  SystemClock clock_;
  PosixFileSystem file_system_;
  DirectNetwork network_;
  std::vector<Node> nodes_;
  Group* leader_ = nullptr;
};

// Arguments: nodes, whether the applier has a thread of its own.
void ProposeOne(benchmark::State& state) {
  Cluster cluster(static_cast<uint64_t>(state.range(0)), state.range(1) != 0);
  std::string command(256, 'x');
  for (auto _ : state) {
    ProposalResult result = cluster.leader().Propose(command)->Wait();
    CAIRN_CHECK(std::holds_alternative<ProposalApplied>(result));
  }
}
BENCHMARK(ProposeOne)
    ->ArgNames({"nodes", "applier"})
    ->Args({1, 0})
    ->Args({1, 1})
    ->Args({3, 0})
    ->Args({3, 1})
    ->UseRealTime();

// Arguments: nodes, applier, commands under way. Commands are proposed one by one.
void ProposeMany(benchmark::State& state) {
  Cluster cluster(static_cast<uint64_t>(state.range(0)), state.range(1) != 0);
  const int64_t window = state.range(2);
  std::string command(256, 'x');
  Mutex mutex;
  CondVar changed;
  int64_t under_way = 0;
  for (auto _ : state) {
    {
      MutexLock lock(mutex);
      while (under_way >= window) changed.Wait(mutex);
      ++under_way;
    }
    cluster.leader().Propose(command, {}, [&](const ProposalResult& result) {
      CAIRN_CHECK(std::holds_alternative<ProposalApplied>(result));
      MutexLock lock(mutex);
      if (under_way-- == window) changed.NotifyOne();
    });
  }
  MutexLock lock(mutex);
  while (under_way > 0) {
    changed.WaitFor(mutex, absl::Milliseconds(1));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ProposeMany)
    ->ArgNames({"nodes", "applier", "window"})
    ->Args({1, 0, 1000})
    ->Args({1, 1, 1000})
    ->Args({3, 0, 1000})
    ->Args({3, 1, 1000})
    ->UseRealTime();

// Arguments: nodes, entries of a batch; four batches are under way.
void ProposeBatches(benchmark::State& state) {
  Cluster cluster(static_cast<uint64_t>(state.range(0)), false);
  const size_t count = static_cast<size_t>(state.range(1));
  Mutex mutex;
  CondVar changed;
  size_t under_way = 0;
  for (auto _ : state) {
    std::vector<PreparedEntry> entries;
    entries.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      entries.push_back(PreparedEntry::Make(EntryType::kCommand, std::string(256, 'x')));
    }
    {
      MutexLock lock(mutex);
      while (under_way >= 4 * count) changed.Wait(mutex);
      under_way += count;
    }
    cluster.leader().ProposeBatch(std::move(entries), {},
                                  [&](size_t, const std::vector<ProposalResult>& results) {
                                    MutexLock lock(mutex);
                                    under_way -= results.size();
                                    changed.NotifyOne();
                                  });
  }
  MutexLock lock(mutex);
  while (under_way > 0) changed.Wait(mutex);
  state.SetItemsProcessed(state.iterations() * state.range(1));
}
BENCHMARK(ProposeBatches)
    ->ArgNames({"nodes", "entries"})
    ->Args({1, 100})
    ->Args({3, 100})
    ->UseRealTime();

}  // namespace
}  // namespace cairn

BENCHMARK_MAIN();

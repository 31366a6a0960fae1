// Dropping the front of the log takes long, and heartbeats go on.

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "tests/raft/lifecycle/life_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};
constexpr Duration kDrop = Seconds(10);

// A sequence that a task of it can keep busy: what is posted meanwhile runs later.
class BusyExecutor final : public Executor {
 public:
  BusyExecutor(ManualWorld* world, std::string name)
      : world_(world), name_(std::move(name)), inner_(world) {}

  // The one whose task runs.
  static BusyExecutor* running() { return running_; }
  const std::string& name() const { return name_; }
  void StayBusy(Duration duration) { busy_until_ = world_->Now() + duration; }
  bool busy() const { return world_->Now() < busy_until_; }

  void Post(Task task) override {
    inner_.Post([this, task = std::move(task)]() mutable { Run(std::move(task)); });
  }
  void PostAt(Instant when, Task task) override {
    inner_.PostAt(when, [this, task = std::move(task)]() mutable { Run(std::move(task)); });
  }

 private:
  void Run(Task task) {
    // In their order: what is late stays behind what was late before.
    if (busy() || !late_.empty()) {
      late_.push_back(std::move(task));
      if (late_.size() == 1) inner_.PostAt(busy_until_, [this] { RunLate(); });
      return;
    }
    RunNow(std::move(task));
  }
  void RunLate() {
    while (!late_.empty() && !busy()) {
      Task task = std::move(late_.front());
      RunNow(std::move(task));
      late_.pop_front();
    }
    if (!late_.empty()) inner_.PostAt(busy_until_, [this] { RunLate(); });
  }
  void RunNow(Task task) {
    BusyExecutor* before = std::exchange(running_, this);
    task();
    running_ = before;
  }

  static BusyExecutor* running_;

  ManualWorld* const world_;
  const std::string name_;
  ManualExecutor inner_;
  Instant busy_until_;
  std::deque<Task> late_;
};

BusyExecutor* BusyExecutor::running_ = nullptr;

// A drop that drops something keeps busy who does it.
class SlowStore final : public LogStore {
 public:
  SlowStore(LogStore* store, std::vector<std::string>* dropped_on)
      : store_(store), dropped_on_(dropped_on) {}

  absl::Status DropPrefix(Index up_to) override {
    if (up_to > store_->base().index) {
      BusyExecutor::running()->StayBusy(kDrop);
      dropped_on_->push_back(BusyExecutor::running()->name());
    }
    return store_->DropPrefix(up_to);
  }

  absl::Status Append(const LogAppend& append) override { return store_->Append(append); }
  absl::Status Repair(const std::vector<RecordRun>& runs) override { return store_->Repair(runs); }
  absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last,
                                              size_t max_bytes) const override {
    return store_->Read(first, last, max_bytes);
  }
  absl::StatusOr<EntryHash> HashAt(Index index) const override { return store_->HashAt(index); }
  LogPosition base() const override { return store_->base(); }
  LogPosition last() const override { return store_->last(); }
  absl::Status Reset(LogPosition base, EntryHash hash) override {
    return store_->Reset(base, hash);
  }

 private:
  LogStore* const store_;
  std::vector<std::string>* const dropped_on_;
};

class SlowDisk final : public LogDisk {
 public:
  explicit SlowDisk(LogDisk* disk) : disk_(disk) {}

  absl::StatusOr<OpenedLog> OpenGroup(GroupId group) override {
    absl::StatusOr<OpenedLog> opened = disk_->OpenGroup(group);
    if (!opened.ok()) return opened;
    stores_.push_back(std::make_unique<SlowStore>(opened->store, &dropped_on));
    opened->store = stores_.back().get();
    return opened;
  }
  void CloseGroup(GroupId group) override { disk_->CloseGroup(group); }
  absl::Status DropGroup(GroupId group) override { return disk_->DropGroup(group); }
  std::vector<GroupId> Groups() const override { return disk_->Groups(); }
  void Sync(absl::AnyInvocable<void(absl::Status)> done) override { disk_->Sync(std::move(done)); }
  const char* name() const override { return disk_->name(); }

  std::vector<std::string> dropped_on;  // sequences

 private:
  LogDisk* const disk_;
  std::vector<std::unique_ptr<SlowStore>> stores_;
};

TEST(SlowDropTest, HeartbeatsGoOnWhileTheLogIsDropped) {
  std::map<uint64_t, std::unique_ptr<SlowDisk>> disks;
  LifeHooks hooks;
  hooks.make_executor = [](ManualWorld* world, uint64_t, const std::string& name) {
    return std::make_unique<BusyExecutor>(world, name);
  };
  hooks.wrap = [&disks](uint64_t node, LogDisk* disk) {
    return (disks[node] = std::make_unique<SlowDisk>(disk)).get();
  };
  LifeCluster cluster(hooks);
  cluster.options.compaction.snapshot_entries = 1'000'000;
  cluster.options.compaction.retained_entries = 5;
  cluster.options.quiesce_after = 0;
  cluster.options.slow_disk_timeout = {};  // that is another remedy
  cluster.OpenEverywhere(kGroup);
  const uint64_t leader = cluster.Leader(kGroup);
  cluster.Fill(kGroup, 50);
  const Term term = cluster.Status(leader, kGroup).term;

  // From one heartbeat to the next, to each follower; and whether anybody stood for election.
  std::map<NodeId, Instant> last;
  Duration longest;
  int heartbeats = 0;
  bool stood = false;
  cluster.network.SetFilter([&](Envelope& envelope) {
    const auto* body = std::get_if<MessageBody>(&envelope.body);
    if (body == nullptr) return true;
    stood |= std::holds_alternative<VoteRequest>(*body);
    if (!std::holds_alternative<Heartbeat>(*body)) return true;
    const auto [before, first] = last.try_emplace(envelope.to, cluster.world.Now());
    if (!first) longest = std::max(longest, cluster.world.Now() - before->second);
    before->second = cluster.world.Now();
    ++heartbeats;
    return true;
  });
  ASSERT_TRUE(cluster.Snapshot(leader, kGroup).ok());
  std::vector<std::string>& dropped_on = disks.at(leader)->dropped_on;
  ASSERT_TRUE(cluster.Await([&] { return !dropped_on.empty(); }, Seconds(1)));
  const Instant began = cluster.world.Now();
  EXPECT_EQ(dropped_on, std::vector<std::string>{"log-writer"});
  // The log's writer is busy all the time, and so a command waits for it here.
  bool answered = false;
  cluster.At(leader, kGroup).Propose("x", {}, [&](const ProposalResult&) { answered = true; });
  cluster.world.RunUntil(began + kDrop - Milliseconds(10));
  EXPECT_FALSE(answered);
  EXPECT_EQ(cluster.Status(leader, kGroup).role, Role::kLeader);
  EXPECT_EQ(cluster.Status(leader, kGroup).term, term);
  EXPECT_FALSE(stood);
  EXPECT_GE(heartbeats, 2 * 95);
  EXPECT_LE(longest, cluster.options.heartbeat_interval * 2);
  EXPECT_TRUE(cluster.Await([&] { return answered; }, Seconds(1)));
}

}  // namespace
}  // namespace cairn

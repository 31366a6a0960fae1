// Groups of one host that are opened by many threads, beside each other and beside what else may
// happen to a host.

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "gtest/gtest.h"
#include "raft/host.h"
#include "storage/block/block_log.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/loopback_network.h"
#include "tests/raft/text_machine.h"

namespace cairn {
namespace {

// What every machine passes when it is opened. Closed, it keeps them inside.
class Gate {
 public:
  void Pass(GroupId group) {
    MutexLock lock(mutex_);
    entered_.push_back(group);
    most_inside_ = std::max(most_inside_, ++inside_);
    changed_.NotifyAll();
    while (closed_ && let_out_ == 0) changed_.Wait(mutex_);
    if (closed_) --let_out_;
    --inside_;
    changed_.NotifyAll();
  }
  void Close() {
    MutexLock lock(mutex_);
    closed_ = true;
  }
  void Open() {
    MutexLock lock(mutex_);
    closed_ = false;
    changed_.NotifyAll();
  }
  void LetOne() {
    MutexLock lock(mutex_);
    ++let_out_;
    changed_.NotifyAll();
  }
  // Until so many have ever entered.
  void AwaitEntered(size_t count) {
    MutexLock lock(mutex_);
    while (entered_.size() < count) changed_.Wait(mutex_);
  }
  std::vector<GroupId> entered() const {
    MutexLock lock(mutex_);
    return entered_;
  }
  size_t inside() const {
    MutexLock lock(mutex_);
    return inside_;
  }
  size_t most_inside() const {
    MutexLock lock(mutex_);
    return most_inside_;
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  bool closed_ CAIRN_GUARDED_BY(mutex_) = false;
  size_t let_out_ CAIRN_GUARDED_BY(mutex_) = 0;
  size_t inside_ CAIRN_GUARDED_BY(mutex_) = 0;
  size_t most_inside_ CAIRN_GUARDED_BY(mutex_) = 0;
  std::vector<GroupId> entered_ CAIRN_GUARDED_BY(mutex_);
};

// What the machines of one group hold, over their lives.
struct View {
  std::atomic<int> open = 0;  // machines
  Mutex mutex;
  std::string commands CAIRN_GUARDED_BY(mutex);
};

class GateMachine final : public StateMachine {
 public:
  GateMachine(Gate* gate, View* view, absl::Status fails = absl::OkStatus())
      : gate_(gate), view_(view), fails_(std::move(fails)) {}
  ~GateMachine() override {
    if (opened_) --view_->open;
  }

  absl::StatusOr<LogPosition> Open(const OpenContext& context) override {
    gate_->Pass(context.group);
    if (!fails_.ok()) {
      context.processed(LogPosition{1, Term{1}});  // nobody is to be there any more to hear it
      return fails_;
    }
    opened_ = true;
    EXPECT_EQ(++view_->open, 1) << "two machines of group " << ToInteger(context.group);
    MutexLock lock(view_->mutex);
    view_->commands.clear();
    return LogPosition{};
  }
  void Apply(ApplyBatch& batch) override {
    MutexLock lock(view_->mutex);
    for (ApplyEntry& entry : batch) absl::StrAppend(&view_->commands, entry.command().view(), ",");
  }
  std::unique_ptr<SnapshotSource> Freeze() override {
    MutexLock lock(view_->mutex);
    return FreezeText(view_->commands);
  }
  absl::Status Restore(const SnapshotReader& snapshot, LogPosition) override {
    absl::StatusOr<std::string> text = ThawText(snapshot);
    if (!text.ok()) return text.status();
    MutexLock lock(view_->mutex);
    view_->commands = *std::move(text);
    return absl::OkStatus();
  }

 private:
  Gate* const gate_;
  View* const view_;
  const absl::Status fails_;
  bool opened_ = false;
};

class ParallelOpenTest : public testing::Test {
 protected:
  ~ParallelOpenTest() override {
    gate_.Open();
    Stop();
  }

  void Start(size_t openers) {
    ASSERT_TRUE(files_.MakeDirectory("/data").ok());
    Configuration members;
    members.voters.push_back({NodeId{1}, Incarnation::kUnknown, "node1"});
    NodeIdentity wanted;
    wanted.initial_members = members;
    wanted.cluster = MakeClusterId(members, "test");
    wanted.node = NodeId{1};
    wanted.incarnation = Incarnation{101};
    wanted.log_store = "block";
    bool formatted = false;
    const NodeIdentity identity = LoadOrCreateIdentity(files_, "/data", wanted, &formatted).value();
    BlockLogOptions log;
    log.directory = "/data/log";
    log.identity = {identity.cluster, identity.node, identity.incarnation};
    log.geometry = {.block_bytes = uint64_t{64} << 10, .unit_bytes = 512};
    disk_ = BlockLog::Open(files_, log).value();
    transport_ = network_.MakeTransport(NodeId{1});
    HostDependencies dependencies;
    dependencies.clock = &clock_;
    dependencies.file_system = &files_;
    dependencies.data_directory = "/data";
    dependencies.log_disk = disk_.get();
    dependencies.transport = transport_.get();
    dependencies.make_executor = [this](const std::string& name) {
      return std::make_unique<ThreadExecutor>(clock_, name);
    };
    dependencies.openers = openers;
    dependencies.seed = ++seed_;
    host_ = Host::Start(identity, std::move(dependencies)).value();
  }
  void Stop() {
    for (std::thread& thread : std::exchange(threads_, {})) thread.join();
    host_.reset();
    transport_.reset();
    disk_.reset();
  }

  View* ViewOf(GroupId group) {
    MutexLock lock(views_mutex_);
    std::unique_ptr<View>& view = views_[group];
    if (view == nullptr) view = std::make_unique<View>();
    return view.get();
  }
  std::string CommandsOf(GroupId group) {
    View* const view = ViewOf(group);
    MutexLock lock(view->mutex);
    return view->commands;
  }
  GroupOptions Options() {
    GroupOptions options;
    options.election_timeout = Milliseconds(200);
    options.heartbeat_interval = Milliseconds(20);
    options.compaction.snapshot_entries = 6;
    options.compaction.retained_entries = 2;
    return options;
  }
  std::unique_ptr<StateMachine> Machine(GroupId group, absl::Status fails = absl::OkStatus()) {
    return std::make_unique<GateMachine>(&gate_, ViewOf(group), std::move(fails));
  }
  absl::StatusOr<Group> Open(GroupId group) {
    return host_->Open(group, Machine(group), Options());
  }
  GroupToOpen ToOpen(GroupId group, absl::Status fails = absl::OkStatus()) {
    return {group, Machine(group, std::move(fails)), Options()};
  }
  std::vector<GroupToOpen> ToOpen(uint64_t count) {
    std::vector<GroupToOpen> groups;
    for (uint64_t id = 1; id <= count; ++id) groups.push_back(ToOpen(GroupId{id}));
    return groups;
  }
  // By a thread of its own.
  std::future<absl::StatusOr<Group>> OpenBeside(GroupId group) {
    auto result = std::make_shared<std::promise<absl::StatusOr<Group>>>();
    threads_.emplace_back([this, group, result] { result->set_value(Open(group)); });
    return result->get_future();
  }
  using Call = std::function<void(Host::LifeDone)>;
  static absl::Status Told(const Call& call) {
    auto told = std::make_shared<std::promise<absl::Status>>();
    call([told](const absl::Status& status) { told->set_value(status); });
    return told->get_future().get();
  }
  absl::Status Close(GroupId group) {
    return Told([&](Host::LifeDone done) { host_->Close(group, Instant{}, std::move(done)); });
  }
  absl::Status Delete(GroupId group) {
    return Told([&](Host::LifeDone done) { host_->Delete(group, Instant{}, std::move(done)); });
  }
  absl::Status Reset(GroupId group) {
    return Told([&](Host::LifeDone done) { host_->Reset(group, std::move(done)); });
  }
  void AwaitWaiting(size_t count) {
    while (host_->StatusOfOpenings().waiting != count) std::this_thread::yield();
  }
  // The group's only member elects itself first.
  static void Propose(Group& group, const std::string& command) {
    for (;;) {
      const ProposalResult result = group.Propose(command)->Wait();
      if (std::holds_alternative<ProposalApplied>(result)) return;
      ASSERT_TRUE(std::holds_alternative<ProposalNotApplied>(result));
      const auto reason = std::get<ProposalNotApplied>(result).reason;
      ASSERT_TRUE(reason == ProposalNotApplied::Reason::kNotFormed ||
                  reason == ProposalNotApplied::Reason::kNoLeader)
          << static_cast<int>(reason);
      std::this_thread::yield();
    }
  }

  SystemClock clock_;
  SimulatedFileSystem files_;
  ThreadExecutor network_executor_{clock_, "network"};
  LoopbackNetwork network_{&network_executor_, &clock_, Duration{}};
  Gate gate_;
  Mutex views_mutex_;
  std::map<GroupId, std::unique_ptr<View>> views_ CAIRN_GUARDED_BY(views_mutex_);
  uint64_t seed_ = 0;
  std::unique_ptr<BlockLog> disk_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Host> host_;
  std::vector<std::thread> threads_;
};

TEST_F(ParallelOpenTest, NoMoreThanTheBudgetRecoverAtATime) {
  Start(3);
  gate_.Close();
  std::vector<std::future<absl::StatusOr<Group>>> opened;
  for (uint64_t id = 1; id <= 8; ++id) opened.push_back(OpenBeside(GroupId{id}));
  gate_.AwaitEntered(3);
  AwaitWaiting(5);
  EXPECT_EQ(gate_.inside(), 3u);
  EXPECT_EQ(host_->StatusOfOpenings().running, 3u);
  for (size_t entered = 4; entered <= 8; ++entered) {
    gate_.LetOne();
    gate_.AwaitEntered(entered);
    AwaitWaiting(8 - entered);
    EXPECT_EQ(gate_.inside(), 3u);
  }
  gate_.Open();
  for (auto& group : opened) EXPECT_TRUE(group.get().ok());
  EXPECT_EQ(gate_.most_inside(), 3u);
  const OpeningsStatus status = host_->StatusOfOpenings();
  EXPECT_EQ(status.most, 3u);
  EXPECT_EQ(status.running, 0u);
  EXPECT_EQ(status.waiting, 0u);
  EXPECT_EQ(status.ended, 8u);
  EXPECT_GT(status.longest_wait, Duration{});
}

TEST_F(ParallelOpenTest, TurnsAreTakenInTheOrderOfTheCalls) {
  Start(1);
  gate_.Close();
  std::vector<GroupId> order;
  std::vector<std::future<absl::StatusOr<Group>>> opened;
  for (uint64_t id : {5, 2, 9, 1, 7, 3}) {
    order.push_back(GroupId{id});
    opened.push_back(OpenBeside(GroupId{id}));
    gate_.AwaitEntered(1);
    AwaitWaiting(order.size() - 1);
  }
  gate_.Open();
  for (auto& group : opened) EXPECT_TRUE(group.get().ok());
  EXPECT_EQ(gate_.entered(), order);
}

TEST_F(ParallelOpenTest, OpenAllKeepsTheBudgetBusy) {
  Start(4);
  gate_.Close();
  std::vector<absl::StatusOr<Group>> opened;
  threads_.emplace_back([&] { opened = host_->OpenAll(ToOpen(20)); });
  gate_.AwaitEntered(4);
  EXPECT_EQ(gate_.inside(), 4u);
  gate_.Open();
  threads_.back().join();
  threads_.clear();
  ASSERT_EQ(opened.size(), 20u);
  for (size_t i = 0; i < opened.size(); ++i) {
    ASSERT_TRUE(opened[i].ok()) << opened[i].status();
    EXPECT_EQ(opened[i]->Status().group, GroupId{i + 1});
  }
  EXPECT_EQ(gate_.most_inside(), 4u);
  EXPECT_EQ(host_->StatusOfOpenings().ended, 20u);
}

TEST_F(ParallelOpenTest, OneThatFailsHindersNoOtherOne) {
  Start(3);
  std::vector<GroupToOpen> groups = ToOpen(12);
  groups[3] = ToOpen(GroupId{4}, absl::DataLossError("the file of four"));
  groups[7] = ToOpen(GroupId{8}, absl::UnavailableError("the disk of eight"));
  groups[9].options.max_sessions = 0;
  groups.push_back(ToOpen(GroupId::kNone));
  groups.push_back(ToOpen(GroupId{1}));  // for the second time
  std::vector<absl::StatusOr<Group>> opened = host_->OpenAll(std::move(groups));
  ASSERT_EQ(opened.size(), 14u);
  EXPECT_TRUE(absl::IsDataLoss(opened[3].status())) << opened[3].status();
  EXPECT_TRUE(absl::IsUnavailable(opened[7].status())) << opened[7].status();
  EXPECT_TRUE(absl::IsInvalidArgument(opened[9].status())) << opened[9].status();
  EXPECT_TRUE(absl::IsInvalidArgument(opened[12].status())) << opened[12].status();
  EXPECT_TRUE(absl::IsAlreadyExists(opened[13].status())) << opened[13].status();
  for (size_t i : {0, 1, 2, 4, 5, 6, 8, 10, 11}) {
    ASSERT_TRUE(opened[i].ok()) << opened[i].status();
    Propose(*opened[i], absl::StrCat("g", i + 1));
    EXPECT_EQ(CommandsOf(GroupId{i + 1}), absl::StrCat("g", i + 1, ","));
  }
  // Nothing is left of the others.
  for (uint64_t id : {4, 8, 10}) {
    absl::StatusOr<Group> again = Open(GroupId{id});
    ASSERT_TRUE(again.ok()) << again.status();
    Propose(*again, "again");
  }
}

TEST_F(ParallelOpenTest, AGroupThatIsBeingOpenedIsNobodysYet) {
  Start(2);
  gate_.Close();
  std::future<absl::StatusOr<Group>> opening = OpenBeside(GroupId{1});
  gate_.AwaitEntered(1);
  EXPECT_TRUE(absl::IsAlreadyExists(Open(GroupId{1}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Close(GroupId{1})));
  EXPECT_TRUE(absl::IsFailedPrecondition(Delete(GroupId{1})));
  EXPECT_TRUE(absl::IsFailedPrecondition(Reset(GroupId{1})));
  // Another one is opened, serves and goes meanwhile.
  std::future<absl::StatusOr<Group>> beside = OpenBeside(GroupId{2});
  gate_.AwaitEntered(2);
  gate_.Open();
  absl::StatusOr<Group> other = beside.get();
  ASSERT_TRUE(other.ok()) << other.status();
  absl::StatusOr<Group> first = opening.get();
  ASSERT_TRUE(first.ok()) << first.status();
  Propose(*first, "here");
  EXPECT_TRUE(absl::IsAlreadyExists(Open(GroupId{1}).status()));
  EXPECT_TRUE(Close(GroupId{1}).ok());
  EXPECT_TRUE(Delete(GroupId{2}).ok());
}

TEST_F(ParallelOpenTest, GroupsServeWhileOthersAreOpened) {
  Start(2);
  absl::StatusOr<Group> serving = Open(GroupId{1});
  ASSERT_TRUE(serving.ok());
  gate_.Close();
  std::future<absl::StatusOr<Group>> opening = OpenBeside(GroupId{2});
  gate_.AwaitEntered(2);
  for (int i = 0; i < 20; ++i) Propose(*serving, "x");
  EXPECT_TRUE(Close(GroupId{1}).ok());
  EXPECT_TRUE(Delete(GroupId{1}).ok());
  EXPECT_EQ(gate_.inside(), 1u);
  gate_.Open();
  EXPECT_TRUE(opening.get().ok());
}

TEST_F(ParallelOpenTest, AStopWaitsForWhatRecoversAndRefusesTheRest) {
  Start(1);
  gate_.Close();
  std::future<absl::StatusOr<Group>> recovers = OpenBeside(GroupId{1});
  gate_.AwaitEntered(1);
  std::vector<std::future<absl::StatusOr<Group>>> wait;
  for (uint64_t id : {2, 3}) wait.push_back(OpenBeside(GroupId{id}));
  AwaitWaiting(2);
  std::atomic<bool> let_out = false;
  threads_.emplace_back([&] {
    host_->Shutdown(Instant{});
    EXPECT_TRUE(let_out);
  });
  for (auto& waiting : wait) EXPECT_TRUE(absl::IsUnavailable(waiting.get().status()));
  EXPECT_TRUE(absl::IsUnavailable(Open(GroupId{4}).status()));
  EXPECT_TRUE(absl::IsUnavailable(Close(GroupId{1})));
  let_out = true;
  gate_.Open();
  absl::StatusOr<Group> group = recovers.get();
  for (std::thread& thread : std::exchange(threads_, {})) thread.join();
  EXPECT_EQ(gate_.entered().size(), 1u);
  EXPECT_EQ(ViewOf(GroupId{1})->open, 1);  // the handle keeps it
  ASSERT_TRUE(group.ok()) << group.status();
  const ProposalResult refused = group->Propose("late")->Wait();
  EXPECT_EQ(std::get<ProposalNotApplied>(refused).reason, ProposalNotApplied::Reason::kStopping);
}

// With logs, and with snapshots where a group has had more commands.
TEST_F(ParallelOpenTest, EachGroupFindsItsOwnAgain) {
  constexpr uint64_t kGroups = 40;
  Start(8);
  std::vector<std::string> expected(kGroups);
  {
    std::vector<absl::StatusOr<Group>> groups = host_->OpenAll(ToOpen(kGroups));
    for (uint64_t i = 0; i < kGroups; ++i) {
      ASSERT_TRUE(groups[i].ok()) << groups[i].status();
      for (uint64_t command = 0; command <= i % 16; ++command) {
        const std::string text = absl::StrCat("g", i, "c", command);
        Propose(*groups[i], text);
        absl::StrAppend(&expected[i], text, ",");
      }
    }
  }
  Stop();
  Start(8);
  std::vector<absl::StatusOr<Group>> groups = host_->OpenAll(ToOpen(kGroups));
  for (uint64_t i = 0; i < kGroups; ++i) {
    ASSERT_TRUE(groups[i].ok()) << groups[i].status();
    Propose(*groups[i], "more");
    EXPECT_EQ(CommandsOf(GroupId{i + 1}), expected[i] + "more,");
  }
}

// Whatever comes together: two machines of a group never live at once, every call is answered by
// one of the errors it may have, and the host stops.
TEST_F(ParallelOpenTest, OpeningsClosingsAndDeletionsTogether) {
  Start(2);
  std::atomic<int> opened = 0;
  std::atomic<int> gone = 0;
  for (uint64_t thread = 1; thread <= 4; ++thread) {
    threads_.emplace_back([&, thread] {
      Random random(thread);
      for (int i = 0; i < 60; ++i) {
        const GroupId group{1 + random.Below(3)};
        absl::Status status;
        switch (random.Below(4)) {
          case 0:
            status = Close(group);
            gone += status.ok();
            EXPECT_TRUE(status.ok() || absl::IsNotFound(status) ||
                        absl::IsFailedPrecondition(status))
                << status;
            break;
          case 1:
            status = Delete(group);
            gone += status.ok();
            EXPECT_TRUE(status.ok() || absl::IsFailedPrecondition(status)) << status;
            break;
          default:
            status = Open(group).status();
            opened += status.ok();
            EXPECT_TRUE(status.ok() || absl::IsAlreadyExists(status) ||
                        absl::IsFailedPrecondition(status))
                << status;
        }
      }
    });
  }
  for (std::thread& thread : std::exchange(threads_, {})) thread.join();
  EXPECT_GT(opened, 0);
  EXPECT_GT(gone, 0);
  // And once more, into a stop.
  for (uint64_t thread = 1; thread <= 4; ++thread) {
    threads_.emplace_back([&, thread] {
      Random random(100 + thread);
      while (!absl::IsUnavailable(Open(GroupId{1 + random.Below(3)}).status())) {
        // What it answers depends on who was faster.
        Close(GroupId{1 + random.Below(3)}).IgnoreError();
      }
    });
  }
  gate_.AwaitEntered(gate_.entered().size() + 3);
  host_->Shutdown(Instant{});
}

}  // namespace
}  // namespace cairn

// Many groups on three hosts, in virtual time: they rest, and whatever is to wake them does.

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "gtest/gtest.h"
#include "raft/host.h"
#include "storage/posix_file_system.h"
#include "tests/raft/fake_log_disk.h"
#include "tests/raft/loopback_network.h"
#include "tests/raft/manual_executor.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

constexpr uint64_t kNodes = 3;
const Duration kElectionTimeout = GroupOptions().election_timeout;

class CountingMachine final : public StateMachine {
 public:
  void Apply(ApplyBatch& batch) override { applied_ += batch.size(); }

 private:
  size_t applied_ = 0;
};

// Counts what would be frames: what is sent to one peer within a burst, or alone.
class FrameCounter final : public Transport {
 public:
  explicit FrameCounter(std::unique_ptr<Transport> below) : below_(std::move(below)) {}
  void SetPeer(NodeId node, const std::string& address) override { below_->SetPeer(node, address); }
  void Send(Envelope envelope) override {
    ++envelopes_;
    if (!bursting_ || burst_.insert(envelope.to).second) ++frames_;
    below_->Send(std::move(envelope));
  }
  void BeginBurst() override { bursting_ = true; }
  void EndBurst() override {
    bursting_ = false;
    burst_.clear();
  }
  void Start(Receiver receiver) override { below_->Start(std::move(receiver)); }
  void Stop() override { below_->Stop(); }

  size_t envelopes() const { return envelopes_; }
  size_t frames() const { return frames_; }

 private:
  const std::unique_ptr<Transport> below_;
  bool bursting_ = false;
  std::set<NodeId> burst_;
  size_t envelopes_ = 0;
  size_t frames_ = 0;
};

class ManyGroups {
 public:
  ManyGroups(uint64_t groups, GroupOptions options, uint64_t nodes = kNodes)
      : groups_(groups), options_(options), nodes_(nodes) {
    for (uint64_t node = 1; node <= nodes; ++node) {
      members_.voters.push_back({NodeId{node}, Incarnation::kUnknown, std::to_string(node)});
    }
    for (uint64_t node = 1; node <= nodes; ++node) Start(node);
  }
  ~ManyGroups() {
    for (uint64_t node = 1; node <= nodes_.size(); ++node) Stop(node);
  }

  void Start(uint64_t node) {
    Node& parts = nodes_[node - 1];
    parts.transport = std::make_unique<FrameCounter>(network.MakeTransport(NodeId{node}));
    NodeIdentity wanted;
    wanted.initial_members = members_;
    wanted.cluster = MakeClusterId(members_, "test");
    wanted.node = NodeId{node};
    wanted.incarnation = Incarnation{100 + node};
    wanted.log_store = "fake";
    bool formatted = false;
    HostDependencies dependencies;
    dependencies.clock = &world;
    dependencies.file_system = &file_system_;
    dependencies.data_directory = parts.directory.path();
    dependencies.log_disk = &parts.disk;
    dependencies.transport = parts.transport.get();
    dependencies.make_executor = [this](const std::string& name) -> std::unique_ptr<Executor> {
      if (name == "applier") return nullptr;
      return std::make_unique<ManualExecutor>(&world);
    };
    dependencies.seed = ++starts_;
    absl::StatusOr<NodeIdentity> identity =
        LoadOrCreateIdentity(file_system_, parts.directory.path(), wanted, &formatted);
    CAIRN_CHECK(identity.ok());
    parts.host = Host::Start(*identity, std::move(dependencies)).value();
    for (uint64_t group = 1; group <= groups_; ++group) {
      parts.groups.emplace(
          group,
          parts.host->Open(GroupId{group}, std::make_unique<CountingMachine>(), options_).value());
    }
  }
  void Stop(uint64_t node) {
    Node& parts = nodes_[node - 1];
    if (parts.host == nullptr) return;
    parts.groups.clear();
    parts.host.reset();
    parts.transport.reset();
    parts.disk.PowerCut();
  }

  // 0: none.
  uint64_t LeaderOf(uint64_t group) {
    for (uint64_t node = 1; node <= nodes_.size(); ++node) {
      if (Status(node, group).serving_leader) return node;
    }
    return 0;
  }
  size_t Led() {
    size_t led = 0;
    for (uint64_t group = 1; group <= groups_; ++group) led += LeaderOf(group) != 0 ? 1 : 0;
    return led;
  }
  // Members of groups that rest.
  size_t Resting() {
    size_t resting = 0;
    for (uint64_t node = 1; node <= nodes_.size(); ++node) {
      for (uint64_t group = 1; group <= groups_; ++group) {
        resting += Status(node, group).quiesced ? 1 : 0;
      }
    }
    return resting;
  }
  bool AwaitRest() {
    for (int i = 0; i < 300 && Resting() < nodes_.size() * groups_; ++i) {
      world.RunFor(Milliseconds(100));
    }
    return Resting() == nodes_.size() * groups_;
  }
  GroupStatus Status(uint64_t node, uint64_t group) {
    Node& parts = nodes_[node - 1];
    return parts.host == nullptr ? GroupStatus() : parts.groups.at(group).Status();
  }
  Group& At(uint64_t node, uint64_t group) { return nodes_[node - 1].groups.at(group); }
  FrameCounter& Frames(uint64_t node) { return *nodes_[node - 1].transport; }
  FakeLogDisk& Disk(uint64_t node) { return nodes_[node - 1].disk; }

  ManualWorld world;
  ManualExecutor network_executor{&world};
  LoopbackNetwork network{&network_executor, &world, Milliseconds(1)};

 private:
  struct Node {
    TestDirectory directory;
    FakeLogDisk disk;
    std::unique_ptr<FrameCounter> transport;
    std::unique_ptr<Host> host;
    std::map<uint64_t, Group> groups;
  };

  const uint64_t groups_;
  const GroupOptions options_;
  PosixFileSystem file_system_;
  Configuration members_;
  uint64_t starts_ = 0;
  std::vector<Node> nodes_;
};

TEST(ManyGroupsTest, IdleGroupsCostWhatTheirHostsSayToEachOther) {
  ManyGroups cluster(100, {});
  ASSERT_TRUE(cluster.AwaitRest());
  std::map<GroupId, size_t> sent;
  cluster.network.SetFilter([&](Envelope& envelope) {
    ++sent[envelope.group];
    return true;
  });
  cluster.world.RunFor(Seconds(10));
  EXPECT_EQ(sent.size(), 1u);
  // Three pairs, of which each says one thing ten times a second, a question with an answer.
  EXPECT_NEAR(static_cast<double>(sent[GroupId::kNone]), 3 * 2 * 100, 3 * 2 * 5);
  EXPECT_EQ(cluster.Resting(), 300u);
}

TEST(ManyGroupsTest, OneGroupAtWorkDoesNotWakeTheOthers) {
  ManyGroups cluster(20, {});
  ASSERT_TRUE(cluster.AwaitRest());
  std::set<GroupId> talked;
  cluster.network.SetFilter([&](Envelope& envelope) {
    talked.insert(envelope.group);
    return true;
  });
  int applied = 0;
  for (int i = 0; i < 50; ++i) {
    cluster.At(cluster.LeaderOf(7), 7).Propose("x", {}, [&](const ProposalResult& result) {
      applied += std::holds_alternative<ProposalApplied>(result) ? 1 : 0;
    });
    cluster.world.RunFor(Milliseconds(40));
  }
  EXPECT_EQ(applied, 50);
  EXPECT_EQ(talked, (std::set<GroupId>{GroupId::kNone, GroupId{7}}));
  EXPECT_EQ(cluster.Resting(), 3u * 19);
  EXPECT_TRUE(cluster.AwaitRest());
}

TEST(ManyGroupsTest, ADeadHostIsNoticedAndItsGroupsHaveNewLeaders) {
  ManyGroups cluster(60, {});
  ASSERT_TRUE(cluster.AwaitRest());
  cluster.world.RunFor(Seconds(30));
  std::set<uint64_t> orphans;
  for (uint64_t group = 1; group <= 60; ++group) {
    if (cluster.LeaderOf(group) == 2) orphans.insert(group);
  }
  ASSERT_GT(orphans.size(), 5u);
  cluster.Stop(2);
  cluster.world.RunFor(kElectionTimeout * 2);
  EXPECT_EQ(cluster.Led(), 60u);
  // It comes back, and all rest again.
  cluster.Start(2);
  EXPECT_TRUE(cluster.AwaitRest());
  EXPECT_EQ(cluster.Led(), 60u);
}

TEST(ManyGroupsTest, NotAllCampaignAtOnce) {
  ManyGroups cluster(60, {});
  ASSERT_TRUE(cluster.AwaitRest());
  std::map<int64_t, int> campaigns;  // by 10 ms
  cluster.network.SetFilter([&](Envelope& envelope) {
    const auto* body = std::get_if<MessageBody>(&envelope.body);
    if (body != nullptr && std::holds_alternative<PreVoteRequest>(*body)) {
      ++campaigns[ToMilliseconds(cluster.world.Now() - Instant{}) / 10];
    }
    return true;
  });
  cluster.Stop(1);
  cluster.world.RunFor(kElectionTimeout * 2);
  int all = 0;
  int most = 0;
  for (const auto& [when, count] : campaigns) {
    all += count;
    most = std::max(most, count);
  }
  EXPECT_GT(all, 20);
  EXPECT_LT(most, all / 3);
}

// The process is back before anybody could miss it, so only its new life tells.
TEST(ManyGroupsTest, AHostThatStartsAgainAtOnceIsNoticed) {
  ManyGroups cluster(30, {});
  ASSERT_TRUE(cluster.AwaitRest());
  cluster.Stop(3);
  cluster.Start(3);
  cluster.world.RunFor(kElectionTimeout * 2);
  EXPECT_EQ(cluster.Led(), 30u);
  EXPECT_TRUE(cluster.AwaitRest());
}

TEST(ManyGroupsTest, ALeaderWhoseHostIsCutOffStepsDownAndFollowsAgain) {
  ManyGroups cluster(30, {});
  ASSERT_TRUE(cluster.AwaitRest());
  std::set<uint64_t> led;
  for (uint64_t group = 1; group <= 30; ++group) {
    if (cluster.LeaderOf(group) == 1) led.insert(group);
  }
  ASSERT_FALSE(led.empty());
  cluster.network.CutOff(NodeId{1});
  cluster.world.RunFor(kElectionTimeout * 3);
  for (uint64_t group : led) {
    EXPECT_NE(cluster.Status(1, group).role, Role::kLeader);
    EXPECT_NE(cluster.LeaderOf(group), 0u);
  }
  cluster.network.Rejoin(NodeId{1});
  EXPECT_TRUE(cluster.AwaitRest());
}

// A group whose storage failed says nothing any more, though its host lives: those who rest and
// rely on it hear of it.
TEST(ManyGroupsTest, AGroupThatEndsOnALiveHostIsNoticed) {
  ManyGroups cluster(10, {});
  ASSERT_TRUE(cluster.AwaitRest());
  const uint64_t leader = cluster.LeaderOf(4);
  cluster.Disk(leader).store(GroupId{4}).FailAppends(absl::UnavailableError("broken"));
  // The entry is refused before anything is sent.
  cluster.network.SetFilter([&](Envelope& envelope) { return envelope.group != GroupId{4}; });
  cluster.At(leader, 4).Propose("x", {}, [](const ProposalResult&) {});
  cluster.world.RunFor(Milliseconds(10));
  cluster.network.SetFilter(nullptr);
  EXPECT_EQ(cluster.Status(leader, 4).state, NodeState::kFenced);
  cluster.world.RunFor(kElectionTimeout * 2);
  EXPECT_EQ(cluster.Led(), 10u);
}

TEST(ManyGroupsTest, HeartbeatsOfManyGroupsShareFrames) {
  GroupOptions awake;
  awake.quiesce_after = 0;
  ManyGroups cluster(100, awake);
  cluster.world.RunFor(Seconds(10));
  ASSERT_EQ(cluster.Led(), 100u);
  const size_t envelopes = cluster.Frames(1).envelopes();
  const size_t frames = cluster.Frames(1).frames();
  std::array<size_t, kNodes + 1> led = {};
  for (uint64_t group = 1; group <= 100; ++group) ++led[cluster.LeaderOf(group)];
  ASSERT_GT(led[1], 10u);
  cluster.world.RunFor(Seconds(10));
  // A hundred intervals, two peers; the rest are answers, which share the frames they answer only
  // where frames are (service/peer_service.h).
  const size_t answers = (led[2] + led[3]) * 100;
  EXPECT_NEAR(static_cast<double>(cluster.Frames(1).envelopes() - envelopes),
              static_cast<double>(answers + led[1] * 200), 300);
  EXPECT_LT(cluster.Frames(1).frames() - frames, answers + 100 * 2 * 2);
}

TEST(ManyGroupsTest, ABusyGroupLetsOthersHaveTheirTurns) {
  ManyGroups cluster(2, {}, 1);
  cluster.world.RunFor(Seconds(3));
  ASSERT_EQ(cluster.Led(), 2u);
  constexpr int kFlood = 100'000;
  int flood = 0;
  for (int i = 0; i < kFlood; ++i) {
    cluster.At(1, 1).Propose(std::string(200, 'x'), {}, [&](const ProposalResult&) { ++flood; });
  }
  int answered_before = -1;
  cluster.At(1, 2).Propose("y", {}, [&](const ProposalResult&) { answered_before = flood; });
  cluster.world.RunReady();
  EXPECT_EQ(flood, kFlood);
  EXPECT_GE(answered_before, 0);
  EXPECT_LT(answered_before, kFlood / 3);
}

TEST(ManyGroupsTest, TheMemoryOfRecentEntriesIsShared) {
  const auto cached_with = [](uint64_t groups) {
    ManyGroups cluster(groups, {}, 1);
    cluster.world.RunFor(Seconds(3));
    EXPECT_EQ(cluster.Led(), groups);
    int answered = 0;
    for (int i = 0; i < 300; ++i) {
      cluster.At(1, 1).Propose(std::string(10'000, 'x'), {},
                               [&](const ProposalResult&) { ++answered; });
    }
    cluster.world.RunFor(Milliseconds(100));
    EXPECT_EQ(answered, 300);
    return cluster.Status(1, 1).cached_bytes;
  };
  EXPECT_GT(cached_with(1), 3'000'000u);
  const size_t shared = cached_with(100);
  EXPECT_LE(shared, kUsualLogCacheBytes / 100);
  EXPECT_GT(shared, kUsualLogCacheBytes / 200);
}

TEST(ManyGroupsTest, OneSyncServesAllGroups) {
  ManyGroups cluster(50, {}, 1);
  cluster.world.RunFor(Seconds(3));
  ASSERT_EQ(cluster.Led(), 50u);
  const size_t syncs = cluster.Disk(1).syncs();
  int answered = 0;
  for (uint64_t group = 1; group <= 50; ++group) {
    cluster.At(1, group).Propose("x", {}, [&](const ProposalResult&) { ++answered; });
  }
  cluster.world.RunReady();
  EXPECT_EQ(answered, 50);
  EXPECT_LE(cluster.Disk(1).syncs() - syncs, 3u);
}

}  // namespace
}  // namespace cairn

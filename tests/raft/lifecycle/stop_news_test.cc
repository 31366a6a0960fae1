// What the program hears when groups, or the whole host, stop serving.

#include "raft/lifecycle/stop_news.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "tests/raft/lifecycle/life_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kLeft{1};
constexpr GroupId kStays{2};

// Its syncs fail from when the test says so.
class FailingDisk final : public LogDisk {
 public:
  explicit FailingDisk(LogDisk* disk) : disk_(disk) {}
  void Fail() { failure_ = absl::UnavailableError("input/output error"); }

  absl::StatusOr<OpenedLog> OpenGroup(GroupId group) override { return disk_->OpenGroup(group); }
  void CloseGroup(GroupId group) override { disk_->CloseGroup(group); }
  absl::Status DropGroup(GroupId group) override { return disk_->DropGroup(group); }
  std::vector<GroupId> Groups() const override { return disk_->Groups(); }
  void Sync(absl::AnyInvocable<void(absl::Status)> done) override {
    if (!failure_.ok()) return done(failure_);
    disk_->Sync(std::move(done));
  }
  const char* name() const override { return disk_->name(); }

 private:
  LogDisk* const disk_;
  absl::Status failure_;
};

class HostStopTest : public testing::Test {
 protected:
  using Told = std::vector<std::pair<GroupId, NodeState>>;

  HostStopTest() : cluster_(Hooks()) {
    cluster_.OpenEverywhere(kLeft);
    cluster_.OpenEverywhere(kStays);
  }

  LifeHooks Hooks() {
    LifeHooks hooks;
    hooks.wrap = [this](uint64_t node, LogDisk* disk) {
      return (disks_[node] = std::make_unique<FailingDisk>(disk)).get();
    };
    return hooks;
  }

  // Takes the node out of the group, and waits until it knows.
  void Remove(uint64_t node, GroupId group) {
    const uint64_t leader = cluster_.Leader(group);
    DeclaredMembers declared;
    for (const Member& member : cluster_.Status(leader, group).configuration.voters) {
      if (member.node != NodeId{node}) declared.voters.push_back(member);
    }
    std::optional<ControlResult> result;
    cluster_.At(leader, group)
        .ChangeMembership(declared, cluster_.world.Now() + Seconds(10),
                          [&result](ControlResult done) { result = std::move(done); });
    ASSERT_TRUE(cluster_.Await([&] { return result.has_value() && !Of(node, group).empty(); }));
    ASSERT_FALSE(std::holds_alternative<ControlRefused>(*result));
  }

  // What was told of the group on the node.
  std::vector<LifeCluster::StopTold> Of(uint64_t node, GroupId group) {
    std::vector<LifeCluster::StopTold> of;
    for (const LifeCluster::StopTold& stop : cluster_.Stops(node)) {
      if (stop.group == group) of.push_back(stop);
    }
    return of;
  }

  std::map<uint64_t, std::unique_ptr<FailingDisk>> disks_;
  LifeCluster cluster_;
};

TEST_F(HostStopTest, WhoLeftOneGroupHearsThatTheDiskFailed) {
  const uint64_t node = cluster_.Follower(kLeft);
  Remove(node, kLeft);
  ASSERT_EQ(cluster_.Stops(node).size(), 1u);
  EXPECT_EQ(cluster_.Stops(node)[0].group, kLeft);
  EXPECT_EQ(cluster_.Stops(node)[0].state, NodeState::kHalted);
  EXPECT_EQ(cluster_.Stops(node)[0].status.message().substr(0, 14), "MEMBER_REMOVED");
  cluster_.Fill(kStays, 3);
  EXPECT_EQ(cluster_.Status(node, kStays).state, NodeState::kServing);

  disks_.at(node)->Fail();
  ASSERT_NE(cluster_.Leader(kStays), 0u);
  cluster_.Propose(cluster_.Leader(kStays), kStays, "more");
  ASSERT_TRUE(cluster_.Await([&] { return cluster_.Stops(node).size() == 3; }));
  const std::vector<LifeCluster::StopTold> host = Of(node, GroupId::kNone);
  ASSERT_EQ(host.size(), 1u) << "the whole host: no other group is told of it either";
  EXPECT_EQ(host[0].state, NodeState::kFenced);
  EXPECT_TRUE(absl::IsUnavailable(host[0].status)) << host[0].status;
  ASSERT_EQ(Of(node, kStays).size(), 1u);
  EXPECT_EQ(Of(node, kStays)[0].state, NodeState::kFenced);
  EXPECT_EQ(Of(node, kLeft).size(), 1u) << "each group is told of once";
  EXPECT_EQ(cluster_.Status(node, kLeft).state, NodeState::kHalted);
}

TEST_F(HostStopTest, EachGroupIsToldOf) {
  const uint64_t node = cluster_.Follower(kLeft);
  Remove(node, kLeft);
  Remove(node, kStays);
  EXPECT_EQ(Of(node, kLeft).size(), 1u);
  EXPECT_EQ(Of(node, kStays).size(), 1u);
  EXPECT_EQ(Of(node, GroupId::kNone).size(), 0u) << "the host may open others";
}

TEST_F(HostStopTest, AllGroupsAreHandedOver) {
  const uint64_t node = cluster_.Leader(kLeft);
  std::optional<ControlResult> moved;
  if (const uint64_t other = cluster_.Leader(kStays); other != node) {
    cluster_.At(other, kStays)
        .TransferLeadership(NodeId{node}, cluster_.world.Now() + Seconds(10),
                            [&moved](ControlResult result) { moved = std::move(result); });
    ASSERT_TRUE(cluster_.Await([&] { return cluster_.Status(node, kStays).serving_leader; }));
  }
  ASSERT_EQ(cluster_.Leader(kLeft), node);
  const Term left = cluster_.Status(node, kLeft).term;
  const Term stays = cluster_.Status(node, kStays).term;
  std::optional<absl::Status> done;
  cluster_.HostAt(node).HandOver(cluster_.world.Now() + Seconds(10),
                                 [&done](const absl::Status& status) { done = status; });
  ASSERT_TRUE(cluster_.Await([&] { return done.has_value(); }));
  EXPECT_TRUE(done->ok()) << *done;
  for (const GroupId group : {kLeft, kStays}) {
    EXPECT_NE(cluster_.Status(node, group).role, Role::kLeader) << ToInteger(group);
    EXPECT_NE(cluster_.Status(node, group).leader, NodeId{node});
  }
  EXPECT_EQ(cluster_.Status(node, kLeft).term, left + 1) << "by no election timeout";
  EXPECT_EQ(cluster_.Status(node, kStays).term, stays + 1);
}

TEST_F(HostStopTest, AGroupNobodyElseCanLeadIsNamed) {
  const uint64_t node = cluster_.Leader(kLeft);
  for (uint64_t other = 1; other <= LifeCluster::kNodes; ++other) {
    if (other != node) Remove(other, kLeft);
  }
  std::optional<absl::Status> done;
  cluster_.HostAt(node).HandOver(cluster_.world.Now() + Seconds(1),
                                 [&done](const absl::Status& status) { done = status; });
  ASSERT_TRUE(cluster_.Await([&] { return done.has_value(); }));
  EXPECT_TRUE(absl::IsFailedPrecondition(*done)) << *done;
  EXPECT_NE(done->message().find("group 1: "), std::string::npos) << *done;
  EXPECT_EQ(done->message().find("group 2: "), std::string::npos) << *done;
}

TEST(StopNewsTest, OneCallAtATimeAndNoneIsLost) {
  std::atomic<int> inside = 0;
  int told = 0;
  int host = 0;
  StopNews news([&](GroupId group, NodeState, const absl::Status&) {
    EXPECT_EQ(++inside, 1);
    ++told;
    if (group == GroupId::kNone) ++host;
    --inside;
  });
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&news, i] {
      for (uint64_t j = 0; j < 500; ++j) {
        news.Tell(GroupId{1 + i * 500 + j}, NodeState::kHalted, absl::DataLossError("gone"));
      }
      news.Tell(GroupId::kNone, NodeState::kFenced, absl::UnavailableError("the disk"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(told, 2001);
  EXPECT_EQ(host, 1);
}

}  // namespace
}  // namespace cairn

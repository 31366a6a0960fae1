// Members that were down while the members changed: hosts that listen only to whom they know
// (LoopbackNetwork::CloseDoors), in virtual time.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "raft/host.h"
#include "tests/raft/test_cluster.h"

namespace cairn {
namespace {

bool Applied(const ProposalResult& result) {
  return std::holds_alternative<ProposalApplied>(result);
}

class StrangersTest : public testing::Test {
 protected:
  StrangersTest() {
    cluster_.network.CloseDoors();
    cluster_.StartAll();
    EXPECT_NE(cluster_.AwaitLeader(), 0u);
    away_ = cluster_.SomeFollower();
    EXPECT_TRUE(Applied(cluster_.Propose(cluster_.Leader(), "before")));
    cluster_.Run(Seconds(1));
    cluster_.Stop(away_);
    for (uint64_t node = 1; node <= 3; ++node) {
      if (node != away_) others_.push_back(node);
    }
  }

  void Declare(const std::vector<uint64_t>& voters) {
    const ControlResult result =
        cluster_.Change(cluster_.Leader(), {.voters = cluster_.Members(voters)});
    EXPECT_TRUE(std::holds_alternative<ControlDone>(result));
    cluster_.Run(Seconds(5));
  }

  // A follower of `leader` that holds all it does, and knows who the members are.
  void ExpectCaughtUp(uint64_t node) {
    const uint64_t leader = cluster_.AwaitLeader();
    ASSERT_NE(leader, 0u);
    const GroupStatus expected = cluster_.At(leader).Status();
    const GroupStatus status = cluster_.At(node).Status();
    EXPECT_EQ(status.leader, NodeId{leader});
    EXPECT_EQ(status.commit_index, expected.commit_index);
    EXPECT_EQ(ToString(status.configuration), ToString(expected.configuration));
    EXPECT_EQ(cluster_.Commands(node), cluster_.Commands(leader));
  }

  TestCluster cluster_{3};
  uint64_t away_ = 0;
  std::vector<uint64_t> others_;
};

TEST_F(StrangersTest, AMemberIsFedByMembersItHasNeverHeardOf) {
  cluster_.StartJoiner(4);
  cluster_.StartJoiner(5);
  Declare({away_, 4, 5});
  for (uint64_t gone : others_) cluster_.Stop(gone);
  ASSERT_NE(cluster_.AwaitLeader(), 0u);
  ASSERT_TRUE(Applied(cluster_.Propose(cluster_.Leader(), "while it was away")));
  cluster_.Start(away_);
  cluster_.Run(Seconds(10));
  ExpectCaughtUp(away_);
  // It counts: of three voters one more may go.
  cluster_.Stop(9 - cluster_.Leader());
  EXPECT_TRUE(Applied(cluster_.Propose(cluster_.Leader(), "with its help")));
}

// Nobody leads, and the vote of the one that lags decides.
TEST_F(StrangersTest, AMemberVotesForOneItHasNeverHeardOf) {
  cluster_.StartJoiner(4);
  cluster_.StartJoiner(5);
  Declare({away_, 4, 5});
  for (uint64_t gone : others_) cluster_.Stop(gone);
  ASSERT_NE(cluster_.AwaitLeader(), 0u);
  cluster_.Run(Seconds(5));
  cluster_.Stop(4);
  cluster_.Stop(5);
  cluster_.Start(away_);
  cluster_.Start(5);
  EXPECT_EQ(cluster_.AwaitLeader(), 5u);
  ASSERT_TRUE(Applied(cluster_.Propose(5, "by two")));
  cluster_.Run(Seconds(5));
  ExpectCaughtUp(away_);
}

TEST_F(StrangersTest, AMemberFollowsALeaderItHasNeverHeardOf) {
  cluster_.StartJoiner(4);
  Declare({1, 2, 3, 4});
  ASSERT_TRUE(std::holds_alternative<ControlDone>(cluster_.Transfer(cluster_.Leader(), 4)));
  ASSERT_TRUE(Applied(cluster_.Propose(4, "while it was away")));
  cluster_.Start(away_);
  // Its clients' commands go to the stranger, and the answers come back.
  cluster_.Run(Milliseconds(300));
  EXPECT_TRUE(Applied(cluster_.Propose(away_, "through it")));
  cluster_.Run(Seconds(5));
  EXPECT_EQ(cluster_.Leader(), 4u);
  ExpectCaughtUp(away_);
}

// Its last entry is to give way, and cannot before the entry in front of it can be read again.
TEST_F(StrangersTest, AMemberIsRepairedByALeaderItHasNeverHeardOf) {
  cluster_.Start(away_);
  cluster_.Run(Seconds(2));
  ASSERT_TRUE(std::holds_alternative<ControlDone>(cluster_.Transfer(cluster_.Leader(), away_)));
  cluster_.Run(Seconds(1));
  const Index last = cluster_.At(away_).Status().last_index;
  cluster_.network.CutOff(NodeId{away_});
  cluster_.At(away_).Propose("nobody gets this", {}, [](ProposalResult) {});
  cluster_.Run(Milliseconds(100));
  ASSERT_EQ(cluster_.At(away_).Status().last_index, last + 1);
  cluster_.Stop(away_);
  cluster_.network.Rejoin(NodeId{away_});
  ASSERT_NE(cluster_.AwaitLeader(), 0u);

  cluster_.StartJoiner(4);
  cluster_.StartJoiner(5);
  Declare({away_, 4, 5});
  for (uint64_t gone : others_) cluster_.Stop(gone);
  ASSERT_NE(cluster_.AwaitLeader(), 0u);
  ASSERT_TRUE(Applied(cluster_.Propose(cluster_.Leader(), "while it was away")));
  FakeLogStore& store = cluster_.Disk(away_).store(TestCluster::kGroup);
  store.Damage(last);
  cluster_.Start(away_);
  cluster_.Run(Seconds(10));
  EXPECT_EQ(store.repaired(), 1u);
  ExpectCaughtUp(away_);
}

TEST_F(StrangersTest, AMemberAnswersALeaderThatHasMoved) {
  const uint64_t moves = cluster_.Leader();
  cluster_.StartJoiner(4);
  cluster_.StartJoiner(5);
  Declare({1, 2, 3, 4, 5});
  cluster_.Stop(moves);
  ASSERT_NE(cluster_.AwaitLeader(), 0u);
  cluster_.Move(moves, "elsewhere");
  Declare({1, 2, 3, 4, 5});
  cluster_.Start(moves);
  cluster_.Run(Seconds(5));
  ASSERT_TRUE(std::holds_alternative<ControlDone>(cluster_.Transfer(cluster_.Leader(), moves)));
  ASSERT_TRUE(Applied(cluster_.Propose(moves, "while it was away")));
  cluster_.Start(away_);
  cluster_.Run(Seconds(10));
  EXPECT_EQ(cluster_.Leader(), moves);
  ExpectCaughtUp(away_);
}

// A member that has missed both that a node came and that it went listens to it, and nobody is
// disturbed.
TEST_F(StrangersTest, AStrangerThatWasRemovedIsToldAndDisturbsNobody) {
  cluster_.StartJoiner(4);
  cluster_.StartJoiner(5);
  Declare({1, 2, 3, 4, 5});
  cluster_.Stop(4);
  Declare({1, 2, 3, 5});
  const uint64_t leader = cluster_.AwaitLeader();
  const Term term = cluster_.At(leader).Status().term;
  cluster_.Start(away_);
  cluster_.Start(4);
  cluster_.Run(Seconds(10));
  EXPECT_EQ(cluster_.Leader(), leader);
  EXPECT_EQ(cluster_.At(leader).Status().term, term);
  ExpectCaughtUp(away_);
  ASSERT_TRUE(cluster_.Stopped(4).has_value());
  EXPECT_EQ(cluster_.Stopped(4)->second.message().substr(0, 14), "MEMBER_REMOVED");
}

// Who says nothing of itself, or only what this node knows better, is not listened to.
TEST_F(StrangersTest, AStrangerWithoutNewsIsNotBelieved) {
  Host& host = cluster_.HostAt(others_[0]);
  const GroupStatus status = cluster_.At(others_[0]).Status();
  const Introduction old = {TestCluster::kGroup, {status.commit_index, status.term}, "address9"};
  Introduction news = old;
  news.at.index = status.commit_index + 1;
  EXPECT_FALSE(host.Believes(NodeId{9}, old));
  EXPECT_TRUE(host.Believes(NodeId{9}, news));
  ASSERT_TRUE(Applied(cluster_.Propose(others_[0], "another entry")));
  cluster_.Run(Seconds(1));
  EXPECT_FALSE(host.Believes(NodeId{9}, news));
  news = {GroupId{7}, {1000, 1000}, "address9"};
  EXPECT_FALSE(host.Believes(NodeId{9}, news)) << "nobody here has that group";
}

}  // namespace
}  // namespace cairn

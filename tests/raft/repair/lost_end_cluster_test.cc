// Members whose block log has lost its last batch, both copies of its id record, though it was
// synced (fault catalogue 6.4, FENCED): whole hosts in virtual time. They come back by themselves
// (raft/core/rejoin.h), and nothing that was acknowledged is lost.

#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/raft/repair/disk_cluster.h"
#include "tests/raft/repair/lost_end.h"

namespace cairn {
namespace {

class LostEndClusterTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.Propose(30));
    cluster_.Run(Seconds(1));
  }

  // Ends the process of `node`, and damages both copies of what says what its last batch was.
  void LoseEnd(uint64_t node) {
    cluster_.Stop(node);
    cluster_.Files(node).RestartProcess();
    const absl::Status lost = LoseEndOfLog(cluster_.Files(node));
    ASSERT_TRUE(lost.ok()) << lost;
  }

  void Crash(uint64_t node) {
    cluster_.Stop(node);
    cluster_.SetDisk(node, cluster_.ImageOf(node));
  }
  void ExpectUnsure(uint64_t node) {
    ASSERT_TRUE(cluster_.runs(node)) << cluster_.Stopped(node);
    EXPECT_EQ(cluster_.Status(node).state, NodeState::kRepairing);
    EXPECT_TRUE(absl::StrContains(cluster_.Status(node).reason, "neither votes nor acknowledges"))
        << cluster_.Status(node).reason;
  }
  void ExpectWhole() {
    const bool whole = cluster_.Await([this] { return cluster_.Whole(); });
    for (uint64_t node = 1; !whole && node <= 3; ++node) {
      ADD_FAILURE() << "node " << node << ": " << cluster_.Stopped(node) << " "
                    << cluster_.Status(node).reason << " last " << cluster_.Status(node).last_index;
    }
    EXPECT_TRUE(cluster_.Propose(1));
  }

  DiskCluster cluster_{3};
};

TEST_F(LostEndClusterTest, AMemberComesBackByItself) {
  const uint64_t leader = cluster_.AwaitLeader();
  const uint64_t node = cluster_.SomeFollower();
  const std::string expected = cluster_.Commands(leader);
  LoseEnd(node);
  cluster_.Start(node);
  cluster_.Run(Milliseconds(1));
  ExpectUnsure(node);
  ExpectWhole();
  EXPECT_TRUE(absl::StartsWith(cluster_.Commands(node), expected));
  // It is a member like any other: the group needs its vote now.
  cluster_.Stop(leader);
  EXPECT_NE(cluster_.AwaitLeader(), 0u);
  EXPECT_TRUE(cluster_.Propose(3));
  // And after a start it is one.
  Crash(node);
  cluster_.Start(node);
  EXPECT_TRUE(cluster_.Propose(3));
}

TEST_F(LostEndClusterTest, TheLeaderToo) {
  const uint64_t leader = cluster_.AwaitLeader();
  LoseEnd(leader);
  cluster_.Start(leader);
  ExpectWhole();
}

// However often it starts before it has heard a leader, and whatever that has written.
TEST_F(LostEndClusterTest, NoStartForgetsIt) {
  for (uint64_t node = 1; node <= 3; ++node) {
    if (node != 3) cluster_.Stop(node);
  }
  LoseEnd(3);
  for (int start = 0; start < 4; ++start) {
    cluster_.Start(3);
    cluster_.Run(Seconds(2));
    ExpectUnsure(3);
    Crash(3);
  }
  cluster_.StartAll();
  ExpectWhole();
}

// In the middle of coming back.
TEST_F(LostEndClusterTest, APowerCutAtAnyTime) {
  const uint64_t leader = cluster_.AwaitLeader();
  const uint64_t node = cluster_.SomeFollower();
  const std::string expected = cluster_.Commands(leader);
  LoseEnd(node);
  for (int step = 0; step < 60; ++step) {
    cluster_.Start(node);
    cluster_.Run(Milliseconds(5 * step));
    Crash(node);
  }
  cluster_.Start(node);
  ExpectWhole();
  EXPECT_TRUE(absl::StartsWith(cluster_.Commands(node), expected));
}

// The leader and this member have acknowledged; the third one knows nothing of it. Without the
// leader the two others must not go on.
TEST_F(LostEndClusterTest, WhatItHadAcknowledgedIsNotOutvoted) {
  const uint64_t leader = cluster_.AwaitLeader();
  const uint64_t node = cluster_.SomeFollower();
  const uint64_t behind = 6 - leader - node;
  cluster_.Stop(behind);
  ASSERT_TRUE(cluster_.Propose(1));
  const std::string expected = cluster_.Commands(leader);
  LoseEnd(node);
  cluster_.Stop(leader);
  cluster_.Start(node);
  cluster_.Start(behind);
  EXPECT_EQ(cluster_.AwaitLeader(), 0u);
  ExpectUnsure(node);
  cluster_.Start(leader);
  ExpectWhole();
  EXPECT_TRUE(absl::StartsWith(cluster_.Commands(node), expected));
}

// No quorum is sure.
TEST_F(LostEndClusterTest, TwoOfThreeStayDown) {
  for (uint64_t node = 1; node <= 3; ++node) cluster_.Stop(node);
  LoseEnd(1);
  LoseEnd(2);
  cluster_.StartAll();
  EXPECT_EQ(cluster_.AwaitLeader(), 0u);
  ExpectUnsure(1);
  ExpectUnsure(2);
}

TEST(LostEndOfALoneMemberTest, ItStops) {
  DiskCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Propose(3));
  cluster.Stop(1);
  cluster.Files(1).RestartProcess();
  ASSERT_TRUE(LoseEndOfLog(cluster.Files(1)).ok());
  cluster.Start(1);
  cluster.Run(Seconds(5));
  EXPECT_TRUE(absl::IsDataLoss(cluster.Stopped(1))) << cluster.Stopped(1);
}

}  // namespace
}  // namespace cairn

// Members whose disks are full for a while (fault catalogue D18), in virtual time.

#include <string>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "raft/host.h"
#include "tests/raft/test_cluster.h"

namespace cairn {
namespace {

using Strings = std::vector<std::string>;

bool Applied(const ProposalResult& result) {
  return std::holds_alternative<ProposalApplied>(result);
}

bool RefusedForWantOfSpace(const ProposalResult& result) {
  const auto* refused = std::get_if<ProposalNotApplied>(&result);
  return refused != nullptr && refused->reason == ProposalNotApplied::Reason::kNoSpace;
}

void ExpectNobodyStopped(TestCluster& cluster) {
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_FALSE(cluster.Stopped(node).has_value()) << "node " << node;
  }
}

TEST(FullDiskClusterTest, ALeaderWithoutRoomHandsOverAndKeepsUpLater) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t full = cluster.AwaitLeader();
  ASSERT_TRUE(Applied(cluster.Propose(full, "before")));
  cluster.Disk(full).SetRoom(/*has_room=*/false, /*refuses=*/false);
  cluster.Run(Milliseconds(200));  // more than a heartbeat
  EXPECT_TRUE(cluster.At(full).Status().disk_full);
  EXPECT_EQ(cluster.At(full).Status().state, NodeState::kDegraded);
  cluster.Run(Seconds(2));
  const uint64_t next = cluster.Leader();
  ASSERT_NE(next, 0u);
  ASSERT_NE(next, full);
  // It forwards what it is given, and takes none of it itself.
  ASSERT_TRUE(Applied(cluster.Propose(full, "through it")));
  ASSERT_TRUE(Applied(cluster.Propose(next, "after")));
  cluster.Run(Seconds(30));
  EXPECT_EQ(cluster.Leader(), next) << "nobody hands over to a full disk";
  EXPECT_EQ(cluster.Commands(full), Strings{"before"});
  cluster.Disk(full).SetRoom(true, false);
  cluster.Run(Seconds(3));
  EXPECT_EQ(cluster.Commands(full), (Strings{"before", "through it", "after"}));
  EXPECT_FALSE(cluster.At(full).Status().disk_full);
  EXPECT_EQ(cluster.At(full).Status().state, NodeState::kServing);
  ExpectNobodyStopped(cluster);
}

TEST(FullDiskClusterTest, WhereNobodyHasRoomCommandsAreRefusedAndReadsGoOn) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  ASSERT_TRUE(Applied(cluster.Propose(leader, "before")));
  cluster.Run(Seconds(1));
  for (uint64_t node = 1; node <= 3; ++node) cluster.Disk(node).SetRoom(false, false);
  cluster.Run(Seconds(60));
  EXPECT_EQ(cluster.Leader(), leader) << "there is nobody better";
  const uint64_t follower = cluster.SomeFollower();
  for (const uint64_t node : {leader, follower}) {
    EXPECT_TRUE(RefusedForWantOfSpace(cluster.Propose(node, "refused"))) << node;
    EXPECT_TRUE(std::holds_alternative<ReadReady>(cluster.Linearize(node))) << node;
  }
  // Term and vote are written all the same: another leader is elected.
  cluster.Stop(leader);
  const uint64_t next = cluster.AwaitLeader();
  ASSERT_NE(next, 0u);
  EXPECT_TRUE(std::holds_alternative<ReadReady>(cluster.Linearize(next)));
  EXPECT_TRUE(RefusedForWantOfSpace(cluster.Propose(next, "refused")));
  for (uint64_t node = 1; node <= 3; ++node) cluster.Disk(node).SetRoom(true, false);
  cluster.Run(Seconds(2));
  ASSERT_TRUE(Applied(cluster.Propose(cluster.Leader(), "after")));
  EXPECT_EQ(cluster.Commands(cluster.Leader()), (Strings{"before", "after"}));
}

// What is under way when the disk says no waits, and is not lost.
TEST(FullDiskClusterTest, WhatTheDiskRefusesIsDurableLater) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_EQ(cluster.AwaitLeader(), 1u);
  ASSERT_TRUE(Applied(cluster.Propose(1, "before")));
  cluster.Disk(1).SetRoom(/*has_room=*/true, /*refuses=*/true);
  std::vector<ProposalResult> results;
  cluster.At(1).Propose("under way", {},
                        [&](ProposalResult result) { results.push_back(std::move(result)); });
  cluster.Run(Milliseconds(50));
  cluster.Disk(1).SetRoom(false, true);
  cluster.Run(Seconds(20));
  EXPECT_TRUE(results.empty()) << "not acknowledged";
  EXPECT_TRUE(RefusedForWantOfSpace(cluster.Propose(1, "refused")));
  EXPECT_EQ(cluster.Commands(1), Strings{"before"});
  cluster.Disk(1).SetRoom(true, false);
  cluster.Run(Seconds(6));
  ASSERT_EQ(results.size(), 1u);
  EXPECT_TRUE(Applied(results[0]));
  EXPECT_TRUE(Applied(cluster.Propose(1, "after")));
  EXPECT_FALSE(cluster.Stopped(1).has_value());
  cluster.Stop(1);
  cluster.Start(1);
  ASSERT_EQ(cluster.AwaitLeader(), 1u);
  EXPECT_EQ(cluster.Commands(1), (Strings{"before", "under way", "after"}));
}

// A leader sends a follower that takes nothing a small probe a heartbeat, and not all it has.
TEST(FullDiskClusterTest, AFullFollowerIsNotFlooded) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  ASSERT_TRUE(Applied(cluster.Propose(leader, "before")));
  const uint64_t full = cluster.SomeFollower();
  cluster.Run(Seconds(1));
  cluster.Disk(full).SetRoom(false, false);
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(Applied(cluster.Propose(leader, std::string(10'000, 'x'))));
  }
  cluster.Run(Seconds(5));
  size_t appends = 0;
  size_t bytes = 0;
  cluster.network.SetFilter([&](Envelope& envelope) {
    const auto* body = std::get_if<MessageBody>(&envelope.body);
    if (envelope.to == NodeId{full} && body && std::holds_alternative<AppendEntries>(*body)) {
      ++appends;
      for (const RecordRun& run : envelope.entries) bytes += run.byte_size();
    }
    return true;
  });
  cluster.Run(Seconds(10));
  EXPECT_GT(appends, 10u) << "it is asked whether it is there";
  EXPECT_LE(appends, 110u) << "once a heartbeat";
  EXPECT_LE(bytes, size_t{110} * 64 * 1024);
  cluster.Disk(full).SetRoom(true, false);
  cluster.Run(Seconds(3));
  EXPECT_EQ(cluster.Commands(full).size(), 201u);
  ExpectNobodyStopped(cluster);
}

}  // namespace
}  // namespace cairn

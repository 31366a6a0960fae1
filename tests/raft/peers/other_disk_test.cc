// Members whose log names another one with the disk it had before, in virtual time; and disks that
// are to be refused.

#include <cstdint>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "raft/host.h"
#include "tests/raft/test_cluster.h"

namespace cairn {
namespace {

constexpr uint64_t kOther = 4;

bool Applied(const ProposalResult& result) {
  return std::holds_alternative<ProposalApplied>(result);
}

// Three voters, and node 4, a learner, whose disk is another one after a while.
class OtherDiskTest : public testing::Test {
 protected:
  OtherDiskTest() {
    cluster_.network.CloseDoors();
    cluster_.StartAll();
    EXPECT_NE(cluster_.AwaitLeader(), 0u);
    cluster_.StartJoiner(kOther);
    Declare({1, 2, 3}, {kOther});
    EXPECT_TRUE(Applied(cluster_.Propose(cluster_.Leader(), "before")));
    cluster_.Run(Seconds(1));
    away_ = cluster_.SomeFollower();
    if (away_ == kOther) away_ = cluster_.Leader() == 3 ? 2 : 3;
    third_ = 6 - cluster_.Leader() - away_;
    stays_ = cluster_.Leader();
    first_disk_ = cluster_.Members({kOther}).front().incarnation;
  }

  void Declare(const std::vector<uint64_t>& voters, const std::vector<uint64_t>& learners = {}) {
    const ControlResult result = cluster_.Change(
        cluster_.AwaitLeader(),
        {.voters = cluster_.Members(voters), .learners = cluster_.Members(learners)});
    EXPECT_TRUE(std::holds_alternative<ControlDone>(result));
    cluster_.Run(Seconds(5));
  }

  // While one voter is away: node 4 goes, comes back with another disk, and takes the place of the
  // third voter. The disk before, which does not know that it was removed.
  TestCluster::NodeDisk ReplaceWhileAway() {
    cluster_.Stop(away_);
    TestCluster::NodeDisk before = cluster_.TakeDisk(kOther);
    Declare({1, 2, 3});
    cluster_.StartJoiner(kOther);
    Declare({1, 2, 3, kOther});
    Declare({away_, stays_, kOther});
    cluster_.Stop(third_);
    EXPECT_EQ(cluster_.At(kOther).Status().configuration.voters.size(), 3u);
    return before;
  }

  void ExpectCaughtUp(uint64_t node, uint64_t leader) {
    const GroupStatus expected = cluster_.At(leader).Status();
    const GroupStatus status = cluster_.At(node).Status();
    EXPECT_EQ(status.leader, NodeId{leader});
    EXPECT_EQ(status.commit_index, expected.commit_index);
    EXPECT_EQ(status.configuration, expected.configuration);
    EXPECT_EQ(cluster_.Commands(node), cluster_.Commands(leader));
  }

  // Nobody leads who would need a disk that does not count.
  void ExpectNobodyLeads() { EXPECT_EQ(cluster_.AwaitLeader(), 0u); }

  TestCluster cluster_{3};
  uint64_t away_ = 0;
  uint64_t stays_ = 0;
  uint64_t third_ = 0;
  Incarnation first_disk_ = Incarnation::kUnknown;
};

TEST_F(OtherDiskTest, AMemberIsFedByALeaderItKnowsWithTheDiskBefore) {
  ReplaceWhileAway();
  ASSERT_TRUE(std::holds_alternative<ControlDone>(cluster_.Transfer(stays_, kOther)));
  ASSERT_TRUE(Applied(cluster_.Propose(kOther, "while it was away")));
  const Term term = cluster_.At(kOther).Status().term;
  cluster_.Start(away_);
  cluster_.Run(Milliseconds(300));
  EXPECT_TRUE(Applied(cluster_.Propose(away_, "through it")));
  cluster_.Run(Seconds(5));
  EXPECT_EQ(cluster_.Leader(), kOther);
  EXPECT_EQ(cluster_.At(kOther).Status().term, term) << "nobody else had to lead";
  ExpectCaughtUp(away_, kOther);
}

// The two are a majority, and only one of them can lead.
TEST_F(OtherDiskTest, AMemberVotesForOneItKnowsWithTheDiskBefore) {
  ReplaceWhileAway();
  cluster_.Stop(stays_);
  cluster_.Stop(kOther);
  cluster_.Start(away_);
  cluster_.Start(kOther);
  ASSERT_EQ(cluster_.AwaitLeader(), kOther);
  ASSERT_TRUE(Applied(cluster_.Propose(kOther, "by two")));
  cluster_.Run(Seconds(5));
  ExpectCaughtUp(away_, kOther);
}

// Twice, and the log in between is not known to the one that was away.
TEST_F(OtherDiskTest, AMemberFollowsTheThirdDisk) {
  ReplaceWhileAway();
  cluster_.Start(third_);
  Declare({1, 2, 3});
  cluster_.StartJoiner(kOther);
  Declare({1, 2, 3, kOther});
  Declare({away_, stays_, kOther});
  cluster_.Stop(third_);
  cluster_.Stop(stays_);
  cluster_.Stop(kOther);
  cluster_.Start(away_);
  cluster_.Start(kOther);
  ASSERT_EQ(cluster_.AwaitLeader(), kOther);
  cluster_.Run(Seconds(5));
  ExpectCaughtUp(away_, kOther);
}

// The old disk, or a copy of it, comes back where the new one is known. It would vote.
TEST_F(OtherDiskTest, TheDiskBeforeIsRefused) {
  TestCluster::NodeDisk before = ReplaceWhileAway();
  cluster_.Start(away_);
  cluster_.Run(Seconds(5));
  cluster_.Stop(kOther);
  cluster_.Stop(stays_);
  const Term term = cluster_.At(away_).Status().term;
  cluster_.PutDisk(kOther, std::move(before));
  cluster_.Start(kOther);
  ExpectNobodyLeads();
  EXPECT_EQ(cluster_.At(away_).Status().term, term) << "nobody was even elected";
}

// It is fed by who leads, as its address is a member's; and is none.
TEST_F(OtherDiskTest, AWipedMemberIsRefused) {
  ReplaceWhileAway();
  cluster_.Start(away_);
  cluster_.Run(Seconds(5));
  cluster_.StartJoiner(kOther);
  cluster_.Run(Seconds(5));
  cluster_.Stop(stays_);
  ExpectNobodyLeads();
}

// Neither is it where the disk before is known.
TEST_F(OtherDiskTest, AWipedMemberIsNoSuccessor) {
  ReplaceWhileAway();
  cluster_.Stop(stays_);
  cluster_.Start(away_);
  cluster_.StartJoiner(kOther);
  ExpectNobodyLeads();
  const GroupStatus status = cluster_.At(away_).Status();
  Introduction of_wiped = {TestCluster::kGroup,
                           {status.commit_index + 1000, status.term + 1000},
                           "address4",
                           cluster_.Members({kOther}).front().incarnation};
  EXPECT_FALSE(cluster_.HostAt(away_).Believes(NodeId{kOther}, of_wiped));
  of_wiped.disks_before = {Incarnation{77}};
  EXPECT_FALSE(cluster_.HostAt(away_).Believes(NodeId{kOther}, of_wiped));
  of_wiped.disks_before = {Incarnation{77}, first_disk_};
  EXPECT_TRUE(cluster_.HostAt(away_).Believes(NodeId{kOther}, of_wiped)) << "what it cannot know";
}

}  // namespace
}  // namespace cairn

// A follower that cannot read what nobody else has either asks its leader for a snapshot, in a way
// that the leader heeds.

#include "gtest/gtest.h"
#include "raft/core/raft.h"
#include "tests/core/raft_under_test.h"

namespace cairn {
namespace {

constexpr HardState kTerm2 = {.term = 2};

// The leader knows what was acknowledged to it before the damage, up to 5, and probes behind that:
// a refusal of anything else it takes for an old one.
TEST(HoleRulesTest, AProbeBehindTheHoleIsRefused) {
  RaftUnderTest node(3, {1, 1, 1, 1, 1}, kTerm2);
  node.Step(EntriesDamaged{{3, 5}});
  node.Receive(2, MakeAppend(2, {5, 1}, {2}));
  AppendReply reply = RaftUnderTest::Only<AppendReply>(node.Settle(), 2);
  EXPECT_TRUE(reply.success) << "somebody may have it";
  EXPECT_EQ(reply.match, 2u);
  node.Step(EntriesNowhere{{3, 3}});
  node.Settle();
  node.Receive(2, MakeAppend(2, {5, 1}, {2}));
  reply = RaftUnderTest::Only<AppendReply>(node.Settle(), 2);
  EXPECT_FALSE(reply.success);
  EXPECT_EQ(reply.refused_index, 5u);
  EXPECT_EQ(reply.hint, (LogPosition{2, 1}));

  node.Receive(2, MakeAppend(2, {2, 1}, {1, 1, 1}));
  EXPECT_TRUE(RaftUnderTest::Sent<AppendReply>(node.Settle()).empty())
      << "before the hole nothing is refused";
}

TEST(HoleRulesTest, AHeartbeatIsAnsweredAsALeaderThatReplicatesHeeds) {
  RaftUnderTest node(3, {1, 1, 1, 1, 1}, kTerm2);
  node.Step(EntriesDamaged{{3, 5}});
  node.Receive(2, Heartbeat{.term = 2});
  EXPECT_TRUE(RaftUnderTest::Sent<AppendReply>(node.Settle()).empty());
  node.Step(EntriesNowhere{{3, 3}});
  node.Settle();
  node.Receive(2, Heartbeat{.term = 2});
  const AppendReply reply = RaftUnderTest::Only<AppendReply>(node.Settle(), 2);
  EXPECT_FALSE(reply.success);
  EXPECT_EQ(reply.refused_index, 5u);
  EXPECT_EQ(reply.hint, (LogPosition{2, 1}));
}

// Found by the model: two of three with a hole at the same entry, which the third has in a snapshot
// only, and a shorter log.
TEST(HoleRulesTest, WithoutALeaderTheStateOfAnyMemberWillDo) {
  RaftUnderTest node(3, {1, 1, 1, 1, 1}, kTerm2);
  node.Step(EntriesDamaged{{3, 3}});
  EXPECT_EQ(node.raft().state_needed(), 0u) << "somebody may have it";
  node.Step(EntriesNowhere{{3, 3}});
  node.Settle();
  EXPECT_EQ(node.raft().state_needed(), 3u);
  node.Receive(2, Heartbeat{.term = 2});
  node.Settle();
  EXPECT_EQ(node.raft().state_needed(), 0u) << "the leader brings one";
  node.Timeout();
  node.Settle();
  ASSERT_EQ(node.raft().state_needed(), 3u);
  const Configuration members = node.raft().configuration();
  node.Step(SnapshotReceived{2, {{3, 1}, {}, {}, members}});
  EXPECT_EQ(node.Take().restore, (LogPosition{3, 1}));
  node.Step(Applied{3});
  node.Settle();
  EXPECT_EQ(node.raft().state_needed(), 0u);
  EXPECT_EQ(node.raft().last(), (LogPosition{5, 1})) << "the log stays";
}

// What the state has is needed no more.
TEST(HoleRulesTest, AnEntryThatIsAppliedNeedsNoState) {
  RecoveredRaft recovered = Recovered(3, {1, 1, 1}, kTerm2);
  recovered.applied = 2;
  recovered.holes = {{2, 2}};
  RaftUnderTest node(recovered);
  node.Step(EntriesNowhere{{2, 2}});
  node.Settle();
  EXPECT_EQ(node.raft().state_needed(), 0u);
}

// It has applied the first of them, and cannot go on: what it needs is nowhere, too.
TEST(HoleRulesTest, AGapThatIsPartlyAppliedIsNowhereAsAWhole) {
  RecoveredRaft recovered = Recovered(3, {1, 1, 1, 1, 1}, kTerm2);
  recovered.applied = 3;
  RaftUnderTest node(recovered);
  node.Step(EntriesDamaged{{3, 5}});
  node.Step(EntriesNowhere{{3, 5}});
  node.Settle();
  EXPECT_EQ(node.raft().state_needed(), 4u);
}

// What is repaired, or another entry in the same place, is not what was said to be nowhere.
TEST(HoleRulesTest, OnlyWhatIsStillAHoleIsNowhere) {
  RaftUnderTest node(3, {1, 1, 1, 1, 1}, kTerm2);
  node.Step(EntriesDamaged{{2, 5}});
  node.Step(EntriesNowhere{{2, 4}});
  node.Settle();
  EXPECT_EQ(node.raft().state_needed(), 2u);
  node.Step(EntriesRepaired{{2, 2}, {}});
  node.Settle();
  EXPECT_EQ(node.raft().state_needed(), 3u);
  node.Step(EntriesRepaired{{3, 4}, {}});
  node.Settle();
  EXPECT_EQ(node.raft().state_needed(), 0u) << "of 5 nothing was said";
  node.Step(EntriesDamaged{{3, 4}});
  node.Settle();
  EXPECT_EQ(node.raft().state_needed(), 0u) << "they were there in between";
}

}  // namespace
}  // namespace cairn

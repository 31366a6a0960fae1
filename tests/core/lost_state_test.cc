// A log that goes on from a state which is lost (raft/core/snapshots.cc, MissState): until a
// snapshot is here the node votes and claims its log, and nothing else (fault catalogue D9).

#include <vector>

#include "gtest/gtest.h"
#include "raft/core/raft.h"
#include "tests/core/raft_under_test.h"

namespace cairn {
namespace {

// The log of node 1 of three begins behind entry 5 of term 1; there are entries 6..8 of term 2.
RecoveredRaft WithoutState() {
  RecoveredRaft recovered = Recovered(3, {}, {.term = 2});
  recovered.base = {5, 1};
  recovered.runs = {{2, 8}};
  recovered.applied = 2;
  recovered.state_lost = true;
  return recovered;
}

class LostStateTest : public testing::Test {
 protected:
  Effects Receive(Term offered_in, LogPosition position) {
    Configuration members = node_.raft().configuration();
    members.voters.pop_back();
    node_.Step(SnapshotReceived{offered_in, {position, {}, {4, 1}, members}});
    return node_.Take();
  }
  void ExpectRestored(const Effects& effects, LogPosition position) {
    ASSERT_TRUE(effects.restore.has_value());
    EXPECT_EQ(*effects.restore, position);
    EXPECT_FALSE(node_.raft().state_lost());
    EXPECT_EQ(node_.raft().configuration_position(), (LogPosition{4, 1})) << "it was lost as well";
    EXPECT_EQ(node_.raft().configuration().voters.size(), 2u);
  }

  RaftUnderTest node_{WithoutState()};
};

TEST_F(LostStateTest, ItVotesByItsLogAndDoesNothingElse) {
  node_.Timeout();
  Effects effects = node_.Settle();
  EXPECT_EQ(node_.raft().role(), Role::kFollower);
  EXPECT_EQ(node_.raft().last(), (LogPosition{8, 2}));
  node_.Receive(2, MakeAppend(2, {8, 2}, {2}, 7));
  effects = node_.Settle();
  EXPECT_EQ(node_.raft().last(), (LogPosition{9, 2})) << "entries are kept";
  EXPECT_TRUE(RaftUnderTest::Sent<AppendReply>(effects).empty()) << "and not acknowledged";
  EXPECT_EQ(effects.apply_up_to, 0u);
  node_.Elapse(Seconds(100));
  node_.Receive(3, VoteRequest{.term = 3, .last = {8, 2}, .campaign = 1});
  EXPECT_FALSE(RaftUnderTest::Only<VoteReply>(node_.Settle(), 3).granted);
  node_.Receive(2, VoteRequest{.term = 3, .last = {9, 2}, .campaign = 1});
  EXPECT_TRUE(RaftUnderTest::Only<VoteReply>(node_.Settle(), 2).granted);
  EXPECT_TRUE(node_.raft().state_lost());
}

// Whom the state would have named; the leader feeds it as before.
TEST(JoinedLostStateTest, WhoJoinedWaitsForTheLeader) {
  RecoveredRaft recovered = WithoutState();
  recovered.base_configuration = {};
  RaftUnderTest node(recovered);
  EXPECT_FALSE(node.Settle().fence.has_value());
  EXPECT_TRUE(node.raft().state_lost());
}

TEST_F(LostStateTest, ASnapshotWhereTheLogBegins) {
  ExpectRestored(Receive(2, {5, 1}), {5, 1});
  EXPECT_EQ(node_.raft().last(), (LogPosition{8, 2}));
}

TEST_F(LostStateTest, ASnapshotWithinTheLog) {
  ExpectRestored(Receive(2, {7, 2}), {7, 2});
  EXPECT_EQ(node_.raft().commit(), 7u);
  EXPECT_EQ(node_.raft().last(), (LogPosition{8, 2})) << "the log stays";
}

TEST_F(LostStateTest, OneBeforeTheLogIsOfNoUse) {
  EXPECT_FALSE(Receive(2, {4, 1}).restore.has_value());
  EXPECT_TRUE(node_.raft().state_lost());
}

// The log gives way, and until that is durable nothing of it is handed out: not the entries up to
// its old beginning either, which are nowhere.
TEST_F(LostStateTest, ASnapshotBehindTheLog) {
  Effects effects = Receive(2, {12, 2});
  EXPECT_FALSE(effects.restore.has_value());
  EXPECT_EQ(effects.apply_up_to, 0u);
  EXPECT_TRUE(node_.raft().state_lost());
  node_.Sync();
  effects = node_.Take();
  ExpectRestored(effects, {12, 2});
  EXPECT_EQ(node_.raft().base(), (LogPosition{12, 2}));
}

// Who gave it may have been in a later term than this node, and leaders of earlier ones may lack
// what it holds. They are not followed any more; nor is what is said in their name.
TEST_F(LostStateTest, TheTermOfTheGiverIsReached) {
  node_.Step(TermReached{4});
  EXPECT_FALSE(node_.raft().term_durable());
  node_.Settle();
  EXPECT_TRUE(node_.raft().term_durable());
  EXPECT_EQ(node_.raft().term(), 4u);
  ExpectRestored(Receive(4, {7, 2}), {7, 2});
}

TEST_F(LostStateTest, AnEarlierTermIsNoNews) {
  node_.Step(TermReached{1});
  EXPECT_TRUE(node_.Settle().log_batches.empty());
  EXPECT_EQ(node_.raft().term(), 2u);
}

// It is in the log of that leader, who has applied it.
TEST_F(LostStateTest, WhatTheLeaderOffersIsAcknowledged) {
  node_.Receive(2, MakeAppend(2, {8, 2}, {2}));
  node_.Settle();
  Effects effects = Receive(2, {7, 2});
  ASSERT_TRUE(effects.restore.has_value());
  node_.Step(Applied{7});
  EXPECT_EQ(RaftUnderTest::Only<AppendReply>(node_.Settle(), 2).match, 9u);
}

// The other side: node 1 is asked for a state that it has only the entries for.
class AskedForStateTest : public testing::Test {
 protected:
  AskedForStateTest() { node_.Settle(); }
  Effects Told(LogPosition at) {
    node_.Step(BegunBehind{at});
    return node_.Settle();
  }

  RaftUnderTest node_{3, {1, 1, 2, 2}, {.term = 2}};
};

// Found by the model: two of three have lost their state, so they acknowledge nothing, and no
// leader could commit what would make it again.
TEST_F(AskedForStateTest, ItLearnsWhatWasCommitted) {
  EXPECT_EQ(Told({3, 2}).apply_up_to, 3u);
  EXPECT_EQ(node_.raft().commit(), 3u);
  Told({2, 1});
  EXPECT_EQ(node_.raft().commit(), 3u);
}

TEST_F(AskedForStateTest, NotOfAnotherEntryOrOneThatIsNotHere) {
  Told({3, 1});
  Told({5, 2});
  EXPECT_EQ(node_.raft().commit(), 0u);
}

TEST_F(AskedForStateTest, AlsoAsTheLeaderButCountsItsOwnTerm) {
  node_.Elect();
  node_.Settle();
  const LogPosition own = node_.raft().last();
  EXPECT_EQ(own.term, 3u);
  Told({4, 2});
  EXPECT_EQ(node_.raft().commit(), 4u);
  Told(own);
  EXPECT_EQ(node_.raft().commit(), 4u);
  EXPECT_FALSE(node_.raft().leads_with_commit());
}

// What is unreadable stays so.
TEST_F(AskedForStateTest, ItAppliesNoHole) {
  node_.Step(EntriesDamaged{{2, 2}});
  EXPECT_EQ(Told({3, 2}).apply_up_to, 1u);
  EXPECT_EQ(node_.raft().commit(), 3u);
}

TEST(UnsureAskedForStateTest, WhoIsUnsureIsToldByItsLeader) {
  RecoveredRaft recovered = Recovered(3, {1, 1}, {.term = 2});
  recovered.unsure = true;
  RaftUnderTest node(recovered);
  node.Step(BegunBehind{{2, 1}});
  EXPECT_EQ(node.raft().commit(), 0u);
}

// The members of the group it was alone in at first; who came later stood in the state.
RecoveredRaft AloneAtFirst() {
  RecoveredRaft recovered = WithoutState();
  recovered.base_configuration.voters.resize(1);
  return recovered;
}

// Nobody else was a member where the log knows one list, its own.
TEST(AloneLostStateTest, ItStopsAtOnceWhereItsLogSaysThatItIsAlone) {
  RecoveredRaft alone = AloneAtFirst();
  alone.configurations = {{{7, 2}, alone.base_configuration}};
  RaftUnderTest node(alone);
  const Effects effects = node.Settle();
  ASSERT_TRUE(effects.fence.has_value());
  EXPECT_EQ(effects.fence->reason, Fence::Reason::kDataLoss);
}

// The state there is is older than where the log begins: so is its list of members.
TEST(AloneLostStateTest, AListFromBeforeTheLogMayHaveChanged) {
  RecoveredRaft alone = AloneAtFirst();
  alone.base_configuration_position = {1, 1};
  for (const bool unsure : {false, true}) {
    alone.unsure = unsure;
    RaftUnderTest node(alone);
    EXPECT_FALSE(node.Settle().fence.has_value()) << unsure;
    EXPECT_FALSE(node.raft().knows_members());
  }
  alone.configurations = {{{6, 2}, Recovered(3, {}, {}).base_configuration}};
  EXPECT_TRUE(RaftUnderTest(alone).raft().knows_members());
}

TEST(AloneLostStateTest, WhoBeganAloneStopsWhenNobodyComes) {
  RaftUnderTest node(AloneAtFirst());
  EXPECT_FALSE(node.Settle().fence.has_value());
  const Instant start = node.now() - RaftOptions().election_timeout;
  Effects effects;
  while (!effects.fence && node.now() < start + Seconds(3600)) {
    node.Timeout();
    effects = node.Settle();
  }
  ASSERT_TRUE(effects.fence.has_value());
  EXPECT_EQ(effects.fence->reason, Fence::Reason::kDataLoss);
  EXPECT_GE(node.now(), start + Seconds(30)) << "they need time to connect again";
}

TEST(AloneLostStateTest, WhoBeganAloneIsFedByTheOthers) {
  RaftUnderTest node(AloneAtFirst());
  node.Elapse(Seconds(29));
  // One of two: the other one cannot lead without its vote.
  node.Receive(2, VoteRequest{.term = 3, .last = {8, 2}, .campaign = 1});
  EXPECT_TRUE(RaftUnderTest::Only<VoteReply>(node.Settle(), 2).granted);
  node.Elapse(Seconds(29));
  node.Receive(2, Heartbeat{.term = 3});
  EXPECT_FALSE(node.Settle().fence.has_value());
  EXPECT_EQ(node.raft().leader(), NodeId{2});
  Configuration members = node.raft().configuration();
  members.voters.push_back({NodeId{2}, Incarnation{2}, "address"});
  node.Step(SnapshotReceived{3, {{7, 2}, {}, {4, 1}, members}});
  const Effects effects = node.Take();
  ASSERT_TRUE(effects.restore.has_value());
  EXPECT_EQ(node.raft().configuration(), members);
  EXPECT_FALSE(effects.fence.has_value());
}

}  // namespace
}  // namespace cairn

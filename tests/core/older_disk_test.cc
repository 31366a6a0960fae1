// A member is told what it has acknowledged, and stops where its log lacks that
// (raft/core/append.cc, StillHas); who is told, and that nobody else stops (fault catalogue D17).

#include <vector>

#include "gtest/gtest.h"
#include "raft/core/raft.h"
#include "tests/core/raft_under_test.h"

namespace cairn {
namespace {

constexpr HardState kTerm1 = {.term = 1};
constexpr HardState kTerm2 = {.term = 2};
const std::vector<Term> kFiveEntries = {1, 1, 1, 1, 1};

Heartbeat HeartbeatAfter(LogPosition acknowledged, Term term = 2) {
  return {.term = term, .acknowledged = acknowledged};
}

AppendEntries AppendAfter(LogPosition acknowledged, LogPosition previous) {
  AppendEntries append = MakeAppend(2, previous, {2});
  append.acknowledged = acknowledged;
  return append;
}

bool Stops(RaftUnderTest& node, MessageBody body) {
  node.Receive(2, std::move(body));
  const Effects effects = node.Settle();
  if (!effects.fence) return false;
  EXPECT_EQ(effects.fence->reason, Fence::Reason::kRolledBack) << effects.fence->message;
  EXPECT_TRUE(effects.messages.empty()) << "who has forgotten something says nothing any more";
  EXPECT_TRUE(RaftUnderTest::Sent<AppendReply>(effects).empty());
  return true;
}

// The leader's side -------------------------------------------------------------------------------

TEST(OlderDiskTest, ALeaderTellsWhatWasAcknowledgedToIt) {
  RaftUnderTest leader(3, {1, 1}, kTerm1);
  leader.BecomeLeader();
  const Term term = leader.raft().term();
  const Index first = leader.raft().last().index;
  leader.Timeout();
  Effects effects = leader.Settle();
  EXPECT_EQ(RaftUnderTest::Only<Heartbeat>(effects, 2).acknowledged, (LogPosition{first, term}));
  leader.Step(Propose{1, 2, 100});
  effects = leader.Settle();
  EXPECT_EQ(RaftUnderTest::Only<AppendEntries>(effects, 2).acknowledged,
            (LogPosition{first, term}));
  leader.Receive(2, AppendReply{.term = term, .success = true, .match = first + 2});
  // A refusal takes nothing back, nor does what comes late.
  leader.Receive(2, AppendReply{.term = term, .hint = {1, 1}, .refused_index = first + 2});
  leader.Receive(2, AppendReply{.term = term, .success = true, .match = first + 1});
  leader.Settle();
  leader.Timeout();
  effects = leader.Settle();
  EXPECT_EQ(RaftUnderTest::Only<Heartbeat>(effects, 2).acknowledged,
            (LogPosition{first + 2, term}));
  EXPECT_EQ(RaftUnderTest::Only<Heartbeat>(effects, 3).acknowledged, (LogPosition{first, term}));
}

// What an earlier leader was told says nothing: a later one may have overwritten it.
TEST(OlderDiskTest, ANewLeaderTellsNothing) {
  RaftUnderTest leader(3, {1, 1}, kTerm1);
  const Effects effects = leader.Elect();
  const auto appends = RaftUnderTest::Sent<AppendEntries>(effects);
  ASSERT_FALSE(appends.empty());
  for (const auto& [to, append] : appends) EXPECT_EQ(append.acknowledged, LogPosition());
}

// The member's side -------------------------------------------------------------------------------

TEST(OlderDiskTest, WhoLacksWhatItAcknowledgedStops) {
  {
    RaftUnderTest node(3, kFiveEntries, kTerm2);
    EXPECT_TRUE(Stops(node, HeartbeatAfter({6, 2})));
  }
  {
    RaftUnderTest node(3, kFiveEntries, kTerm2);
    EXPECT_TRUE(Stops(node, HeartbeatAfter({5, 2}))) << "another entry was acknowledged";
  }
  {
    RaftUnderTest node(3, kFiveEntries, kTerm2);
    EXPECT_TRUE(Stops(node, AppendAfter({6, 2}, {6, 2}))) << "a refusal would have it fed again";
  }
  {
    RaftUnderTest node(3, kFiveEntries, kTerm2);
    EXPECT_TRUE(Stops(node, AppendAfter({6, 2}, {5, 1}))) << "nor may it be filled by chance";
  }
}

TEST(OlderDiskTest, WhoHasItGoesOn) {
  RaftUnderTest node(3, kFiveEntries, kTerm2);
  EXPECT_FALSE(Stops(node, HeartbeatAfter({}))) << "a leader of before this was said";
  EXPECT_FALSE(Stops(node, HeartbeatAfter({5, 1})));
  EXPECT_FALSE(Stops(node, AppendAfter({4, 1}, {5, 1})));
  EXPECT_FALSE(Stops(node, HeartbeatAfter({6, 2})));
}

TEST(OlderDiskTest, WhatIsUnreadableIsThere) {
  RaftUnderTest holes(3, kFiveEntries, kTerm2);
  holes.Step(EntriesDamaged{{4, 5}});
  EXPECT_FALSE(Stops(holes, HeartbeatAfter({5, 1})));
  RaftUnderTest torn(3, kFiveEntries, kTerm2, 4);
  EXPECT_FALSE(Stops(torn, HeartbeatAfter({5, 1})));
  // Written again in part, the rest is claimed all the same.
  torn.Receive(2, MakeAppend(2, {3, 1}, {1}));
  torn.Settle();
  ASSERT_EQ(torn.raft().torn_from(), std::optional<Index>(5));
  EXPECT_FALSE(Stops(torn, HeartbeatAfter({5, 1})));
}

TEST(OlderDiskTest, WhatWasCompactedIsThere) {
  RaftUnderTest node(3, kFiveEntries, kTerm2);
  node.Receive(2, MakeAppend(2, {5, 1}, {2}, 6));
  node.Settle();
  node.Step(Compact{5});
  node.Settle();
  ASSERT_EQ(node.raft().base().index, 5u);
  EXPECT_FALSE(Stops(node, HeartbeatAfter({4, 1})));
  EXPECT_FALSE(Stops(node, HeartbeatAfter({5, 1})));
}

// A log that gave way to a snapshot has what stands before it.
TEST(OlderDiskTest, WhatASnapshotStandsForIsThere) {
  RaftUnderTest node(3, kFiveEntries, kTerm2);
  node.Receive(2, HeartbeatAfter({}));
  const Configuration members = node.raft().configuration();
  node.Step(SnapshotReceived{2, {{9, 2}, {}, {}, members}});
  node.Settle();
  ASSERT_EQ(node.raft().base().index, 9u);
  EXPECT_FALSE(Stops(node, HeartbeatAfter({5, 1})));
  EXPECT_FALSE(Stops(node, HeartbeatAfter({9, 2})));
}

// A later leader overwrites what was acknowledged to an earlier one, and never committed. What that
// one still says is void.
TEST(OlderDiskTest, WhatALaterLeaderOverwroteIsNotMissed) {
  RaftUnderTest node(3, kFiveEntries, kTerm2);
  node.Receive(2, MakeAppend(2, {5, 1}, {2, 2}));
  ASSERT_EQ(RaftUnderTest::Sent<AppendReply>(node.Settle()).back().second.match, 7u);
  node.Receive(3, MakeAppend(3, {5, 1}, {3}));
  node.Settle();
  ASSERT_EQ(node.raft().last(), (LogPosition{6, 3}));
  EXPECT_FALSE(Stops(node, HeartbeatAfter({7, 2}, 2)));
  node.Receive(3, HeartbeatAfter({6, 3}, 3));
  EXPECT_FALSE(node.Settle().fence.has_value());
}

// Two histories of what is committed are another matter than a disk that forgets.
TEST(OlderDiskTest, WhatIsCommittedHereIsNotMissed) {
  RaftUnderTest node(3, kFiveEntries, kTerm2);
  node.Receive(2, MakeAppend(2, {5, 1}, {2}, 6));
  node.Settle();
  EXPECT_FALSE(Stops(node, HeartbeatAfter({5, 2})));
}

// A disk that took the place of another one under the same id has promised nothing.
TEST(OlderDiskTest, WhatAnotherDiskAcknowledgedIsNotMissed) {
  RaftUnderTest other(Recovered(3, kFiveEntries, kTerm2), Incarnation{17});
  EXPECT_FALSE(Stops(other, HeartbeatAfter({9, 2})));
  RecoveredRaft unknown = Recovered(3, kFiveEntries, kTerm2);
  unknown.base_configuration.voters[0].incarnation = Incarnation::kUnknown;
  RaftUnderTest any(unknown);
  EXPECT_FALSE(Stops(any, HeartbeatAfter({9, 2}))) << "whose disk it was is not known";
  RecoveredRaft stranger = Recovered(3, {}, kTerm2);
  stranger.base_configuration.voters.erase(stranger.base_configuration.voters.begin());
  RaftUnderTest joins(stranger);
  EXPECT_FALSE(Stops(joins, HeartbeatAfter({9, 2})));
}

}  // namespace
}  // namespace cairn

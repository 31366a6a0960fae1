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
  node.Step(EntryNowhere{3});
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
  node.Step(EntryNowhere{3});
  node.Settle();
  node.Receive(2, Heartbeat{.term = 2});
  const AppendReply reply = RaftUnderTest::Only<AppendReply>(node.Settle(), 2);
  EXPECT_FALSE(reply.success);
  EXPECT_EQ(reply.refused_index, 5u);
  EXPECT_EQ(reply.hint, (LogPosition{2, 1}));
}

}  // namespace
}  // namespace cairn

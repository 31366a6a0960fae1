// What the seed system's history teaches about single steps, where figure 2 of the paper does not
// say it (paper_test.cc) and no scenario shows it (testdata).

#include <optional>
#include <vector>

#include "gtest/gtest.h"
#include "raft/core/raft.h"
#include "tests/core/raft_under_test.h"

namespace cairn {
namespace {

using Node = RaftUnderTest;

constexpr NodeId kNode1{1};
constexpr NodeId kNode2{2};

// Acknowledgements of term 1 are long under way. Meanwhile what they are of was overwritten, and
// the same leader leads again; its log is as long by now as theirs was.
TEST(SeedTest, AcknowledgementsOfAnEarlierTermCountForNothing) {
  Node node(5);
  node.BecomeLeader();
  const LogPosition kept = node.raft().last();
  node.Step(Propose{.payload = 77, .count = 5, .bytes = 50});
  node.Settle();
  const Index last = node.raft().last().index;
  node.Receive(2, MakeAppend(2, kept, {2}));
  node.Settle();
  node.Elapse(Seconds(2));
  node.Elect();
  ASSERT_EQ(node.raft().role(), Role::kLeader);
  node.Step(Propose{.payload = 78, .count = last - node.raft().last().index, .bytes = 50});
  node.Settle();
  ASSERT_EQ(node.raft().last(), (LogPosition{last, 3}));
  const Index committed = node.raft().commit();
  for (uint64_t peer : {2, 3, 4, 5}) {
    node.Receive(peer, AppendReply{.term = 1, .success = true, .match = last});
  }
  EXPECT_EQ(node.raft().commit(), committed);
  node.Receive(2, AppendReply{.term = 3, .success = true, .match = last});
  EXPECT_EQ(node.raft().commit(), committed) << "two of five";
  node.Receive(3, AppendReply{.term = 3, .success = true, .match = last});
  EXPECT_EQ(node.raft().commit(), last);
}

TEST(SeedTest, AcknowledgementsToAFormerLeaderCommitNothing) {
  Node node(3);
  node.BecomeLeader();
  const Index committed = node.raft().commit();
  node.Step(Propose{.payload = 77, .count = 1, .bytes = 10});
  node.Settle();
  node.Step(StepDown{.request = 1});
  node.Settle();
  ASSERT_EQ(node.raft().role(), Role::kFollower);
  node.Receive(2, AppendReply{.term = 1, .success = true, .match = node.raft().last().index});
  EXPECT_EQ(node.raft().commit(), committed);
}

TEST(SeedTest, AnAnswerOfALaterTermLeavesTheLogAlone) {
  Node node(3, {1, 1}, {.term = 1});
  node.BecomeLeader();
  node.Step(Propose{.payload = 77, .count = 2, .bytes = 10});
  node.Settle();
  const LogPosition last = node.raft().last();
  node.Receive(2, AppendReply{.term = 9, .refused_index = 1});
  const Effects effects = node.Settle();
  EXPECT_EQ(node.raft().role(), Role::kFollower);
  EXPECT_EQ(node.raft().last(), last);
  for (const LogBatch& batch : effects.log_batches) {
    EXPECT_EQ(batch.truncate_from, std::nullopt);
    EXPECT_EQ(batch.reset_to, std::nullopt);
  }
}

TEST(SeedTest, CandidatesIgnoreLeadersOfEarlierTerms) {
  const std::vector<MessageBody> kMessages = {
      MakeAppend(50, {1, 1}, {50}),
      Heartbeat{.term = 50, .commit = 1},
  };
  for (const MessageBody& body : kMessages) {
    SCOPED_TRACE(NameOf(body));
    Node node(3, {1}, {.term = 99});
    node.Campaign();
    node.Receive(2, body);
    EXPECT_EQ(node.raft().role(), Role::kCandidate);
    EXPECT_EQ(node.raft().term(), 100u);
    EXPECT_EQ(node.raft().vote(), kNode1);
    EXPECT_EQ(node.raft().last(), (LogPosition{1, 1}));
    EXPECT_EQ(node.raft().commit(), 0u);
  }
}

TEST(SeedTest, ACandidateThatFollowsKeepsItsVote) {
  Node node(3);
  node.Campaign();
  node.Receive(2, Heartbeat{.term = 1});
  node.Settle();
  ASSERT_EQ(node.raft().role(), Role::kFollower);
  EXPECT_EQ(node.raft().leader(), kNode2);
  EXPECT_EQ(node.raft().vote(), kNode1);
  node.Elapse(Seconds(1));
  node.Receive(3, VoteRequest{.term = 1, .last = {9, 1}, .campaign = 7});
  EXPECT_FALSE(Node::Only<VoteReply>(node.Settle(), 3).granted);
}

// A leader that is over must not keep the others from electing another one.
TEST(SeedTest, FollowersDoNotWaitLongerForALeaderOfAnEarlierTerm) {
  const std::vector<MessageBody> kMessages = {
      MakeAppend(4, {1, 1}, {4}),
      Heartbeat{.term = 4},
      TimeoutNow{.term = 4},
  };
  for (const MessageBody& body : kMessages) {
    SCOPED_TRACE(NameOf(body));
    Node node(3, {1}, {.term = 5});
    const Instant deadline = node.raft().NextWakeup();
    node.Elapse(Milliseconds(900));
    node.Receive(2, body);
    node.Settle();
    EXPECT_EQ(node.raft().NextWakeup(), deadline);
    EXPECT_EQ(node.raft().role(), Role::kFollower);
  }
}

// A change of members overtakes nothing that was asked for before it, and nothing behind overtakes
// it, also where all of it becomes one batch.
TEST(SeedTest, ChangesStandWhereTheyWereAskedFor) {
  Node node(3);
  node.BecomeLeader();
  const Index last = node.raft().last().index;
  node.Step(Propose{.payload = 77, .count = 3, .bytes = 30});
  const auto member = [](uint64_t id, const char* address) {
    return Member{NodeId{id}, Incarnation{id}, address};
  };
  node.Step(ChangeMembership{
      .request = 1,
      .members = {.voters = {member(1, "a"), member(2, "b")}, .learners = {member(3, "c")}}});
  node.Step(Propose{.payload = 78, .count = 1, .bytes = 10});
  const Effects effects = node.Take();
  ASSERT_EQ(effects.log_batches.size(), 1u);
  const std::vector<AppendRun>& runs = effects.log_batches[0].runs;
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].payload, 77u);
  EXPECT_EQ(runs[0].first.index, last + 1);
  EXPECT_EQ(runs[1].source, AppendRun::Source::kConfiguration);
  EXPECT_EQ(runs[1].first.index, last + 4);
  EXPECT_EQ(runs[2].payload, 78u);
  EXPECT_EQ(runs[2].first.index, last + 5);
}

// The leader's disk cannot give the entries right now. That is not the end of the log, and the next
// message begins where this one would have (openraft#1795: it began at nothing).
TEST(SeedTest, EntriesThatCouldNotBeReadAreSentFromTheSamePlace) {
  Node node(3);
  node.BecomeLeader();
  node.Step(Propose{.payload = 77, .count = 3, .bytes = 30});
  const Effects first = node.Take();
  ASSERT_EQ(first.send_entries.size(), 2u);
  for (const SendEntries& send : first.send_entries) {
    node.Step(EntriesSent{send.to, send.request, send.previous.index, 0});
  }
  node.Sync();
  EXPECT_TRUE(node.Take().send_entries.empty());
  node.Timeout();
  const Effects again = node.Take();
  ASSERT_EQ(again.send_entries.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(again.send_entries[i].to, first.send_entries[i].to);
    EXPECT_EQ(again.send_entries[i].previous, first.send_entries[i].previous);
    EXPECT_EQ(again.send_entries[i].last, first.send_entries[i].last);
  }
}

// A follower that lost entries, or whose leader claims what cannot be: it commits what it has, asks
// for the rest, and goes on (etcd#10166: it stopped for ever).
TEST(SeedTest, ACommitBeyondTheLogIsNoReasonToStop) {
  Node node(3, {1}, {.term = 1});
  node.Receive(2, Heartbeat{.term = 1, .commit = 99});
  node.Settle();
  EXPECT_EQ(node.raft().commit(), 1u);
  node.Receive(2, MakeAppend(1, {50, 1}, {1}, /*commit=*/99));
  const AppendReply refusal = Node::Only<AppendReply>(node.Settle(), 2);
  EXPECT_FALSE(refusal.success);
  EXPECT_EQ(refusal.hint, (LogPosition{1, 1}));
  node.Receive(2, MakeAppend(1, {1, 1}, {1, 1}, /*commit=*/99));
  EXPECT_EQ(Node::Sent<AppendReply>(node.Settle()).back().second.match, 3u);
  EXPECT_EQ(node.raft().commit(), 3u);
}

}  // namespace
}  // namespace cairn

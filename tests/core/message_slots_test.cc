// Messages that wait together for TakeEffects: which of them may take another one's place.

#include <cstdint>

#include "gtest/gtest.h"
#include "raft/core/raft.h"
#include "tests/core/raft_under_test.h"

namespace cairn {
namespace {

using Node = RaftUnderTest;

constexpr uint64_t kManyReads = 300;  // more than an outbox holds of everything else

// Asks for `kManyReads` reads of node 1's clients, each in a request of its own.
void AskForManyReads(Node& node) {
  for (ReadId read = 1; read <= kManyReads; ++read) {
    node.Step(ReadBarrier{read});
    EXPECT_EQ(Node::Sent<ReadIndexRequest>(node.Take()).size(), 1u);
  }
}

// A leader that hears no replies would step down, and the reads would never be answered.
TEST(MessageSlotsTest, UnansweredReadsDoNotSilenceAFollower) {
  Node node(3);
  node.Receive(2, Heartbeat{.term = 1});
  node.Settle();
  AskForManyReads(node);
  node.Elapse(Seconds(1));
  node.Receive(2, Heartbeat{.term = 1, .context = 5});
  EXPECT_EQ(Node::Only<HeartbeatReply>(node.Settle(), 2).context, 5u);
}

// However many requests went unanswered, one goes out again, and its answer serves them all.
TEST(MessageSlotsTest, OneRequestStandsForAllThatAreOverdue) {
  Node node(3);
  node.Receive(2, Heartbeat{.term = 1});
  node.Settle();
  AskForManyReads(node);
  node.Elapse(Seconds(1));
  node.Receive(2, Heartbeat{.term = 1});
  const uint64_t request = Node::Only<ReadIndexRequest>(node.Settle(), 2).request;
  node.Receive(2, Heartbeat{.term = 1});
  EXPECT_TRUE(Node::Sent<ReadIndexRequest>(node.Settle()).empty());
  node.Receive(2, ReadIndexReply{.term = 1, .request = request, .ready = true, .index = 0});
  EXPECT_EQ(node.Settle().reads.size(), kManyReads);
}

// An answer says nothing of what was asked after it.
TEST(MessageSlotsTest, AnAnswerServesNoLaterRead) {
  Node node(3);
  node.Receive(2, Heartbeat{.term = 1});
  node.Settle();
  node.Step(ReadBarrier{1});
  const uint64_t first = Node::Only<ReadIndexRequest>(node.Take(), 2).request;
  node.Step(ReadBarrier{2});
  const uint64_t second = Node::Only<ReadIndexRequest>(node.Take(), 2).request;
  node.Receive(2, ReadIndexReply{.term = 1, .request = first, .ready = true, .index = 0});
  Effects effects = node.Settle();
  ASSERT_EQ(effects.reads.size(), 1u);
  EXPECT_EQ(effects.reads[0].read, 1u);
  // A refused one is not served by the next, nor the other way round.
  node.Receive(2, ReadIndexReply{.term = 1, .request = second, .ready = false});
  effects = node.Settle();
  ASSERT_EQ(effects.reads.size(), 1u);
  EXPECT_FALSE(effects.reads[0].ready);
}

TEST(MessageSlotsTest, EveryReadOfARoundIsAnswered) {
  Node node(3);
  node.BecomeLeader();
  ReadContext context = 0;
  for (uint64_t request = 1; request <= kManyReads; ++request) {
    node.Receive(2, ReadIndexRequest{.term = 1, .request = request});
    context = Node::Only<Heartbeat>(node.Take(), 3).context;
  }
  node.Receive(3, HeartbeatReply{.term = 1, .context = context});
  EXPECT_EQ(Node::Sent<ReadIndexReply>(node.Take()).size(), kManyReads);
}

// The refusal of a probe is what the leader waits for; that of the undecided entries comes with
// every heartbeat.
TEST(MessageSlotsTest, AHeartbeatDoesNotReplaceTheRefusalOfAProbe) {
  Node node(3, {1, 1, 1, 1}, {.term = 1}, Index{3});
  node.Receive(2, MakeAppend(2, {5, 1}, {2}));
  node.Receive(2, Heartbeat{.term = 2});
  AppendReply reply = Node::Only<AppendReply>(node.Settle(), 2);
  EXPECT_FALSE(reply.success);
  EXPECT_EQ(reply.refused_index, 5u);
  EXPECT_EQ(reply.hint, (LogPosition{2, 1}));
}

}  // namespace
}  // namespace cairn

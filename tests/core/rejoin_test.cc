// A member that cannot tell what it has promised, and its leader (raft/core/rejoin.h). What it may
// break by coming back too early is searched for by raft_soak_test ("Forgetting").

#include "raft/core/rejoin.h"

#include <optional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "raft/core/raft.h"
#include "tests/core/raft_under_test.h"

namespace cairn {
namespace {

using Node = RaftUnderTest;

// Node 1 of `size`. Its log ended later than entry 4, and it was in term 2 or later.
RecoveredRaft Unsure(uint64_t size = 3) {
  RecoveredRaft recovered = Recovered(size, {1, 1, 2, 2}, {.term = 2});
  recovered.unsure = true;
  return recovered;
}

class UnsureMemberTest : public testing::Test {
 protected:
  // Node 2 leads term 3 and has the entries up to 8; gives what it is asked.
  RejoinRequest HearLeader(Term term = 3) {
    node_.Receive(2, Heartbeat{.term = term, .commit = 8, .context = 77});
    effects_ = node_.Settle();
    return Node::Only<RejoinRequest>(effects_, 2);
  }
  void Answer(uint64_t nonce, Index barrier, Term term = 3) {
    node_.Receive(2, RejoinReply{.term = term, .nonce = nonce, .barrier = barrier});
    effects_ = node_.Settle();
  }
  void Append(Term term = 3) {
    node_.Receive(2, MakeAppend(term, {4, 2}, {2, 2, 3, 3}, 6));
    effects_ = node_.Settle();
  }
  bool Votes(Term term) {
    node_.Elapse(Seconds(100));
    node_.Receive(3, PreVoteRequest{.term = term, .last = {50, term - 1}, .campaign = 1});
    const bool pre_vote = Node::Only<PreVoteReply>(node_.Settle(), 3).granted;
    node_.Receive(3, VoteRequest{.term = term, .last = {50, term - 1}, .campaign = 1});
    const bool vote = Node::Only<VoteReply>(node_.Settle(), 3).granted;
    EXPECT_EQ(pre_vote, vote);
    return vote;
  }
  std::vector<std::pair<NodeId, AppendReply>> Acknowledged() const {
    auto replies = Node::Sent<AppendReply>(effects_);
    std::erase_if(replies, [](const auto& reply) { return !reply.second.success; });
    return replies;
  }

  Node node_{Unsure()};
  Effects effects_;
};

TEST_F(UnsureMemberTest, ItDoesNotVoteAndDoesNotStand) {
  EXPECT_TRUE(node_.raft().unsure());
  EXPECT_FALSE(Votes(3));
  EXPECT_FALSE(Votes(4));
  node_.Timeout();
  EXPECT_EQ(node_.raft().role(), Role::kFollower);
  node_.Receive(2, TimeoutNow{4});
  effects_ = node_.Settle();
  EXPECT_EQ(node_.raft().role(), Role::kFollower);
  EXPECT_TRUE(Node::Sent<VoteRequest>(effects_).empty());
}

TEST_F(UnsureMemberTest, ItConfirmsAndPromisesNothing) {
  HearLeader();
  const auto reply = Node::Only<HeartbeatReply>(effects_, 2);
  EXPECT_EQ(reply.context, 0u);
  EXPECT_EQ(reply.promise, Duration{});
  EXPECT_EQ(reply.priority, kNeverLeads) << "nobody hands over to it";
}

// Also where its term is on its disk, so that others might promise.
TEST_F(UnsureMemberTest, ItPromisesNothingBeforeItIsSure) {
  HearLeader();
  const RejoinRequest asked = HearLeader();
  EXPECT_TRUE(node_.raft().term_durable());
  EXPECT_EQ(Node::Only<HeartbeatReply>(effects_, 2).promise, Duration{});
  Answer(asked.nonce, 8);
  Append();
  node_.Receive(2, Heartbeat{.term = 3, .commit = 8, .context = 78});
  const auto reply = Node::Only<HeartbeatReply>(node_.Settle(), 2);
  EXPECT_GT(reply.promise, Duration{});
  EXPECT_EQ(reply.context, 78u);
}

// Its log may be the longer one, and another.
TEST_F(UnsureMemberTest, WhatStandsAtTheBarrierIsComparedFirst) {
  const RejoinRequest asked = HearLeader();
  Answer(asked.nonce, 4);
  EXPECT_TRUE(node_.raft().unsure());
  node_.Receive(2, MakeAppend(3, {2, 1}, {2, 3}, 2));
  effects_ = node_.Settle();
  EXPECT_EQ(node_.raft().last(), (LogPosition{4, 3}));
  EXPECT_FALSE(node_.raft().unsure());
}

// What others say of its end would let it give up what it may have acknowledged.
TEST_F(UnsureMemberTest, ItAsksNobodyWhetherToGiveUpItsEnd) {
  RecoveredRaft recovered = Unsure();
  recovered.torn_from = 4;
  Node node(recovered);
  node.Timeout();
  EXPECT_TRUE(Node::Sent<TailQuery>(node.Settle()).empty());
}

// A silence is waited for; that it lacks the entry would let others give it up (fault catalogue
// 6.7: counting FENCED as DONT_HAVE).
TEST_F(UnsureMemberTest, ItDoesNotSayWhatItLacks) {
  node_.Receive(2, TailQuery{.term = 2, .query = 9, .good = {4, 2}, .torn = {{2, 5}}});
  EXPECT_TRUE(Node::Sent<TailReply>(node_.Settle()).empty());
}

// What has the index and the term is the entry, whatever has been forgotten: whoever cannot read it
// may be the only one to lead, and is given it (model: a torn tail, and the third of three behind).
TEST_F(UnsureMemberTest, ItSaysThatItHoldsAllThatIsAsked) {
  node_.Receive(2, TailQuery{.term = 2, .query = 9, .good = {2, 1}, .torn = {{2, 4}}});
  const auto reply = Node::Only<TailReply>(node_.Settle(), 2);
  EXPECT_EQ(reply.have_through, 4u);
  EXPECT_EQ(reply.known_commit, 0u) << "what it has applied may stand elsewhere in its log";
}

// With a part of it it would be counted among those that lack the rest.
TEST_F(UnsureMemberTest, ItDoesNotSayWhatItHoldsOfMore) {
  node_.Receive(2, TailQuery{.term = 2, .query = 9, .good = {2, 1}, .torn = {{2, 5}}});
  node_.Receive(3, TailQuery{.term = 2, .query = 9, .good = {2, 1}, .torn = {}});
  EXPECT_TRUE(Node::Sent<TailReply>(node_.Settle()).empty());
  RecoveredRaft recovered = Unsure();
  recovered.holes = {{3, 3}};
  Node node(recovered);
  node.Receive(2, TailQuery{.term = 2, .query = 9, .good = {2, 1}, .torn = {{2, 4}}});
  EXPECT_TRUE(Node::Sent<TailReply>(node.Settle()).empty());
}

TEST_F(UnsureMemberTest, BeforeTheAnswerItsLogIsNotTouched) {
  HearLeader();
  node_.Receive(2, MakeAppend(3, {2, 1}, {3, 3}, 2));
  effects_ = node_.Settle();
  EXPECT_EQ(node_.raft().last(), (LogPosition{4, 2}));
  EXPECT_TRUE(Node::Sent<AppendReply>(effects_).empty());
  Configuration members = node_.raft().configuration();
  node_.Step(SnapshotReceived{3, {{9, 3}, {}, {1, 1}, members}});
  effects_ = node_.Settle();
  EXPECT_EQ(node_.raft().last(), (LogPosition{4, 2}));
  EXPECT_TRUE(Acknowledged().empty());
}

// The leader counts what it was told before; what stands here need not be that.
TEST_F(UnsureMemberTest, ItTakesNoCommitForWhatItHasNotCompared) {
  HearLeader();
  EXPECT_EQ(node_.raft().commit(), 0u);
  EXPECT_EQ(effects_.apply_up_to, 0u);
}

TEST_F(UnsureMemberTest, AfterTheAnswerItTakesEntriesAndIsSureWithTheBarrier) {
  const RejoinRequest asked = HearLeader();
  Answer(asked.nonce, 8);
  EXPECT_TRUE(node_.raft().unsure());
  EXPECT_EQ(node_.raft().vote(), NodeId{2}) << "whoever it voted for in this term, not again";
  node_.Receive(2, MakeAppend(3, {4, 2}, {2, 2, 3}, 6));
  effects_ = node_.Settle();
  EXPECT_EQ(Acknowledged().back().second.match, 7u);
  EXPECT_TRUE(node_.raft().unsure()) << "one entry is missing";
  EXPECT_FALSE(Votes(3)) << "not in this term";
  Append();
  EXPECT_FALSE(node_.raft().unsure());
  EXPECT_TRUE(Votes(4));
}

TEST_F(UnsureMemberTest, WhatIsNotDurableYetDoesNotCount) {
  const RejoinRequest asked = HearLeader();
  Answer(asked.nonce, 8);
  node_.Receive(2, MakeAppend(3, {4, 2}, {2, 2, 3, 3}, 6));
  node_.Take();
  EXPECT_TRUE(node_.raft().unsure());
  node_.Sync();
  EXPECT_FALSE(node_.raft().unsure());
  const Effects effects = node_.Take();
  ASSERT_EQ(effects.log_batches.size(), 1u);
  EXPECT_TRUE(effects.log_batches.front().sure);
}

// The log may be behind in other ways than that its end is missing: a truncation may be lost.
// Who gave up its leader in between has compared nothing with it, nor need it (simulator, seed
// 9000053: it asked for entries from behind the barrier's, forever).
TEST_F(UnsureMemberTest, ASnapshotBehindTheBarrierMakesItSure) {
  const RejoinRequest asked = HearLeader();
  Answer(asked.nonce, 8);
  node_.Timeout();
  EXPECT_EQ(node_.raft().leader(), NodeId::kNone);
  const Configuration members = node_.raft().configuration();
  node_.Step(SnapshotReceived{3, {{9, 3}, {}, {1, 1}, members}});
  node_.Settle();
  EXPECT_EQ(node_.raft().base(), (LogPosition{9, 3}));
  node_.Receive(2, Heartbeat{.term = 3, .commit = 9, .context = 78});
  effects_ = node_.Settle();
  EXPECT_FALSE(node_.raft().unsure());
  for (const auto& [to, reply] : Node::Sent<AppendReply>(effects_)) EXPECT_TRUE(reply.success);
}

// A snapshot of a history that an unsafe recovery has ended, for instance.
TEST_F(UnsureMemberTest, ASnapshotOfAnOlderTermDoesNot) {
  const RejoinRequest asked = HearLeader();
  Answer(asked.nonce, 8);
  node_.Timeout();
  const Configuration members = node_.raft().configuration();
  node_.Step(SnapshotReceived{3, {{9, 2}, {}, {1, 1}, members}});
  node_.Settle();
  node_.Receive(2, Heartbeat{.term = 3, .commit = 9, .context = 78});
  node_.Settle();
  EXPECT_TRUE(node_.raft().unsure());
}

TEST_F(UnsureMemberTest, WhatTheLeaderHasNotGives) {
  const RejoinRequest asked = HearLeader();
  Answer(asked.nonce, 6);
  node_.Receive(2, MakeAppend(3, {2, 1}, {3, 3, 3, 3}, 3));
  effects_ = node_.Settle();
  EXPECT_EQ(node_.raft().last(), (LogPosition{6, 3}));
  EXPECT_FALSE(node_.raft().unsure());
}

TEST_F(UnsureMemberTest, AnswersToOtherQuestionsSayNothing) {
  const RejoinRequest asked = HearLeader();
  Answer(asked.nonce + 1, 6);  // an earlier process's
  Append();
  EXPECT_TRUE(Acknowledged().empty());
  node_.Receive(3, RejoinReply{.term = 3, .nonce = asked.nonce, .barrier = 6});
  node_.Settle();
  Append();
  EXPECT_TRUE(Acknowledged().empty()) << "node 3 does not lead";
  EXPECT_EQ(HearLeader().nonce, asked.nonce) << "the question stands";
}

// The leader would name the entry that it named then.
TEST_F(UnsureMemberTest, ALaterProcessAsksAnotherQuestionWithTheSameSeed) {
  Node later(Unsure());
  later.Elapse(Seconds(5));
  later.Receive(2, Heartbeat{.term = 3});
  EXPECT_NE(Node::Only<RejoinRequest>(later.Settle(), 2).nonce, HearLeader().nonce);
}

TEST_F(UnsureMemberTest, ALaterAnswerDoesNotChangeTheBarrier) {
  const RejoinRequest asked = HearLeader();
  Answer(asked.nonce, 8);
  Answer(asked.nonce, 5);
  node_.Receive(2, MakeAppend(3, {4, 2}, {2, 2, 3}, 6));
  node_.Settle();
  EXPECT_TRUE(node_.raft().unsure());
}

TEST_F(UnsureMemberTest, AnotherTermBeginsItAnew) {
  const RejoinRequest asked = HearLeader(3);
  Answer(asked.nonce, 9, 3);
  Append(3);
  EXPECT_EQ(Acknowledged().back().second.match, 8u);
  const RejoinRequest again = HearLeader(4);
  EXPECT_NE(again.nonce, asked.nonce);
  node_.Receive(2, MakeAppend(4, {8, 3}, {4}, 8));
  effects_ = node_.Settle();
  EXPECT_TRUE(Acknowledged().empty());
  EXPECT_TRUE(node_.raft().unsure());
  Answer(asked.nonce, 9, 4);
  EXPECT_TRUE(node_.raft().unsure()) << "that was asked of another leader";
  Answer(again.nonce, 9, 4);
  node_.Receive(2, MakeAppend(4, {8, 3}, {4}, 8));
  effects_ = node_.Settle();
  EXPECT_EQ(Acknowledged().back().second.match, 9u);
  EXPECT_FALSE(node_.raft().unsure());
}

// The leader was told once that the entries are here.
TEST_F(UnsureMemberTest, ALeaderThatSendsNothingIsToldWhereTheLogEnds) {
  const RejoinRequest asked = HearLeader();
  Answer(asked.nonce, 8);
  node_.Receive(2, Heartbeat{.term = 3});
  node_.Receive(2, Heartbeat{.term = 3});
  const auto refusal = Node::Only<AppendReply>(node_.Settle(), 2);
  EXPECT_FALSE(refusal.success);
  EXPECT_EQ(refusal.hint, (LogPosition{4, 2}));
  EXPECT_EQ(refusal.refused_index, 8u);
}

// A hint behind the entry that is refused is no honest answer: nobody would listen.
TEST_F(UnsureMemberTest, WhereTheLogIsLongerItIsToldWhatMayBeShared) {
  const RejoinRequest asked = HearLeader();
  Answer(asked.nonce, 3);
  node_.Receive(2, Heartbeat{.term = 3});
  node_.Receive(2, Heartbeat{.term = 3});
  const auto refusal = Node::Only<AppendReply>(node_.Settle(), 2);
  EXPECT_FALSE(refusal.success);
  EXPECT_EQ(refusal.hint, (LogPosition{3, 2}));
  EXPECT_EQ(refusal.refused_index, 3u);
}

TEST_F(UnsureMemberTest, ItDoesNotMissWhatItHasForgotten) {
  node_.Receive(2, Heartbeat{.term = 3, .acknowledged = {7, 3}});
  EXPECT_FALSE(node_.Settle().fence.has_value());
}

TEST_F(UnsureMemberTest, WhatItHasAppliedMayBeAheadOfItsLog) {
  RecoveredRaft recovered = Unsure();
  recovered.applied = 6;
  Node node(recovered);
  EXPECT_FALSE(node.Settle().fence.has_value());
  node.Receive(2, Heartbeat{.term = 3, .commit = 8});
  const auto asked = Node::Only<RejoinRequest>(node.Settle(), 2);
  node.Receive(2, RejoinReply{.term = 3, .nonce = asked.nonce, .barrier = 8});
  node.Receive(2, MakeAppend(3, {2, 1}, {3, 3, 3, 3, 3, 3}, 7));
  const Effects effects = node.Settle();
  EXPECT_FALSE(effects.fence.has_value());
  EXPECT_EQ(effects.apply_up_to, 7u);
  EXPECT_FALSE(node.raft().unsure());
}

TEST_F(UnsureMemberTest, AnEntryProvesThatItsTermWasReached) {
  RecoveredRaft recovered = Unsure();
  recovered.hard_state = {};
  Node node(recovered);
  node.Settle();
  EXPECT_EQ(node.raft().term(), 2u);
}

TEST_F(UnsureMemberTest, ALoneOneStops) {
  Node node(Unsure(1));
  const Effects effects = node.Settle();
  ASSERT_TRUE(effects.fence.has_value());
  EXPECT_EQ(effects.fence->reason, Fence::Reason::kDataLoss);
}

TEST(RejoinTest, AnAnswerOfAnotherTermSaysNothing) {
  Rejoin rejoin(true);
  EXPECT_EQ(rejoin.Ask(3, 7), 7u);
  EXPECT_FALSE(rejoin.Answer(4, 7, 9));
  EXPECT_FALSE(rejoin.Answer(3, 8, 9));
  EXPECT_TRUE(rejoin.silent(3));
  EXPECT_TRUE(rejoin.Answer(3, 7, 9));
  EXPECT_FALSE(rejoin.silent(3));
  EXPECT_TRUE(rejoin.silent(4));
}

// The leader's side -------------------------------------------------------------------------------

class RejoinBarrierTest : public testing::Test {
 protected:
  explicit RejoinBarrierTest(uint64_t size = 5) : node_(size) { node_.BecomeLeader(); }

  void Ask(uint64_t member, uint64_t nonce) {
    node_.Receive(member, RejoinRequest{.term = node_.raft().term(), .nonce = nonce});
    effects_ = node_.Settle();
  }
  void Acknowledge(uint64_t member, Index match) {
    node_.Receive(member,
                  AppendReply{.term = node_.raft().term(), .success = true, .match = match});
    node_.Settle();
  }
  std::optional<Index> Barrier() const {
    const auto replies = Node::Sent<RejoinReply>(effects_);
    if (replies.empty()) return std::nullopt;
    return replies.front().second.barrier;
  }

  Node node_;
  Effects effects_;
};

TEST_F(RejoinBarrierTest, ItIsANewEntryThatAQuorumWithoutTheMemberHolds) {
  const Index last = node_.raft().last().index;
  Ask(2, 7);
  const Index barrier = last + 1;
  EXPECT_EQ(node_.raft().last(), (LogPosition{barrier, node_.raft().term()}));
  EXPECT_EQ(Barrier(), std::nullopt);
  Acknowledge(3, barrier);
  Ask(2, 7);
  EXPECT_EQ(Barrier(), std::nullopt) << "two of five";
  Acknowledge(2, barrier);
  EXPECT_EQ(node_.raft().commit(), barrier) << "what it acknowledged before counts";
  Ask(2, 7);
  EXPECT_EQ(Barrier(), std::nullopt) << "but not here";
  Acknowledge(4, barrier);
  Ask(2, 7);
  EXPECT_EQ(Barrier(), std::optional<Index>(barrier));
  EXPECT_EQ(node_.raft().last().index, barrier) << "one entry a question";
  EXPECT_EQ(Node::Only<RejoinReply>(effects_, 2).nonce, 7u);
}

TEST_F(RejoinBarrierTest, ANewQuestionGetsANewOne) {
  Ask(2, 7);
  const Index first = node_.raft().last().index;
  for (const uint64_t member : {3, 4, 5}) Acknowledge(member, first);
  Ask(2, 8);
  EXPECT_EQ(Barrier(), std::nullopt);
  EXPECT_EQ(node_.raft().last().index, first + 1);
  for (const uint64_t member : {3, 4, 5}) Acknowledge(member, first + 1);
  Ask(2, 8);
  EXPECT_EQ(Barrier(), std::optional<Index>(first + 1));
}

TEST_F(RejoinBarrierTest, MembersHaveTheirOwn) {
  Ask(2, 7);
  Ask(3, 7);
  const Index last = node_.raft().last().index;
  for (const uint64_t member : {3, 4}) Acknowledge(member, last);
  Ask(2, 7);
  EXPECT_EQ(Barrier(), std::optional<Index>(last - 1));
  Ask(3, 7);
  EXPECT_EQ(Barrier(), std::nullopt) << "its own acknowledgement does not count for it";
}

TEST_F(RejoinBarrierTest, OnlyALeaderNamesOne) {
  Node follower(5);
  follower.Receive(2, RejoinRequest{.term = 1, .nonce = 7});
  EXPECT_TRUE(Node::Sent<RejoinReply>(follower.Settle()).empty());
}

// Voters 1, 2 and 3 come in for 1, 4 and 5. Who asks is in one of the halves.
class RejoinBarrierOfJointTest : public testing::Test {
 protected:
  RejoinBarrierOfJointTest() {
    node_.Elect();
    node_.Settle();
  }

  static RecoveredRaft Joint() {
    RecoveredRaft recovered = Recovered(3, {1}, {.term = 1});
    for (const uint64_t node : {1, 4, 5}) {
      recovered.base_configuration.outgoing_voters.push_back(
          {NodeId{node}, Incarnation{node}, "address"});
    }
    return recovered;
  }
  std::optional<Index> Ask(uint64_t member) {
    node_.Receive(member, RejoinRequest{.term = node_.raft().term(), .nonce = 7});
    const auto replies = Node::Sent<RejoinReply>(node_.Settle());
    if (replies.empty()) return std::nullopt;
    return replies.front().second.barrier;
  }
  void Acknowledge(uint64_t member, Index match) {
    node_.Receive(member,
                  AppendReply{.term = node_.raft().term(), .success = true, .match = match});
    node_.Settle();
  }

  Node node_{Joint()};
};

TEST_F(RejoinBarrierOfJointTest, TheNewHalfIsNotEnough) {
  EXPECT_EQ(Ask(2), std::nullopt);
  const Index barrier = node_.raft().last().index;
  Acknowledge(3, barrier);
  EXPECT_EQ(Ask(2), std::nullopt);
  Acknowledge(4, barrier);
  EXPECT_EQ(Ask(2), std::optional<Index>(barrier));
}

TEST_F(RejoinBarrierOfJointTest, TheOldHalfIsNotEnough) {
  EXPECT_EQ(Ask(4), std::nullopt);
  const Index barrier = node_.raft().last().index;
  Acknowledge(5, barrier);
  EXPECT_EQ(Ask(4), std::nullopt);
  Acknowledge(3, barrier);
  EXPECT_EQ(Ask(4), std::optional<Index>(barrier));
}

class RejoinBarrierOfTwoTest : public RejoinBarrierTest {
 protected:
  RejoinBarrierOfTwoTest() : RejoinBarrierTest(2) {}
};

// No quorum is without it.
TEST_F(RejoinBarrierOfTwoTest, ThereIsNone) {
  Ask(2, 7);
  Acknowledge(2, node_.raft().last().index);
  Ask(2, 7);
  EXPECT_EQ(Barrier(), std::nullopt);
}

}  // namespace
}  // namespace cairn

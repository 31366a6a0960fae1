// What members answer when a node asks who holds its unreadable entries, and for how long it holds
// (raft/core/tail_query.cc). What is decided with it: torn_tail_*.txt and entry_recovery_test.

#include <optional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "raft/core/raft.h"
#include "tests/core/raft_under_test.h"

namespace cairn {
namespace {

constexpr HardState kTerm1 = {.term = 1};
const std::vector<Term> kFiveEntries = {1, 1, 1, 1, 1};

// Node 1 of three, whose entry 3 of 5 cannot be read. It has asked the others for it.
class TailQueryTest : public testing::Test {
 protected:
  TailQueryTest() {
    node_.Step(EntriesDamaged{{3, 3}});
    Ask();
  }

  void Ask() {
    node_.Timeout();
    question_ = RaftUnderTest::Only<TailQuery>(node_.Settle(), 2).query;
  }
  TailReply HasThrough(Index index) const {
    return {.term = 1, .query = question_, .have_through = index, .claimed_through = index};
  }
  // Both have all five entries, and entry 3 is written again. Node 2 leads term 2 and has its
  // entries 6..10 acknowledged, of which all up to 7 are known to be committed.
  void RepairAndAcknowledge() {
    node_.Receive(2, HasThrough(5));
    node_.Receive(3, HasThrough(5));
    node_.Step(EntriesRepaired{{3, 3}, {}});
    node_.Receive(2, MakeAppend(2, {5, 1}, {2, 2, 2, 2, 2}, 7));
    const auto reply = RaftUnderTest::Only<AppendReply>(node_.Settle(), 2);
    EXPECT_EQ(reply.match, 10u);
    EXPECT_EQ(node_.raft().applied(), 7u);
  }
  void ExpectNothingHappens() {
    const Effects effects = node_.Settle();
    EXPECT_FALSE(effects.fence.has_value()) << effects.fence->message;
    EXPECT_TRUE(effects.log_batches.empty());
  }

  RaftUnderTest node_{3, kFiveEntries, kTerm1};
  uint64_t question_ = 0;
};

TEST_F(TailQueryTest, WhatNobodyHoldsIsDroppedWhenAllHaveSaidSo) {
  node_.Receive(2, HasThrough(2));
  EXPECT_EQ(node_.raft().last().index, 5u);
  node_.Receive(3, HasThrough(2));
  EXPECT_EQ(node_.raft().last().index, 2u);
}

// Node 2 cannot read it either, so they may have committed it. But node 3 may hold another one of a
// later term in its place, which wins elections (found by the model: both halted at once).
TEST_F(TailQueryTest, WhatMayBeCommittedIsLostWhenNobodyComesToLead) {
  const auto answer = [this] {
    TailReply reply = HasThrough(2);
    reply.faulty_from = 3;
    reply.claimed_through = 5;
    node_.Receive(2, reply);
    node_.Receive(3, HasThrough(2));
    return node_.Take().fence;
  };
  EXPECT_FALSE(answer().has_value());
  Ask();
  EXPECT_FALSE(answer().has_value());
  node_.Receive(3, Heartbeat{.term = 2});
  node_.Settle();
  Ask();
  EXPECT_FALSE(answer().has_value()) << "somebody has led in between";
  Ask();
  EXPECT_FALSE(answer().has_value());
  Ask();
  const std::optional<Fence> fence = answer();
  ASSERT_TRUE(fence.has_value());
  EXPECT_EQ(fence->reason, Fence::Reason::kDataLoss);
}

// One that was down for long has its time to lead when it is back.
TEST_F(TailQueryTest, QuestionsThatNotAllHaveAnsweredDoNotCount) {
  const auto answer = [this](bool all) {
    TailReply reply = HasThrough(2);
    reply.faulty_from = 3;
    reply.claimed_through = 5;
    node_.Receive(2, reply);
    if (all) {
      node_.Receive(3, HasThrough(2));
      node_.Receive(3, HasThrough(2));
    }
    return node_.Take().fence.has_value();
  };
  for (int i = 0; i < 10; ++i, Ask()) EXPECT_FALSE(answer(false));
  EXPECT_FALSE(answer(true));
  Ask();
  EXPECT_FALSE(answer(true));
  Ask();
  EXPECT_TRUE(answer(true));
}

// That is no matter of who leads.
TEST_F(TailQueryTest, WhatIsKnownToBeCommittedIsLostAtOnce) {
  TailReply reply = HasThrough(2);
  reply.known_commit = 3;
  node_.Receive(2, reply);
  node_.Receive(3, HasThrough(2));
  EXPECT_TRUE(node_.Take().fence.has_value());
}

// Entry 8 was not asked for, and was acknowledged after the answers: the leader may count it.
TEST_F(TailQueryTest, ALateAnswerDoesNotDropWhatWasAcknowledgedSince) {
  RepairAndAcknowledge();
  node_.Step(EntriesDamaged{{8, 8}});
  node_.Receive(3, HasThrough(5));
  ExpectNothingHappens();
  EXPECT_EQ(node_.raft().last(), (LogPosition{10, 2}));
}

TEST_F(TailQueryTest, ALateAnswerDoesNotLoseWhatIsCommittedSince) {
  RepairAndAcknowledge();
  node_.Step(EntriesDamaged{{8, 8}});
  node_.Receive(2, Heartbeat{.term = 2, .commit = 8});
  node_.Settle();
  ASSERT_EQ(node_.raft().commit(), 8u);
  node_.Receive(3, HasThrough(5));
  ExpectNothingHappens();
}

// The same entry again: in between it was here, and acknowledged to who has it now.
TEST_F(TailQueryTest, AnswersAreNotKeptOverARepair) {
  node_.Receive(2, HasThrough(2));
  node_.Step(EntriesRepaired{{3, 3}, {}});
  node_.Step(EntriesDamaged{{3, 3}});
  node_.Receive(3, HasThrough(2));
  ExpectNothingHappens();
  EXPECT_EQ(node_.raft().last().index, 5u);
  // A question of its own decides.
  Ask();
  node_.Receive(2, HasThrough(2));
  node_.Receive(3, HasThrough(2));
  EXPECT_EQ(node_.raft().last().index, 2u);
}

TEST_F(TailQueryTest, AnAnswerToAnEarlierQuestionDecidesNothing) {
  const TailReply old = HasThrough(2);
  Ask();
  node_.Receive(2, HasThrough(2));
  node_.Receive(3, old);
  EXPECT_EQ(node_.raft().last().index, 5u);
  node_.Receive(3, HasThrough(2));
  EXPECT_EQ(node_.raft().last().index, 2u);
}

// Who leads has the entry by now, or will have it dropped, and commits meanwhile.
TEST_F(TailQueryTest, AnswersOfBeforeALeaderDecideNothing) {
  node_.Receive(2, HasThrough(2));
  node_.Receive(2, MakeAppend(2, {5, 1}, {2}, 3));
  node_.Settle();
  ASSERT_EQ(node_.raft().commit(), 3u);
  node_.Receive(3, HasThrough(2));
  ExpectNothingHappens();
  EXPECT_EQ(node_.raft().last().index, 6u);
}

// Entry 4 is bad, too, and turns out to say who the members are. Others are to be asked now.
TEST_F(TailQueryTest, AnswersOfAnotherConfigurationDecideNothing) {
  node_.Step(EntriesDamaged{{4, 4}});
  Configuration two = node_.raft().configuration();
  two.voters.pop_back();
  node_.Step(EntriesRepaired{{4, 4}, {{{4, 1}, two}}});
  node_.Receive(2, HasThrough(2));
  ExpectNothingHappens();
  EXPECT_EQ(node_.raft().last().index, 5u);
  Ask();
  node_.Receive(2, HasThrough(2));
  EXPECT_EQ(node_.raft().last().index, 2u);
}

// Entries 4 and 5 may be torn.
class TornTailQueryTest : public testing::Test {
 protected:
  // Asks, and node 2 says that it holds all.
  std::optional<AskTorn> AskHolder() {
    node_.Timeout();
    const uint64_t question = RaftUnderTest::Only<TailQuery>(node_.Settle(), 2).query;
    node_.Receive(2, TailReply{.term = 1, .query = question, .have_through = 5});
    return node_.Take().ask_torn;
  }
  // What node 2 gives then: entries of these terms behind entry 3.
  static TornEntriesGiven Given(const AskTorn& ask, const std::vector<Term>& terms) {
    return {.from = NodeId{2},
            .request = ask.request,
            .payload = 1,
            .previous = {3, 1},
            .runs = MakeAppend(1, {3, 1}, terms).runs,
            .configurations = {}};
  }
  void ExpectNothingIsTaken(TornEntriesGiven given) {
    node_.Step(std::move(given));
    EXPECT_TRUE(node_.Settle().log_batches.empty());
    EXPECT_EQ(node_.raft().torn_from(), 4u);
  }

  RaftUnderTest node_{3, kFiveEntries, kTerm1, 4};
};

TEST_F(TornTailQueryTest, WhoHoldsThemIsAskedAndTheyAreWrittenAgain) {
  const std::optional<AskTorn> ask = AskHolder();
  ASSERT_TRUE(ask.has_value());
  EXPECT_EQ(ask->to, NodeId{2});
  EXPECT_EQ(ask->first, 4u);
  EXPECT_EQ(ask->runs, (std::vector<TermRun>{{1, 5}}));
  node_.Step(Given(*ask, {1, 1}));
  const Effects effects = node_.Settle();
  ASSERT_EQ(effects.log_batches.size(), 1u);
  EXPECT_EQ(effects.log_batches[0].truncate_from, 4u);
  EXPECT_EQ(node_.raft().torn_from(), std::nullopt);
  EXPECT_EQ(node_.raft().durable(), 5u);
  // So it can lead.
  node_.BecomeLeader();
  EXPECT_EQ(node_.raft().commit(), node_.raft().last().index);
}

TEST_F(TornTailQueryTest, OneHolderIsAskedOnce) {
  const std::optional<AskTorn> ask = AskHolder();
  ASSERT_TRUE(ask.has_value());
  node_.Receive(3, TailReply{.term = 1, .query = ask->request, .have_through = 5});
  EXPECT_FALSE(node_.Take().ask_torn.has_value());
}

// It may have compacted them.
TEST_F(TornTailQueryTest, WhoGaveNothingIsPassedOverOnce) {
  ASSERT_TRUE(AskHolder().has_value());
  EXPECT_FALSE(AskHolder().has_value());
  ASSERT_TRUE(AskHolder().has_value());
  node_.Timeout();
  const uint64_t question = RaftUnderTest::Only<TailQuery>(node_.Settle(), 2).query;
  node_.Receive(2, TailReply{.term = 1, .query = question, .have_through = 5});
  node_.Receive(3, TailReply{.term = 1, .query = question, .have_through = 5});
  EXPECT_EQ(node_.Take().ask_torn.value().to, NodeId{3});
}

// Nodes 2, 3 and 4 of five say that they hold them, and give nothing. Each is asked before one is
// asked again, also where a question in between was answered by nobody.
TEST(TornTailHoldersTest, AllAreAskedBeforeItBeginsAgain) {
  RaftUnderTest node(5, kFiveEntries, kTerm1, 4);
  const auto ask = [&node](const std::vector<uint64_t>& holders) {
    node.Timeout();
    const uint64_t question = RaftUnderTest::Only<TailQuery>(node.Settle(), 2).query;
    NodeId asked = NodeId::kNone;
    for (const uint64_t holder : holders) {
      node.Receive(holder, TailReply{.term = 1, .query = question, .have_through = 5});
      if (const auto effect = node.Take().ask_torn) asked = effect->to;
    }
    return ToInteger(asked);
  };
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(ask({2, 3, 4}), 2u);
    EXPECT_EQ(ask({2, 3, 4}), 3u);
    EXPECT_EQ(ask({}), 0u);
    EXPECT_EQ(ask({2, 3, 4}), 4u);
    EXPECT_EQ(ask({2, 3, 4}), 0u);
  }
}

TEST_F(TornTailQueryTest, OnlyTheVeryEntriesAreTaken) {
  const AskTorn ask = AskHolder().value();
  ExpectNothingIsTaken(Given(ask, {2, 2}));
  ExpectNothingIsTaken(Given(ask, {1, 2}));
  ExpectNothingIsTaken(Given(ask, {1, 1, 1}));
  TornEntriesGiven other = Given(ask, {1, 1});
  other.from = NodeId{3};
  ExpectNothingIsTaken(other);
  other = Given(ask, {1, 1});
  ++other.request;
  ExpectNothingIsTaken(other);
  other = Given(ask, {1, 1});
  other.previous = {4, 1};
  ExpectNothingIsTaken(other);
}

TEST_F(TornTailQueryTest, WhatALeaderHasOverwrittenDoesNotComeBack) {
  const AskTorn ask = AskHolder().value();
  node_.Receive(3, MakeAppend(2, {3, 1}, {2}));
  node_.Settle();
  ASSERT_EQ(node_.raft().last(), (LogPosition{4, 2}));
  node_.Step(Given(ask, {1, 1}));
  EXPECT_TRUE(node_.Settle().log_batches.empty());
  EXPECT_EQ(node_.raft().last(), (LogPosition{4, 2}));
}

// To write entry 4 alone would cut off what the disk says of entry 5, and a power cut then would
// forget that it was claimed.
TEST_F(TornTailQueryTest, APartOfThemIsNotTaken) {
  ExpectNothingIsTaken(Given(AskHolder().value(), {1}));
}

TEST_F(TornTailQueryTest, WhoHoldsAPartIsNotAsked) {
  node_.Timeout();
  const uint64_t question = RaftUnderTest::Only<TailQuery>(node_.Settle(), 2).query;
  node_.Receive(2, TailReply{.term = 1, .query = question, .have_through = 4});
  EXPECT_FALSE(node_.Take().ask_torn.has_value());
  // Nobody has entry 5; so entry 4 is all that is claimed.
  node_.Receive(3, TailReply{.term = 1, .query = question, .have_through = 3});
  const std::optional<AskTorn> ask = node_.Take().ask_torn;
  ASSERT_TRUE(ask.has_value());
  EXPECT_EQ(ask->to, NodeId{2});
  EXPECT_EQ(ask->runs, (std::vector<TermRun>{{1, 4}}));
  node_.Step(Given(*ask, {1}));
  EXPECT_EQ(node_.Settle().log_batches.size(), 1u);
  EXPECT_EQ(node_.raft().last(), (LogPosition{4, 1}));
}

// A leader has written entry 4 again.
TEST_F(TornTailQueryTest, WhatIsLeftIsAskedFor) {
  node_.Receive(2, MakeAppend(1, {3, 1}, {1}));
  node_.Settle();
  ASSERT_EQ(node_.raft().torn_from(), 5u);
  EXPECT_EQ(AskHolder().value().first, 5u);
}

// A leader writes entry 4 again and it is acknowledged; of entry 5 nobody was asked since.
TEST_F(TornTailQueryTest, AnswersAreNotKeptOverARewrite) {
  node_.Timeout();
  const uint64_t question = RaftUnderTest::Only<TailQuery>(node_.Settle(), 2).query;
  const TailReply nothing = {.term = 1, .query = question, .have_through = 3};
  node_.Receive(2, nothing);
  node_.Receive(2, MakeAppend(1, {3, 1}, {1}));
  node_.Settle();
  ASSERT_EQ(node_.raft().torn_from(), 5u);
  ASSERT_EQ(node_.raft().durable(), 4u);
  node_.Receive(3, nothing);
  const Effects effects = node_.Settle();
  EXPECT_FALSE(effects.fence.has_value());
  EXPECT_TRUE(effects.log_batches.empty());
  EXPECT_EQ(node_.raft().torn_from(), 5u);
}

// A power cut may damage an entry that was committed and applied long ago, if none was written
// since.
TEST(TornConfigurationTest, WhatIsAppliedStaysInForce) {
  RecoveredRaft recovered = Recovered(3, {1, 1, 1, 1}, kTerm1, 4);
  recovered.base_configuration_position = {4, 1};
  recovered.applied = 4;
  const Configuration applied = recovered.base_configuration;
  RaftUnderTest node(std::move(recovered));
  AppendEntries append = MakeAppend(2, {3, 1}, {1, 2}, 4);
  append.configurations = {{{4, 1}, applied}};
  node.Receive(2, append);
  EXPECT_EQ(RaftUnderTest::Only<AppendReply>(node.Settle(), 2).match, 5u);
  EXPECT_EQ(node.raft().last(), (LogPosition{5, 2}));
  EXPECT_EQ(node.raft().configuration_position(), (LogPosition{4, 1}));
}

// It asks for its torn entries, and could not ask for votes: nobody else tells it.
TEST(TornConfigurationTest, WhoWasRemovedIsToldWhenItAsks) {
  RecoveredRaft recovered = Recovered(3, {1, 1, 1, 1}, kTerm1);
  recovered.base_configuration_position = {4, 1};
  recovered.applied = 4;
  std::erase_if(recovered.base_configuration.voters,
                [](const Member& member) { return member.node == NodeId{3}; });
  RaftUnderTest node(std::move(recovered));
  const TailQuery query = {.term = 1, .query = 7, .good = {3, 1}, .torn = {{1, 4}}};
  node.Receive(2, query);
  EXPECT_TRUE(RaftUnderTest::Sent<RemovedNotice>(node.Settle()).empty());
  node.Receive(3, query);
  const Effects effects = node.Settle();
  EXPECT_EQ(RaftUnderTest::Only<RemovedNotice>(effects, 3).at, (LogPosition{4, 1}));
}

}  // namespace
}  // namespace cairn

#include "raft/repair/state_repair.h"

#include <optional>

#include "gtest/gtest.h"
#include "tests/core/raft_under_test.h"

namespace cairn {
namespace {

constexpr Duration kInterval = Milliseconds(500);

RecoveredRaft WithoutState() {
  RecoveredRaft recovered = Recovered(4, {}, {.term = 1});
  recovered.base = {5, 1};
  recovered.state_lost = true;
  return recovered;
}

// Node 1 of four.
class StateRepairTest : public testing::Test {
 protected:
  // Who is asked now, 0 if nobody is.
  uint64_t Asked() {
    const std::optional<EntryRepair::Asking> asking = repair_.Next(node_.now(), node_.raft());
    if (!asking) return 0;
    EXPECT_TRUE(asking->request.wanted.empty());
    EXPECT_EQ(asking->request.state_at_least, 5u);
    EXPECT_EQ(asking->request.state_term, 1u) << "who has the entry learns that it is committed";
    EXPECT_EQ(asking->request.term, node_.raft().term());
    request_ = asking->request.request;
    return ToInteger(asking->to);
  }
  uint64_t AskedNext() {
    node_.Elapse(kInterval);
    return Asked();
  }
  void Answer(uint64_t from, StateAnswer state) {
    repair_.Take(NodeId{from}, EntryReply{request_, state}, node_.raft());
  }
  bool Nowhere() { return repair_.TakeNowhere(node_.now(), node_.raft()); }
  // After the time that one takes to lead who is not in the list that is left.
  bool NowhereInTheEnd() {
    Nowhere();
    node_.Elapse(kInterval * 20);
    return Nowhere();
  }

  RaftUnderTest node_{WithoutState()};
  StateRepair repair_{kInterval, 7};
  uint64_t request_ = 0;
};

TEST_F(StateRepairTest, OneAfterTheOtherUntilOneOffers) {
  EXPECT_EQ(Asked(), 2u);
  EXPECT_EQ(Asked(), 0u) << "not yet";
  EXPECT_EQ(repair_.NextDeadline(), node_.now() + kInterval);
  EXPECT_EQ(AskedNext(), 3u);
  Answer(3, StateAnswer::kNotYet);
  EXPECT_EQ(AskedNext(), 4u);
  EXPECT_EQ(AskedNext(), 2u);
  Answer(2, StateAnswer::kOffered);
  EXPECT_EQ(AskedNext(), 2u) << "what it offers may have been lost";
  EXPECT_EQ(AskedNext(), 3u) << "it does not answer any more";
}

TEST_F(StateRepairTest, WhoOffersAndBringsNothingIsPassedOver) {
  ASSERT_EQ(Asked(), 2u);
  int times = 1;
  for (Answer(2, StateAnswer::kOffered); AskedNext() == 2; Answer(2, StateAnswer::kOffered)) {
    ASSERT_LT(++times, 1000);
  }
  EXPECT_GT(times, 100);
}

TEST_F(StateRepairTest, TheLeaderFirst) {
  node_.Receive(3, Heartbeat{.term = 1});
  EXPECT_EQ(Asked(), 3u);
  EXPECT_EQ(AskedNext(), 4u) << "it did not answer";
  EXPECT_EQ(AskedNext(), 3u);
}

TEST_F(StateRepairTest, NowhereIfAllSaySo) {
  Asked();
  Answer(2, StateAnswer::kLost);
  Answer(3, StateAnswer::kLost);
  Answer(9, StateAnswer::kLost);
  EXPECT_FALSE(Nowhere()) << "one may have it";
  Answer(4, StateAnswer::kLost);
  EXPECT_FALSE(Nowhere()) << "one may have joined since";
  EXPECT_TRUE(NowhereInTheEnd());
  EXPECT_NE(AskedNext(), 0u);
}

TEST_F(StateRepairTest, NotWhileOneMayComeThere) {
  Asked();
  for (const uint64_t from : {2, 3, 4}) Answer(from, StateAnswer::kLost);
  EXPECT_EQ(AskedNext(), 3u);
  Answer(3, StateAnswer::kNotYet);
  EXPECT_FALSE(NowhereInTheEnd()) << "it has its state again, and lags";
}

// The members that this node remembers may be those of long ago.
TEST_F(StateRepairTest, NotWhileALeaderHasNotSaidSo) {
  node_.Receive(9, Heartbeat{.term = 1});
  ASSERT_EQ(node_.raft().leader(), NodeId{9});
  EXPECT_EQ(Asked(), 9u);
  for (const uint64_t from : {2, 3, 4}) Answer(from, StateAnswer::kLost);
  EXPECT_FALSE(Nowhere());
  Answer(9, StateAnswer::kLost);
  EXPECT_TRUE(NowhereInTheEnd());
}

// The list stands in the log that is left, so it is the last one.
TEST(KnownMembersTest, NowhereAtOnce) {
  RecoveredRaft recovered = WithoutState();
  recovered.runs = {{1, 6}};
  recovered.configurations = {{{6, 1}, recovered.base_configuration}};
  const RaftUnderTest node(recovered);
  StateRepair repair{kInterval, 7};
  for (const uint64_t peer : {2, 3, 4}) {
    EXPECT_FALSE(repair.TakeNowhere(node.now(), node.raft()));
    repair.Take(NodeId{peer}, EntryReply{0, StateAnswer::kLost}, node.raft());
  }
  EXPECT_TRUE(repair.TakeNowhere(node.now(), node.raft()));
}

TEST_F(StateRepairTest, NobodyIsAskedWhereNothingIsLost) {
  const RaftUnderTest whole(3, {1, 1}, {.term = 1});
  EXPECT_FALSE(repair_.Next(whole.now(), whole.raft()).has_value());
  EXPECT_EQ(repair_.NextDeadline(), kDistantFuture);
  EXPECT_FALSE(repair_.TakeNowhere(whole.now(), whole.raft()));
}

// Without a leader nobody brings by himself what all others have in snapshots only.
TEST(StateRepairOfHoleTest, AnEntryThatNobodyHasIsLookedForInStates) {
  RaftUnderTest node(3, {1, 1, 1}, {.term = 1});
  StateRepair repair(kInterval, 7);
  node.Step(EntriesDamaged{{2, 2}});
  EXPECT_FALSE(repair.Next(node.now(), node.raft()).has_value());
  node.Step(EntriesNowhere{{2, 2}});
  node.Settle();
  const auto asking = repair.Next(node.now(), node.raft());
  ASSERT_TRUE(asking.has_value());
  EXPECT_EQ(asking->request.state_at_least, 2u);
  EXPECT_EQ(asking->request.state_term, 0u) << "nothing says that it is committed";
  EXPECT_FALSE(repair.TakeNowhere(node.now(), node.raft()));
}

// Of a node whose log and position are as they should be, and that has found damage.
TEST(StateRepairOfDamageTest, AsksUntilAllIsMended) {
  RaftUnderTest node{Recovered(4, {}, {.term = 1})};
  StateRepair repair(kInterval, 7);
  const auto asked = [&] {
    node.Elapse(kInterval);
    return repair.Next(node.now(), node.raft());
  };
  EXPECT_FALSE(asked().has_value());
  repair.Damaged(9, 2);
  EXPECT_EQ(repair.damaged_parts(), 2u);
  EXPECT_FALSE(repair.Holds(8));
  EXPECT_TRUE(repair.Holds(9));
  ASSERT_TRUE(asked().has_value());
  EXPECT_EQ(asked()->request.state_at_least, 9u);
  repair.Take(NodeId{2}, EntryReply{1, StateAnswer::kLost}, node.raft());
  EXPECT_FALSE(repair.TakeNowhere(node.now(), node.raft())) << "its state is damaged, and not lost";

  repair.Mending();
  EXPECT_FALSE(asked().has_value());
  // Nothing says that another one helps sooner: the wait doubles.
  for (const int waits : {2, 4, 8}) {
    EXPECT_EQ(repair.Mended(/*whole=*/false), 0u);
    for (int i = 0; i < waits; ++i) EXPECT_FALSE(asked().has_value()) << waits;
    EXPECT_TRUE(asked().has_value()) << waits;
    repair.Mending();
  }
  EXPECT_EQ(repair.Mended(/*whole=*/true), 2u);

  repair.Damaged(9, 2);
  EXPECT_TRUE(asked().has_value());
  repair.Mending();
  repair.Damaged(12, 3);
  EXPECT_EQ(repair.Mended(/*whole=*/true), 0u) << "more was found meanwhile";
  EXPECT_FALSE(repair.Holds(9));
  EXPECT_EQ(asked()->request.state_at_least, 12u);

  repair.Mending();
  EXPECT_EQ(repair.Mended(/*whole=*/true), 3u);
  EXPECT_EQ(repair.damaged_parts(), 0u);
  EXPECT_FALSE(repair.Holds(12));
  EXPECT_FALSE(asked().has_value());
}

// A state of nothing is none, and asks for no entries.
TEST(StateRepairOfDamageTest, AsksForAStateAlsoBeforeAnythingIsApplied) {
  RaftUnderTest node{Recovered(4, {}, {.term = 1})};
  StateRepair repair(kInterval, 7);
  repair.Damaged(0, 1);
  const auto asking = repair.Next(node.now(), node.raft());
  ASSERT_TRUE(asking.has_value());
  EXPECT_EQ(asking->request.state_at_least, 1u);
}

// Who does not know the members cannot tell that all of them have said so: who began alone, and who
// joined, have but the list that was true then.
TEST(UnknownMembersTest, NobodyIsTheLastToSaySo) {
  for (const bool joined : {false, true}) {
    RecoveredRaft recovered = WithoutState();
    auto& voters = recovered.base_configuration.voters;
    joined ? voters.erase(voters.begin(), voters.begin() + 2)
           : voters.erase(voters.begin() + 1, voters.end());
    RaftUnderTest node(recovered);
    StateRepair repair{kInterval, 7};
    node.Receive(2, Heartbeat{.term = 1});
    for (const uint64_t peer : {2, 3, 4}) {
      const std::optional<EntryRepair::Asking> asking = repair.Next(node.now(), node.raft());
      repair.Take(NodeId{peer},
                  EntryReply{asking ? asking->request.request : 0, StateAnswer::kLost},
                  node.raft());
    }
    node.Receive(2, VoteRequest{.term = 2, .last = {5, 1}, .campaign = 1});
    EXPECT_FALSE(repair.TakeNowhere(node.now(), node.raft())) << joined;
    node.Elapse(Seconds(10));
    node.Receive(2, VoteRequest{.term = 2, .last = {5, 1}, .campaign = 1});
    EXPECT_EQ(node.raft().leader(), NodeId::kNone);
    EXPECT_FALSE(repair.TakeNowhere(node.now(), node.raft())) << joined;
  }
}

}  // namespace
}  // namespace cairn

#include "tests/sim/checkers/client_checker.h"

#include <string>

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

constexpr NodeId kA = static_cast<NodeId>(1);
constexpr NodeId kB = static_cast<NodeId>(2);

// A group of one node, where everything written is committed at once.
class ClientCheckerTest : public ::testing::Test {
 protected:
  void Propose(CommandId id, SessionCall call = {}) {
    states_.Proposed(id, id, call);
    clients_.Asked(id);
  }
  // The next entry holds `id`; `node` applies it.
  void Apply(CommandId id) {
    Index index = ledger_.log(kA).live().last() + 1;
    LogChange change;
    change.hard_state = {1, kA};
    change.first = index;
    change.entries = {{1, {0, index}}};
    ledger_.Appended(kA, change);
    ledger_.Synced(kA, ledger_.log(kA).appended());
    states_.Applied(kA, Applied(id, index));
    clients_.Applied(id);
  }
  static AppliedCommand Applied(CommandId id, Index index) {
    return {.position = {index, 1},
            .time = {},
            .command = id,
            .command_hash = id,
            .state_hash = index,
            .reply = "ok"};
  }
  void Acknowledge(CommandId id, Index at, const char* reply = "ok", bool duplicate = false) {
    clients_.Told(id, kA, ProposalApplied{{at, 1}, Bytes::Copy(reply), duplicate});
  }
  std::string Violation() const { return violations_.first().substr(0, 3); }

  EventQueue events_;
  EventLog log_{events_, nullptr};
  Violations violations_{log_};
  Counters counters_;
  Ledger ledger_{{kA}, violations_, counters_};
  StateChecker states_{ledger_, violations_, counters_};
  DurabilityChecker durability_{ledger_, violations_, counters_, nullptr, {.real_one_in = 0}};
  ClientChecker clients_{ledger_, states_, durability_, violations_, counters_};
};

TEST_F(ClientCheckerTest, AcknowledgedAndRead) {
  Propose(1);
  Apply(1);
  Acknowledge(1, 1);
  Index horizon = clients_.AskedToRead();
  EXPECT_EQ(horizon, 1u);
  clients_.ToldToRead(kA, horizon, {1});
  clients_.CheckNothingLost(kA);
  EXPECT_EQ(clients_.acknowledged(), 1u);
  EXPECT_EQ(Violation(), "");
}

TEST_F(ClientCheckerTest, AcknowledgedButNotApplied) {
  Propose(1);
  Acknowledge(1, 1);
  EXPECT_EQ(Violation(), "I11");
}

TEST_F(ClientCheckerTest, AcknowledgedAtAnotherPlace) {
  Propose(1);
  Apply(1);
  Acknowledge(1, 2);
  EXPECT_EQ(Violation(), "I11");
}

TEST_F(ClientCheckerTest, AcknowledgedButLost) {
  Propose(1);
  Apply(1);
  Acknowledge(1, 1);
  clients_.CheckNothingLost(kB);
  EXPECT_EQ(Violation(), "I11");
}

TEST_F(ClientCheckerTest, StaleRead) {
  Propose(1);
  Apply(1);
  Acknowledge(1, 1);
  Index horizon = clients_.AskedToRead();
  clients_.ToldToRead(kB, horizon, {0});
  EXPECT_EQ(Violation(), "I14");
}

// What a node has shown to be committed is known, though nobody was told of it.
TEST_F(ClientCheckerTest, StaleReadOfWhatWasShown) {
  Propose(1);
  Apply(1);
  EXPECT_EQ(clients_.AskedToRead(), 1u);
}

TEST_F(ClientCheckerTest, AnswersOfTheLeaderBelongToAQuestion) {
  Propose(1);
  clients_.AskedLeader(kB, 7);
  Apply(1);
  clients_.AskedLeader(kB, 7);  // again: the first answer is as good
  clients_.LeaderAnswered(kB, 7, 0);
  EXPECT_EQ(Violation(), "");
  clients_.AskedLeader(kB, 8);
  clients_.LeaderAnswered(kB, 8, 0);
  EXPECT_EQ(Violation(), "I14");
}

TEST_F(ClientCheckerTest, AnswerOfTheLeaderToNoQuestion) {
  clients_.LeaderAnswered(kB, 7, 0);
  EXPECT_EQ(Violation(), "I14");
}

TEST_F(ClientCheckerTest, ReadSeesWhatAnEarlierReadSaw) {
  Propose(1);
  Apply(1);
  clients_.ToldToRead(kA, clients_.AskedToRead(), {1});
  EXPECT_EQ(clients_.AskedToRead(), 1u);
}

TEST_F(ClientCheckerTest, AskedForAfterwardsButOrderedBefore) {
  Propose(1);
  Apply(1);
  Propose(2);
  Apply(2);
  Acknowledge(2, 2);
  Propose(3);
  // Command 1 again, as if it were the new one.
  states_.Proposed(1, 1, {});
  clients_.Asked(1);
  Acknowledge(1, 1);
  EXPECT_EQ(Violation(), "");
  Apply(3);
  Acknowledge(3, 3);
  EXPECT_EQ(Violation(), "");
}

TEST_F(ClientCheckerTest, AppliedAlthoughRefused) {
  Propose(1);
  clients_.Told(1, kA, ProposalNotApplied{});
  Apply(1);
  EXPECT_EQ(Violation(), "not");
}

TEST_F(ClientCheckerTest, RefusedAlthoughApplied) {
  Propose(1);
  Apply(1);
  clients_.Told(1, kA, ProposalNotApplied{});
  EXPECT_EQ(Violation(), "not");
}

TEST_F(ClientCheckerTest, RefusedOnceButUnknownBefore) {
  Propose(1, {.session = 9, .number = 1});
  Propose(1, {.session = 9, .number = 1});
  clients_.Told(1, kA, ProposalUnknown{});
  clients_.Told(1, kA, ProposalNotApplied{});
  Apply(1);
  EXPECT_EQ(Violation(), "");
}

TEST_F(ClientCheckerTest, RetryGetsAnotherAnswer) {
  Propose(1, {.session = 9, .number = 1});
  Apply(1);
  Acknowledge(1, 1, "another", true);
  EXPECT_EQ(Violation(), "I15");
}

TEST_F(ClientCheckerTest, OnlyWhatIsLostWithAMajorityIsForgiven) {
  for (CommandId id : {1, 2}) {
    Propose(id);
    Apply(id);
    Acknowledge(id, id);
  }
  states_.ForgetBehind(1);
  clients_.ForgiveBehind(1);
  EXPECT_EQ(clients_.AskedToRead(), 2u);  // by the ledger, which was not told
  clients_.CheckNothingLost(kA);
  EXPECT_EQ(Violation(), "");
  states_.ForgetBehind(0);
  clients_.CheckNothingLost(kA);
  EXPECT_EQ(Violation(), "I11");
}

}  // namespace
}  // namespace cairn::sim

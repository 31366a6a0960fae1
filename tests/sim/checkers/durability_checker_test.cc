#include "tests/sim/checkers/durability_checker.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

constexpr NodeId kA = static_cast<NodeId>(1);
constexpr NodeId kB = static_cast<NodeId>(2);
constexpr NodeId kC = static_cast<NodeId>(3);

class DurabilityCheckerTest : public ::testing::Test {
 protected:
  void Write(NodeId node, LogChange change, bool synced) {
    ledger_.Appended(node, std::move(change));
    if (!synced) return;
    ledger_.Synced(node, ledger_.log(node).appended());
    checker_.HardStateDurable(node, ledger_.log(node).durable().hard_state());
  }
  void Vote(NodeId node, Term term, NodeId candidate, bool synced) {
    LogChange change;
    change.hard_state = {term, candidate};
    Write(node, change, synced);
  }
  void Append(NodeId node, Index at, Term term, bool synced) {
    LogChange change;
    if (at <= ledger_.log(node).live().last()) change.truncate_from = at;
    change.first = at;
    change.entries = {{term, {term, at}}};
    Write(node, change, synced);
  }
  void Send(NodeId from, NodeId to, MessageBody body) {
    Envelope envelope;
    envelope.from = from;
    envelope.to = to;
    envelope.body = std::move(body);
    checker_.Sent(envelope);
  }
  void SendVote(NodeId from, NodeId to, Term term) {
    Send(from, to, VoteReply{.term = term, .granted = true, .campaign = 1});
  }
  void SendAck(NodeId from, Term term, Index match) {
    Send(from, kA, AppendReply{.term = term, .success = true, .match = match});
  }
  std::string Violation() const { return violations_.first().substr(0, 2); }

  EventQueue events_;
  EventLog log_{events_, nullptr};
  Violations violations_{log_};
  Counters counters_;
  Ledger ledger_{{kA, kB, kC}, violations_, counters_};
  absl::StatusOr<LogImage> real_ = LogImage();
  bool asks_real_ = false;
  DurabilityChecker checker_{ledger_,
                             violations_,
                             counters_,
                             [this](NodeId node) -> absl::StatusOr<LogImage> {
                               if (asks_real_) return real_;
                               return ledger_.log(node).durable();
                             },
                             {.real_one_in = 1, .seed = 1}};
};

TEST_F(DurabilityCheckerTest, VoteLeavesWhenDurable) {
  Vote(kB, 2, kA, true);
  SendVote(kB, kA, 2);
  EXPECT_EQ(Violation(), "");
}

TEST_F(DurabilityCheckerTest, VoteThatIsOnlyWritten) {
  Vote(kB, 2, kA, false);
  SendVote(kB, kA, 2);
  EXPECT_EQ(Violation(), "I4");
}

TEST_F(DurabilityCheckerTest, VoteThatTheStoreForgets) {
  asks_real_ = true;
  Vote(kB, 2, kA, true);
  SendVote(kB, kA, 2);
  EXPECT_EQ(Violation(), "I4");
}

TEST_F(DurabilityCheckerTest, StoreThatDoesNotRecover) {
  asks_real_ = true;
  real_ = absl::DataLossError("gone");
  Vote(kB, 2, kA, true);
  SendVote(kB, kA, 2);
  EXPECT_EQ(Violation(), "I4");
}

TEST_F(DurabilityCheckerTest, TwoVotesInOneTerm) {
  Vote(kB, 2, kA, true);
  SendVote(kB, kA, 2);
  ledger_.Recovered(kB, LogImage());
  Vote(kB, 2, kC, true);
  SendVote(kB, kC, 2);
  EXPECT_EQ(Violation(), "I2");
}

// A and C have committed entry 1 in term 1; B, which lacks it, has voted for itself in term 2.
class ForgottenVoteTest : public DurabilityCheckerTest {
 protected:
  void SetUp() override {
    for (const NodeId node : {kA, kC}) {
      Vote(node, 1, kA, true);
      Append(node, 1, 1, true);
    }
    ASSERT_EQ(ledger_.commit(), Index{1});
  }
  void Campaign(LogPosition last) {
    Vote(kB, 2, kB, true);
    Send(kB, kA, VoteRequest{.term = 2, .last = last, .campaign = 1});
  }
  void VoteAgain() {
    ledger_.Recovered(kB, LogImage());
    Vote(kB, 2, kA, true);
    SendVote(kB, kA, 2);
  }
};

TEST_F(ForgottenVoteTest, MayBeGivenAgainWhereItElectsNobody) {
  Campaign({});
  ledger_.Damaged(kB);
  VoteAgain();
  EXPECT_EQ(Violation(), "");
}

TEST_F(ForgottenVoteTest, MayNotIfItCouldHaveElectedSomebody) {
  Append(kB, 1, 1, true);
  Campaign({1, 1});
  ledger_.Damaged(kB);
  VoteAgain();
  EXPECT_EQ(Violation(), "I2");
}

TEST_F(ForgottenVoteTest, MayNotOnADiskThatIsWhole) {
  Campaign({});
  VoteAgain();
  EXPECT_EQ(Violation(), "I2");
}

// It is another member: it is not held to what the one before has said, nor may it rest on that.
TEST_F(DurabilityCheckerTest, WhoBeganAnewVotesAnewAndHoldsNothing) {
  Append(kB, 1, 2, true);
  Vote(kB, 2, kA, true);
  SendVote(kB, kA, 2);
  ledger_.Begun(kB);
  checker_.Begun(kB);
  Vote(kB, 2, kC, true);
  SendVote(kB, kC, 2);
  EXPECT_EQ(Violation(), "");
  EXPECT_TRUE(checker_.VotedFor(kB, 2, kA)) << "who was elected by it stays elected";
  EXPECT_TRUE(checker_.VotedFor(kB, 2, kC));
  EXPECT_FALSE(checker_.VotedFor(kB, 2, kB));
  SendAck(kB, 2, 1);
  EXPECT_EQ(Violation(), "I4");
}

TEST_F(DurabilityCheckerTest, CandidateNeedsItsVoteAndItsLog) {
  Vote(kA, 2, kA, true);
  Append(kA, 1, 1, true);
  Send(kA, kB, VoteRequest{.term = 2, .last = {1, 1}, .campaign = 1});
  EXPECT_EQ(Violation(), "");
  Append(kA, 2, 1, false);
  Send(kA, kB, VoteRequest{.term = 2, .last = {2, 1}, .campaign = 1});
  EXPECT_EQ(Violation(), "I4");
}

TEST_F(DurabilityCheckerTest, AckOfWhatIsNotDurable) {
  Vote(kB, 1, kA, true);
  Append(kB, 1, 1, true);
  SendAck(kB, 1, 1);
  EXPECT_EQ(Violation(), "");
  Append(kB, 2, 1, false);
  SendAck(kB, 1, 2);
  EXPECT_EQ(Violation(), "I4");
}

// The first copy of an entry is durable; between it and the second one stands a truncation that may
// reach the disk alone.
TEST_F(DurabilityCheckerTest, AckOfWhatWasWrittenAgain) {
  Vote(kB, 3, kA, true);
  Append(kB, 1, 1, true);
  Append(kB, 1, 2, false);
  Append(kB, 1, 1, false);
  SendAck(kB, 3, 1);
  EXPECT_EQ(Violation(), "I4");
}

TEST_F(DurabilityCheckerTest, AckOfAForgottenTerm) {
  Vote(kB, 1, kA, true);
  Append(kB, 1, 1, true);
  Vote(kB, 2, NodeId::kNone, false);
  SendAck(kB, 2, 1);
  EXPECT_EQ(Violation(), "");
  Append(kB, 2, 2, false);
  ledger_.Recovered(kB, LogImage({1, kA}, 0, {{1, {1, 1}}, {2, {2, 2}}}));
  SendAck(kB, 2, 2);
  EXPECT_EQ(Violation(), "I4");
}

TEST_F(DurabilityCheckerTest, AnswerNeedsAQuorum) {
  Vote(kA, 1, kA, true);
  Append(kA, 1, 1, true);
  Vote(kB, 1, kA, true);
  Append(kB, 1, 1, true);
  checker_.Answered(kA, 1);
  EXPECT_EQ(Violation(), "");
  Append(kA, 2, 1, true);
  checker_.Answered(kA, 2);
  EXPECT_EQ(Violation(), "I4");
}

}  // namespace
}  // namespace cairn::sim

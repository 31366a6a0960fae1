#include "tests/sim/ledger.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

constexpr NodeId kA = static_cast<NodeId>(1);
constexpr NodeId kB = static_cast<NodeId>(2);
constexpr NodeId kC = static_cast<NodeId>(3);

class LedgerTest : public ::testing::Test {
 protected:
  // `node` enters `term`, for good at once.
  void Enter(NodeId node, Term term) {
    LogChange change;
    change.hard_state = {term, NodeId::kNone};
    Write(node, change);
  }
  void Append(NodeId node, Index at, Term term, uint64_t hash, bool synced = true) {
    LogChange change;
    if (at <= ledger_.log(node).live().last()) change.truncate_from = at;
    change.first = at;
    change.entries = {{term, {hash, hash}}};
    Write(node, change, synced);
  }
  void Write(NodeId node, LogChange change, bool synced = true) {
    ledger_.Appended(node, std::move(change));
    if (synced) ledger_.Synced(node, ledger_.log(node).appended());
  }
  std::string Violation() const { return violations_.first().substr(0, 3); }

  EventQueue events_;
  EventLog log_{events_, nullptr};
  Violations violations_{log_};
  Counters counters_;
  Ledger ledger_{{kA, kB, kC}, violations_, counters_};
};

TEST_F(LedgerTest, CommitsWhatAQuorumHoldsDurably) {
  Enter(kA, 1);
  Append(kA, 1, 1, 11);
  EXPECT_EQ(ledger_.commit(), 0u);
  Enter(kB, 1);
  Append(kB, 1, 1, 11, false);
  EXPECT_EQ(ledger_.commit(), 0u);
  ledger_.Synced(kB, ledger_.log(kB).appended());
  EXPECT_EQ(ledger_.commit(), 1u);
  EXPECT_TRUE(ledger_.QuorumHolds(1));
  EXPECT_FALSE(ledger_.Holds(kC, 1));
  EXPECT_EQ(ledger_.LeaderOf(1), kA);
  ledger_.Claimed(kA, 1, "test");
  EXPECT_EQ(Violation(), "");
  ledger_.Claimed(kA, 2, "test");
  EXPECT_EQ(Violation(), "I9 ");
}

// Paper figure 8: an entry of an older term on a quorum is not committed.
TEST_F(LedgerTest, OlderTermsAreNotCommittedByCounting) {
  Enter(kA, 2);
  Append(kA, 1, 2, 21);
  for (NodeId node : {kA, kB, kC}) Enter(node, 4);
  ledger_.Led(kA, 4);
  Append(kB, 1, 2, 21);
  Append(kC, 1, 2, 21);
  EXPECT_EQ(ledger_.commit(), 0u);
  Append(kA, 2, 4, 42);
  EXPECT_EQ(ledger_.commit(), 0u);
  Append(kB, 2, 4, 42);
  EXPECT_EQ(ledger_.commit(), 2u);
  EXPECT_EQ(Violation(), "");
}

TEST_F(LedgerTest, TwoLeadersOfOneTerm) {
  ledger_.Led(kA, 1);
  ledger_.Led(kA, 1);
  EXPECT_EQ(Violation(), "");
  ledger_.Led(kB, 1);
  EXPECT_EQ(Violation(), "I1 ");
}

TEST_F(LedgerTest, LeaderWithoutCommittedEntry) {
  for (NodeId node : {kA, kB}) Enter(node, 1);
  Append(kA, 1, 1, 11);
  Append(kB, 1, 1, 11);
  ledger_.Led(kC, 2);
  EXPECT_EQ(Violation(), "I7 ");
}

TEST_F(LedgerTest, DifferentEntriesAtOnePosition) {
  for (NodeId node : {kA, kB}) Enter(node, 1);
  Append(kA, 1, 1, 11);
  Append(kB, 1, 1, 12);
  EXPECT_EQ(Violation(), "I5 ");
}

TEST_F(LedgerTest, LeaderTruncatesItsOwnLog) {
  Enter(kA, 1);
  Append(kA, 1, 1, 11);
  Append(kA, 1, 1, 11);
  EXPECT_EQ(Violation(), "I6 ");
}

TEST_F(LedgerTest, LeaderGivesItsLogUpForASnapshot) {
  for (NodeId node : {kA, kB}) Enter(node, 1);
  Append(kA, 1, 1, 11);
  Append(kB, 1, 1, 11);
  LogChange change;
  change.reset_to = 1;
  Write(kA, change);
  EXPECT_EQ(Violation(), "I6 ");
}

// A new member is sent the entry that names it before the leader has written, or sent anybody, the
// ones before.
TEST_F(LedgerTest, EntriesSentAheadAreTheLeadersToo) {
  Enter(kA, 1);
  Append(kA, 1, 1, 11);
  ledger_.SentEntries(kA, 1, 3, {{1, {13, 13}}});
  EXPECT_EQ(Violation(), "");
  Append(kA, 2, 1, 12);
  Append(kA, 3, 1, 13);
  EXPECT_EQ(Violation(), "");
  ledger_.SentEntries(kA, 1, 5, {{1, {15, 15}}});
  Append(kA, 4, 1, 14);
  Append(kA, 5, 1, 16);
  EXPECT_NE(Violation(), "");
}

TEST_F(LedgerTest, CommittedEntryIsTruncated) {
  for (NodeId node : {kA, kB}) Enter(node, 1);
  Append(kA, 1, 1, 11);
  Append(kB, 1, 1, 11);
  Enter(kB, 2);
  Append(kB, 1, 2, 22);
  EXPECT_EQ(Violation(), "I10");
}

TEST_F(LedgerTest, TermsAndVotesDoNotGoBack) {
  LogChange change;
  change.hard_state = {2, kA};
  Write(kA, change);
  change.hard_state = {2, kB};
  Write(kA, change);
  EXPECT_EQ(Violation(), "I3 ");
}

TEST_F(LedgerTest, RestartEndsAReign) {
  Enter(kA, 1);
  Append(kA, 1, 1, 11);
  ledger_.Recovered(kA, LogImage({1, NodeId::kNone}, 0, {}));
  LogChange change;
  change.truncate_from = 1;  // what could not be read is given up
  Write(kA, change);
  EXPECT_EQ(Violation(), "");
}

TEST_F(LedgerTest, ADiskThatRottedStaysAHolder) {
  Enter(kA, 1);
  Append(kA, 1, 1, 11);
  Enter(kB, 1);
  Append(kB, 1, 1, 11);
  ASSERT_EQ(ledger_.commit(), 1u);
  ASSERT_TRUE(ledger_.QuorumHolds(1));
  ledger_.Damaged(kB);
  ledger_.Recovered(kB, LogImage({1, NodeId::kNone}, 0, {}));
  EXPECT_TRUE(ledger_.QuorumHolds(1));
}

// One that is left of three: what it holds stays committed, and it may commit alone.
TEST_F(LedgerTest, ALostMajority) {
  for (NodeId node : {kA, kB, kC}) Enter(node, 1);
  for (Index index = 1; index <= 3; ++index) {
    Append(kA, index, 1, 10 + index);
    Append(kB, index, 1, 10 + index);
    if (index < 3) Append(kC, index, 1, 10 + index);
  }
  ledger_.Claimed(kA, 3, "test");
  ASSERT_EQ(ledger_.commit(), 3u);
  ledger_.Rescue(kC, {kA, kB}, {.evicted = {}, .quorum = 1});
  EXPECT_EQ(ledger_.commit(), 2u);
  EXPECT_EQ(ledger_.claimed(), 2u);
  const auto by_c = [](NodeId node) { return node == kC; };
  EXPECT_TRUE(ledger_.Elects(ledger_.configuration(), by_c));
  EXPECT_FALSE(ledger_.Elects(ledger_.configuration(), [](NodeId) { return false; }));
  Enter(kC, 9);
  Append(kC, 3, 9, 93);
  EXPECT_EQ(ledger_.commit(), 3u);
  EXPECT_TRUE(ledger_.QuorumHolds(3));
  EXPECT_EQ(Violation(), "");
}

// An eviction takes every vote that is left.
TEST_F(LedgerTest, AnEvictionTakesEveryVote) {
  Enter(kA, 1);
  ledger_.Rescue(kA, {kC}, {.evicted = {kC}, .quorum = 0});
  const auto& members = ledger_.configuration();
  EXPECT_FALSE(ledger_.Elects(members, [](NodeId node) { return node != kB; }));
  EXPECT_TRUE(ledger_.Elects(members, [](NodeId node) { return node != kC; }));
  // Without it a majority is enough again.
  const Configuration rest = {
      {{kA, Incarnation::kUnknown, ""}, {kB, Incarnation::kUnknown, ""}}, {}, {}};
  EXPECT_FALSE(ledger_.Elects(rest, [](NodeId node) { return node == kA; }));
  EXPECT_TRUE(ledger_.Elects(rest, [](NodeId) { return true; }));
}

}  // namespace
}  // namespace cairn::sim

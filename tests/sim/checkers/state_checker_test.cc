#include "tests/sim/checkers/state_checker.h"

#include <string>

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

constexpr NodeId kA = static_cast<NodeId>(1);
constexpr NodeId kB = static_cast<NodeId>(2);

class StateCheckerTest : public ::testing::Test {
 protected:
  StateCheckerTest() {
    LogChange change;
    change.hard_state = {1, kA};
    change.first = 1;
    for (uint64_t i = 1; i <= 9; ++i) change.entries.push_back({1, {0, i}});
    ledger_.Appended(kA, change);
    ledger_.Synced(kA, 1);
    for (CommandId id = 1; id <= 9; ++id) states_.Proposed(id, id, {});
  }
  void Apply(NodeId node, Index index, CommandId command, uint64_t state) {
    states_.Applied(node, {.position = {index, 1},
                           .time = {},
                           .command = command,
                           .command_hash = command,
                           .state_hash = state,
                           .reply = ""});
  }
  std::string Violation() const { return violations_.first().substr(0, 3); }

  EventQueue events_;
  EventLog log_{events_, nullptr};
  Violations violations_{log_};
  Counters counters_;
  Ledger ledger_{{kA}, violations_, counters_};
  StateChecker states_{ledger_, violations_, counters_};
};

TEST_F(StateCheckerTest, SameOnAllMembersAndAfterRestarts) {
  Apply(kA, 2, 1, 100);
  Apply(kA, 4, 2, 200);
  states_.AppliedUpTo(kA, {5, 1});
  Apply(kB, 2, 1, 100);
  states_.Started(kA);
  Apply(kA, 2, 1, 100);
  EXPECT_EQ(states_.applied(kA), 2u);
  EXPECT_EQ(states_.Find(2)->position.index, 4u);
  EXPECT_EQ(states_.Find(3), nullptr);
  EXPECT_EQ(Violation(), "");
}

TEST_F(StateCheckerTest, AnotherState) {
  Apply(kA, 2, 1, 100);
  Apply(kB, 2, 1, 101);
  EXPECT_EQ(Violation(), "I8 ");
}

TEST_F(StateCheckerTest, CommandThatAnotherMemberLeftOut) {
  Apply(kA, 2, 1, 100);
  Apply(kA, 4, 2, 200);
  Apply(kB, 3, 3, 300);
  EXPECT_EQ(Violation(), "I8 ");
}

TEST_F(StateCheckerTest, OutOfOrder) {
  Apply(kA, 3, 1, 100);
  Apply(kA, 2, 2, 200);
  EXPECT_EQ(Violation(), "I17");
}

// Between two commands the state is that of the one before.
TEST_F(StateCheckerTest, SnapshotsAreWhatTheEntriesMade) {
  Apply(kA, 2, 1, 100);
  Apply(kA, 4, 2, 200);
  states_.Restored(kB, {3, 1}, 100);
  states_.Restored(kB, {4, 1}, 200);
  Apply(kB, 6, 3, 300);
  states_.Started(kB);
  states_.Restored(kB, {1, 1}, 0);
  states_.SnapshotMade(kA, {4, 1}, ContentIdOf("x"));
  states_.SnapshotMade(kB, {4, 1}, ContentIdOf("x"));
  EXPECT_EQ(Violation(), "");
  states_.Restored(kB, {5, 1}, 100);
  EXPECT_EQ(Violation(), "I18");
}

TEST_F(StateCheckerTest, AnotherSnapshotOfTheSameEntries) {
  states_.SnapshotMade(kA, {4, 1}, ContentIdOf("x"));
  states_.SnapshotMade(kB, {4, 1}, ContentIdOf("y"));
  EXPECT_EQ(Violation(), "I18");
}

TEST_F(StateCheckerTest, ASnapshotOlderThanTheState) {
  Apply(kA, 2, 1, 100);
  Apply(kA, 4, 2, 200);
  states_.Restored(kA, {3, 1}, 100);
  EXPECT_EQ(Violation(), "I17");
}

TEST_F(StateCheckerTest, BeyondWhatIsCommitted) {
  Apply(kA, 10, 1, 100);
  EXPECT_EQ(Violation(), "I9 ");
}

TEST_F(StateCheckerTest, WhatNobodyProposed) {
  Apply(kA, 2, 77, 100);
  EXPECT_EQ(Violation(), "I12");
}

TEST_F(StateCheckerTest, Twice) {
  Apply(kA, 2, 1, 100);
  Apply(kA, 3, 1, 200);
  EXPECT_EQ(Violation(), "I15");
}

TEST_F(StateCheckerTest, SessionCallTwice) {
  states_.Proposed(1, 1, {.session = 5, .number = 1});
  states_.Proposed(2, 2, {.session = 5, .number = 1});
  Apply(kA, 2, 1, 100);
  Apply(kA, 3, 2, 200);
  EXPECT_EQ(Violation(), "I15");
}

TEST_F(StateCheckerTest, SessionCallWithoutTheOneBefore) {
  states_.Proposed(1, 1, {.session = 5, .number = 1, .in_order = true});
  states_.Proposed(2, 2, {.session = 5, .number = 3, .in_order = true});
  Apply(kA, 2, 1, 100);
  EXPECT_EQ(Violation(), "");
  Apply(kA, 3, 2, 200);
  EXPECT_EQ(Violation(), "I15");
}

TEST_F(StateCheckerTest, NothingIsAppliedWhileItIsPaused) {
  Apply(kA, 2, 1, 100);
  states_.Paused(kA);
  Apply(kB, 2, 1, 100);
  states_.Resumed(kA);
  Apply(kA, 3, 2, 200);
  EXPECT_EQ(violations_.first(), "");
  states_.Paused(kA);
  Apply(kA, 4, 3, 300);
  EXPECT_EQ(violations_.first().substr(0, 14), "what is paused");
}

TEST_F(StateCheckerTest, ARestartEndsAPause) {
  states_.Paused(kA);
  states_.Started(kA);
  Apply(kA, 2, 1, 100);
  EXPECT_EQ(Violation(), "");
}

TEST_F(StateCheckerTest, OnlyAReplayGoesBack) {
  Apply(kA, 2, 1, 100);
  Apply(kA, 4, 2, 200);
  states_.ReplayAsked(kA);
  states_.Restored(kA, {2, 1}, 100);
  Apply(kA, 4, 2, 200);
  states_.ReplayTold(kA);
  EXPECT_EQ(Violation(), "");
  states_.Restored(kA, {2, 1}, 100);
  EXPECT_EQ(Violation(), "I17");
}

TEST_F(StateCheckerTest, AReplayMakesTheSame) {
  Apply(kA, 2, 1, 100);
  Apply(kA, 4, 2, 200);
  states_.ReplayAsked(kA);
  states_.Restored(kA, {2, 1}, 100);
  Apply(kA, 4, 2, 201);
  EXPECT_EQ(Violation(), "I8 ");
}

TEST_F(StateCheckerTest, FencedCommandsKeepTheirTerm) {
  states_.Proposed(1, 1, {}, 1);
  Apply(kA, 2, 1, 100);
  EXPECT_EQ(Violation(), "");
  states_.Proposed(2, 2, {}, 2);
  Apply(kA, 3, 2, 200);
  EXPECT_EQ(violations_.first().substr(0, 6), "fenced");
}

TEST_F(StateCheckerTest, WhatIsLostMayBeAppliedAgain) {
  states_.Proposed(2, 2, {.session = 1, .number = 1});
  Apply(kA, 2, 1, 100);
  Apply(kA, 4, 2, 200);
  states_.ForgetBehind(2);
  EXPECT_NE(states_.Find(1), nullptr);
  EXPECT_EQ(states_.Find(2), nullptr);
  states_.Started(kA);
  states_.Restored(kA, {2, 1}, 100);
  Apply(kA, 5, 2, 201);
  EXPECT_EQ(violations_.first(), "");
}

}  // namespace
}  // namespace cairn::sim

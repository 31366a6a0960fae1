#include "tests/sim/checkers/tail_checker.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

constexpr NodeId kA{1};
constexpr NodeId kB{2};
constexpr size_t kMuch = 1 << 20;

class TailCheckerTest : public ::testing::Test {
 protected:
  TailCheckerTest() : log_run_(MakeRun(8, 1)) {
    for (NodeId node : {kA, kB}) {
      LogChange change;
      change.hard_state = {1, kA};
      change.first = 1;
      // The other one is behind.
      const size_t held = node == kA ? 8 : 6;
      for (size_t i = 0; i < held; ++i) change.entries.push_back(IdOf(log_run_, i));
      ledger_.Appended(node, change);
      ledger_.Synced(node, 1);
    }
  }
  static RecordRun MakeRun(Index last, Term term) {
    RecordRunBuilder builder(GroupId{1}, {}, {});
    for (Index i = 1; i <= last; ++i) {
      builder.Add(PreparedEntry::Make(EntryType::kCommand, std::string(100, 'x')), term, {});
    }
    return std::move(builder).Build();
  }
  void Give(NodeId node, Index first, Index last, size_t max_bytes = kMuch) {
    tail_.Told(node, max_bytes, TailEntries{{log_run_.Slice(first, last)}, last + 1});
  }
  bool violated() const { return violations_.any(); }

  EventQueue events_;
  EventLog log_{events_, nullptr};
  Violations violations_{log_};
  Counters counters_;
  Ledger ledger_{{kA, kB}, violations_, counters_};
  TailChecker tail_{ledger_, violations_, counters_};
  RecordRun log_run_;
};

TEST_F(TailCheckerTest, OneMemberAfterTheOther) {
  ASSERT_EQ(ledger_.commit(), 6u);
  Give(kA, 1, 2);
  Give(kB, 3, 5);
  tail_.Told(kB, kMuch, TailRefused{TailRefused::Reason::kDeadline, ""});
  Give(kA, 6, 6);
  EXPECT_EQ(tail_.next(), 7u);
  EXPECT_FALSE(violated()) << violations_.first();
}

TEST_F(TailCheckerTest, TwiceTheSame) {
  Give(kA, 1, 3);
  Give(kB, 3, 5);
  EXPECT_TRUE(violated());
}

TEST_F(TailCheckerTest, AGap) {
  Give(kA, 1, 3);
  Give(kB, 5, 6);
  EXPECT_TRUE(violated());
}

TEST_F(TailCheckerTest, NotCommitted) {
  Give(kA, 1, 6);
  EXPECT_FALSE(violated());
  Give(kA, 7, 7);
  EXPECT_TRUE(violated());
}

TEST_F(TailCheckerTest, AnotherEntryThanWasCommitted) {
  tail_.Told(kA, kMuch, TailEntries{{MakeRun(2, 2)}, 3});
  EXPECT_TRUE(violated());
}

TEST_F(TailCheckerTest, MoreThanWasAskedFor) {
  Give(kA, 1, 1, 10);
  EXPECT_FALSE(violated());
  Give(kA, 2, 3, 10);
  EXPECT_TRUE(violated());
}

TEST_F(TailCheckerTest, WhatIsCompactedIsPassedOver) {
  tail_.Told(kA, kMuch, TailCompacted{4});
  Give(kA, 4, 6);
  EXPECT_FALSE(violated());
  tail_.Told(kA, kMuch, TailCompacted{7});
  EXPECT_TRUE(violated());
}

TEST_F(TailCheckerTest, NobodyDropsWhatIsNotCommitted) {
  tail_.Told(kA, kMuch, TailCompacted{8});
  EXPECT_TRUE(violated());
}

}  // namespace
}  // namespace cairn::sim

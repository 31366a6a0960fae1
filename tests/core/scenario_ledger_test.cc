#include "tests/core/scenario_ledger.h"

#include <map>
#include <optional>
#include <string>

#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr NodeId kOne{1};
constexpr NodeId kTwo{2};

// A node's log, by index.
struct Log {
  std::map<Index, LedgerEntry> entries;
  std::optional<LedgerEntry> operator()(Index index) const {
    auto entry = entries.find(index);
    if (entry == entries.end()) return std::nullopt;
    return entry->second;
  }
};

Log MakeLog(const std::vector<LedgerEntry>& entries) {
  Log log;
  for (const LedgerEntry& entry : entries) log.entries[entry.at.index] = entry;
  return log;
}

TEST(ScenarioLedgerTest, TwoLeadersOfOneTerm) {
  ScenarioLedger ledger;
  EXPECT_EQ(ledger.OnLeader(kOne, 2, Log()), std::nullopt);
  EXPECT_EQ(ledger.OnLeader(kOne, 2, Log()), std::nullopt);
  EXPECT_EQ(ledger.OnLeader(kTwo, 3, Log()), std::nullopt);
  EXPECT_EQ(ledger.OnLeader(kTwo, 2, Log()), "election safety: term 2 has leaders 1 and 2");
}

TEST(ScenarioLedgerTest, ALeaderThatLacksWhatIsCommitted) {
  ScenarioLedger ledger;
  Log log = MakeLog({{{1, 1}, 11}, {{2, 1}, 12}});
  EXPECT_EQ(ledger.OnCommit(kOne, 2, log), std::nullopt);
  EXPECT_EQ(ledger.OnLeader(kOne, 2, log), std::nullopt);
  EXPECT_EQ(ledger.OnLeader(kTwo, 3, MakeLog({{{1, 1}, 11}})),
            "leader completeness: the leader of term 3 lacks the committed entry 2/1");
}

TEST(ScenarioLedgerTest, EntriesThatBreakLogMatching) {
  ScenarioLedger ledger;
  EXPECT_EQ(ledger.OnWrite({{2, 1}, 12}, {1, 1}), std::nullopt);
  EXPECT_EQ(ledger.OnWrite({{2, 1}, 12}, {1, 1}), std::nullopt);
  EXPECT_EQ(ledger.OnWrite({{2, 1}, 13}, {1, 1}),
            "log matching: two entries 2/1, behind 1/1 and 1/1");
  EXPECT_EQ(ledger.OnWrite({{3, 2}, 14}, {2, 1}), std::nullopt);
  EXPECT_EQ(ledger.OnWrite({{3, 2}, 14}, {2, 2}),
            "log matching: two entries 3/2, behind 2/1 and 2/2");
}

TEST(ScenarioLedgerTest, TwoEntriesCommittedAtOneIndex) {
  ScenarioLedger ledger;
  EXPECT_EQ(ledger.OnCommit(kOne, 1, MakeLog({{{1, 1}, 11}})), std::nullopt);
  EXPECT_EQ(ledger.OnCommit(kTwo, 1, MakeLog({{{1, 2}, 12}})),
            "state machine safety: 1/1 and 1/2 are committed, values 11 and 12");
  EXPECT_EQ(ledger.OnCommit(kOne, 2, MakeLog({{{1, 1}, 11}})),
            "node 1 committed 2, which is not in its log");
}

TEST(ScenarioLedgerTest, AppliedInOrderAndOnlyWhatIsCommitted) {
  ScenarioLedger ledger;
  ledger.OnCommit(kOne, 2, MakeLog({{{1, 1}, 11}, {{2, 1}, 12}}));
  EXPECT_EQ(ledger.OnApply(kOne, {{1, 1}, 11}), std::nullopt);
  EXPECT_EQ(ledger.OnApply(kTwo, {{2, 1}, 12}), "node 2 applied 2 behind 0");
  EXPECT_EQ(ledger.OnApply(kOne, {{2, 2}, 13}),
            "state machine safety: node 1 applied 2/2, which is not what was committed there");
  EXPECT_EQ(ledger.OnApply(kOne, {{3, 2}, 14}),
            "state machine safety: node 1 applied 3/2, which is not what was committed there");
}

}  // namespace
}  // namespace cairn

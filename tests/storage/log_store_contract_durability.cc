// Durability: what is found when the store is opened again.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/storage/log_store_contract.h"

namespace cairn {
namespace {

constexpr GroupId kGroup = GroupId::kDefault;

LogAppend WithHardState(Term term, uint64_t vote) {
  LogAppend append;
  append.hard_state = HardState{term, NodeId{vote}};
  return append;
}

TEST_P(LogStoreContract, WhatWasSyncedIsThereAfterAPowerCut) {
  if (!has_power_cuts()) GTEST_SKIP();
  LogTwin twin(kGroup);
  for (int round = 0; round < 10; ++round) {
    LogAppend append = WithHardState(static_cast<Term>(round + 1), 2);
    twin.hard_state = *append.hard_state;
    append.runs = {twin.AddRun(static_cast<Term>(round + 1), {"a", "b", "c"}),
                   twin.Add(static_cast<Term>(round + 1), "voters " + std::to_string(round),
                            EntryType::kConfiguration)};
    Append(append);
    Sync();
    PowerCut();
    ExpectRecovered(twin);
  }
}

TEST_P(LogStoreContract, GroupsShareASync) {
  if (!has_power_cuts()) GTEST_SKIP();
  std::vector<LogTwin> twins;
  for (uint64_t i = 1; i <= 20; ++i) twins.emplace_back(GroupId{i * 3});
  for (int round = 0; round < 3; ++round) {
    for (LogTwin& twin : twins) {
      LogAppend append = WithHardState(static_cast<Term>(round + 1), ToInteger(twin.group()));
      twin.hard_state = *append.hard_state;
      append.runs = {twin.Add(static_cast<Term>(round + 1), std::to_string(round))};
      Append(append, twin.group());
    }
    Sync();
  }
  PowerCut();
  std::vector<GroupId> groups;
  for (const LogTwin& twin : twins) groups.push_back(twin.group());
  EXPECT_EQ(disk().Groups(), groups);
  for (const LogTwin& twin : twins) ExpectRecovered(twin);
}

TEST_P(LogStoreContract, HardStateNeedsNoEntries) {
  LogTwin twin(kGroup);
  twin.hard_state = {7, NodeId{3}};
  Append(WithHardState(7, 3));
  Sync();
  EXPECT_EQ(disk().Groups(), std::vector<GroupId>({kGroup}));
  Reopen();
  EXPECT_EQ(disk().Groups(), std::vector<GroupId>({kGroup}));
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, TheLastHardStateWins) {
  LogTwin twin(kGroup);
  Append(WithHardState(1, 3));
  LogAppend append = WithHardState(2, 0);
  append.runs = {twin.Add(2, "x")};
  Append(append);
  Append(WithHardState(2, 1));
  Append({twin.Add(2, "y")});
  Sync();
  Reopen();
  twin.hard_state = {2, NodeId{1}};
  ExpectRecovered(twin);
  Append(WithHardState(9, 2));
  Sync();
  Append({twin.Add(9, "z")});
  Sync();
  Reopen();
  twin.hard_state = {9, NodeId{2}};
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, HardStateSurvivesWhatHappensToEntries) {
  if (!has_power_cuts()) GTEST_SKIP();
  LogTwin twin(kGroup);
  twin.hard_state = {5, NodeId{2}};
  Append(WithHardState(5, 2));
  Append({twin.AddRun(5, {"1", "2", "3"})});
  Sync();
  EXPECT_TRUE(store().DropPrefix(2).ok());
  twin.base = 2;
  LogAppend append;
  append.truncate_from = 3;
  twin.TruncateFrom(3);
  Append(append);
  Sync();
  PowerCut();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, TruncationsAreDurable) {
  if (!has_power_cuts()) GTEST_SKIP();
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, {"1", "2", "3", "4", "5"})});
  Sync();
  LogAppend cut;
  cut.truncate_from = 3;
  twin.TruncateFrom(3);
  Append(cut);
  Sync();
  PowerCut();
  ExpectRecovered(twin);
  twin.TruncateFrom(2);
  Append({twin.AddRun(3, {"2", "3", "4"})});
  Sync();
  PowerCut();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, ConfigurationsComeWithTheirBodies) {
  LogTwin twin(kGroup);
  Append({twin.Add(1, "one", EntryType::kConfiguration)});
  Append({twin.AddRun(1, {"x", "y"})});
  Append({twin.Add(1, std::string(5'000, '\0'), EntryType::kConfiguration)});
  Append({twin.Add(2, "three", EntryType::kConfiguration)});
  Append({twin.Add(2, "four", EntryType::kConfiguration)});
  Sync();
  Reopen();
  EXPECT_EQ(recovered().configurations.size(), 4u);
  ExpectRecovered(twin);
  LogAppend cut;
  cut.truncate_from = 6;
  twin.TruncateFrom(6);
  Append(cut);
  EXPECT_TRUE(store().DropPrefix(1).ok());
  twin.base = 1;
  Sync();
  Reopen();
  EXPECT_EQ(recovered().configurations.size(), 2u);
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, CommitIsEvidenceOnceItWasDurable) {
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, {"1", "2", "3", "4", "5"})});
  Sync();
  Reopen();
  EXPECT_EQ(recovered().known_commit, 0u);
  LogAppend append;
  append.runs = {twin.Add(1, "6")};
  append.commit = 4;
  Append(append);
  Sync();
  Reopen();
  EXPECT_EQ(recovered().known_commit, 4u);
  // What was said alone is written with the next entries; and it never goes back.
  append = LogAppend();
  append.commit = 6;
  Append(append);
  Sync();
  append.commit = 5;
  Append(append);
  Sync();
  Append({twin.Add(1, "7")});
  Sync();
  Reopen();
  EXPECT_EQ(recovered().known_commit, 6u);
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, DroppedPrefixesStayDropped) {
  if (!has_power_cuts()) GTEST_SKIP();
  LogTwin twin(kGroup);
  for (Term term = 1; term <= 10; ++term) {
    Append({twin.AddRun(term, {"a", "b", "c"})});
    Sync();
    EXPECT_TRUE(store().DropPrefix(3 * term - 2).ok());
    twin.base = 3 * term - 2;
    Sync();
    PowerCut();
    ExpectRecovered(twin);
  }
}

// A log of nothing but a base: HashAt(base) is what the leader's previous_hash is checked against.
TEST_P(LogStoreContract, TheBaseSurvivesWithoutEntries) {
  if (!has_power_cuts()) GTEST_SKIP();
  LogTwin twin(kGroup);
  Append({twin.AddRun(4, {"a", "b", "c"})});
  EXPECT_TRUE(store().DropPrefix(3).ok());
  twin.base = 3;
  Sync();
  for (int i = 0; i < 3; ++i) {
    PowerCut();
    ExpectRecovered(twin);
    Sync();
  }
  Append({twin.Add(4, "d")});
  Sync();
  PowerCut();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, OpeningAgainAndAgainChangesNothing) {
  LogTwin twin(kGroup), other(GroupId{2});
  Append({twin.AddRun(1, {"1", "2", "3"}), twin.Add(2, "4")});
  Append({other.Add(1, "1")}, other.group());
  Sync();
  for (int i = 0; i < 10; ++i) {
    Reopen();
    ExpectRecovered(twin);
    // One group is not opened each time; it must not be forgotten.
    if (i % 5 == 4) ExpectRecovered(other);
    EXPECT_EQ(disk().Groups(), std::vector<GroupId>({kGroup, other.group()}));
  }
}

// The rest of a batch that never got synced must not come back when the log has gone on.
TEST_P(LogStoreContract, WhatWasLostStaysLost) {
  if (!has_power_cuts()) GTEST_SKIP();
  for (Term term = 1; term < 40; term += 2) {
    LogTwin twin(kGroup);
    const Index end = store().last().index;
    if (end > 0) {
      const auto runs = store().Read(1, end, size_t{1} << 40);
      ASSERT_TRUE(runs.ok()) << runs.status();
      for (const RecordRun& run : *runs) twin.Take(run);
    }
    Append({twin.AddRun(term, {"a", "b"})});
    Sync();
    LogTwin unsynced = twin;
    Append({unsynced.AddRun(term, {std::string(700, 'x'), std::string(700, 'y')})});
    PowerCut();
    const Index found = recovered().torn_from.value_or(store().last().index + 1) - 1;
    ASSERT_GE(found, twin.last());
    ASSERT_LE(found, unsynced.last());
    LogAppend append;
    append.truncate_from = twin.last() + 1;
    append.runs = {twin.Add(term + 1, "c")};
    Append(append);
    Sync();
    PowerCut();
    ExpectRecovered(twin);
  }
}

// What recovery reports is acknowledged by the node; so it must survive the next power cut.
TEST_P(LogStoreContract, WhatRecoveryReportsIsDurable) {
  if (!has_power_cuts()) GTEST_SKIP();
  for (Term term = 1; term < 20; ++term) {
    LogTwin twin(kGroup);
    const Index end = store().last().index;
    if (end > 0) {
      const auto runs = store().Read(1, end, size_t{1} << 40);
      ASSERT_TRUE(runs.ok()) << runs.status();
      for (const RecordRun& run : *runs) twin.Take(run);
    }
    LogAppend append = WithHardState(term, 1);
    append.runs = {twin.AddRun(term, {"a", "b", "c"})};
    Append(append);
    Reopen();  // not synced
    const RecoveredLog found = recovered();
    ASSERT_FALSE(found.torn_from.has_value());
    PowerCut();
    EXPECT_EQ(recovered().hard_state, found.hard_state);
    EXPECT_EQ(recovered().runs, found.runs);
    EXPECT_EQ(recovered().last_hash, found.last_hash);
    EXPECT_FALSE(recovered().torn_from.has_value());
  }
}

}  // namespace
}  // namespace cairn

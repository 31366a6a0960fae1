// Entries: what is appended, cut and read while the store is open.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/storage/log_store_contract.h"

namespace cairn {
namespace {

constexpr size_t kNoLimit = size_t{1} << 40;
constexpr GroupId kGroup = GroupId::kDefault;

TEST_P(LogStoreContract, ANewLogIsEmpty) {
  const RecoveredLog& found = recovered();
  EXPECT_EQ(found.hard_state, HardState());
  EXPECT_FALSE(found.hard_state_lost);
  EXPECT_EQ(found.base, LogPosition());
  EXPECT_EQ(found.base_hash, EntryHash());
  EXPECT_EQ(found.last_hash, EntryHash());
  EXPECT_TRUE(found.runs.empty());
  EXPECT_TRUE(found.configurations.empty());
  EXPECT_EQ(found.known_commit, 0u);
  EXPECT_TRUE(disk().Groups().empty());
  ExpectHolds(LogTwin(kGroup));
  EXPECT_TRUE(absl::IsOutOfRange(store().Read(1, 1, kNoLimit).status()));
  EXPECT_TRUE(absl::IsOutOfRange(store().Read(0, 0, kNoLimit).status()));
  EXPECT_TRUE(absl::IsOutOfRange(store().HashAt(1).status()));
}

TEST_P(LogStoreContract, EntriesAreReadBeforeTheyAreSynced) {
  LogTwin twin(kGroup);
  Append({twin.Add(1, "first")});
  ExpectHolds(twin);
  Append({twin.AddRun(1, {"second", "third"})});
  ExpectHolds(twin);
  Append({twin.Add(3, "fourth")});
  ExpectHolds(twin);
  EXPECT_EQ(disk().Groups(), std::vector<GroupId>({kGroup}));
}

TEST_P(LogStoreContract, OneAppendMayHoldManyRuns) {
  LogTwin twin(kGroup);
  std::vector<RecordRun> runs;
  for (Term term = 1; term <= 4; ++term) {
    runs.push_back(twin.AddRun(term, {"a", "b"}));
    runs.push_back(twin.Add(term, "c"));
  }
  Append(runs);
  ExpectHolds(twin);
}

TEST_P(LogStoreContract, ARunMayHoldManyTerms) {
  LogTwin twin(kGroup);
  RecordRunBuilder builder(kGroup, {}, {});
  for (const Term term : std::vector<Term>({1, 1, 2, 5, 5})) {
    builder.Add(PreparedEntry::Make(EntryType::kCommand, "x"), term, {});
  }
  const RecordRun run = std::move(builder).Build();
  twin.Take(run);
  Append({run});
  ExpectHolds(twin);
}

TEST_P(LogStoreContract, AnEmptyAppendChangesNothing) {
  LogTwin twin(kGroup);
  Append(LogAppend());
  Append(std::vector<RecordRun>({RecordRun()}));
  Sync();
  ExpectHolds(twin);
}

TEST_P(LogStoreContract, EntriesOfAllTypesAndSizes) {
  LogTwin twin(kGroup);
  Append({twin.Add(1, "", EntryType::kNoop)});
  Append({twin.Add(1, "voters", EntryType::kConfiguration)});
  Append({twin.Add(1, "client", EntryType::kOpenSession)});
  Append({twin.Add(1, "", EntryType::kClock)});
  Append({twin.Add(1, std::string(10'000, '\0'))});
  const std::vector<size_t> sizes = {1, 399, 400, 401, 511, 512, 513, 3'983, 3'984, 3'985, 4'096};
  for (const size_t size : sizes) {
    Append({twin.Add(1, std::string(size, static_cast<char>(size)))});
  }
  Sync();
  ExpectHolds(twin);
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, LargeEntries) {
  LogTwin twin(kGroup);
  for (int i = 0; i < 3; ++i) {
    std::string payload(size_t{1} << 20, static_cast<char>('a' + i));
    for (size_t at = 0; at < payload.size(); at += 1'001) payload[at] = static_cast<char>(at);
    Append({twin.Add(1, payload)});
    Append({twin.Add(1, "small")});
    Sync();
  }
  ExpectHolds(twin);
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, ManySmallEntries) {
  LogTwin twin(kGroup);
  for (int batch = 0; batch < 50; ++batch) {
    Append({twin.AddRun(1, std::vector<std::string>(100, std::to_string(batch)))});
    Sync();
  }
  ExpectHolds(twin);
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, ReadsStopAtTheirLimits) {
  LogTwin twin(kGroup);
  for (int i = 0; i < 3; ++i) Append({twin.AddRun(1, std::vector<std::string>(4, "0123456789"))});
  const size_t record = twin.At(1).record.size();
  const auto read = [&](Index first, Index last, size_t max_bytes) {
    const auto runs = store().Read(first, last, max_bytes);
    EXPECT_TRUE(runs.ok()) << runs.status();
    Index next = first;
    for (const RecordRun& run : *runs) {
      EXPECT_FALSE(run.empty());
      EXPECT_EQ(run.first().index, next);
      next = run.last().index + 1;
    }
    return next - first;
  };
  EXPECT_EQ(read(1, 12, kNoLimit), 12u);
  EXPECT_EQ(read(3, 7, kNoLimit), 5u);
  EXPECT_EQ(read(12, 12, kNoLimit), 1u);
  EXPECT_EQ(read(9, 1'000, kNoLimit), 4u);  // cut to what there is
  EXPECT_EQ(read(1, 12, 0), 1u);            // at least one
  EXPECT_EQ(read(5, 12, record - 1), 1u);
  EXPECT_EQ(read(5, 12, record), 1u);
  EXPECT_EQ(read(5, 12, 2 * record - 1), 1u);
  EXPECT_EQ(read(5, 12, 2 * record), 2u);
  EXPECT_EQ(read(2, 12, 7 * record), 7u);
  EXPECT_EQ(read(2, 12, 7 * record + 1), 7u);
  EXPECT_TRUE(absl::IsOutOfRange(store().Read(0, 12, kNoLimit).status()));
  EXPECT_TRUE(absl::IsOutOfRange(store().Read(13, 13, kNoLimit).status()));
  EXPECT_TRUE(absl::IsOutOfRange(store().Read(5, 4, kNoLimit).status()));
}

TEST_P(LogStoreContract, GroupsAreApart) {
  LogTwin one(GroupId{1}), two(GroupId{2}), seven(GroupId{7});
  for (int i = 0; i < 10; ++i) {
    Append({two.Add(1, "two " + std::to_string(i))}, two.group());
    Append({one.AddRun(2, {"one", "more"})}, one.group());
    if (i % 3 == 0) Append({seven.Add(9, "seven")}, seven.group());
    if (i % 4 == 3) Sync();
  }
  LogAppend append;
  append.truncate_from = 4;
  Append(append, two.group());
  two.TruncateFrom(4);
  ExpectHolds(one);
  ExpectHolds(two);
  ExpectHolds(seven);
  EXPECT_EQ(disk().Groups(), std::vector<GroupId>({GroupId{1}, GroupId{2}, GroupId{7}}));
}

TEST_P(LogStoreContract, TruncationAndOverwrite) {
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, {"1", "2", "3", "4", "5"})});
  Sync();
  LogAppend append;
  append.truncate_from = 3;
  twin.TruncateFrom(3);
  append.runs = {twin.Add(2, "3 of term 2")};
  Append(append);
  ExpectHolds(twin);
  EXPECT_TRUE(absl::IsOutOfRange(store().HashAt(4).status()));
  EXPECT_TRUE(absl::IsOutOfRange(store().Read(4, 4, kNoLimit).status()));
  Append({twin.Add(2, "4 of term 2")});
  Sync();
  ExpectHolds(twin);
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, TruncationToTheBase) {
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, {"1", "2", "3"})});
  LogAppend append;
  append.truncate_from = 1;
  Append(append);
  twin.TruncateFrom(1);
  ExpectHolds(twin);
  Sync();
  Reopen();
  ExpectRecovered(twin);
  Append({twin.Add(2, "again 1")});
  ExpectHolds(twin);
}

TEST_P(LogStoreContract, TruncationBehindTheEndChangesNothing) {
  LogTwin twin(kGroup);
  LogAppend append;
  append.truncate_from = 3;
  append.runs = {twin.AddRun(1, {"1", "2"})};
  Append(append);
  ExpectHolds(twin);
  append.runs = {twin.Add(1, "3")};
  append.truncate_from = 100;
  Append(append);
  ExpectHolds(twin);
  Sync();
  Reopen();
  ExpectRecovered(twin);
}

// An entry that was cut off may come again, the very same.
TEST_P(LogStoreContract, TruncatedEntriesMayComeBack) {
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, {"1", "2"})});
  const RecordRun third = twin.Add(1, "3");
  Append({third});
  Sync();
  for (int i = 0; i < 3; ++i) {
    LogAppend append;
    append.truncate_from = 3;
    append.runs = {third};
    Append(append);
    ExpectHolds(twin);
  }
  Sync();
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, AHigherTermTruncatesByItself) {
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, {"1", "2", "3", "4", "5"})});
  Sync();
  twin.TruncateFrom(4);
  Append({twin.Add(2, "4 of term 2")});
  ExpectHolds(twin);
  twin.TruncateFrom(2);
  Append({twin.Add(3, "2 of term 3"), twin.AddRun(3, {"3", "4"})});
  ExpectHolds(twin);
  Sync();
  ExpectHolds(twin);
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, DroppedPrefixesAreGone) {
  LogTwin twin(kGroup);
  for (int i = 0; i < 5; ++i) Append({twin.AddRun(1, {"a", "b", "c", "d"})});
  Sync();
  for (const Index up_to : std::vector<Index>({1, 4, 6, 6, 2, 19})) {
    const absl::Status status = store().DropPrefix(up_to);
    ASSERT_TRUE(status.ok()) << status;
    twin.base = std::max(twin.base, up_to);
    ExpectHolds(twin);
    EXPECT_TRUE(absl::IsOutOfRange(store().Read(twin.base, 20, kNoLimit).status()));
    EXPECT_TRUE(absl::IsOutOfRange(store().HashAt(twin.base - 1).status()));
  }
  Append({twin.Add(2, "21")});
  ExpectHolds(twin);
  Sync();
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, AllMayBeDropped) {
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, {"1", "2"}), twin.Add(3, "3")});
  EXPECT_TRUE(absl::IsOutOfRange(store().DropPrefix(4)));
  ExpectHolds(twin);
  EXPECT_TRUE(store().DropPrefix(3).ok());
  twin.base = 3;
  ExpectHolds(twin);
  Sync();
  Reopen();
  ExpectRecovered(twin);
  Append({twin.Add(4, "4")});
  ExpectHolds(twin);
  Sync();
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, ATruncationMayMeetADroppedPrefix) {
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, {"1", "2", "3", "4", "5", "6"})});
  Sync();
  EXPECT_TRUE(store().DropPrefix(3).ok());
  twin.base = 3;
  LogAppend append;
  append.truncate_from = 4;
  twin.TruncateFrom(4);
  append.runs = {twin.AddRun(2, {"4", "5"})};
  Append(append);
  ExpectHolds(twin);
  Sync();
  Reopen();
  ExpectRecovered(twin);
}

// Behind `index` of a log whose entries 1..4 are those of `there`.
RecordRun RunBehind(const LogTwin& there, Index index, Term term, GroupId group = kGroup) {
  LogTwin other(group);
  other.entries = there.entries;
  while (other.last() < index) other.Add(2, "unknown");
  other.TruncateFrom(index + 1);
  return other.Add(term, "misfit");
}

// Appends that do not fit behind `there`, four entries of term 2.
std::vector<std::pair<const char*, LogAppend>> Misfits(const LogTwin& there) {
  std::vector<std::pair<const char*, LogAppend>> misfits;
  const auto add = [&misfits](const char* why, std::vector<RecordRun> runs,
                              std::optional<Index> truncate_from = std::nullopt) {
    LogAppend append;
    append.truncate_from = truncate_from;
    append.runs = std::move(runs);
    misfits.emplace_back(why, std::move(append));
  };
  add("a gap", {RunBehind(there, 5, 3)});
  add("the term of the entry there", {RunBehind(there, 2, 2)});
  add("another group", {RunBehind(there, 4, 3, GroupId{2})});
  add("twice the same", {RunBehind(there, 4, 3), RunBehind(there, 4, 3)});
  add("a gap behind the cut", {RunBehind(there, 2, 3)}, 2);
  add("a cut before the base", {}, 0);
  RecordRunBuilder lower_term(kGroup, {4, 1}, there.HashAt(4));
  lower_term.Add(PreparedEntry::Make(EntryType::kCommand, "misfit"), 1, {});
  add("a lower term", {std::move(lower_term).Build()});
  LogTwin stranger(kGroup);
  stranger.AddRun(2, {"1", "2", "3", "another 4"});
  add("behind another entry", {stranger.Add(3, "5")});
  return misfits;
}

TEST_P(LogStoreContract, WhatDoesNotFitIsRefused) {
  LogTwin twin(kGroup);
  Append({twin.AddRun(2, {"1", "2", "3", "4"})});
  Sync();
  for (const auto& [why, misfit] : Misfits(twin)) {
    SCOPED_TRACE(why);
    const absl::Status refused = store().Append(misfit);
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    ExpectHolds(twin);
    // Nothing is written any more, by anybody.
    LogTwin next = twin, other(GroupId{2});
    LogAppend fits;
    fits.runs = {next.Add(2, "5")};
    EXPECT_EQ(store().Append(fits), refused);
    fits.runs = {other.Add(2, "1")};
    EXPECT_EQ(store(other.group()).Append(fits), refused);
    EXPECT_EQ(TrySync(), refused);
    ExpectHolds(twin);
    Reopen();
    ExpectRecovered(twin);
    ExpectRecovered(LogTwin(other.group()));
  }
  Append({twin.Add(2, "5")});
  Sync();
  ExpectHolds(twin);
}

// What a repair gives that is not what stood there changes nothing.
TEST_P(LogStoreContract, OnlyWhatStoodThereIsRepaired) {
  LogTwin twin(kGroup);
  std::vector<RecordRun> runs;
  for (int i = 1; i <= 6; ++i) runs.push_back(twin.Add(i < 4 ? 1 : 2, "entry"));
  Append(runs);
  Sync();
  const absl::Status repaired = store().Repair({runs[1], runs[4]});
  if (absl::IsUnimplemented(repaired)) GTEST_SKIP() << repaired;
  EXPECT_TRUE(repaired.ok()) << repaired;
  EXPECT_TRUE(store().Repair({}).ok());
  LogTwin longer = twin;
  for (const RecordRun& wrong :
       {longer.Add(2, "behind the end"), RunBehind(twin, 2, 2), RunBehind(twin, 3, 2),
        RunBehind(twin, 5, 2), RunBehind(twin, 2, 1, GroupId{2})}) {
    const absl::Status refused = store().Repair({wrong});
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  }
  ExpectHolds(twin);
  Sync();
  Reopen();
  ExpectRecovered(twin);
  ASSERT_TRUE(store().DropPrefix(2).ok());
  twin.base = 2;
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Repair({runs[1]})));
  Append({twin.Add(2, "7")});
  Sync();
  ExpectHolds(twin);
}

}  // namespace
}  // namespace cairn

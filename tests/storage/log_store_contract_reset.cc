// Logs that give way to a snapshot.

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/storage/log_store_contract.h"

namespace cairn {
namespace {

constexpr GroupId kGroup = GroupId::kDefault;

// A history of the group that this node has not seen: `count` entries of `term` behind `shared`.
LogTwin Elsewhere(LogTwin shared, Term term, size_t count) {
  shared.AddRun(term, std::vector<std::string>(count, "elsewhere"));
  shared.base = shared.last();
  return shared;
}

class Resetting {
 public:
  explicit Resetting(LogStoreContract& test) : test_(test) {}
  // The store's log, and `twin`, give way to a snapshot at the end of `to`.
  void operator()(LogTwin& twin, LogTwin to) {
    to.hard_state = twin.hard_state;
    twin = std::move(to);
    const absl::Status status =
        test_.store(twin.group()).Reset(twin.PositionAt(twin.base), twin.HashAt(twin.base));
    EXPECT_TRUE(status.ok()) << status;
  }

 private:
  LogStoreContract& test_;
};

TEST_P(LogStoreContract, AResetTakesTheWholeLog) {
  Resetting reset(*this);
  LogTwin twin(kGroup);
  twin.hard_state = {2, NodeId{1}};
  LogAppend append;
  append.hard_state = twin.hard_state;
  append.runs = {twin.AddRun(1, {"1", "2", "3", "4"})};
  Append(append);
  Sync();
  // The new beginning is behind the old end, or the log is entirely new.
  reset(twin, Elsewhere(LogTwin(kGroup), 3, 10));
  ExpectHolds(twin);
  EXPECT_TRUE(absl::IsOutOfRange(store().Read(10, 11, 1 << 20).status()));
  EXPECT_TRUE(absl::IsOutOfRange(store().HashAt(4).status()));
  Sync();
  Reopen();
  ExpectRecovered(twin);
  Append({twin.Add(3, "11"), twin.Add(4, "12")});
  ExpectHolds(twin);
  Sync();
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, AResetMayGoBehindEntriesThatWere) {
  Resetting reset(*this);
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, {"1", "2"})});
  const LogTwin shared = twin;
  Append({twin.AddRun(1, {"3", "4", "5", "6", "7", "8", "9"})});
  Sync();
  reset(twin, Elsewhere(shared, 2, 3));  // 5 in term 2
  ExpectHolds(twin);
  Append({twin.Add(2, "another 6")});
  ExpectHolds(twin);
  Sync();
  Reopen();
  ExpectRecovered(twin);
  Append({twin.Add(2, "another 7")});
  Sync();
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, AnEmptyLogMayBeReset) {
  Resetting reset(*this);
  LogTwin twin(kGroup);
  reset(twin, Elsewhere(LogTwin(kGroup), 5, 7));
  ExpectHolds(twin);
  Sync();
  EXPECT_EQ(disk().Groups(), std::vector<GroupId>({kGroup}));
  Reopen();
  ExpectRecovered(twin);
  Append({twin.Add(5, "8")});
  Sync();
  Reopen();
  ExpectRecovered(twin);
}

// Everything since the last sync goes into one batch.
TEST_P(LogStoreContract, AResetMeetsOtherChangesInOneSync) {
  Resetting reset(*this);
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, {"1", "2", "3", "4", "5", "6"})});
  Sync();
  EXPECT_TRUE(store().DropPrefix(2).ok());
  LogAppend append;
  append.truncate_from = 5;
  twin.TruncateFrom(5);
  append.runs = {twin.AddRun(2, {"5", "6", "7"})};
  Append(append);
  reset(twin, Elsewhere(twin, 3, 2));
  Append({twin.AddRun(3, {"a", "b", "c"})});
  EXPECT_TRUE(store().DropPrefix(twin.base + 1).ok());
  ++twin.base;
  ExpectHolds(twin);
  reset(twin, Elsewhere(twin, 4, 1));
  Append({twin.AddRun(4, {"d", "e"})});
  append = LogAppend();
  append.truncate_from = twin.last();
  twin.TruncateFrom(twin.last());
  Append(append);
  ExpectHolds(twin);
  Sync();
  ExpectHolds(twin);
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, AResetLeavesOtherGroupsAlone) {
  Resetting reset(*this);
  LogTwin twin(kGroup);
  LogTwin other(GroupId{7});
  Append({twin.AddRun(1, {"1", "2"})});
  Append({other.AddRun(1, {"1", "2"})}, other.group());
  Sync();
  reset(twin, Elsewhere(LogTwin(kGroup), 2, 9));
  Append({other.Add(1, "3")}, other.group());
  ExpectHolds(other);
  Sync();
  Reopen();
  ExpectRecovered(twin);
  ExpectRecovered(other);
}

TEST_P(LogStoreContract, NoResetToBeforeTheBase) {
  LogTwin twin(kGroup);
  Append({twin.AddRun(1, {"1", "2", "3", "4"})});
  EXPECT_TRUE(store().DropPrefix(3).ok());
  twin.base = 3;
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Reset(twin.PositionAt(2), twin.HashAt(2))));
  ExpectHolds(twin);
  Sync();
  Append({twin.Add(1, "5")});
  Sync();
  Reopen();
  ExpectRecovered(twin);
}

// The log of before, or the reset one: nothing between.
TEST_P(LogStoreContract, AResetIsWhole) {
  if (!has_power_cuts()) GTEST_SKIP();
  Resetting reset(*this);
  int old = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    StartOver(seed);
    LogTwin twin(kGroup);
    Append({twin.AddRun(1, {"1", "2", "3", "4", "5"})});
    Sync();
    const LogTwin before = twin;
    reset(twin, Elsewhere(LogTwin(kGroup), 2, 3 + seed % 5));
    PowerCut();
    const bool kept = recovered().base == LogPosition();
    old += kept ? 1 : 0;
    ExpectRecovered(kept ? before : twin);
    // And it goes on from there.
    if (kept) reset(twin, twin);
    Append({twin.Add(3, "behind")});
    Sync();
    PowerCut();
    ExpectRecovered(twin);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(old, 0);
}

}  // namespace
}  // namespace cairn

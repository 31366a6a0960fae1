// Groups that are closed, opened again, and forgotten.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/storage/log_store_contract.h"

namespace cairn {
namespace {

constexpr GroupId kGroup = GroupId::kDefault;
constexpr GroupId kOther{7};

LogTwin Filled(LogStoreContract& test, GroupId group) {
  LogTwin twin(group);
  twin.hard_state = {3, NodeId{2}};
  LogAppend append;
  append.hard_state = twin.hard_state;
  append.runs = {twin.AddRun(1, {"1", "2"}), twin.Add(1, "members", EntryType::kConfiguration),
                 twin.AddRun(3, {"4", "5"})};
  append.commit = 4;
  test.Append(append, group);
  test.Sync();
  return twin;
}

bool Has(const LogDisk& disk, GroupId group) {
  const std::vector<GroupId> groups = disk.Groups();
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

TEST_P(LogStoreContract, AClosedGroupIsOpenedAgainAsItWas) {
  LogTwin twin = Filled(*this, kGroup);
  const LogTwin other = Filled(*this, kOther);
  for (int i = 0; i < 3; ++i) {
    CloseGroup(kGroup);
    ExpectRecovered(twin);
    EXPECT_LE(recovered().known_commit, 4u);
    Append({twin.Add(4, "more")});
    Sync();
    ExpectHolds(other);
  }
  CloseGroup(kGroup);
  Reopen();
  ExpectRecovered(twin);
  ExpectRecovered(other);
}

TEST_P(LogStoreContract, ADroppedGroupIsANewOne) {
  Filled(*this, kGroup);
  const LogTwin other = Filled(*this, kOther);
  CloseGroup(kGroup);
  ASSERT_TRUE(disk().DropGroup(kGroup).ok());
  Sync();
  EXPECT_FALSE(Has(disk(), kGroup));
  EXPECT_TRUE(Has(disk(), kOther));
  LogTwin twin(kGroup);
  ExpectRecovered(twin);
  EXPECT_EQ(recovered().known_commit, 0u);
  ExpectHolds(other);
  // Its second life is another history, with lower terms and less of it.
  Append({twin.AddRun(1, {"another", "life"})});
  Sync();
  ExpectHolds(twin);
  Reopen();
  ExpectRecovered(twin);
  EXPECT_LE(recovered().known_commit, 0u);
  ExpectRecovered(other);
  // And goes, too.
  CloseGroup(kGroup);
  ASSERT_TRUE(disk().DropGroup(kGroup).ok());
  Sync();
  Reopen();
  EXPECT_FALSE(Has(disk(), kGroup));
  ExpectRecovered(LogTwin(kGroup));
}

TEST_P(LogStoreContract, AGroupIsDroppedAndBeganAnewInOneSync) {
  Filled(*this, kGroup);
  CloseGroup(kGroup);
  ASSERT_TRUE(disk().DropGroup(kGroup).ok());
  LogTwin twin(kGroup);
  Append({twin.AddRun(2, {"a", "b", "c"})});
  LogAppend overwrite;
  twin.TruncateFrom(2);
  overwrite.truncate_from = 2;
  overwrite.runs = {twin.Add(3, "another b")};
  Append(overwrite);
  ExpectHolds(twin);
  Sync();
  Reopen();
  ExpectRecovered(twin);
}

TEST_P(LogStoreContract, WhatNeverWasIsDroppedWithoutHarm) {
  const LogTwin other = Filled(*this, kOther);
  ASSERT_TRUE(disk().DropGroup(kGroup).ok());
  Sync();
  Reopen();
  ExpectRecovered(LogTwin(kGroup));
  ExpectRecovered(other);
}

// Before the sync a power cut leaves all or nothing of the group; behind it nothing.
TEST_P(LogStoreContract, ADropIsWholeOrNotAtAll) {
  if (!has_power_cuts()) GTEST_SKIP();
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    StartOver(seed);
    const LogTwin twin = Filled(*this, kGroup);
    const LogTwin other = Filled(*this, kOther);
    CloseGroup(kGroup);
    ASSERT_TRUE(disk().DropGroup(kGroup).ok());
    const bool synced = seed % 2 == 0;
    if (synced) Sync();
    PowerCut();
    ExpectRecovered(!synced && Has(disk(), kGroup) ? twin : LogTwin(kGroup));
    ExpectRecovered(other);
  }
}

// Blocks that hold nothing but what was dropped are given back, and what they say of the first life
// is not taken for the second.
TEST_P(LogStoreContract, LivesOfAGroupDoNotMix) {
  LogTwin other = Filled(*this, kOther);
  for (int life = 1; life <= 4; ++life) {
    LogTwin twin(kGroup);
    const size_t count = 40 / static_cast<size_t>(life);
    for (size_t i = 0; i < count; ++i) {
      Append({twin.Add(1, std::string(900, static_cast<char>('a' + life)))});
      Append({other.Add(3, std::string(300, 'o'))}, kOther);
      Sync();
    }
    Reopen();
    ExpectRecovered(twin);
    ExpectRecovered(other);
    CloseGroup(kGroup);
    ASSERT_TRUE(disk().DropGroup(kGroup).ok());
    Sync();
    if (life % 2 == 0) Reopen();
  }
  ExpectRecovered(LogTwin(kGroup));
  ExpectHolds(other);
}

}  // namespace
}  // namespace cairn

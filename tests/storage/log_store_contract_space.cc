// A disk that is full for a while.

#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "storage/no_room.h"
#include "tests/storage/log_store_contract.h"

namespace cairn {
namespace {

constexpr GroupId kGroup = GroupId::kDefault;

TEST_P(LogStoreContract, WhatIsRefusedForWantOfRoomIsKeptAndWrittenLater) {
  if (!CanFillUp()) GTEST_SKIP() << "a full disk is a failure of this store, or it has no disk";
  LogTwin twin(kGroup);
  Append({twin.Add(1, "before")});
  Sync();
  LogTwin synced = twin;
  FillUp(true);
  absl::Status status;
  for (int i = 0; status.ok(); ++i) {
    ASSERT_LT(i, 2000);
    synced = twin;
    Append({twin.Add(1, std::string(1500, static_cast<char>('a' + i % 26)))});
    status = TrySync();
  }
  ASSERT_TRUE(IsNoRoom(status)) << status;
  EXPECT_FALSE(disk().has_room());
  // It is there as before, for readers and for the next sync.
  ExpectHolds(twin);
  LogAppend vote;
  twin.hard_state = {2, NodeId{1}};
  vote.hard_state = twin.hard_state;
  Append(vote);
  TrySync().IgnoreError();
  ExpectHolds(twin);
  FillUp(false);
  disk().SeekRoom();
  Sync();
  EXPECT_TRUE(disk().has_room());
  ExpectHolds(twin);
  Append({twin.Add(2, "after")});
  Sync();
  Reopen();
  ExpectRecovered(twin);
  ExpectHolds(twin);
}

// The power goes meanwhile: what was synced is there, and what was refused is not, or is whole.
TEST_P(LogStoreContract, APowerCutOfAFullDiskLosesNothingThatWasSynced) {
  if (!CanFillUp() || !has_power_cuts()) GTEST_SKIP() << "not with this store";
  LogTwin twin(kGroup);
  Append({twin.Add(1, "before")});
  Sync();
  FillUp(true);
  absl::Status status;
  LogTwin synced = twin;
  for (int i = 0; i < 2000; ++i) {
    synced = twin;
    Append({twin.Add(1, std::string(1500, 'x'))});
    if (status = TrySync(); !status.ok()) break;
  }
  ASSERT_TRUE(IsNoRoom(status)) << status;
  PowerCut();
  FillUp(false);
  ExpectRecovered(synced);
  ExpectHolds(synced);
}

}  // namespace
}  // namespace cairn

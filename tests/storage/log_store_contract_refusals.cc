// A system that refuses calls for a while: the file system has become read-only, or the process has
// no file handles left.

#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "storage/no_room.h"
#include "tests/storage/log_store_contract.h"

namespace cairn {
namespace {

constexpr GroupId kGroup = GroupId::kDefault;
constexpr size_t kNoLimit = size_t{1} << 40;

// All that was synced can be read, and is as it was.
void ExpectReadable(LogStore& store, const LogTwin& synced) {
  ASSERT_GE(store.last().index, synced.last());
  for (Index index = synced.base + 1; index <= synced.last(); ++index) {
    const auto runs = store.Read(index, index, kNoLimit);
    ASSERT_TRUE(runs.ok()) << runs.status();
    EXPECT_EQ(RecordsOf(*runs), synced.At(index).record);
  }
}

// Writes until that is refused, or `most` entries are there. Gives why, and in `synced` what was
// acknowledged.
absl::Status WriteOn(LogStoreContract& contract, LogTwin& twin, LogTwin& synced, int most) {
  absl::Status status;
  for (int i = 0; i < most && status.ok(); ++i) {
    LogAppend append;
    append.runs = {twin.Add(1, std::string(1500, static_cast<char>('a' + i % 26)))};
    status = contract.store().Append(append);
    if (status.ok()) status = contract.TrySync();
    if (status.ok()) synced = twin;
  }
  return status;
}

// What is final ends all writes with the same error, and no reads.
void ExpectFinal(LogStoreContract& contract, const LogTwin& synced, const absl::Status& error) {
  ExpectReadable(contract.store(), synced);
  EXPECT_EQ(contract.TrySync().code(), error.code());
  LogAppend vote;
  vote.hard_state = {9, NodeId{2}};
  EXPECT_EQ(contract.store().Append(vote).code(), error.code());
  ExpectReadable(contract.store(), synced);
}

TEST_P(LogStoreContract, ADiskThatBecomesReadOnlyEndsWritesAndNotReads) {
  if (!CanRefuse()) GTEST_SKIP() << "it has no disk, or that cannot be played";
  LogTwin twin(kGroup);
  LogTwin synced = twin;
  ASSERT_TRUE(WriteOn(*this, twin, synced, 30).ok());
  Refuse(Refusal::kReadOnly);
  const absl::Status error = WriteOn(*this, twin, synced, 1);
  EXPECT_TRUE(absl::IsPermissionDenied(error)) << error;
  ExpectFinal(*this, synced, error);
  // That it can be written again changes nothing for this process.
  Refuse(Refusal::kNone);
  ExpectFinal(*this, synced, error);
  // A start on a read-only disk is refused, and changes nothing.
  Reopen();
  Refuse(Refusal::kReadOnly);
  const absl::Status refused = TryOpen();
  EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
  Refuse(Refusal::kNone);
  Reopen();
  ExpectReadable(store(), synced);
  EXPECT_TRUE(recovered().faulty.empty());
  EXPECT_GT(recovered().torn_from.value_or(kMaxIndex), synced.last());
}

// Either it waits, says so, and goes on by itself, or that is final.
TEST_P(LogStoreContract, WithoutFileHandlesNothingIsLost) {
  if (!CanRefuse()) GTEST_SKIP() << "it has no disk, or that cannot be played";
  LogTwin twin(kGroup);
  LogTwin synced = twin;
  ASSERT_TRUE(WriteOn(*this, twin, synced, 30).ok());
  Refuse(Refusal::kNoHandles);
  const absl::Status error = WriteOn(*this, twin, synced, 3000);
  EXPECT_EQ(IsNoRoom(error), WaitsForHandles()) << error;
  if (IsNoRoom(error)) {
    EXPECT_FALSE(disk().has_room());
    ExpectHolds(twin);
    for (int i = 0; i < 3; ++i) {
      disk().SeekRoom();
      EXPECT_TRUE(IsNoRoom(TrySync()));
    }
    ExpectHolds(twin);
    Refuse(Refusal::kNone);
    disk().SeekRoom();
    Sync();
    synced = twin;
    EXPECT_TRUE(disk().has_room());
    EXPECT_TRUE(WriteOn(*this, twin, synced, 100).ok());
    ExpectHolds(twin);
  } else if (!error.ok()) {
    ExpectFinal(*this, synced, error);
    Refuse(Refusal::kNone);
    ExpectFinal(*this, synced, error);
  }
  Refuse(Refusal::kNone);
  Reopen();
  ExpectReadable(store(), synced);
  EXPECT_TRUE(recovered().faulty.empty());
  EXPECT_GT(recovered().torn_from.value_or(kMaxIndex), synced.last());
  Refuse(Refusal::kNoHandles);
  Reopen();
  EXPECT_FALSE(TryOpen().ok());
  Refuse(Refusal::kNone);
  ExpectReadable(store(), synced);
}

}  // namespace
}  // namespace cairn

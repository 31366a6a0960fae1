#include "raft/compaction.h"

#include <optional>

#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr uint64_t kMany = uint64_t{1} << 40;

CompactionOptions Options(uint64_t snapshot_bytes, uint64_t snapshot_entries,
                          uint64_t retained_bytes, uint64_t retained_entries) {
  return {snapshot_bytes, snapshot_entries, retained_bytes, retained_entries};
}

TEST(CompactionTest, ASnapshotIsDueByEntriesOrBytes) {
  Compaction by_entries(Options(kMany, 10, 0, 0), 0, 0);
  by_entries.Append(20, 100);
  EXPECT_FALSE(by_entries.SnapshotDue(9));
  EXPECT_TRUE(by_entries.SnapshotDue(10));
  by_entries.Durable(10);
  EXPECT_FALSE(by_entries.SnapshotDue(19));
  EXPECT_TRUE(by_entries.SnapshotDue(20));

  Compaction by_bytes(Options(1000, kMany, 0, 0), 0, 0);
  by_bytes.Append(100, 900);
  EXPECT_FALSE(by_bytes.SnapshotDue(100));
  by_bytes.Append(200, 900);
  EXPECT_FALSE(by_bytes.SnapshotDue(100));
  EXPECT_TRUE(by_bytes.SnapshotDue(200));
}

// Sizes of what was recovered are not known; their number is.
TEST(CompactionTest, RecoveredEntriesCountByNumber) {
  Compaction compaction(Options(1000, 10, 0, 0), 50, 65);
  compaction.Durable(50);
  EXPECT_TRUE(compaction.SnapshotDue(60));
  EXPECT_FALSE(compaction.SnapshotDue(59));
}

TEST(CompactionTest, NothingIsDroppedBeforeItIsDurableElsewhere) {
  Compaction compaction(Options(kMany, kMany, kMany, 0), 0, 0);
  compaction.Append(100, 10'000);
  EXPECT_EQ(compaction.DropTo({}), 0u);
  compaction.Durable(40);
  EXPECT_EQ(compaction.DropTo({}), 40u);
  compaction.Dropped(40);
  EXPECT_EQ(compaction.DropTo({}), 0u);
}

TEST(CompactionTest, ATailStays) {
  Compaction compaction(Options(kMany, kMany, kMany, 30), 0, 0);
  compaction.Append(100, 10'000);
  compaction.Durable(100);
  EXPECT_EQ(compaction.DropTo({}), 70u);
  // But no more bytes of it than allowed.
  Compaction large(Options(kMany, kMany, 1'000'000, 90), 0, 0);
  for (Index last = 1; last <= 100; ++last) large.Append(last, 100'000);
  large.Durable(100);
  EXPECT_GE(large.DropTo({}), 88u);
  EXPECT_LE(large.DropTo({}), 90u);
}

TEST(CompactionTest, WhatSomebodyIsBroughtToStays) {
  Compaction compaction(Options(kMany, kMany, kMany, 0), 0, 0);
  compaction.Append(100, 10'000);
  compaction.Durable(100);
  EXPECT_EQ(compaction.DropTo(25), 25u);
  compaction.Dropped(25);
  EXPECT_EQ(compaction.DropTo(25), 0u);
  EXPECT_EQ(compaction.DropTo({}), 100u);
}

// Each drop is a write: it waits for something worth it, or for all there is.
TEST(CompactionTest, SmallStepsWait) {
  Compaction compaction(Options(kMany, kMany, kMany, 100), 0, 0);
  compaction.Append(1000, 1000);
  compaction.Durable(2000);
  EXPECT_EQ(compaction.DropTo({}), 900u);
  compaction.Dropped(900);
  compaction.Append(1010, 1000);
  EXPECT_EQ(compaction.DropTo({}), 0u);
  compaction.Append(1030, 1000);
  EXPECT_EQ(compaction.DropTo({}), 930u);
}

TEST(CompactionTest, FollowsTruncationsAndResets) {
  Compaction compaction(Options(1000, kMany, kMany, 0), 0, 0);
  compaction.Append(50, 500);
  compaction.Append(100, 600);
  EXPECT_TRUE(compaction.SnapshotDue(100));
  compaction.Truncate(51);
  compaction.Append(60, 100);
  EXPECT_FALSE(compaction.SnapshotDue(60));
  compaction.Append(70, 500);
  EXPECT_TRUE(compaction.SnapshotDue(70));
  compaction.Reset(500);
  EXPECT_EQ(compaction.durable(), 500u);
  EXPECT_FALSE(compaction.SnapshotDue(500));
  EXPECT_EQ(compaction.DropTo({}), 0u);
  compaction.Append(501, 2000);
  EXPECT_TRUE(compaction.SnapshotDue(501));
}

// A long log of which nothing is durable elsewhere costs no more and more memory, and is still
// measured well enough.
TEST(CompactionTest, MeasuresALongLogRoughly) {
  Compaction compaction(Options(kMany, kMany, 100'000'000, kMany), 0, 0);
  for (Index last = 1; last <= 20'000; ++last) compaction.Append(last, 100'000);
  compaction.Durable(20'000);
  const Index dropped = compaction.DropTo({});
  EXPECT_GT(dropped, 18'900u);
  EXPECT_LT(dropped, 19'010u);
}

}  // namespace
}  // namespace cairn

#include "storage/block/rewrite_queue.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "storage/block/log_inspector.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/damaged_log.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"

namespace cairn {
namespace {

TEST(RewriteQueueTest, ABlockWaitsForWhatChanges) {
  RewriteQueue queue;
  queue.Add(7);
  queue.Add(3);
  EXPECT_EQ(queue.Blocks(), std::vector<uint64_t>({3, 7}));
  queue.AddUnreadable(3, kGroupA, 5);
  EXPECT_TRUE(queue.IsUnreadable(3, kGroupA, 5));
  EXPECT_FALSE(queue.IsUnreadable(7, kGroupA, 5));
  EXPECT_FALSE(queue.IsUnreadable(3, kGroupB, 5));
  EXPECT_FALSE(queue.IsWaiting(3, {.spans = 1, .bytes = 100}));
  queue.Wait(3, {.spans = 1, .bytes = 100});
  EXPECT_TRUE(queue.IsWaiting(3, {.spans = 1, .bytes = 100}));
  EXPECT_FALSE(queue.IsWaiting(3, {.spans = 2, .bytes = 60}));
  EXPECT_FALSE(queue.IsWaiting(7, {.spans = 1, .bytes = 100}));
  queue.Add(3);
  EXPECT_TRUE(queue.IsUnreadable(3, kGroupA, 5)) << "nothing is forgotten";
  queue.Remove(3);
  EXPECT_FALSE(queue.Contains(3));
  EXPECT_FALSE(queue.IsUnreadable(3, kGroupA, 5));
}

// Group A's entries that stand in blocks that are not encrypted.
std::set<Index> Plain(SimulatedFileSystem& file_system, std::shared_ptr<const KeyRing> keys) {
  std::set<Index> plain;
  const auto log = LogInspector::Open(file_system, kTestDirectory, std::move(keys));
  EXPECT_TRUE(log.ok()) << log.status();
  for (const Span& span : (*log)->groups().at(kGroupA).spans.spans()) {
    if ((*log)->blocks().at(span.block).file->header().is_encrypted()) continue;
    for (Index index = span.first; index <= span.last; ++index) plain.insert(index);
  }
  return plain;
}

size_t PlainBlocks(SimulatedFileSystem& file_system, std::shared_ptr<const KeyRing> keys) {
  size_t count = 0;
  const auto log = LogInspector::Open(file_system, kTestDirectory, std::move(keys));
  EXPECT_TRUE(log.ok()) << log.status();
  for (const auto& [id, block] : (*log)->blocks()) count += !block.file->header().is_encrypted();
  return count;
}

void WriteBatches(LogDriver& driver, int count) {
  for (int i = 0; i < count; ++i) {
    driver.Append(kGroupB, 1, {"short"});
    ASSERT_TRUE(driver.Sync().ok());
  }
}

// From plain to encrypted: an entry that cannot be read holds up no other one, and goes along as
// soon as a peer has given it. First and last of a block among them, neighbours, and all of them.
TEST(RewriteQueueTest, OnlyWhatCannotBeReadIsLeftBehind) {
  const Index last = [] {
    SimulatedFileSystem file_system;
    return DamagedLog(file_system).last().index;
  }();
  std::vector<std::set<Index>> cases = {{5, 6, 7, 8, 9, 10, 11, 12}, {2, last - 2}, {}};
  for (Index index = 1; index <= last; ++index) cases.push_back({index});
  for (Index index = 1; index < last; ++index) cases[2].insert(index);
  for (const std::set<Index>& bad : cases) {
    SCOPED_TRACE(testing::PrintToString(bad));
    SimulatedFileSystem file_system;
    const DamagedLog damaged(file_system);
    for (Index index : bad) damaged.FlipEntry(index);
    BlockLogOptions options = TestOptions();
    options.keys = TestRing(Cipher::kAes256Gcm);
    options.recent_bytes = 0;
    LogDriver driver(file_system, options);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    driver.set_model(damaged.model());
    LogStore& store = driver.store(kGroupA);
    WriteBatches(driver, 60);
    EXPECT_EQ(Plain(file_system, options.keys), bad);
    std::vector<RecordRun> runs;
    for (Index index : bad) runs.push_back(*damaged.model().at(kGroupA).At(index));
    ASSERT_TRUE(store.Repair(runs).ok());
    WriteBatches(driver, 60);
    EXPECT_EQ(Plain(file_system, options.keys), std::set<Index>());
    EXPECT_EQ(PlainBlocks(file_system, options.keys), 0u);
    for (const auto& [group, log] : driver.model()) {
      EXPECT_EQ(Difference(driver.store(group), log), "");
    }
  }
}

}  // namespace
}  // namespace cairn

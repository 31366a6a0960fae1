// Entries that cannot be read are written again, to another place.

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/crash_choice.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/damaged_log.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

// One byte of the payload is another one, all checksums are right.
RecordRun Forged(const RecordRun& entry) {
  RecordRunBuilder builder(kGroupA, {entry.first().index - 1, entry.first().term},
                           entry.previous_hash());
  builder.Add(PreparedEntry::Make(EntryType::kCommand, "forged"), entry.first().term, {});
  return std::move(builder).Build();
}

// Those of `log` that the store gives no DATA_LOSS for, checked to be the right ones.
std::set<Index> Readable(LogStore& store, const ModelLog& log) {
  std::set<Index> readable;
  for (const RecordRun& entry : log.entries) {
    const Index index = entry.first().index;
    const absl::StatusOr<std::vector<RecordRun>> read = store.Read(index, index, 1);
    if (absl::IsDataLoss(read.status())) continue;
    EXPECT_TRUE(read.ok()) << read.status();
    if (!read.ok()) continue;
    EXPECT_EQ(read->front().bytes().view(), entry.bytes().view()) << index;
    readable.insert(index);
  }
  return readable;
}

std::set<Index> All(const ModelLog& log) {
  std::set<Index> all;
  for (const RecordRun& entry : log.entries) all.insert(entry.first().index);
  return all;
}

TEST(RepairTest, EachEntryOfEachBlock) {
  const Index last = [] {
    SimulatedFileSystem file_system;
    return DamagedLog(file_system).last().index;
  }();
  for (Index index = 1; index <= last; ++index) {
    SCOPED_TRACE(index);
    SimulatedFileSystem file_system;
    const DamagedLog damaged(file_system);
    const ModelLog& log = damaged.model().at(kGroupA);
    damaged.FlipEntry(index);
    {
      LogDriver driver(file_system);
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      LogStore& store = driver.store(kGroupA);
      std::set<Index> expected = All(log);
      expected.erase(index);
      EXPECT_EQ(Readable(store, log), expected);
      const absl::Status forged = store.Repair({Forged(*log.At(index))});
      EXPECT_TRUE(absl::IsFailedPrecondition(forged)) << forged;
      EXPECT_EQ(Readable(store, log), expected);
      ASSERT_TRUE(store.Repair({*log.At(index)}).ok());
      EXPECT_EQ(Readable(store, log), All(log));
      ASSERT_TRUE(driver.Sync().ok());
    }
    file_system.RestartProcess();
    LogDriver driver(file_system);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    EXPECT_EQ(Difference(driver.recovered(kGroupA), log), "");
    EXPECT_EQ(Difference(driver.store(kGroupA), log), "");
  }
}

TEST(RepairTest, ManyAtOnceAndTheLogGoesOn) {
  SimulatedFileSystem file_system;
  const DamagedLog damaged(file_system);
  const ModelLog& log = damaged.model().at(kGroupA);
  // All but the last, which stands alone; what follows each of them is bad too.
  for (Index index = 1; index < log.last().index; ++index) damaged.FlipEntry(index);
  Model model;
  {
    LogDriver driver(file_system);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    driver.set_model(damaged.model());
    LogStore& store = driver.store(kGroupA);
    EXPECT_EQ(Readable(store, log), std::set<Index>{log.last().index});
    for (Index index = 1; index < log.last().index; index += 2) {
      // The next one is bad: nothing but the id records knows it.
      const absl::Status forged = store.Repair({Forged(*log.At(index))});
      EXPECT_TRUE(absl::IsFailedPrecondition(forged)) << forged;
    }
    std::vector<RecordRun> runs;
    for (Index index = 1; index < log.last().index; ++index) runs.push_back(*log.At(index));
    ASSERT_TRUE(store.Repair(runs).ok());
    EXPECT_EQ(Readable(store, log), All(log));
    driver.Append(kGroupA, 3, {"goes on"});
    driver.Append(kGroupB, 3, {"goes on"});
    ASSERT_TRUE(driver.Sync().ok());
    model = driver.model();
  }
  file_system.RestartProcess();
  LogDriver driver(file_system);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  for (const auto& [group, expected] : model) {
    EXPECT_EQ(Difference(driver.recovered(group), expected), "");
    EXPECT_EQ(Difference(driver.store(group), expected), "");
  }
}

TEST(RepairTest, WhatIsNotInBlocksIsRefused) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system);
  driver.Append(kGroupA, 1, {"1", "2", "3"});
  ASSERT_TRUE(driver.Sync().ok());
  driver.Drop(kGroupA, 1);
  driver.Append(kGroupA, 1, {"4"});
  const ModelLog& log = driver.model().at(kGroupA);
  for (const RecordRun& run : {*driver.synced().at(kGroupA).At(1), *log.At(4),
                               MakeRun(kGroupA, log, 1, {"5"}), MakeRun(kGroupB, log, 1, {"5"})}) {
    const absl::Status refused = driver.store(kGroupA).Repair({run});
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  }
  ASSERT_TRUE(driver.Sync().ok()) << "nothing has failed";
  EXPECT_EQ(Difference(driver.store(kGroupA), driver.model().at(kGroupA)), "");
}

// A power cut at each write and sync of a repair: the entries are as bad as before, or good.
TEST(RepairTest, APowerCutAtEachStepLosesNothing) {
  Random random(7);
  size_t repaired = 0, images = 0;
  for (const bool roll : {false, true}) {
    SimulatedFileSystem file_system;
    const DamagedLog damaged(file_system);
    ModelLog log = damaged.model().at(kGroupA);
    const std::set<Index> bad = {2, log.last().index - 1};
    for (Index index : bad) damaged.FlipEntry(index);
    std::vector<std::unique_ptr<SimulatedFileSystem>> cuts;
    {
      LogDriver driver(file_system);
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      driver.set_model(damaged.model());
      // A block that is nearly full, so that the repair begins the next one.
      for (const uint64_t blocks = driver.log().figures().blocks;
           roll && driver.log().figures().blocks == blocks;) {
        driver.Append(kGroupA, 2, {std::string(600, 'x')});
        ASSERT_TRUE(driver.Sync().ok());
      }
      log = driver.model().at(kGroupA);
      file_system.set_fault_hook([&](const FileAccess&) {
        for (const CrashChoice& choice :
             EnumerateCrashes(file_system.Pending(), {.exhaustive = 5, .samples = 16}, random)) {
          cuts.push_back(file_system.CrashImage(choice));
        }
        return FileFault();
      });
      ASSERT_TRUE(driver.store(kGroupA).Repair({*log.At(2), *log.At(*bad.rbegin())}).ok());
      file_system.set_fault_hook(nullptr);
    }
    for (const auto& image : cuts) {
      LogDriver driver(*image);
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      EXPECT_FALSE(driver.recovered(kGroupA).torn_from.has_value());
      std::set<Index> missing = All(log);
      for (Index index : Readable(driver.store(kGroupA), log)) missing.erase(index);
      EXPECT_TRUE(missing.empty() || missing == bad) << missing.size();
      ++images;
      if (missing.empty()) ++repaired;
    }
  }
  EXPECT_GT(images, size_t{20});
  EXPECT_GT(repaired, size_t{0});
}

}  // namespace
}  // namespace cairn

// A block log in a process that has no file handles left for a while: what cannot be done without
// one waits, and nothing goes that could not be looked at.

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/block/block_log.h"
#include "storage/crash_choice.h"
#include "storage/no_room.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

using Operation = FileAccess::Operation;

void RefuseHandles(SimulatedFileSystem& disk, Operation operation, const std::string& ending) {
  disk.set_fault_hook([operation, ending](const FileAccess& access) {
    const bool refused = access.operation == operation && absl::EndsWith(access.path, ending);
    return FileFault{.error = refused ? EMFILE : 0};
  });
}

// Until that is refused, or 60 entries are there.
absl::Status WriteOn(LogDriver& driver) {
  absl::Status status;
  for (int i = 0; i < 60 && status.ok(); ++i) {
    driver.Append(kGroupA, 1, {std::string(2000, 'x')});
    status = driver.Sync();
  }
  return status;
}

void ExpectAllThere(LogDriver& driver, const Model& model) {
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_EQ(Difference(driver.recovered(kGroupA), model.at(kGroupA)), "");
  EXPECT_EQ(Difference(driver.store(kGroupA), model.at(kGroupA)), "");
}

size_t CountOf(SimulatedFileSystem& disk, const std::string& ending) {
  const std::vector<std::string> names = disk.List(kTestDirectory).value();
  size_t count = 0;
  for (const std::string& name : names) count += absl::EndsWith(name, ending) ? 1 : 0;
  return count;
}

// To sync a directory takes a handle.
TEST(HandlesTest, ABlockWhoseNameCannotBeSyncedIsMadeLater) {
  for (const bool releases : {false, true}) {
    SCOPED_TRACE(releases ? "blocks are released" : "none are");
    SimulatedFileSystem disk;
    Model model;
    {
      LogDriver driver(disk);
      ASSERT_TRUE(WriteOn(driver).ok());
      if (releases) {
        driver.Drop(kGroupA, 50);
        ASSERT_TRUE(driver.Sync().ok());
      }
      RefuseHandles(disk, Operation::kSyncDirectory, "");
      const absl::Status refused = WriteOn(driver);
      ASSERT_TRUE(IsNoRoom(refused)) << refused;
      for (int i = 0; i < 3; ++i) {
        driver.log().SeekRoom();
        EXPECT_TRUE(IsNoRoom(driver.Sync()));
      }
      EXPECT_EQ(Difference(driver.store(kGroupA), driver.model().at(kGroupA)), "");
      const Model synced = driver.synced();
      Random random(1);
      for (const CrashPolicy policy : {CrashPolicy::kDropAll, CrashPolicy::kRandomSubset}) {
        const auto image = disk.CrashImage(ChooseCrash(policy, disk.Pending(), random));
        LogDriver later(*image);
        ExpectAllThere(later, synced);
      }
      disk.set_fault_hook(nullptr);
      driver.log().SeekRoom();
      ASSERT_TRUE(driver.Sync().ok());
      EXPECT_TRUE(driver.log().has_room());
      ASSERT_TRUE(WriteOn(driver).ok());
      model = driver.model();
      // What was released while nobody could sync it is used again.
      EXPECT_LE(CountOf(disk, ".spare"), TestOptions().max_spares);
    }
    disk.RestartProcess();
    LogDriver driver(disk);
    ExpectAllThere(driver, model);
  }
}

TEST(HandlesTest, WhatUpkeepReleasesWaitsToo) {
  SimulatedFileSystem disk;
  LogDriver driver(disk);
  ASSERT_TRUE(WriteOn(driver).ok());
  driver.Drop(kGroupA, 50);
  ASSERT_TRUE(driver.Sync().ok());
  RefuseHandles(disk, Operation::kSyncDirectory, "");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(driver.log().Upkeep().ok());
  disk.set_fault_hook(nullptr);
  ASSERT_TRUE(WriteOn(driver).ok());
  EXPECT_EQ(Difference(driver.store(kGroupA), driver.model().at(kGroupA)), "");
}

// Half a spare is none and goes; one of which nobody knows stays.
TEST(HandlesTest, ASpareThatCannotBeLookedAtStays) {
  SimulatedFileSystem disk;
  Model model;
  {
    LogDriver driver(disk);
    ASSERT_TRUE(WriteOn(driver).ok());
    driver.Drop(kGroupA, 50);
    ASSERT_TRUE(driver.Sync().ok());
    driver.log().SeekRoom();
    model = driver.model();
  }
  const size_t spares = CountOf(disk, ".spare");
  ASSERT_GT(spares, 0u);
  disk.RestartProcess();
  for (const int error : {EMFILE, EIO}) {
    disk.set_fault_hook([error](const FileAccess& access) {
      const bool refused =
          access.operation == Operation::kOpen && absl::EndsWith(access.path, ".spare");
      return FileFault{.error = refused ? error : 0};
    });
    {
      LogDriver driver(disk);
      ExpectAllThere(driver, model);
      EXPECT_EQ(CountOf(disk, ".spare"), spares);
    }
    disk.RestartProcess();
  }
  disk.set_fault_hook(nullptr);
  LogDriver driver(disk);
  ExpectAllThere(driver, model);
  driver.set_model(model);
  ASSERT_TRUE(WriteOn(driver).ok());
  EXPECT_LT(CountOf(disk, ".spare"), spares) << "it becomes a block";
}

}  // namespace
}  // namespace cairn

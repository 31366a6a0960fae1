#include "storage/block/block_log.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/block/failed_sync.h"
#include "storage/checksum.h"
#include "storage/crash_choice.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

std::string Payload(size_t i, size_t length = 100) {
  std::string text = "entry " + std::to_string(i) + " ";
  text.resize(length, 'p');
  return text;
}

// Everything the driver knows is in its log, and in the log of a process that comes after it.
void ExpectAllThere(LogDriver& driver, FileSystem& file_system) {
  for (const auto& [group, expected] : driver.model()) {
    EXPECT_EQ(Difference(driver.store(group), expected), "") << "group " << ToInteger(group);
  }
  (void)file_system;
}

void ExpectRecovers(SimulatedFileSystem& file_system, const Model& model,
                    BlockLogOptions options = TestOptions()) {
  file_system.RestartProcess();
  LogDriver driver(file_system, options);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  for (const auto& [group, expected] : model) {
    EXPECT_EQ(Difference(driver.recovered(group), expected), "") << "group " << ToInteger(group);
    EXPECT_EQ(Difference(driver.store(group), expected), "") << "group " << ToInteger(group);
  }
}

TEST(BlockLogTest, NewLogIsEmpty) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_STREQ(driver.log().name(), "block");
  EXPECT_TRUE(driver.log().Groups().empty());
  EXPECT_EQ(Difference(driver.recovered(kGroupA), ModelLog()), "");
  EXPECT_EQ(driver.store(kGroupA).Read(1, 1, 1).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(driver.store(kGroupA).HashAt(0).value(), EntryHash());
  EXPECT_TRUE(driver.Sync().ok());
}

// It may be opened by any thread.
TEST(BlockLogTest, AGroupThatIsOpenedWhileABatchIsWrittenComesWithTheNextOne) {
  SimulatedFileSystem file_system;
  {
    BlockLogOptions options = TestOptions();
    options.new_groups_are_lost = true;
    LogDriver driver(file_system, options);
    LogAppend sure;
    sure.hard_state = {.term = 1};
    sure.sure = true;
    ASSERT_TRUE(driver.store(kGroupA).Append(sure).ok());
    bool opened = false;
    file_system.set_fault_hook([&](const FileAccess& access) {
      if (access.operation == FileAccess::Operation::kWrite && !opened) {
        opened = true;
        EXPECT_TRUE(driver.log().OpenGroup(kGroupB).ok());
      }
      return FileFault();
    });
    ASSERT_TRUE(driver.Sync().ok());
    file_system.set_fault_hook(nullptr);
    ASSERT_TRUE(opened);
    ASSERT_TRUE(driver.Sync().ok());
  }
  file_system.RestartProcess();
  LogDriver driver(file_system);
  EXPECT_FALSE(driver.recovered(kGroupA).hard_state_lost);
  EXPECT_TRUE(driver.recovered(kGroupB).hard_state_lost);
}

TEST(BlockLogTest, KeepsWhatWasSynced) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system);
  driver.Vote(kGroupA, {.term = 1, .vote = static_cast<NodeId>(3)});
  driver.Append(kGroupA, 1, {"a", "b"});
  driver.Append(kGroupB, 2, {"c"});
  ExpectAllThere(driver, file_system);
  ASSERT_TRUE(driver.Sync().ok());
  driver.AppendConfiguration(kGroupA, 3, "members");
  driver.Append(kGroupA, 4, {"d"});
  ASSERT_TRUE(driver.Sync().ok());
  ExpectAllThere(driver, file_system);
  EXPECT_EQ(driver.log().Groups(), (std::vector<GroupId>{kGroupA, kGroupB}));
  ExpectRecovers(file_system, driver.model());
}

TEST(BlockLogTest, GoesThroughManyBlocks) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system);
  for (size_t i = 0; i < 200; ++i) {
    driver.Append(i % 3 == 0 ? kGroupA : kGroupB, 1 + i / 50, {Payload(i), Payload(i, i)});
    ASSERT_TRUE(driver.Sync().ok());
  }
  EXPECT_GT(driver.log().figures().blocks, 10u);
  ExpectAllThere(driver, file_system);
  ExpectRecovers(file_system, driver.model());
}

// Cuts the power so that all of the last batch is there but sectors of its records: drops the
// pending ones at `lost`, counted from the first sector of the write.
std::unique_ptr<SimulatedFileSystem> WithoutSectors(const SimulatedFileSystem& file_system,
                                                    const std::vector<size_t>& lost) {
  CrashChoice choice;
  size_t place = 0;
  for (const PendingOperation& each : file_system.Pending()) {
    if (std::find(lost.begin(), lost.end(), place++) == lost.end()) choice.kept.insert(each.id);
  }
  return file_system.CrashImage(choice);
}

// A batch of two entries of which one cannot be read, as a power cut leaves it.
std::unique_ptr<SimulatedFileSystem> WithTornTail(Model* synced) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system);
  driver.Append(kGroupA, 1, {"a"});
  EXPECT_TRUE(driver.Sync().ok());
  *synced = driver.synced();
  driver.Append(kGroupA, 1, {Payload(2, 2000), Payload(3, 2000)});
  std::unique_ptr<SimulatedFileSystem> image;
  file_system.set_fault_hook([&](const FileAccess& access) {
    if (access.operation == FileAccess::Operation::kSync) image = WithoutSectors(file_system, {7});
    return FileFault();
  });
  EXPECT_TRUE(driver.Sync().ok());
  return image;
}

TEST(BlockLogTest, RottenEntriesOfABlockAreForgottenOnceALaterBlockHasThemAnew) {
  Model synced;
  std::unique_ptr<SimulatedFileSystem> file_system = WithTornTail(&synced);
  Model model;
  {
    LogDriver driver(*file_system);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    ASSERT_EQ(driver.recovered(kGroupA).torn_from, Index{3});
    driver.set_model(synced);
    LogAppend append;
    append.truncate_from = 3;
    ModelLog end = synced.at(kGroupA);
    end.entries.push_back(driver.store(kGroupA).Read(2, 2, 1).value().front());
    append.runs = {MakeRun(kGroupA, end, 2, {"in place of the torn one"})};
    ASSERT_TRUE(driver.store(kGroupA).Append(append).ok());
    // On through so many blocks that the one with the new entry is read by its footer.
    const uint64_t before = driver.log().figures().blocks;
    ModelLog log = end;
    Apply(append, log);
    while (driver.log().figures().blocks < before + 3) {
      LogAppend more;
      more.runs = {MakeRun(kGroupA, log, 2, {Payload(4, 3000)})};
      ASSERT_TRUE(driver.store(kGroupA).Append(more).ok());
      Apply(more, log);
      ASSERT_TRUE(driver.Sync().ok());
    }
    model[kGroupA] = log;
  }
  ExpectRecovers(*file_system, model);
}

// Opens a log whose process ended after a sync had failed, in the same boot of the machine.
TEST(BlockLogTest, AFailedSyncLeavesNoDamage) {
  size_t torn = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SimulatedFileSystem file_system({.seed = seed});
    Model synced;
    {
      LogDriver driver(file_system);
      driver.Append(kGroupA, 1, {"a", "b"});
      ASSERT_TRUE(driver.Sync().ok());
      synced = driver.synced();
      driver.Append(kGroupA, 1, {Payload(3, 2000), Payload(4, 2000)});
      file_system.set_fault_hook(NthFault(FileAccess::Operation::kSync, ".block", 1,
                                          {.error = EIO, .reached = FileFault::Reached::kSome}));
      ASSERT_FALSE(driver.Sync().ok());
      file_system.set_fault_hook(nullptr);
    }
    file_system.RestartProcess();
    for (int start : {1, 2}) {
      LogDriver driver(file_system);
      ASSERT_TRUE(driver.status().ok()) << "seed " << seed << ": " << driver.status();
      const RecoveredLog& recovered = driver.recovered(kGroupA);
      EXPECT_TRUE(recovered.faulty.empty()) << "seed " << seed << ", start " << start;
      EXPECT_FALSE(recovered.hard_state_lost);
      const Index readable =
          recovered.torn_from ? *recovered.torn_from - 1 : driver.store(kGroupA).last().index;
      ASSERT_GE(readable, 2u) << "seed " << seed;
      for (Index index : {1u, 2u}) {
        EXPECT_EQ(driver.store(kGroupA).HashAt(index).value(),
                  synced.at(kGroupA).At(index)->last_hash());
      }
      if (start == 1) torn += recovered.torn_from.has_value() ? 1 : 0;
      EXPECT_FALSE(*file_system.Exists(JoinPath(kTestDirectory, kFailedSyncFileName)));
    }
  }
  EXPECT_GT(torn, 0u);
}

// A process ends before its last sync does; the next one opens the log, where the sync of what it
// found fails, or of what it writes itself. Found by the simulator: the third one took the hole for
// damage.
TEST(BlockLogTest, AFailedSyncOfAStartLeavesNoDamage) {
  int refused = 0;
  int cut = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SimulatedFileSystem file_system({.seed = seed});
    Model synced;
    {
      LogDriver driver(file_system);
      driver.Append(kGroupA, 1, {"a", "b"});
      ASSERT_TRUE(driver.Sync().ok());
      synced = driver.synced();
      driver.Append(kGroupA, 1, {Payload(3, 2000), Payload(4, 2000)});
      file_system.set_fault_hook(
          NthFault(FileAccess::Operation::kSync, ".block", 1, {.lost = true}));
      ASSERT_TRUE(driver.Sync().ok()) << "as far as it was told";
    }
    for (int start = 2; start <= 4; ++start) {
      file_system.RestartProcess();
      const bool fails = start <= static_cast<int>(2 + seed % 2);
      if (fails) {
        file_system.set_fault_hook(NthFault(FileAccess::Operation::kSync, ".block", start - 1,
                                            {.error = EIO, .reached = FileFault::Reached::kSome}));
      }
      LogDriver driver(file_system);
      file_system.set_fault_hook(nullptr);
      if (!driver.status().ok()) {
        ASSERT_TRUE(fails) << "seed " << seed << ", start " << start << ": " << driver.status();
        ++refused;
        continue;
      }
      const RecoveredLog& recovered = driver.recovered(kGroupA);
      EXPECT_TRUE(recovered.faulty.empty()) << "seed " << seed << ", start " << start;
      EXPECT_FALSE(recovered.hard_state_lost);
      const Index last = driver.store(kGroupA).last().index;
      ASSERT_GE(recovered.torn_from ? *recovered.torn_from - 1 : last, 2u) << "seed " << seed;
      for (Index index : {1u, 2u}) {
        EXPECT_EQ(driver.store(kGroupA).HashAt(index).value(),
                  synced.at(kGroupA).At(index)->last_hash());
      }
      cut += recovered.torn_from || last < 4 ? 1 : 0;
    }
  }
  EXPECT_GT(refused, 40) << "some at both syncs";
  EXPECT_GT(cut, 0);
}

// The mark speaks of one batch of one boot.
TEST(BlockLogTest, TheMarkOfAFailedSyncExcusesNothingElse) {
  for (const bool same_batch : {true, false}) {
    SimulatedFileSystem file_system;
    LogDriver driver(file_system);
    driver.Append(kGroupA, 1, {"a"});
    ASSERT_TRUE(driver.Sync().ok());
    driver.Append(kGroupA, 1, {Payload(2, 2000), Payload(3, 2000)});
    ASSERT_TRUE(driver.Sync().ok());
    const uint64_t batch = driver.log().figures().batches;
    const uint64_t now = Checksum(file_system.BootId().value());
    file_system.RestartProcess();
    const std::string block = JoinPath(kTestDirectory, BlockFileName(1));
    file_system.ZeroSector(block, 2048 + 5 * 512);
    MarkFailedSync(file_system, kTestDirectory, now, same_batch ? batch : batch + 1);
    LogDriver next(file_system);
    ASSERT_TRUE(next.status().ok()) << next.status();
    EXPECT_EQ(next.recovered(kGroupA).torn_from.has_value(), same_batch);
    EXPECT_EQ(next.recovered(kGroupA).faulty.empty(), same_batch);
  }
}

}  // namespace
}  // namespace cairn

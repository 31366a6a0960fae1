#include "raft/lifecycle/tombstone.h"

#include <string>

#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{7};

Tombstone Make(uint64_t deletions, bool removed) {
  return {kGroup, deletions, Incarnation{1000 + deletions}, removed};
}

bool Holds(FileSystem& files, const Tombstone& expected) {
  const auto found = LoadTombstone(files, "/data", kGroup);
  return found.ok() && *found && (*found)->deletions == expected.deletions &&
         (*found)->incarnation == expected.incarnation && (*found)->removed == expected.removed;
}

TEST(TombstoneTest, IsThereOrNot) {
  SimulatedFileSystem files;
  EXPECT_FALSE(LoadTombstone(files, "/data", kGroup).value().has_value());
  EXPECT_TRUE(UnfinishedTombstones(files, "/data").value().empty());
  ASSERT_TRUE(SaveTombstone(files, "/data", Make(1, false)).ok());
  EXPECT_TRUE(Holds(files, Make(1, false)));
  ASSERT_EQ(UnfinishedTombstones(files, "/data").value().size(), 1u);
  EXPECT_EQ(UnfinishedTombstones(files, "/data").value()[0].group, kGroup);
  ASSERT_TRUE(SaveTombstone(files, "/data", Make(1, true)).ok());
  EXPECT_TRUE(Holds(files, Make(1, true)));
  EXPECT_TRUE(UnfinishedTombstones(files, "/data").value().empty());
}

TEST(TombstoneTest, OneDamagedCopyIsHealed) {
  for (const char* copy : {"tombstone", "tombstone.copy"}) {
    for (uint64_t at = 0; at < 45; ++at) {
      SimulatedFileSystem files;
      ASSERT_TRUE(SaveTombstone(files, "/data", Make(2, true)).ok());
      files.FlipBits(std::string("/data/groups/7/") + copy, at, 0x10);
      EXPECT_TRUE(Holds(files, Make(2, true))) << copy << " " << at;
      // Both are good again.
      for (const char* other : {"tombstone", "tombstone.copy"}) {
        if (std::string(other) != copy)
          files.FlipBits(std::string("/data/groups/7/") + other, 3, 1);
      }
      EXPECT_TRUE(Holds(files, Make(2, true))) << copy << " " << at;
    }
  }
}

TEST(TombstoneTest, TwoDamagedCopiesAreNoNewGroup) {
  SimulatedFileSystem files;
  ASSERT_TRUE(SaveTombstone(files, "/data", Make(2, true)).ok());
  files.FlipBits("/data/groups/7/tombstone", 9, 1);
  files.FlipBits("/data/groups/7/tombstone.copy", 30, 1);
  EXPECT_TRUE(absl::IsDataLoss(LoadTombstone(files, "/data", kGroup).status()));
}

// Whenever the power goes, the old one or the new one counts.
TEST(TombstoneTest, PowerCuts) {
  for (int cut = 1;; ++cut) {
    SimulatedFileSystem files;
    ASSERT_TRUE(files.MakeDirectory("/data").ok());
    ASSERT_TRUE(SaveTombstone(files, "/data", Make(1, true)).ok());
    int calls = 0;
    bool was_cut = false;
    files.set_fault_hook([&](const FileAccess&) {
      FileFault fault;
      if (++calls >= cut) was_cut = true;
      if (was_cut) fault.error = 5;
      return fault;
    });
    const bool saved = SaveTombstone(files, "/data", Make(2, false)).ok();
    files.set_fault_hook(nullptr);
    files.Crash(CrashChoice());
    EXPECT_TRUE(Holds(files, Make(2, false)) || (!saved && Holds(files, Make(1, true)))) << cut;
    if (!was_cut) break;
  }
}

TEST(TombstoneTest, FilesOfTheGroupGo) {
  SimulatedFileSystem files;
  for (const char* path : {"/data/groups/7/machine/deep/er", "/data/groups/8/machine",
                           "/data/snapshots/7", "/data/snapshots/70"}) {
    ASSERT_TRUE(files.MakeDirectory(path).ok());
    ASSERT_TRUE(WriteFileAtomically(files, std::string(path) + "/file", "x").ok());
  }
  ASSERT_TRUE(RemoveGroupFiles(files, "/data", kGroup).ok());
  files.Crash(CrashChoice());
  EXPECT_FALSE(files.Exists("/data/groups/7/machine").value());
  EXPECT_FALSE(files.Exists("/data/snapshots/7").value());
  EXPECT_TRUE(files.Exists("/data/groups/8/machine/file").value());
  EXPECT_TRUE(files.Exists("/data/snapshots/70/file").value());
  ASSERT_TRUE(RemoveGroupFiles(files, "/data", kGroup).ok());
}

}  // namespace
}  // namespace cairn

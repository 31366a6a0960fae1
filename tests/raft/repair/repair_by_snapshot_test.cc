// A member that cannot read an entry the leader has compacted, in virtual time: it is brought back
// by a snapshot, also where another member is down.

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "tests/raft/lifecycle/life_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};

class RepairBySnapshotTest : public testing::Test {
 protected:
  RepairBySnapshotTest() {
    cluster_.options.compaction.snapshot_entries = 1'000'000;
    cluster_.options.compaction.retained_entries = 5;
    cluster_.OpenEverywhere(kGroup);
    leader_ = cluster_.Leader(kGroup);
    follower_ = cluster_.Follower(kGroup);
    third_ = 6 - leader_ - follower_;
    cluster_.Fill(kGroup, 5);
    cluster_.Propose(leader_, kGroup, kCommand);
    cluster_.Fill(kGroup, 60);
    EXPECT_TRUE(cluster_.Await([&] {
      return cluster_.Status(follower_, kGroup).applied_index ==
             cluster_.Status(leader_, kGroup).last_index;
    }));
  }

  // The entry of kCommand, in the log of a node that is down.
  void Damage(uint64_t node) {
    SimulatedFileSystem& files = cluster_.Files(node);
    size_t found = 0;
    const absl::StatusOr<std::vector<std::string>> names = files.List("/data/log");
    ASSERT_TRUE(names.ok());
    for (const std::string& name : *names) {
      const std::string path = "/data/log/" + name;
      const absl::StatusOr<std::string> bytes = ReadWholeFile(files, path);
      if (!bytes.ok()) continue;
      const size_t at = bytes->find(kCommand);
      if (at == std::string::npos) continue;
      files.FlipBits(path, at, 1);
      ++found;
    }
    ASSERT_EQ(found, 1u);
  }

  static constexpr char kCommand[] = "the one that will be unreadable";
  LifeCluster cluster_;
  uint64_t leader_ = 0;
  uint64_t follower_ = 0;
  uint64_t third_ = 0;
};

TEST_F(RepairBySnapshotTest, TheLeaderHasCompactedItAndTheThirdIsDown) {
  ASSERT_TRUE(cluster_.Snapshot(leader_, kGroup).ok());
  ASSERT_TRUE(cluster_.Await([&] { return cluster_.Status(leader_, kGroup).first_index > 40; }));
  cluster_.Stop(follower_);
  Damage(follower_);
  cluster_.Stop(third_);
  cluster_.Start(follower_);
  ASSERT_TRUE(cluster_.Open(follower_, kGroup).ok());
  EXPECT_TRUE(cluster_.Await([&] { return !cluster_.View(follower_, kGroup).restored.empty(); },
                             Seconds(10)));
  ASSERT_NE(cluster_.Leader(kGroup), 0u);
  cluster_.Fill(kGroup, 1);
  EXPECT_TRUE(cluster_.Await([&] {
    return cluster_.View(follower_, kGroup).commands == cluster_.View(leader_, kGroup).commands;
  }));
  EXPECT_TRUE(cluster_.Stopped(follower_).ok());
}

}  // namespace
}  // namespace cairn

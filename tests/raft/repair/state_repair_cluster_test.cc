// Whole hosts over files in virtual time: members lose what their logs begin behind, and get it
// from each other; and one comes back with an older disk.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "tests/raft/repair/disk_cluster.h"

namespace cairn {
namespace {

constexpr char kSnapshots[] = "/data/snapshots/1";

class StateRepairClusterTest : public testing::TestWithParam<std::string> {
 protected:
  StateRepairClusterTest() {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.Propose(70));
    cluster_.Run(Seconds(1));
    for (uint64_t node = 1; node <= 3; ++node) EXPECT_GT(cluster_.Status(node).first_index, 30u);
    expected_ = cluster_.Commands(1);
  }

  // The files of the snapshot of `node` whose names end so; all but the manifest for "data".
  std::vector<std::string> SnapshotFiles(uint64_t node, bool manifest) {
    std::vector<std::string> paths;
    const auto names = cluster_.Files(node).List(kSnapshots).value();
    for (const std::string& name : names) {
      if (absl::EndsWith(name, ".manifest") != manifest) continue;
      const std::string path = absl::StrCat(kSnapshots, "/", name);
      if (ReadWholeFile(cluster_.Files(node), path).value().empty()) continue;
      paths.push_back(path);
    }
    EXPECT_FALSE(paths.empty());
    return paths;
  }
  void DamageContent(uint64_t node) {
    for (const std::string& path : SnapshotFiles(node, false)) {
      cluster_.Files(node).FlipBits(path, 1, 4);
    }
  }
  void DamageManifest(uint64_t node) {
    for (const std::string& path : SnapshotFiles(node, true)) {
      cluster_.Files(node).FlipBits(path, 40, 4);
    }
  }
  void ExpectHealed() {
    EXPECT_TRUE(cluster_.Await([&] { return cluster_.Whole(); }, Seconds(10)));
    for (uint64_t node = 1; node <= 3; ++node) {
      EXPECT_TRUE(cluster_.Stopped(node).ok()) << node << ": " << cluster_.Stopped(node);
      EXPECT_TRUE(absl::StartsWith(cluster_.Commands(node), expected_)) << node;
    }
    EXPECT_TRUE(cluster_.Propose(1));
    EXPECT_TRUE(cluster_.Await([&] { return cluster_.Whole(); }));
  }

  DiskCluster cluster_{3, {.log_store = GetParam()}};
  std::string expected_;
};

TEST_P(StateRepairClusterTest, AMemberGetsAnotherSnapshot) {
  for (const bool manifest : {false, true}) {
    const uint64_t node = cluster_.SomeFollower();
    cluster_.Stop(node);
    manifest ? DamageManifest(node) : DamageContent(node);
    cluster_.Start(node);
    cluster_.Run(Milliseconds(1));
    EXPECT_EQ(cluster_.Status(node).state, NodeState::kRepairing);
    EXPECT_TRUE(absl::StrContains(cluster_.Status(node).reason, "is lost here"))
        << cluster_.Status(node).reason;
    EXPECT_EQ(cluster_.Status(node).durable_index, 0u) << "it acknowledges nothing";
    ExpectHealed();
  }
}

TEST_P(StateRepairClusterTest, TheLeaderToo) {
  const uint64_t leader = cluster_.AwaitLeader();
  cluster_.Stop(leader);
  DamageManifest(leader);
  cluster_.Start(leader);
  ExpectHealed();
}

// Nobody can lead before one of the two has its state again.
TEST_P(StateRepairClusterTest, OneOfThreeHasItAndNobodyLeads) {
  for (uint64_t node = 1; node <= 3; ++node) cluster_.Stop(node);
  DamageContent(1);
  DamageManifest(2);
  cluster_.StartAll();
  ExpectHealed();
}

TEST_P(StateRepairClusterTest, WhatAllHaveLostStopsThemAll) {
  for (uint64_t node = 1; node <= 3; ++node) {
    cluster_.Stop(node);
    DamageContent(node);
  }
  cluster_.StartAll();
  cluster_.Run(Seconds(30));
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_TRUE(absl::IsDataLoss(cluster_.Stopped(node))) << cluster_.Stopped(node);
    EXPECT_EQ(cluster_.Status(node).state, NodeState::kHalted);
  }
}

// The leader serves on, and what it cannot read any more it saves anew.
TEST_P(StateRepairClusterTest, ALeaderSavesAnotherOne) {
  const uint64_t leader = cluster_.AwaitLeader();
  const uint64_t behind = cluster_.SomeFollower();
  cluster_.Stop(behind);
  cluster_.Files(behind).RestartProcess();
  ASSERT_TRUE(cluster_.Propose(40));
  cluster_.Run(Seconds(1));
  expected_ = cluster_.Commands(leader);
  DamageContent(leader);
  cluster_.Start(behind);
  ExpectHealed();
  EXPECT_EQ(cluster_.AwaitLeader(), leader);
  cluster_.Stop(leader);
  cluster_.Start(leader);
  cluster_.Run(Milliseconds(1));
  EXPECT_NE(cluster_.Status(leader).state, NodeState::kRepairing) << "its own one is good";
  ExpectHealed();
}

// Fault catalogue D17.
TEST_P(StateRepairClusterTest, AnOlderDiskIsNotBelieved) {
  const uint64_t leader = cluster_.AwaitLeader();
  const uint64_t node = cluster_.SomeFollower();
  DiskCluster::Disk old = cluster_.ImageOf(node);
  ASSERT_TRUE(cluster_.Propose(3));
  cluster_.Run(Seconds(1));
  cluster_.Stop(node);
  DiskCluster::Disk newer = cluster_.ImageOf(node);
  cluster_.SetDisk(node, std::move(old));
  cluster_.Start(node);
  cluster_.Run(Seconds(1));
  EXPECT_EQ(cluster_.AwaitLeader(), leader);
  EXPECT_TRUE(absl::IsFailedPrecondition(cluster_.Stopped(node))) << cluster_.Stopped(node);
  EXPECT_TRUE(absl::StartsWith(cluster_.Stopped(node).message(), "MEMBER_AMNESIA"))
      << cluster_.Stopped(node);
  EXPECT_TRUE(cluster_.Propose(3)) << "the others go on";
  // The disk it had is welcome.
  cluster_.Stop(node);
  cluster_.SetDisk(node, std::move(newer));
  cluster_.Start(node);
  ExpectHealed();
}

INSTANTIATE_TEST_SUITE_P(LogStores, StateRepairClusterTest, testing::Values("block", "rocksdb"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace cairn

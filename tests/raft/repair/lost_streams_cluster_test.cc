// Streams that are lost at a start: both checkpoints bad or gone, files gone, in any combination,
// on one of three nodes and on two of five. Nothing acknowledged is lost, and no hand is needed:
// the state is made again from the log, or comes from another member.

#include <cerrno>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "storage/loss_report.h"
#include "tests/raft/repair/disk_cluster.h"
#include "tests/raft/repair/flip_cluster.h"

namespace cairn {
namespace {

constexpr char kMachine[] = "/data/groups/1/machine";

std::string PathOf(const std::string& name) { return absl::StrCat(kMachine, "/", name); }

DiskCluster::Options Streams() {
  DiskCluster::Options options;
  options.streams = true;
  options.loss_report = true;
  options.scrub = {.bytes_per_second = 1 << 20, .period = Seconds(1)};
  return options;
}

// With logs that begin with the first entry, and checkpoints of a few entries before the last.
DiskCluster::Options WithWholeLogs() {
  DiskCluster::Options options = Streams();
  options.retained_entries = 1'000'000;
  return options;
}

// What the store uses, and what was set aside.
std::vector<std::string> FilesOf(SimulatedFileSystem& disk) {
  std::vector<std::string> names = disk.List(kMachine).value();
  std::erase_if(names, [](const auto& name) { return absl::EndsWith(name, ".lost"); });
  return names;
}

std::vector<std::string> KeptIn(SimulatedFileSystem& disk) {
  std::vector<std::string> names = disk.List(kMachine).value();
  std::erase_if(names, [](const auto& name) { return !absl::EndsWith(name, ".lost"); });
  return names;
}

void Remove(SimulatedFileSystem& disk, const std::string& name) {
  EXPECT_TRUE(disk.Remove(PathOf(name)).ok()) << name;
  EXPECT_TRUE(disk.SyncDirectory(kMachine).ok());
}

void RemoveAll(SimulatedFileSystem& disk) {
  for (const std::string& name : FilesOf(disk)) Remove(disk, name);
}

void SpoilCheckpoints(SimulatedFileSystem& disk) {
  disk.FlipBits(PathOf("CHECKPOINT"), 60, 1);
  disk.FlipBits(PathOf("CHECKPOINT.copy"), 61, 1);
}

void RemoveCheckpoints(SimulatedFileSystem& disk) {
  Remove(disk, "CHECKPOINT");
  Remove(disk, "CHECKPOINT.copy");
}

using Harm = std::function<void(SimulatedFileSystem&)>;
std::map<std::string, Harm> Harms() {
  return {{"both checkpoints are bad", SpoilCheckpoints},
          {"both checkpoints are gone", RemoveCheckpoints},
          {"all files are gone", RemoveAll},
          {"all but the checkpoints is gone", [](SimulatedFileSystem& disk) {
             for (const std::string& name : FilesOf(disk)) {
               if (absl::EndsWith(name, ".block")) Remove(disk, name);
             }
           }}};
}

class LostStreamsClusterTest : public testing::Test {
 protected:
  const std::map<std::string, Harm> harms_ = Harms();
  FlipCluster Begin(uint64_t nodes) {
    FlipCluster cluster(nodes, Streams());
    EXPECT_EQ(cluster.wrong(), "");
    return cluster;
  }
};

TEST_F(LostStreamsClusterTest, WhateverIsLostOfOneOfThree) {
  FlipCluster cluster = Begin(3);
  for (const auto& [what, harm] : harms_) {
    for (uint64_t node = 1; node <= 3; ++node) {
      EXPECT_EQ(cluster.AfterDamage([&harm = harm, node](auto& disks) { harm(*disks[node - 1]); }),
                "")
          << what << " of node " << node;
    }
  }
}

TEST_F(LostStreamsClusterTest, AnyMissingFileOfOneOfThree) {
  FlipCluster cluster = Begin(3);
  int files = 0;
  const std::map<std::string, std::string> all = cluster.FilesOf(2);
  for (const auto& [path, bytes] : all) {
    if (!absl::StartsWith(path, kMachine)) continue;
    ++files;
    EXPECT_EQ(cluster.AfterDamage([&path = path](auto& disks) {
      EXPECT_TRUE(disks[1]->Remove(path).ok());
      EXPECT_TRUE(disks[1]->SyncDirectory(kMachine).ok());
    }),
              "")
        << path;
  }
  EXPECT_GE(files, 5);
}

TEST_F(LostStreamsClusterTest, WhateverIsLostOfTwoOfFive) {
  FlipCluster cluster = Begin(5);
  for (const auto& [what, harm] : harms_) {
    for (const auto& [other_what, other_harm] : harms_) {
      const auto both = [&harm = harm, &other = other_harm](auto& disks) {
        harm(*disks[1]);
        other(*disks[3]);
      };
      EXPECT_EQ(cluster.AfterDamage(both), "") << what << "; " << other_what;
    }
  }
}

// Nobody can lead then before one of the two has its state again.
TEST_F(LostStreamsClusterTest, TwoOfThreeHaveLostThem) {
  FlipCluster cluster = Begin(3);
  for (const auto& [what, harm] : harms_) {
    EXPECT_EQ(cluster.AfterDamage([&harm = harm](auto& disks) {
      harm(*disks[0]);
      harm(*disks[2]);
    }),
              "")
        << what;
  }
}

TEST_F(LostStreamsClusterTest, WhatWasThereIsKeptAndReported) {
  DiskCluster cluster(3, Streams());
  cluster.StartAll();
  ASSERT_TRUE(cluster.Propose(70));
  cluster.Run(Seconds(1));
  const std::string expected = cluster.Commands(2);
  cluster.Stop(2);
  SpoilCheckpoints(cluster.Files(2));
  const std::vector<std::string> names = FilesOf(cluster.Files(2));
  cluster.Start(2);
  ASSERT_TRUE(cluster.runs(2)) << cluster.Stopped(2);
  EXPECT_EQ(KeptIn(cluster.Files(2)).size(), names.size());
  EXPECT_EQ(cluster.Losses(2).counts().notes, 1u);
  cluster.Run(Milliseconds(1));
  EXPECT_EQ(cluster.Status(2).state, NodeState::kRepairing);
  EXPECT_TRUE(absl::StrContains(cluster.Status(2).reason, "is lost here"))
      << cluster.Status(2).reason;
  EXPECT_EQ(cluster.Status(2).durable_index, 0u) << "it acknowledges nothing";
  ASSERT_TRUE(cluster.Await([&] { return cluster.Whole(); }));
  EXPECT_EQ(cluster.Commands(2), expected);
  EXPECT_EQ(KeptIn(cluster.Files(2)).size(), names.size());
}

// A start is cut short wherever it may be; the next one goes on.
TEST_F(LostStreamsClusterTest, APowerCutAtEachCallOfTheStart) {
  DiskCluster before(3, Streams());
  before.StartAll();
  ASSERT_TRUE(before.Propose(70));
  before.Run(Seconds(1));
  const std::string expected = before.Commands(1);
  for (uint64_t node = 1; node <= 3; ++node) before.Stop(node);
  SpoilCheckpoints(before.Files(2));
  bool cut = true;
  for (uint64_t nth = 1; cut; ++nth) {
    std::vector<DiskCluster::Disk> disks;
    for (uint64_t node = 1; node <= 3; ++node) disks.push_back(before.ImageOf(node));
    DiskCluster cluster(std::move(disks), Streams());
    uint64_t calls = 0;
    cut = false;
    cluster.Files(2).set_fault_hook([&](const FileAccess& access) {
      FileFault fault;
      if (!absl::StartsWith(access.path, kMachine) || ++calls < nth) return fault;
      cut = true;
      fault.error = EIO;
      return fault;
    });
    cluster.Start(2);
    cluster.Files(2).set_fault_hook(nullptr);
    cluster.Stop(2);
    cluster.SetDisk(2, cluster.ImageOf(2));
    cluster.StartAll();
    ASSERT_TRUE(cluster.Await([&] { return cluster.Whole(); })) << nth;
    EXPECT_EQ(cluster.Commands(2), expected) << nth;
  }
}

// Where the log begins with its first entry nobody is needed.
TEST_F(LostStreamsClusterTest, AWholeLogMakesThemAgain) {
  for (const auto& [what, harm] : harms_) {
    if (what == "all but the checkpoints is gone") continue;  // the others give what is missing
    DiskCluster cluster(1, WithWholeLogs());
    cluster.StartAll();
    ASSERT_TRUE(cluster.Propose(70));
    cluster.Run(Seconds(1));
    ASSERT_EQ(cluster.Status(1).first_index, 1u);
    const std::string expected = cluster.Commands(1);
    cluster.Stop(1);
    harm(cluster.Files(1));
    cluster.Start(1);
    ASSERT_TRUE(cluster.runs(1)) << what << ": " << cluster.Stopped(1);
    ASSERT_TRUE(cluster.Await([&] { return cluster.Whole(); })) << what;
    EXPECT_EQ(cluster.Commands(1), expected) << what;
    EXPECT_TRUE(cluster.Propose(1)) << what;
  }
}

// Nothing can help then.
TEST_F(LostStreamsClusterTest, WhatAllHaveLostStopsThemAll) {
  for (const uint64_t nodes : {1, 3}) {
    DiskCluster cluster(nodes, Streams());
    cluster.StartAll();
    ASSERT_TRUE(cluster.Propose(70));
    cluster.Run(Seconds(1));
    for (uint64_t node = 1; node <= nodes; ++node) {
      ASSERT_GT(cluster.Status(node).first_index, 30u);
      cluster.Stop(node);
      SpoilCheckpoints(cluster.Files(node));
    }
    cluster.StartAll();
    cluster.Run(Seconds(60));  // one that began alone waits for others first
    for (uint64_t node = 1; node <= nodes; ++node) {
      ASSERT_TRUE(cluster.runs(node)) << cluster.Stopped(node);
      EXPECT_TRUE(absl::IsDataLoss(cluster.Stopped(node))) << cluster.Stopped(node);
      EXPECT_EQ(cluster.Status(node).state, NodeState::kHalted);
      EXPECT_GE(KeptIn(cluster.Files(node)).size(), 4u);
    }
  }
}

// One that does not run may have it: nobody gives up, serves or leads meanwhile.
TEST_F(LostStreamsClusterTest, WhoMayHaveItIsWaitedFor) {
  DiskCluster cluster(3, Streams());
  cluster.StartAll();
  ASSERT_TRUE(cluster.Propose(70));
  cluster.Run(Seconds(1));
  const std::string expected = cluster.Commands(1);
  for (uint64_t node = 1; node <= 3; ++node) cluster.Stop(node);
  for (const uint64_t node : {1, 2}) {
    SpoilCheckpoints(cluster.Files(node));
    cluster.Start(node);
  }
  cluster.Run(Seconds(10));
  for (const uint64_t node : {1, 2}) {
    EXPECT_TRUE(cluster.Stopped(node).ok()) << cluster.Stopped(node);
    EXPECT_EQ(cluster.Status(node).state, NodeState::kRepairing);
    EXPECT_FALSE(cluster.Status(node).serving_leader);
  }
  cluster.Start(3);
  ASSERT_TRUE(cluster.Await([&] { return cluster.Whole(); }));
  EXPECT_EQ(cluster.Commands(1), expected);
}

}  // namespace
}  // namespace cairn

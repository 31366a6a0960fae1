// Members whose block log has lost whole blocks (fault catalogue D8, D12, D15): files that are
// missing, cut short or zeros. Whole hosts in virtual time. They get what the blocks held from the
// others by themselves, and nothing that was acknowledged is lost.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_verifier.h"
#include "tests/raft/repair/disk_cluster.h"

namespace cairn {
namespace {

constexpr char kLog[] = "/data/log";

DiskCluster::Options Options() {
  DiskCluster::Options options;
  options.snapshot_entries = 1000;
  options.retained_entries = 1000;
  options.tail = std::string(600, 't');
  return options;
}

enum class Way { kMissing, kEmpty, kHalf, kZeros };
constexpr Way kWays[] = {Way::kMissing, Way::kEmpty, Way::kHalf, Way::kZeros};

std::string PathOf(uint64_t block) { return JoinPath(kLog, BlockFileName(block)); }

void Lose(SimulatedFileSystem& files, uint64_t block, Way way) {
  const std::string path = PathOf(block);
  const uint64_t size = ReadWholeFile(files, path).value().size();
  if (way == Way::kMissing) {
    ASSERT_TRUE(files.Remove(path).ok());
    ASSERT_TRUE(files.SyncDirectory(kLog).ok());
  } else if (way == Way::kZeros) {
    for (uint64_t at = 0; at < size; at += kSectorBytes) files.ZeroSector(path, at);
  } else {
    auto file = files.Open(path, {.mode = FileSystem::OpenMode::kReadWrite});
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Resize(way == Way::kHalf ? size / 2 : 0).ok());
    ASSERT_TRUE(files.SyncNow(**file).ok());
  }
}

std::vector<uint64_t> BlocksOf(SimulatedFileSystem& files) {
  std::vector<uint64_t> blocks;
  const absl::StatusOr<std::vector<std::string>> names = files.List(kLog);
  EXPECT_TRUE(names.ok()) << names.status();
  for (const std::string& name : *names) {
    if (const auto block = ParseBlockFileName(name)) blocks.push_back(*block);
  }
  return blocks;
}

// What `cairn log verify` finds there that may have been acknowledged.
std::string Faulty(SimulatedFileSystem& files) {
  const auto log = LogInspector::Open(files, kLog);
  if (!log.ok()) return log.status().ToString();
  std::string text;
  for (const VerifiedFile& file : VerifyLog(**log)) {
    for (const LogFinding& each : file.faulty) {
      absl::StrAppend(&text, each.path, " ", each.reason, "\n");
    }
  }
  return text;
}

class LostBlockClusterTest : public testing::Test {
 protected:
  // A group with entries in several blocks, of more than one term if others lead meanwhile.
  explicit LostBlockClusterTest(int leaders = 1) {
    cluster_.StartAll();
    for (int i = 0; i < leaders; ++i) {
      if (i > 0) {
        const uint64_t leader = cluster_.AwaitLeader();
        cluster_.Stop(leader);
        EXPECT_NE(cluster_.AwaitLeader(), 0u);
        cluster_.Start(leader);
      }
      EXPECT_TRUE(cluster_.Propose(30 / leaders));
    }
    cluster_.Run(Seconds(1));
    leader_ = cluster_.AwaitLeader();
    expected_ = cluster_.Commands(leader_);
  }

  // Ends the process of `node`; what it has of the log.
  std::vector<uint64_t> StopFor(uint64_t node) {
    cluster_.Stop(node);
    cluster_.Files(node).RestartProcess();
    return BlocksOf(cluster_.Files(node));
  }
  void Crash(uint64_t node) {
    cluster_.Stop(node);
    cluster_.SetDisk(node, cluster_.ImageOf(node));
  }
  void ExpectHealed(uint64_t node) {
    ASSERT_TRUE(cluster_.Stopped(node).ok()) << cluster_.Stopped(node);
    EXPECT_TRUE(cluster_.Await([&] { return cluster_.Whole(); }))
        << cluster_.Stopped(node) << " " << cluster_.Status(node).reason;
    EXPECT_TRUE(absl::StartsWith(cluster_.Commands(node), expected_));
    // The group needs it now.
    const uint64_t other = cluster_.AwaitLeader() == node ? node % 3 + 1 : cluster_.AwaitLeader();
    cluster_.Stop(other);
    EXPECT_TRUE(cluster_.Propose(3));
    cluster_.Start(other);
    EXPECT_TRUE(cluster_.Await([&] { return cluster_.Whole(); }));
    cluster_.Stop(node);
    EXPECT_EQ(Faulty(cluster_.Files(node)), "");
    Crash(node);
    cluster_.Start(node);
    cluster_.Run(Milliseconds(1));
    EXPECT_NE(cluster_.Status(node).state, NodeState::kRepairing) << cluster_.Status(node).reason;
    EXPECT_TRUE(cluster_.Propose(1));
  }

  DiskCluster cluster_{3, Options()};
  uint64_t leader_ = 0;
  std::string expected_;
};

class ManyTermsTest : public LostBlockClusterTest {
 protected:
  ManyTermsTest() : LostBlockClusterTest(5) {}
};

TEST_F(LostBlockClusterTest, ThereAreSeveral) {
  EXPECT_GE(StopFor(cluster_.SomeFollower()).size(), 4u);
}

// Of a follower each block in each way, one after the other; it heals before the next one is lost.
TEST_F(LostBlockClusterTest, AnyBlockOfAFollower) {
  for (const Way way : kWays) {
    for (size_t i = 0;; ++i) {
      const uint64_t node = cluster_.SomeFollower();
      const std::vector<uint64_t> blocks = StopFor(node);
      if (i >= blocks.size()) {
        cluster_.Start(node);
        break;
      }
      SCOPED_TRACE(absl::StrCat("block ", blocks[i], " of node ", node));
      Lose(cluster_.Files(node), blocks[i], way);
      EXPECT_NE(Faulty(cluster_.Files(node)), "");
      cluster_.Start(node);
      ExpectHealed(node);
      if (i > 12) break;  // the log grows meanwhile
    }
  }
}

TEST_F(LostBlockClusterTest, AnyBlockOfTheLeader) {
  for (size_t i = 0; i < 5; ++i) {
    const uint64_t node = cluster_.AwaitLeader();
    const std::vector<uint64_t> blocks = StopFor(node);
    ASSERT_LT(i, blocks.size());
    SCOPED_TRACE(absl::StrCat("block ", blocks[i], " of node ", node));
    Lose(cluster_.Files(node), blocks[i], Way::kHalf);
    cluster_.Start(node);
    ExpectHealed(node);
  }
}

// Also all of them; but some file is left.
TEST_F(LostBlockClusterTest, SeveralBlocksOfAFollower) {
  const uint64_t node = cluster_.SomeFollower();
  const size_t count = StopFor(node).size();
  const DiskCluster::Disk disk = cluster_.ImageOf(node);
  for (uint64_t lost = 1; lost < uint64_t{1} << count; lost = lost * 2 + 1) {
    for (const bool from_behind : {false, true}) {
      SCOPED_TRACE(absl::StrCat("blocks ", lost, from_behind ? " from behind" : ""));
      // Behind by what the others have done since, not by what it has forgotten here.
      const std::vector<uint64_t> blocks = StopFor(node);
      for (size_t i = 0; i < blocks.size(); ++i) {
        const size_t place = from_behind ? blocks.size() - 1 - i : i;
        if (place < 64 && (lost >> place & 1) != 0) {
          Lose(cluster_.Files(node), blocks[i], Way::kHalf);
        }
      }
      cluster_.Start(node);
      ExpectHealed(node);
    }
  }
}

TEST_F(LostBlockClusterTest, APowerCutAtAnyTime) {
  const uint64_t node = cluster_.SomeFollower();
  const std::vector<uint64_t> blocks = StopFor(node);
  Lose(cluster_.Files(node), blocks[1], Way::kHalf);
  Lose(cluster_.Files(node), blocks.back(), Way::kMissing);
  for (int step = 0; step < 50; ++step) {
    cluster_.Start(node);
    cluster_.Run(Milliseconds(4 * step));
    Crash(node);
  }
  cluster_.Start(node);
  ExpectHealed(node);
}

// Two have acknowledged, and one of them has forgotten it: it does not help the third one, which
// knows nothing of it, to a majority.
TEST_F(LostBlockClusterTest, WhatItHadAcknowledgedIsNotOutvoted) {
  const uint64_t node = cluster_.SomeFollower();
  const uint64_t behind = 6 - leader_ - node;
  cluster_.Stop(behind);
  ASSERT_TRUE(cluster_.Propose(15));
  expected_ = cluster_.Commands(leader_);
  const std::vector<uint64_t> blocks = StopFor(node);
  Lose(cluster_.Files(node), blocks.back(), Way::kMissing);
  cluster_.Stop(leader_);
  cluster_.Start(node);
  cluster_.Start(behind);
  EXPECT_EQ(cluster_.AwaitLeader(), 0u);
  cluster_.Start(leader_);
  ExpectHealed(node);
}

// The terms of what the block held nobody can tell: the member is caught up from before it.
TEST_F(ManyTermsTest, AnyBlockOfAFollower) {
  int unsure = 0;
  for (size_t i = 0;; ++i) {
    const uint64_t node = cluster_.SomeFollower();
    const std::vector<uint64_t> blocks = StopFor(node);
    if (i >= blocks.size() || i > 12) {  // the log grows meanwhile, or is compacted
      cluster_.Start(node);
      break;
    }
    SCOPED_TRACE(absl::StrCat("block ", blocks[i]));
    Lose(cluster_.Files(node), blocks[i], Way::kMissing);
    cluster_.Start(node);
    cluster_.Run(Milliseconds(1));
    if (absl::StrContains(cluster_.Status(node).reason, "neither votes nor acknowledges")) ++unsure;
    ExpectHealed(node);
  }
  EXPECT_GE(unsure, 2);
}

// A majority has acknowledged what stands behind the gap, too.
TEST_F(ManyTermsTest, WhatItHadAcknowledgedIsNotOutvoted) {
  const uint64_t node = cluster_.SomeFollower();
  const uint64_t behind = 6 - leader_ - node;
  cluster_.Stop(behind);
  ASSERT_TRUE(cluster_.Propose(1));
  expected_ = cluster_.Commands(leader_);
  const std::vector<uint64_t> blocks = StopFor(node);
  for (size_t i = 1; i + 1 < blocks.size(); ++i) {
    Lose(cluster_.Files(node), blocks[i], Way::kMissing);
  }
  cluster_.Stop(leader_);
  cluster_.Start(node);
  cluster_.Start(behind);
  EXPECT_EQ(cluster_.AwaitLeader(), 0u);
  cluster_.Start(leader_);
  ExpectHealed(node);
}

// What nobody has is made up by nobody.
TEST_F(LostBlockClusterTest, WhatAllHaveLost) {
  for (uint64_t node = 1; node <= 3; ++node) {
    const std::vector<uint64_t> blocks = StopFor(node);
    for (size_t i = 1; i + 1 < blocks.size(); ++i) {
      Lose(cluster_.Files(node), blocks[i], Way::kMissing);
    }
  }
  cluster_.StartAll();
  EXPECT_EQ(cluster_.AwaitLeader(), 0u);
  EXPECT_FALSE(cluster_.Whole());
  int told = 0;
  for (uint64_t node = 1; node <= 3; ++node) {
    if (absl::IsDataLoss(cluster_.Stopped(node))) ++told;
  }
  EXPECT_GE(told, 1);
}

TEST(LostBlockOfALoneMemberTest, ItStops) {
  for (const bool is_last : {false, true}) {
    DiskCluster cluster(1, Options());
    cluster.StartAll();
    ASSERT_TRUE(cluster.Propose(30));
    cluster.Stop(1);
    cluster.Files(1).RestartProcess();
    const std::vector<uint64_t> blocks = BlocksOf(cluster.Files(1));
    ASSERT_GE(blocks.size(), 3u);
    Lose(cluster.Files(1), is_last ? blocks.back() : blocks[1], Way::kMissing);
    cluster.Start(1);
    cluster.Run(Seconds(2));
    EXPECT_TRUE(absl::IsDataLoss(cluster.Stopped(1))) << cluster.Stopped(1);
  }
}

}  // namespace
}  // namespace cairn

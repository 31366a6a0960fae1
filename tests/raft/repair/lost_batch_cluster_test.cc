// A member whose block log has lost a batch in its middle, both copies of its id record: whole
// hosts in virtual time. It gets what the batch held from the others by itself.

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/raft/repair/disk_cluster.h"
#include "tests/raft/repair/lost_end.h"

namespace cairn {
namespace {

DiskCluster::Options WithoutSnapshots(uint64_t block_bytes) {
  DiskCluster::Options options;
  options.block_bytes = block_bytes;
  options.snapshot_entries = 1000;
  options.retained_entries = 1000;
  return options;
}

// Each batch of a follower's log in turn, of which so many have something missing when it starts.
void ExpectHealed(uint64_t block_bytes, int at_least) {
  int repaired = 0;
  for (uint64_t batch = 1;; ++batch) {
    SCOPED_TRACE(absl::StrCat("without batch ", batch));
    DiskCluster cluster(3, WithoutSnapshots(block_bytes));
    cluster.StartAll();
    ASSERT_TRUE(cluster.Propose(12));
    cluster.Run(Seconds(1));
    const uint64_t leader = cluster.AwaitLeader();
    const uint64_t node = cluster.SomeFollower();
    const std::string expected = cluster.Commands(leader);
    cluster.Stop(node);
    cluster.Files(node).RestartProcess();
    const absl::Status lost = LoseBatch(cluster.Files(node), "/data/log", batch);
    if (absl::IsNotFound(lost)) break;
    ASSERT_TRUE(lost.ok()) << lost;
    cluster.Start(node);
    ASSERT_TRUE(cluster.Stopped(node).ok()) << cluster.Stopped(node);
    cluster.Run(Milliseconds(1));
    if (cluster.Status(node).state == NodeState::kRepairing) ++repaired;
    EXPECT_TRUE(cluster.Await([&] { return cluster.Whole(); }))
        << cluster.Stopped(node) << " " << cluster.Status(node).reason;
    EXPECT_TRUE(absl::StartsWith(cluster.Commands(node), expected));
    // The group needs it now.
    cluster.Stop(leader);
    EXPECT_TRUE(cluster.Propose(3));
    // And it does not ask for them again.
    cluster.Stop(node);
    cluster.SetDisk(node, cluster.ImageOf(node));
    cluster.Start(node);
    cluster.Run(Milliseconds(1));
    EXPECT_NE(cluster.Status(node).state, NodeState::kRepairing) << cluster.Status(node).reason;
    EXPECT_TRUE(cluster.Propose(1));
  }
  EXPECT_GE(repaired, at_least);
}

// Also without the first one, the only checkpoint of its log.
TEST(LostBatchClusterTest, AMemberHealsByItself) { ExpectHealed(uint64_t{256} << 10, 12); }

// What the lost batch held is known by the footer of its block, and found when it is applied.
TEST(LostBatchClusterTest, InABlockThatIsSealed) { ExpectHealed(uint64_t{16} << 10, 0); }

}  // namespace
}  // namespace cairn

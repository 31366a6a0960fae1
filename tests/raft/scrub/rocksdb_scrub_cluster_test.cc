// Whole hosts in virtual time with their logs in RocksDB, whose tables rot, and nobody reads them
// but the scrub.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "tests/raft/repair/disk_cluster.h"

namespace cairn {
namespace {

constexpr char kDatabase[] = "/data/log/db";

class RocksDbScrubClusterTest : public testing::Test {
 protected:
  RocksDbScrubClusterTest() {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.Propose(60));
    cluster_.Run(Seconds(1));
    // Each start writes what memory has into a table.
    for (uint64_t node = 1; node <= 3; ++node) Restart(node);
    EXPECT_TRUE(cluster_.Await([this] { return cluster_.Whole(); }));
    expected_ = cluster_.Commands(1);
  }

  void Restart(uint64_t node) {
    cluster_.Stop(node);
    cluster_.Files(node).RestartProcess();
    cluster_.Start(node);
    ASSERT_TRUE(cluster_.Stopped(node).ok()) << cluster_.Stopped(node);
  }

  struct Place {
    std::string path;
    uint64_t offset = 0;
  };
  // Where the command stands in a table.
  Place Find(uint64_t node, int command) {
    const std::vector<std::string> names = cluster_.Files(node).List(kDatabase).value();
    for (const std::string& name : names) {
      if (!absl::EndsWith(name, ".sst")) continue;
      const std::string path = absl::StrCat(kDatabase, "/", name);
      const std::string bytes = ReadWholeFile(cluster_.Files(node), path).value();
      const size_t at = bytes.find(absl::StrCat("c", command, kTail));
      if (at != std::string::npos) return {path, at};
    }
    ADD_FAILURE() << "command " << command << " stands in no table of node " << node;
    return {};
  }
  void Flip(uint64_t node, int command) {
    const Place place = Find(node, command);
    cluster_.Files(node).FlipBits(place.path, place.offset, 0x10);
  }
  void ExpectHealed(uint64_t node) {
    const ScrubProgress progress = cluster_.Scrubbed(node);
    EXPECT_GE(progress.damaged, 1u);
    EXPECT_EQ(progress.damaged, progress.repaired);
    EXPECT_TRUE(cluster_.Stopped(node).ok()) << cluster_.Stopped(node);
    EXPECT_EQ(cluster_.Status(node).state, NodeState::kServing);
    EXPECT_TRUE(cluster_.Propose(3));
    // The next start finds nothing.
    Restart(node);
    EXPECT_TRUE(cluster_.Await([this] { return cluster_.Whole(); }));
    EXPECT_TRUE(absl::StartsWith(cluster_.Commands(node), expected_));
    cluster_.Run(Seconds(3));
    EXPECT_EQ(cluster_.Scrubbed(node).damaged, progress.damaged) << "and no scrub does";
    EXPECT_GT(cluster_.Scrubbed(node).rounds, progress.rounds);
  }

  static constexpr char kTail[] = " is a command of some length, so that a table has blocks";
  DiskCluster cluster_{3,
                       {.log_store = "rocksdb",
                        .scrub = {.bytes_per_second = 1 << 20, .period = Seconds(1)},
                        .tail = std::string(kTail) + std::string(1000, '.'),
                        .snapshot_entries = 1000,
                        .retained_entries = 1000}};
  std::string expected_;
};

TEST_F(RocksDbScrubClusterTest, AFollowersEntriesAreHealedAndNobodyReadThem) {
  const uint64_t node = cluster_.SomeFollower();
  Flip(node, 5);
  cluster_.Run(Seconds(3));
  ExpectHealed(node);
}

TEST_F(RocksDbScrubClusterTest, ALeadersEntriesAreHealedToo) {
  const uint64_t node = cluster_.AwaitLeader();
  Flip(node, 40);
  cluster_.Run(Seconds(3));
  ExpectHealed(node);
}

TEST_F(RocksDbScrubClusterTest, EachHasWhatTheOthersLack) {
  Flip(1, 2);
  Flip(2, 32);
  Flip(3, 59);
  cluster_.Run(Seconds(4));
  for (uint64_t node = 1; node <= 3; ++node) ExpectHealed(node);
}

TEST_F(RocksDbScrubClusterTest, AReadThatFailsIsAsRot) {
  const uint64_t node = cluster_.SomeFollower();
  const Place place = Find(node, 7);
  cluster_.Files(node).FailReads(place.path, place.offset / 512 * 512, 512);
  cluster_.Run(Seconds(3));
  ExpectHealed(node);
}

// Its place is kept, and the counts with it.
TEST_F(RocksDbScrubClusterTest, CountsAreKeptOverAStart) {
  const uint64_t node = cluster_.SomeFollower();
  Flip(node, 5);
  cluster_.Run(Seconds(4));
  const ScrubProgress before = cluster_.Scrubbed(node);
  EXPECT_GE(before.rounds, 2u);
  Restart(node);
  cluster_.Run(Milliseconds(1));
  EXPECT_EQ(cluster_.Scrubbed(node).damaged, before.damaged);
  EXPECT_GE(cluster_.Scrubbed(node).rounds, before.rounds);
}

}  // namespace
}  // namespace cairn

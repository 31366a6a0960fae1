// As flip_cluster_test, of the files of the streams: a flipped bit in any byte of any of them, on
// one of three nodes and on any two of five, while the nodes are stopped and while they serve.
// Nothing acknowledged is lost, the other members give what has rotted, and no hand and no start is
// needed.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/raft/repair/flip_cluster.h"

namespace cairn {
namespace {

constexpr char kMachine[] = "/data/groups/1/machine/";

DiskCluster::Options Streams() {
  DiskCluster::Options options;
  options.streams = true;
  options.scrub = {.bytes_per_second = 1 << 20, .period = Seconds(1)};
  return options;
}

std::string KindOf(const std::string& path) {
  return absl::EndsWith(path, ".block") ? "block" : path.substr(sizeof kMachine - 1);
}

class StreamFlipClusterTest : public testing::Test {
 protected:
  void Begin(uint64_t nodes) {
    cluster_.emplace(nodes, Streams());
    ASSERT_EQ(cluster_->wrong(), "");
    for (uint64_t node = 1; node <= nodes; ++node) {
      std::map<std::string, std::string> files = cluster_->FilesOf(node);
      std::erase_if(files, [](const auto& f) { return !absl::StartsWith(f.first, kMachine); });
      files_[node] = std::move(files);
    }
  }
  void ExpectMended() {
    EXPECT_GT(cluster_->parts_damaged(), 0u);
    EXPECT_EQ(cluster_->parts_damaged(), cluster_->parts_mended());
  }

  // A byte of each of two nodes, drawn many times; `strike` gives what is wrong then.
  template <typename Strike>
  void DrawTwoOfFive(uint64_t seed, Strike strike) {
    Begin(5);
    Random random(seed);
    for (int round = 0; round < 1'000; ++round) {
      const uint64_t first = 1 + random.Below(5);
      std::vector<Flip> flips;
      for (const uint64_t node : {first, 1 + (first + random.Below(4)) % 5}) {
        flips.push_back(DrawFlip(node, files_[node], random));
      }
      ASSERT_EQ(((*cluster_).*strike)(flips), "") << Describe(flips);
    }
    ExpectMended();
  }

  std::optional<FlipCluster> cluster_;
  std::map<uint64_t, std::map<std::string, std::string>> files_;
};

// Of a state of a dozen files one moves, and the leader goes on leading.
TEST(StreamMendClusterTest, OnlyWhatIsDamagedMoves) {
  DiskCluster::Options options = Streams();
  options.tail = std::string(200, '.');
  DiskCluster cluster(3, options);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Propose(100));
  cluster.Run(Seconds(1));
  for (uint64_t node = 1; node <= 3; ++node) {
    cluster.Stop(node);
    cluster.Files(node).RestartProcess();
    cluster.Start(node);
  }
  ASSERT_TRUE(cluster.Await([&] { return cluster.Whole(); }));
  const uint64_t leader = cluster.AwaitLeader();
  const Term term = cluster.Status(leader).term;
  const std::string path = std::string(kMachine) + "00000001-00000004.block";
  cluster.Files(leader).FlipBits(path, 700, 1);
  ASSERT_TRUE(cluster.Await([&] { return cluster.Status(leader).counts.state_damaged == 1; }));
  ASSERT_TRUE(cluster.Await([&] { return cluster.Status(leader).counts.state_mended == 1; }));
  ASSERT_TRUE(cluster.Await([&] { return cluster.Whole(); }));
  EXPECT_EQ(cluster.AwaitLeader(), leader);
  EXPECT_EQ(cluster.Status(leader).term, term);
  EXPECT_GT(cluster.Commands(leader).size(), 20'000u);
  EXPECT_GT(cluster.Status(leader).counts.snapshot_bytes_received, 1'500u);
  EXPECT_LT(cluster.Status(leader).counts.snapshot_bytes_received, 8'000u);
}

TEST_F(StreamFlipClusterTest, AnyByteOfOneOfThreeThatWasStopped) {
  Begin(3);
  std::map<std::string, int> tried;
  for (const auto& [path, bytes] : files_[2]) {
    for (uint64_t offset = 0; offset < bytes.size(); ++offset) {
      const std::vector<Flip> flips = {{2, path, offset}};
      ASSERT_EQ(cluster_->After(flips), "") << Describe(flips);
      ++tried[KindOf(path)];
    }
  }
  EXPECT_GE(tried["block"], 4000);
  EXPECT_GE(tried["CHECKPOINT"], 100);
  EXPECT_GE(tried["CHECKPOINT.copy"], 100);
  EXPECT_EQ(tried.size(), 3u) << "a kind of file that is not spoken of";
  ExpectMended();
}

TEST_F(StreamFlipClusterTest, AnyByteOfOneOfThreeThatServes) {
  Begin(3);
  std::map<std::string, int> tried;
  for (const auto& [path, bytes] : files_[2]) {
    for (uint64_t offset = 0; offset < bytes.size(); ++offset) {
      // Leaders, too: any of them may lead.
      const std::vector<Flip> flips = {{1 + offset % 3, path, offset}};
      ASSERT_EQ(cluster_->WhileRunning(flips), "") << Describe(flips);
      ++tried[KindOf(path)];
    }
  }
  EXPECT_EQ(tried.size(), 3u);
  ExpectMended();
}

TEST_F(StreamFlipClusterTest, AnyTwoOfFiveThatWereStopped) {
  DrawTwoOfFive(1, &FlipCluster::After);
}

TEST_F(StreamFlipClusterTest, AnyTwoOfFiveThatServe) {
  DrawTwoOfFive(2, &FlipCluster::WhileRunning);
}

}  // namespace
}  // namespace cairn

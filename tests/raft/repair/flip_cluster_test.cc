// A flipped bit in any byte of any file of one of three nodes, and of any two of five: after a
// start nothing that was acknowledged is lost, everybody serves, and no hand was needed. Two flips
// on one node may need one, and lose nothing either.
//
// The nodes are whole hosts over the block store; the files are all they keep.

#include "tests/raft/repair/flip_cluster.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

std::string KindOf(const std::string& path) {
  if (absl::StrContains(path, "/snapshots/")) {
    return absl::EndsWith(path, ".manifest") ? "snapshot manifest" : "snapshot content";
  }
  if (absl::StrContains(path, "MANIFEST")) return "log manifest";
  if (absl::EndsWith(path, ".block")) return "log block";
  if (absl::EndsWith(path, ".spare")) return "spare block";
  return absl::StrContains(path, "/identity") ? "identity" : path;
}

TEST(FlipClusterTest, AnyByteOfOneOfThree) {
  FlipCluster cluster(3);
  ASSERT_EQ(cluster.wrong(), "");
  std::map<std::string, int> tried;
  for (const auto& [path, bytes] : cluster.FilesOf(2)) {
    for (uint64_t offset = 0; offset < bytes.size(); ++offset) {
      const std::vector<Flip> flips = {{2, path, offset}};
      ASSERT_EQ(cluster.After(flips), "") << Describe(flips);
      ++tried[KindOf(path)];
    }
  }
  for (const char* kind : {"identity", "log manifest", "log block", "spare block",
                           "snapshot manifest", "snapshot content"}) {
    EXPECT_GE(tried[kind], 90) << kind;
  }
  EXPECT_EQ(tried.size(), 6u) << "a kind of file that is not spoken of";
  EXPECT_GE(cluster.repairs(), 1000);
}

TEST(FlipClusterTest, AnyTwoOfFive) {
  FlipCluster cluster(5);
  ASSERT_EQ(cluster.wrong(), "");
  Random random(1);
  std::vector<std::map<std::string, std::string>> files;
  for (uint64_t node = 1; node <= 5; ++node) files.push_back(cluster.FilesOf(node));
  for (int round = 0; round < 5'000; ++round) {
    std::vector<Flip> flips;
    const uint64_t first = 1 + random.Below(5);
    for (const uint64_t node : {first, 1 + (first + random.Below(4)) % 5}) {
      flips.push_back(DrawFlip(node, files[node - 1], random));
    }
    ASSERT_EQ(cluster.After(flips), "") << Describe(flips);
  }
  EXPECT_GE(cluster.repairs(), 500);
}

// Where both copies of one thing are bad, and only there, the node does not start, and says so; the
// others go on, with all that was acknowledged.
TEST(FlipClusterTest, TwoOnOneNodeMayNeedAHand) {
  const std::vector<std::string> reasons = {
      "no intact copy of the node's identity",
      "/data/log/MANIFEST.copy: ", "both copies of this node's term and vote are damaged"};
  FlipCluster cluster(3);
  ASSERT_EQ(cluster.wrong(), "");
  Random random(1);
  const auto files = cluster.FilesOf(2);
  std::map<std::string, int> stopped;
  for (int round = 0; round < 5'000; ++round) {
    std::vector<Flip> flips = {DrawFlip(2, files, random), DrawFlip(2, files, random)};
    const std::string wrong = cluster.After(flips);
    if (wrong.empty()) continue;
    ASSERT_TRUE(absl::StartsWith(wrong, "node 2 stops: DATA_LOSS: ")) << wrong << Describe(flips);
    const auto reason = std::find_if(reasons.begin(), reasons.end(), [&](const std::string& each) {
      return absl::StrContains(wrong, each);
    });
    ASSERT_NE(reason, reasons.end()) << wrong << " " << Describe(flips);
    ++stopped[*reason];
  }
  EXPECT_GE(stopped.size(), 2u);
}

}  // namespace
}  // namespace cairn

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
  if (absl::EndsWith(path, "/SCRUB")) return "scrub progress";
  if (absl::EndsWith(path, "/lost-data.jsonl")) return "loss report";
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

// A node that also scrubs its log and keeps a loss report.
DiskCluster::Options EveryKindOfFile() {
  DiskCluster::Options options;
  options.scrub.bytes_per_second = uint64_t{1} << 20;
  options.loss_report = true;
  return options;
}

TEST(FlipClusterTest, AnyByteOfTheScrubsProgressAndOfTheLossReport) {
  FlipCluster cluster(3, EveryKindOfFile());
  ASSERT_EQ(cluster.wrong(), "");
  std::map<std::string, int> tried;
  for (const auto& [path, bytes] : cluster.FilesOf(2)) {
    const std::string kind = KindOf(path);
    if (kind != "scrub progress" && kind != "loss report") continue;
    for (uint64_t offset = 0; offset < bytes.size(); ++offset) {
      const std::vector<Flip> flips = {{2, path, offset}};
      ASSERT_EQ(cluster.After(flips), "") << Describe(flips);
      ++tried[kind];
    }
  }
  EXPECT_GE(tried["scrub progress"], 20);
  EXPECT_GE(tried["loss report"], 100);
}

// The first, the middle and the last byte, and some drawn ones, of a file of that kind.
std::vector<Flip> SomeFlips(uint64_t node, const std::map<std::string, std::string>& files,
                            const std::string& kind, Random& random) {
  std::map<std::string, std::string> of_kind;
  for (const auto& file : files) {
    if (KindOf(file.first) == kind) of_kind.insert(file);
  }
  std::vector<Flip> flips;
  if (of_kind.empty()) return flips;
  for (int i = 0; i < 6; ++i) flips.push_back(DrawFlip(node, of_kind, random));
  const uint64_t bytes = of_kind.at(flips[0].path).size();
  flips[0].offset = 0;
  const std::string path = flips[0].path;
  flips[1] = {node, path, bytes / 2};
  flips[2] = {node, path, bytes - 1};
  return flips;
}

// Every kind of file with every other, on every two nodes.
TEST(FlipClusterTest, EveryTwoKindsOfFileOfEveryTwoOfFive) {
  FlipCluster cluster(5, EveryKindOfFile());
  ASSERT_EQ(cluster.wrong(), "");
  const std::vector<std::string> kinds = {"identity",          "log manifest",    "log block",
                                          "spare block",       "scrub progress",  "loss report",
                                          "snapshot manifest", "snapshot content"};
  Random random(2);
  std::vector<std::map<std::string, std::string>> files;
  for (uint64_t node = 1; node <= 5; ++node) files.push_back(cluster.FilesOf(node));
  std::map<std::string, int> tried;
  for (uint64_t one = 1; one <= 5; ++one) {
    for (uint64_t other = one + 1; other <= 5; ++other) {
      for (const std::string& kind : kinds) {
        for (const std::string& other_kind : kinds) {
          const std::vector<Flip> here = SomeFlips(one, files[one - 1], kind, random);
          const std::vector<Flip> there = SomeFlips(other, files[other - 1], other_kind, random);
          for (size_t i = 0; i < std::min(here.size(), there.size()); ++i) {
            const std::vector<Flip> flips = {here[i], there[(i + one) % there.size()]};
            ASSERT_EQ(cluster.After(flips), "") << Describe(flips);
            ++tried[kind + ", " + other_kind];
          }
        }
      }
    }
  }
  EXPECT_EQ(tried.size(), kinds.size() * kinds.size()) << "a kind of file that is not there";
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

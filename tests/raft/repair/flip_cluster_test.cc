// A flipped bit in any byte of any file of one of three nodes, and of any two of five: after a
// start nothing that was acknowledged is lost, everybody serves, and no hand was needed. Two flips
// on one node may need one, and lose nothing either.
//
// The nodes are whole hosts over the block store; the files are all they keep.

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "tests/raft/repair/disk_cluster.h"

namespace cairn {
namespace {

struct Flip {
  uint64_t node = 0;
  std::string path;
  uint64_t offset = 0;
};

std::string KindOf(const std::string& path) {
  if (absl::StrContains(path, "/snapshots/")) {
    return absl::EndsWith(path, ".manifest") ? "snapshot manifest" : "snapshot content";
  }
  if (absl::StrContains(path, "MANIFEST")) return "log manifest";
  if (absl::EndsWith(path, ".block")) return "log block";
  if (absl::EndsWith(path, ".spare")) return "spare block";
  return absl::StrContains(path, "/identity") ? "identity" : path;
}

class FlipClusterTest : public testing::Test {
 protected:
  // A cluster whose logs were compacted, and what its disks keep if the power goes.
  void Make(uint64_t nodes) {
    DiskCluster cluster(nodes);
    cluster.StartAll();
    ASSERT_TRUE(cluster.Propose(70));
    cluster.Run(Seconds(1));
    expected_ = cluster.Commands(1);
    for (uint64_t node = 1; node <= nodes; ++node) {
      ASSERT_GT(cluster.Status(node).first_index, 30u);
      cluster.Stop(node);
      disks_.push_back(cluster.ImageOf(node));
    }
  }

  std::map<std::string, std::string> FilesOf(uint64_t node) {
    std::map<std::string, std::string> files;
    for (const std::string directory : {"/data", "/data/log", "/data/snapshots/1"}) {
      const std::vector<std::string> names = disks_[node - 1]->List(directory).value();
      for (const std::string& name : names) {
        const std::string path = absl::StrCat(directory, "/", name);
        absl::StatusOr<std::string> bytes = ReadWholeFile(*disks_[node - 1], path);
        if (bytes.ok() && !bytes->empty()) files[path] = *std::move(bytes);
      }
    }
    return files;
  }

  // What is wrong after a start with these flips; empty if nothing is.
  std::string After(const std::vector<Flip>& flips) {
    std::vector<DiskCluster::Disk> disks;
    for (const DiskCluster::Disk& disk : disks_) disks.push_back(disk->WorstCaseImage());
    for (const Flip& flip : flips) {
      disks[flip.node - 1]->FlipBits(flip.path, flip.offset,
                                     static_cast<uint8_t>(1u << flip.offset % 8));
    }
    DiskCluster cluster(std::move(disks));
    cluster.StartAll();
    cluster.Run(Milliseconds(1));
    for (uint64_t node = 1; node <= disks_.size(); ++node) {
      if (!cluster.runs(node)) continue;
      const GroupStatus status = cluster.Status(node);
      if (status.state == NodeState::kRepairing) ++repairs_;
    }
    const bool whole = cluster.Await([&] { return cluster.Whole(); }, Seconds(15)) &&
                       cluster.Propose(1) && cluster.Await([&] { return cluster.Whole(); });
    std::string stops;
    for (uint64_t node = 1; node <= disks_.size(); ++node) {
      if (!cluster.Stopped(node).ok()) {
        absl::StrAppend(&stops, "node ", node, " stops: ", cluster.Stopped(node).ToString());
      } else if (!absl::StartsWith(cluster.Commands(node), expected_)) {
        return absl::StrCat("node ", node, " holds ", cluster.Commands(node));
      }
    }
    if (!stops.empty()) return cluster.Propose(1) ? stops : "the others do not go on: " + stops;
    return whole ? "" : "not whole";
  }

  // Mostly where something was written.
  static Flip DrawFlip(uint64_t node, const std::map<std::string, std::string>& files,
                       Random& random) {
    const auto file =
        std::next(files.begin(), static_cast<std::ptrdiff_t>(random.Below(files.size())));
    const std::string& bytes = file->second;
    uint64_t offset = random.Below(bytes.size());
    for (int i = 0; i < 10 && bytes[offset] == 0; ++i) offset = random.Below(bytes.size());
    return {node, file->first, offset};
  }

  static std::string Describe(const std::vector<Flip>& flips) {
    std::string text;
    for (const Flip& flip : flips) {
      absl::StrAppend(&text, "node ", flip.node, " ", flip.path, " byte ", flip.offset, "; ");
    }
    return text;
  }

  std::vector<DiskCluster::Disk> disks_;
  std::string expected_;
  int repairs_ = 0;  // nodes that knew at once of what they could not read
};

TEST_F(FlipClusterTest, AnyByteOfOneOfThree) {
  Make(3);
  ASSERT_FALSE(HasFatalFailure());
  std::map<std::string, int> tried;
  for (const auto& [path, bytes] : FilesOf(2)) {
    for (uint64_t offset = 0; offset < bytes.size(); ++offset) {
      const std::vector<Flip> flips = {{2, path, offset}};
      ASSERT_EQ(After(flips), "") << Describe(flips);
      ++tried[KindOf(path)];
    }
  }
  for (const char* kind : {"identity", "log manifest", "log block", "spare block",
                           "snapshot manifest", "snapshot content"}) {
    EXPECT_GE(tried[kind], 90) << kind;
  }
  EXPECT_EQ(tried.size(), 6u) << "a kind of file that is not spoken of";
  EXPECT_GE(repairs_, 1000);
}

TEST_F(FlipClusterTest, AnyTwoOfFive) {
  Make(5);
  ASSERT_FALSE(HasFatalFailure());
  Random random(1);
  std::vector<std::map<std::string, std::string>> files;
  for (uint64_t node = 1; node <= 5; ++node) files.push_back(FilesOf(node));
  for (int round = 0; round < 5'000; ++round) {
    std::vector<Flip> flips;
    const uint64_t first = 1 + random.Below(5);
    for (const uint64_t node : {first, 1 + (first + random.Below(4)) % 5}) {
      flips.push_back(DrawFlip(node, files[node - 1], random));
    }
    ASSERT_EQ(After(flips), "") << Describe(flips);
  }
  EXPECT_GE(repairs_, 500);
}

// Where both copies of one thing are bad, and only there, the node does not start, and says so; the
// others go on, with all that was acknowledged.
TEST_F(FlipClusterTest, TwoOnOneNodeMayNeedAHand) {
  const std::vector<std::string> reasons = {
      "no intact copy of the node's identity",
      "/data/log/MANIFEST.copy: ", "both copies of this node's term and vote are damaged"};
  Make(3);
  ASSERT_FALSE(HasFatalFailure());
  Random random(1);
  const auto files = FilesOf(2);
  std::map<std::string, int> stopped;
  for (int round = 0; round < 5'000; ++round) {
    std::vector<Flip> flips = {DrawFlip(2, files, random), DrawFlip(2, files, random)};
    const std::string wrong = After(flips);
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

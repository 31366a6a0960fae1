// Entries that are bad on some nodes or on all (fault catalogue D22): each combination of two
// entries and three nodes, with either log store. An entry that anybody has is back everywhere
// without a hand; one that nobody has stops the group, by its index, and nothing is made up.

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "raft/group_status.h"
#include "service/exit_line.h"
#include "tests/raft/repair/disk_cluster.h"
#include "tests/raft/repair/flip_cluster.h"

namespace cairn {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr uint64_t kNodes = 3;
constexpr uint64_t kAll = (uint64_t{1} << kNodes) - 1;

struct Entry {
  std::string command;
  std::vector<std::vector<Flip>> copies;  // a bit of each place where it stands, by node
};

class CopiesClusterTest : public testing::TestWithParam<std::string> {
 protected:
  // No snapshot has what they did. With RocksDB the first one is in a table and the other one in
  // the write-ahead log, not of the last sync: what that held, bad on all after a power cut, cannot
  // be told from what was never acknowledged.
  void SetUp() override {
    ASSERT_EQ(cluster_.wrong(), "");
    for (const char* command : {"c66;", GetParam() == "rocksdb" ? "c74;" : "c70;"}) {
      Entry entry = {.command = command, .copies = {}};
      for (uint64_t node = 1; node <= kNodes; ++node) {
        entry.copies.push_back(CopiesOf(command, node));
        ASSERT_FALSE(entry.copies.back().empty()) << command << " is not in node " << node;
      }
      entries_.push_back(entry);
    }
  }

  std::vector<Flip> CopiesOf(const std::string& command, uint64_t node) const {
    std::vector<Flip> copies;
    for (const auto& [path, bytes] : cluster_.FilesOf(node)) {
      if (!absl::StartsWith(path, "/data/log/")) continue;
      for (size_t at = bytes.find(command); at != std::string::npos;
           at = bytes.find(command, at + 1)) {
        copies.push_back({node, path, at + 1});
      }
    }
    return copies;
  }

  // Nobody leads, and nobody says more than it can read. Who has heard from all others halts, and
  // ends with 75. Which ones that are is chance, as who has halted answers no more; but started
  // again it answers, and in the end each has halted, for the same entries.
  void ExpectStopped(const std::vector<Flip>& flips, const std::string& first_lost) {
    DiskCluster cluster(cluster_.DisksWith(flips), options_);
    cluster.StartAll();
    std::set<uint64_t> halted;
    std::set<std::string> entries;
    for (int round = 0; round < 20 && halted.size() < kNodes; ++round) {
      EXPECT_EQ(cluster.AwaitLeader(), 0u);
      const std::set<uint64_t> now = HaltedIn(cluster, first_lost, entries);
      ASSERT_FALSE(now.empty());
      halted.insert(now.begin(), now.end());
      for (const uint64_t node : now) {
        cluster.Stop(node);
        cluster.Start(node);
      }
    }
    EXPECT_THAT(halted, SizeIs(kNodes));
    EXPECT_THAT(entries, SizeIs(1));
  }

  // Which nodes have, and for which entries.
  static std::set<uint64_t> HaltedIn(const DiskCluster& cluster, const std::string& first_lost,
                                     std::set<std::string>& entries) {
    std::set<uint64_t> halted;
    for (uint64_t node = 1; node <= kNodes; ++node) {
      EXPECT_THAT(cluster.Commands(node), Not(HasSubstr(first_lost)));
      const NodeState state = cluster.Status(node).state;
      if (cluster.Stopped(node).ok()) {
        EXPECT_EQ(state, NodeState::kRepairing) << node;
        continue;
      }
      EXPECT_EQ(state, NodeState::kHalted);
      const ExitLine exit = ExitOfStop(state, cluster.Stopped(node), "/data");
      EXPECT_EQ(exit.code, kServerDataDamaged) << exit.ToString();
      const std::vector<std::string> said = absl::StrSplit(exit.ToString(), " are held by no ");
      EXPECT_THAT(said, SizeIs(2)) << exit.ToString();
      entries.insert(said.front().substr(said.front().rfind(' ')));
      halted.insert(node);
    }
    return halted;
  }

  const DiskCluster::Options options_ = {.log_store = GetParam(), .tail = ";"};
  FlipCluster cluster_{kNodes, options_};
  std::vector<Entry> entries_;
};

TEST_P(CopiesClusterTest, AnyCombinationOfTwoEntriesAndThreeNodes) {
  int healed = 0;
  int lost = 0;
  for (uint64_t combination = 0; combination < (kAll + 1) * (kAll + 1); ++combination) {
    const uint64_t bad_on[] = {combination / (kAll + 1), combination % (kAll + 1)};
    SCOPED_TRACE(absl::StrCat("bad on nodes, by bits: ", bad_on[0], " and ", bad_on[1]));
    std::vector<Flip> flips;
    for (size_t i = 0; i < entries_.size(); ++i) {
      for (uint64_t node = 0; node < kNodes; ++node) {
        if ((bad_on[i] >> node & 1) == 0) continue;
        const std::vector<Flip>& copies = entries_[i].copies[node];
        flips.insert(flips.end(), copies.begin(), copies.end());
      }
    }
    if (bad_on[0] != kAll && bad_on[1] != kAll) {
      EXPECT_EQ(cluster_.After(flips), "");
      ++healed;
    } else {
      ExpectStopped(flips, entries_[bad_on[0] == kAll ? 0 : 1].command);
      ++lost;
    }
  }
  EXPECT_EQ(healed, 49);
  EXPECT_EQ(lost, 15);
}

INSTANTIATE_TEST_SUITE_P(Stores, CopiesClusterTest,
                         testing::Values(std::string("block"), std::string("rocksdb")),
                         [](const testing::TestParamInfo<std::string>& tested) {
                           return tested.param;
                         });

}  // namespace
}  // namespace cairn

// Gaps in a log that are found while a member runs, in virtual time: what they cost is counted, and
// what is told of them is compared with the entries that were lost, one by one.

#include <cstdint>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "raft/host.h"
#include "storage/posix_file_system.h"
#include "tests/raft/test_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kGroup = TestCluster::kGroup;

GroupOptions Uncached() {
  GroupOptions options;
  options.log_cache_bytes = 1;
  return options;
}

// Three members; a follower's log loses entries, which it finds out by reading them.
class GapClusterTest : public testing::Test {
 protected:
  void Fill(int commands) {
    cluster_.StartAll();
    const uint64_t leader = cluster_.AwaitLeader();
    for (int i = 0; i < commands; ++i) cluster_.Propose(leader, absl::StrCat("command ", i));
    cluster_.Run(Seconds(1));
    last_ = cluster_.At(leader).Status().last_index;
    node_ = cluster_.SomeFollower();
  }
  FakeLogStore& Store() { return cluster_.Disk(node_).store(kGroup); }

  // Until all is repaired.
  void LoseAndStart(const std::set<Index>& lost) {
    cluster_.Stop(node_);
    for (const Index index : lost) Store().Damage(index, /*found_later=*/true);
    Store().OnBadRead([this] { ++bad_reads_; });
    cluster_.network.SetFilter([this](Envelope& envelope) {
      if (envelope.from == NodeId{node_} && std::holds_alternative<EntryRequest>(envelope.body)) {
        ++questions_;
      }
      return true;
    });
    cluster_.Start(node_);
    for (int i = 0; i < 100 && !Store().damaged().empty(); ++i) cluster_.Run(Milliseconds(200));
    cluster_.Run(Seconds(1));
    cluster_.network.SetFilter({});
  }
  void ExpectWhole(const std::set<Index>& lost) {
    EXPECT_EQ(Store().damaged(), std::set<Index>());
    EXPECT_FALSE(cluster_.Stopped(node_).has_value());
    EXPECT_EQ(cluster_.Commands(node_), cluster_.Commands(cluster_.AwaitLeader()));
    const LossReport::Counts counts = cluster_.Losses(node_).counts();
    EXPECT_EQ(counts.damaged, lost.size());
    EXPECT_EQ(counts.repaired, lost.size());
    EXPECT_EQ(counts.open, 0u);
  }
  // Of this kind in the loss report.
  size_t Events(const std::string& kind) {
    PosixFileSystem files;
    const std::string report = ReadWholeFile(files, cluster_.Losses(node_).path()).value_or("");
    size_t events = 0;
    for (const absl::string_view line : absl::StrSplit(report, '\n')) {
      if (absl::StrContains(line, absl::StrCat("\"kind\":\"", kind, "\""))) ++events;
    }
    return events;
  }

  TestCluster cluster_{3, Uncached()};
  uint64_t node_ = 0;
  Index last_ = 0;
  size_t bad_reads_ = 0;
  size_t questions_ = 0;
};

// The first one is found by applying it, the others by asking the store once.
TEST_F(GapClusterTest, AGapThatTheStoreKnowsIsToldAsOne) {
  Fill(2000);
  std::set<Index> lost;
  for (Index index = 100; index < 1900; ++index) lost.insert(index);
  Store().KnowGaps();
  LoseAndStart(lost);
  ExpectWhole(lost);
  EXPECT_EQ(Events("damaged"), 2u);
  EXPECT_LE(bad_reads_, 8u);
  EXPECT_LE(questions_, 4u);
}

// Each has to be read, but many are told together.
TEST_F(GapClusterTest, AGapThatHasToBeReadIsToldInPieces) {
  Fill(2000);
  std::set<Index> lost;
  for (Index index = 100; index < 1900; ++index) lost.insert(index);
  LoseAndStart(lost);
  ExpectWhole(lost);
  EXPECT_GE(Events("damaged"), 1u);
  EXPECT_LE(Events("damaged"), lost.size() / 32);
}

// Any entries, in any order of finding them: what is counted is each of them once.
TEST_F(GapClusterTest, WhatIsToldEqualsASetOfSingleEntries) {
  Fill(60);
  size_t counted = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    if (seed == 20) Store().KnowGaps();
    std::set<Index> lost;
    for (uint64_t gaps = random.Below(6); lost.empty() || gaps > 0; gaps -= gaps > 0 ? 1 : 0) {
      const Index first = 1 + random.Below(last_);
      for (Index index = first; index <= last_ && index < first + 1 + random.Below(12); ++index) {
        lost.insert(index);
      }
    }
    LoseAndStart(lost);
    counted += lost.size();
    ASSERT_EQ(Store().damaged(), std::set<Index>());
    const LossReport::Counts counts = cluster_.Losses(node_).counts();
    ASSERT_EQ(counts.damaged, counted);
    ASSERT_EQ(counts.repaired, counted);
    ASSERT_EQ(counts.open, 0u);
    ASSERT_EQ(cluster_.Commands(node_), cluster_.Commands(cluster_.AwaitLeader()));
  }
}

}  // namespace
}  // namespace cairn

// What a member's own log says of its removal. A configuration may name a member without its disk:
// then an earlier disk of the same id may have been meant, and what became of that one later stands
// in the log, too.

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "raft/core/raft.h"
#include "tests/core/raft_under_test.h"

namespace cairn {
namespace {

constexpr Incarnation kDisk{1};
constexpr Incarnation kEarlierDisk{901};

// Node 1, which is no member of the group yet, on a new disk. Its log comes from node 2.
class OwnRemovalTest : public testing::Test {
 protected:
  static RecoveredRaft Stranger() {
    RecoveredRaft recovered = Recovered(3, {});
    recovered.base_configuration.voters.erase(recovered.base_configuration.voters.begin());
    return recovered;
  }
  // Nodes 2 and 3, and perhaps node 1 as a learner with this disk.
  static Configuration With(std::optional<Incarnation> disk) {
    Configuration configuration = Stranger().base_configuration;
    if (disk) configuration.learners.push_back({NodeId{1}, *disk, "address"});
    return configuration;
  }
  // The next entry is this configuration, and is committed. By which configuration the node finds
  // itself removed, if it does.
  std::optional<LogPosition> Committed(std::optional<Incarnation> disk) {
    const Index index = node_.raft().last().index + 1;
    AppendEntries append = MakeAppend(1, node_.raft().last(), {1}, index);
    append.configurations = {{{index, 1}, With(disk)}};
    node_.Receive(2, append);
    const std::optional<LogPosition> removed = node_.Take().removed;
    node_.Settle();
    return removed;
  }

  RaftUnderTest node_{Stranger(), kDisk};
};

TEST_F(OwnRemovalTest, WhoWasNamedWithItsDiskIsCertain) {
  EXPECT_FALSE(Committed(kDisk).has_value());
  EXPECT_EQ(Committed(std::nullopt), (LogPosition{2, 1}));
}

TEST_F(OwnRemovalTest, WhatBecameOfAnEarlierDiskIsNotItsOwnEnd) {
  EXPECT_FALSE(Committed(Incarnation::kUnknown).has_value());
  EXPECT_FALSE(Committed(kEarlierDisk).has_value()) << "that was another one";
  EXPECT_FALSE(Committed(std::nullopt).has_value());
  EXPECT_FALSE(Committed(kDisk).has_value());
  EXPECT_EQ(Committed(std::nullopt), (LogPosition{5, 1})) << "that was this one";
}

// Found by the simulator: started again, it would wait for a leader for ever.
TEST_F(OwnRemovalTest, TheLogIsNotDroppedUpToItsEnd) {
  for (int i = 0; i < 3; ++i) Committed(kDisk);
  node_.Step(Compact{2});
  EXPECT_EQ(node_.raft().base().index, 2u);
  EXPECT_EQ(Committed(std::nullopt), (LogPosition{4, 1}));
  Committed(std::nullopt);
  node_.Step(Compact{5});
  EXPECT_EQ(node_.raft().base().index, 4u) << "what stands there still says who was a member";
}

// It may have been meant after all. Nobody feeds it any more then, so it asks.
TEST_F(OwnRemovalTest, WhoWasNamedWithoutItsDiskIsToldByTheOthers) {
  Committed(Incarnation::kUnknown);
  Committed(std::nullopt);
  node_.Timeout();
  EXPECT_EQ(RaftUnderTest::Sent<PreVoteRequest>(node_.Settle()).size(), 2u);
  node_.Receive(3, RemovedNotice{.term = 1, .at = {2, 1}});
  EXPECT_EQ(node_.Take().removed, (LogPosition{2, 1}));
}

// The member of its id was deleted on this node, and can have been meant by what names none. Found
// by the simulator: one that was fed up to there was told of the other's end, and left.
TEST_F(OwnRemovalTest, WhoCameAfterADeletionIsMeantByItsDiskOnly) {
  RaftUnderTest node(Stranger(), kDisk, true);
  AppendEntries append = MakeAppend(1, {}, {1}, 1);
  append.configurations = {{{1, 1}, With(Incarnation::kUnknown)}};
  node.Receive(2, append);
  node.Settle();
  node.Receive(3, RemovedNotice{.term = 1, .at = {4, 1}});
  EXPECT_FALSE(node.Take().removed.has_value());
  append = MakeAppend(1, {1, 1}, {1}, 2);
  append.configurations = {{{2, 1}, With(kDisk)}};
  node.Receive(2, append);
  node.Settle();
  node.Receive(3, RemovedNotice{.term = 1, .at = {4, 1}});
  EXPECT_EQ(node.Take().removed, (LogPosition{4, 1}));
}

// What it is fed first may say that somebody of its id is all there is.
TEST_F(OwnRemovalTest, WhoCameAfterADeletionDoesNotLeadInTheNameOfTheOther) {
  for (const bool only_by_disk : {false, true}) {
    RecoveredRaft recovered = Recovered(1, {1}, {.term = 1});
    recovered.base_configuration.voters[0].incarnation = Incarnation::kUnknown;
    RaftUnderTest node(std::move(recovered), kDisk, only_by_disk);
    node.Timeout();
    node.Settle();
    EXPECT_EQ(node.raft().role() == Role::kLeader, !only_by_disk);
  }
}

// Where others vote they see to it that it has what was committed. All of a group may have come so.
TEST_F(OwnRemovalTest, WhoCameAfterADeletionMayLeadWithTheVotesOfOthers) {
  RecoveredRaft recovered = Recovered(3, {1}, {.term = 1});
  for (Member& voter : recovered.base_configuration.voters) {
    voter.incarnation = Incarnation::kUnknown;
  }
  RaftUnderTest node(std::move(recovered), kDisk, true);
  node.Timeout();
  node.Settle();
  EXPECT_EQ(node.raft().role(), Role::kPreCandidate);
}

}  // namespace
}  // namespace cairn

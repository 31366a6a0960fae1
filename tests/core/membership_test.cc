#include "raft/core/membership.h"

#include <vector>

#include "gtest/gtest.h"

namespace cairn {
namespace {

Configuration Voters(const std::vector<uint64_t>& nodes) {
  Configuration configuration;
  for (const uint64_t node : nodes) {
    configuration.voters.push_back({NodeId{node}, Incarnation{100 + node}, "a"});
  }
  return configuration;
}

Membership MakeMembership() {
  return Membership({5, 1}, Voters({1, 2}), {{{7, 1}, Voters({1, 2, 3})}, {{9, 2}, Voters({1})}});
}

TEST(MembershipTest, IsInForceWhenAppendedAndUndoneWhenTruncated) {
  Membership membership = MakeMembership();
  EXPECT_EQ(membership.position(), (LogPosition{9, 2}));
  EXPECT_EQ(membership.in_force(), Voters({1}));
  EXPECT_EQ(membership.before(), Voters({1, 2, 3}));
  EXPECT_FALSE(membership.Truncate(10));
  EXPECT_TRUE(membership.Truncate(9));
  EXPECT_EQ(membership.in_force(), Voters({1, 2, 3}));
  EXPECT_TRUE(membership.Truncate(6));
  EXPECT_EQ(membership.in_force(), Voters({1, 2}));
  EXPECT_EQ(membership.before(), Voters({1, 2}));
  membership.Append({6, 3}, Voters({2}));
  EXPECT_EQ(membership.in_force(), Voters({2}));
}

// What a snapshot at the commit index has to hold: nothing of what is not committed (the seed's
// SnapshotExcludesUncommittedMembershipChange).
TEST(MembershipTest, TellsWhatIsCommitted) {
  const Membership membership = MakeMembership();
  EXPECT_EQ(membership.committed(5).first, (LogPosition{5, 1}));
  EXPECT_EQ(membership.committed(6).second, Voters({1, 2}));
  EXPECT_EQ(membership.committed(7).second, Voters({1, 2, 3}));
  EXPECT_EQ(membership.committed(8).second, Voters({1, 2, 3}));
  EXPECT_EQ(membership.committed(9).second, Voters({1}));
  EXPECT_EQ(membership.committed(100).first, (LogPosition{9, 2}));
}

// An entry can have been committed by the configuration in force where it stands, or a later one.
TEST(MembershipTest, LooksFromWhereAnEntryStandsOn) {
  const Membership membership = MakeMembership();
  const auto any = [&](Index index, std::vector<uint64_t> ids) {
    return membership.AnyFrom(index,
                              [&](const Configuration& each) { return each == Voters(ids); });
  };
  EXPECT_TRUE(any(6, {1, 2}));
  EXPECT_TRUE(any(6, {1, 2, 3}));
  EXPECT_FALSE(any(7, {1, 2})) << "was over by then";
  EXPECT_TRUE(any(7, {1, 2, 3}));
  EXPECT_FALSE(any(9, {1, 2, 3}));
  EXPECT_TRUE(any(100, {1}));
}

TEST(MembershipTest, NamesADisk) {
  Configuration configuration = Voters({1, 2});
  configuration.voters[1].incarnation = Incarnation::kUnknown;
  EXPECT_TRUE(NamesDisk(configuration, NodeId{1}, Incarnation{101}));
  EXPECT_TRUE(NamesDisk(configuration, NodeId{1}, Incarnation::kUnknown));
  EXPECT_FALSE(NamesDisk(configuration, NodeId{1}, Incarnation{102}));
  EXPECT_TRUE(NamesDisk(configuration, NodeId{2}, Incarnation{999})) << "the log does not say";
  EXPECT_FALSE(NamesDisk(configuration, NodeId{3}, Incarnation{103}));
}

TEST(MembershipTest, ListsTheOthers) {
  Configuration configuration = Voters({1, 3});
  configuration.outgoing_voters = Voters({1, 2}).voters;
  configuration.learners = Voters({4}).voters;
  EXPECT_EQ(OtherVoters(configuration, NodeId{1}), (std::vector<NodeId>{NodeId{2}, NodeId{3}}));
  EXPECT_EQ(OtherMembers(configuration, NodeId{1}),
            (std::vector<NodeId>{NodeId{2}, NodeId{3}, NodeId{4}}));
}

}  // namespace
}  // namespace cairn

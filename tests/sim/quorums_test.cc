#include "tests/sim/quorums.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

std::vector<Member> Members(const std::vector<uint64_t>& ids) {
  std::vector<Member> members;
  for (uint64_t id : ids) members.push_back({NodeId{id}, Incarnation::kUnknown, ""});
  return members;
}

Configuration Simple(const std::vector<uint64_t>& voters) { return {Members(voters), {}, {}}; }

TEST(QuorumsTest, MajoritiesOfEvenAndOddNumbers) {
  auto up_to = [](uint64_t last) {
    return [last](NodeId node) { return ToInteger(node) <= last; };
  };
  EXPECT_TRUE(IsMajority(Members({1, 2, 3}), up_to(2)));
  EXPECT_FALSE(IsMajority(Members({1, 2, 3, 4}), up_to(2)));
  EXPECT_TRUE(IsMajority(Members({1, 2, 3, 4}), up_to(3)));
  EXPECT_FALSE(IsMajority({}, up_to(9)));
}

TEST(QuorumsTest, WhatAMajorityHasReached) {
  auto own_id = [](NodeId node) { return ToInteger(node); };
  EXPECT_EQ(ReachedByMajority(Members({1}), own_id), 1u);
  EXPECT_EQ(ReachedByMajority(Members({1, 2}), own_id), 1u);
  EXPECT_EQ(ReachedByMajority(Members({1, 2, 3}), own_id), 2u);
  EXPECT_EQ(ReachedByMajority(Members({1, 2, 3, 4}), own_id), 2u);
  EXPECT_EQ(ReachedByMajority(Members({1, 2, 3, 4, 5}), own_id), 3u);
}

TEST(QuorumsTest, AJointConfigurationNeedsBothHalves) {
  const Configuration joint = {Members({3, 4, 5}), Members({1, 2, 3}), Members({6})};
  auto in = [](std::vector<uint64_t> ids) {
    return [ids](NodeId node) {
      return std::find(ids.begin(), ids.end(), ToInteger(node)) != ids.end();
    };
  };
  EXPECT_TRUE(IsQuorum(joint, in({1, 3, 4})));
  EXPECT_FALSE(IsQuorum(joint, in({3, 4, 5})));
  EXPECT_FALSE(IsQuorum(joint, in({1, 2, 3, 6})));
}

TEST(QuorumsTest, WhoseQuorumsMeet) {
  EXPECT_TRUE(QuorumsMeet(Simple({1, 2, 3}), Simple({1, 2, 3, 4})));
  EXPECT_FALSE(QuorumsMeet(Simple({1, 2, 3}), Simple({1, 2, 3, 4, 5})));
  EXPECT_FALSE(QuorumsMeet(Simple({1, 2, 3}), Simple({3, 4, 5})));
  const Configuration joint = {Members({3, 4, 5}), Members({1, 2, 3}), {}};
  EXPECT_TRUE(QuorumsMeet(Simple({1, 2, 3}), joint));
  EXPECT_TRUE(QuorumsMeet(joint, Simple({3, 4, 5})));
  // Two changes that begin at the same members.
  EXPECT_TRUE(QuorumsMeet(joint, {Members({1, 6, 7}), Members({1, 2, 3}), {}}));
}

TEST(QuorumsTest, ReachedBySoMany) {
  const auto own_id = [](NodeId node) { return Index{ToInteger(node)}; };
  const auto four = Members({1, 2, 3, 4});
  EXPECT_EQ(ReachedBy(1, four, own_id), 4u);
  EXPECT_EQ(ReachedBy(4, four, own_id), 1u);
  EXPECT_EQ(ReachedBy(5, four, own_id), 0u);
  EXPECT_EQ(ReachedBy(1, {}, own_id), 0u);
}

}  // namespace
}  // namespace cairn::sim

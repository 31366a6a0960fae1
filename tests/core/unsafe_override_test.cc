#include "raft/core/unsafe_override.h"

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "raft/core/membership_plan.h"

namespace cairn {
namespace {

std::vector<Member> MakeMembers(const std::vector<uint64_t>& nodes) {
  std::vector<Member> members;
  for (uint64_t node : nodes) {
    members.push_back({NodeId{node}, Incarnation{node}, "n" + std::to_string(node)});
  }
  return members;
}

std::vector<NodeId> MakeNodes(const std::vector<uint64_t>& nodes) {
  std::vector<NodeId> ids;
  for (uint64_t node : nodes) ids.push_back(NodeId{node});
  return ids;
}

Configuration Of(const std::vector<uint64_t>& voters, const std::vector<uint64_t>& outgoing = {},
                 const std::vector<uint64_t>& learners = {}) {
  return {.voters = MakeMembers(voters),
          .outgoing_voters = MakeMembers(outgoing),
          .learners = MakeMembers(learners)};
}

Configuration Toward(Configuration configuration, const std::vector<uint64_t>& voters,
                     const std::vector<uint64_t>& before) {
  configuration.target = MembershipTarget{.voters = MakeMembers(voters),
                                          .learners = {},
                                          .voters_before = MakeMembers(before),
                                          .learners_before = {}};
  return configuration;
}

UnsafeOverride Evicting(const std::vector<uint64_t>& nodes) {
  return {.evicted = MakeNodes(nodes), .quorum = 0, .expires = {}, .asked = {5}};
}

constexpr LogPosition kAt = {.index = 9, .term = 3};

std::string AfterEviction(const Configuration& configuration, const std::vector<uint64_t>& lost,
                          uint64_t self = 1) {
  Configuration recovered = Recovered(configuration, Evicting(lost), NodeId{self}, kAt);
  EXPECT_TRUE(Validate(recovered).ok()) << Validate(recovered);
  EXPECT_EQ(TransitionFault(configuration, recovered), "");
  recovered.unsafe_recoveries = {};
  return ToString(recovered);
}

TEST(UnsafeOverrideTest, SaysWhatAnEvictionLeaves) {
  EXPECT_EQ(AfterEviction(Of({1, 2, 3}), {2, 3}), "voters=1");
  EXPECT_EQ(AfterEviction(Of({1, 2, 3, 4, 5}, {}, {6, 7}), {3, 4, 5, 7}), "voters=1,2 learners=6");
  // Joint: halves of which nobody is left go.
  EXPECT_EQ(AfterEviction(Of({1, 4, 5}, {1, 2, 3}), {2, 3, 4}), "voters=1,5 outgoing=1");
  EXPECT_EQ(AfterEviction(Of({4, 5}, {1, 2, 3}), {2, 4, 5}), "voters=1,3");
  EXPECT_EQ(AfterEviction(Of({1, 4}, {2, 3}), {2, 3}), "voters=1,4");
  // Changes under way: what names no lost node goes on, a survivor's own removal does not.
  EXPECT_EQ(AfterEviction(Toward(Of({1, 2, 3}, {}, {4}), {1, 2, 3, 4}, {1, 2, 3}), {2, 3}),
            "voters=1 learners=4 target=1,4");
  EXPECT_EQ(AfterEviction(Toward(Of({1, 2, 3}, {}, {4}), {1, 2, 3, 4}, {1, 2, 3}), {2, 3, 4}),
            "voters=1");
  EXPECT_EQ(AfterEviction(Toward(Of({1, 2, 3}), {2, 3}, {1, 2, 3}), {2, 3}), "voters=1");
  EXPECT_EQ(AfterEviction(Toward(Of({1, 2, 3}), {1, 2}, {1, 2, 3}), {2, 3}), "voters=1");
  EXPECT_EQ(AfterEviction(Toward(Of({4, 5}, {1, 2, 3}), {4, 5}, {1, 2, 3}), {3, 4, 5}),
            "voters=1,2");
}

TEST(UnsafeOverrideTest, WritesDownWhatWasDone) {
  Configuration once = Recovered(Of({1, 2, 3, 4, 5}), Evicting({3, 4, 5}), NodeId{1}, kAt);
  EXPECT_EQ(once.unsafe_recoveries, (UnsafeRecoveries{.count = 1,
                                                      .evicted = MakeNodes({3, 4, 5}),
                                                      .quorum = 0,
                                                      .at = kAt,
                                                      .asked = {5},
                                                      .evicted_ever = MakeNodes({3, 4, 5})}));
  once.voters = MakeMembers({1, 2, 6});
  const UnsafeOverride quorum = {.evicted = {}, .quorum = 1, .expires = {}, .asked = {8}};
  const Configuration twice = Recovered(once, quorum, NodeId{1}, {.index = 20, .term = 4});
  EXPECT_EQ(twice.voters, once.voters);
  EXPECT_EQ(twice.unsafe_recoveries, (UnsafeRecoveries{.count = 2,
                                                       .evicted = {},
                                                       .quorum = 1,
                                                       .at = {.index = 20, .term = 4},
                                                       .asked = {8},
                                                       .evicted_ever = MakeNodes({3, 4, 5})}));
  const Configuration thrice = Recovered(twice, Evicting({2, 6}), NodeId{1}, kAt);
  EXPECT_EQ(thrice.unsafe_recoveries.evicted_ever, MakeNodes({2, 3, 4, 5, 6}));
}

TEST(UnsafeOverrideTest, ActsWhileItMattersOnly) {
  EXPECT_TRUE(ActsOn(Evicting({2, 9}), Of({1, 2})));
  EXPECT_TRUE(ActsOn(Evicting({2}), Of({1}, {2})));
  EXPECT_FALSE(ActsOn(Evicting({2}), Of({1, 3})));
  const UnsafeOverride two = {.evicted = {}, .quorum = 2, .expires = {}, .asked = {}};
  EXPECT_TRUE(ActsOn(two, Of({1, 2, 3, 4})));
  EXPECT_TRUE(ActsOn(two, Of({1, 2, 3}, {1, 2, 3, 4, 5})));
  EXPECT_FALSE(ActsOn(two, Of({1, 2, 3})));
  // What does not act changes no quorum.
  EXPECT_TRUE(RuleOf(Evicting({2}), Of({1, 3})).evicted.empty());
  EXPECT_FALSE(RuleOf(Evicting({2}), Of({1, 3})).every_vote);
  EXPECT_EQ(RuleOf(two, Of({1, 2, 3})).most, QuorumRule().most);
}

TEST(UnsafeOverrideTest, TellsALostMajorityFromOneThatIsLeft) {
  EXPECT_EQ(MajorityLeft(Of({1, 2, 3}), MakeNodes({3})), "2 of 3 voters are left, and 2 decide");
  EXPECT_EQ(MajorityLeft(Of({1, 2, 3}), MakeNodes({2, 3})), "");
  EXPECT_EQ(MajorityLeft(Of({1, 2, 3, 4}), MakeNodes({3, 4})), "");
  EXPECT_EQ(MajorityLeft(Of({1, 2, 3}, {1, 4, 5}), MakeNodes({3, 4})),
            "2 of 3 voters are left, and 2 decide; 2 of 3 voters are left, and 2 decide");
  EXPECT_EQ(MajorityLeft(Of({1, 2, 3}, {1, 4, 5}), MakeNodes({4, 5})), "");
}

TEST(UnsafeOverrideTest, RefusesEvictionsThatMakeNoSense) {
  const Configuration configuration = Of({1, 2, 3}, {}, {4});
  const NodeId self{1};
  EXPECT_EQ(EvictionFault(configuration, self, {}), "nobody is to be evicted");
  EXPECT_EQ(EvictionFault(configuration, self, MakeNodes({2, 1})),
            "a member does not evict itself");
  EXPECT_EQ(EvictionFault(configuration, self, MakeNodes({2, 2})), "node 2 is named twice");
  EXPECT_EQ(EvictionFault(configuration, self, MakeNodes({2, 9})), "node 9 is no member");
  EXPECT_EQ(EvictionFault(configuration, self, MakeNodes({4})), "no voter is to be evicted");
  EXPECT_EQ(EvictionFault(configuration, self, MakeNodes({4, 2, 3})), "");
}

TEST(UnsafeOverrideTest, NamesItself) {
  EXPECT_EQ(ToString(Evicting({2})), "node 2 is not counted");
  EXPECT_EQ(ToString(Evicting({2, 3})), "nodes 2,3 are not counted");
  EXPECT_EQ(ToString(UnsafeOverride{.evicted = {}, .quorum = 1, .expires = {}, .asked = {}}),
            "1 voter is enough");
  EXPECT_EQ(ToString(UnsafeOverride{.evicted = {}, .quorum = 2, .expires = {}, .asked = {}}),
            "2 voters are enough");
}

// Whatever is lost: what comes of it is a configuration with the survivor as a voter or about to
// hand over, and none of the evicted is left in it.
TEST(UnsafeOverrideTest, AnyEvictionGivesAGoodConfiguration) {
  for (uint64_t seed = 1; seed <= 20000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    std::vector<std::vector<uint64_t>> lists(4);
    std::vector<uint64_t> lost;
    for (uint64_t node = 1; node <= 7; ++node) {
      const bool learner = random.OneIn(4);
      if (learner) lists[2].push_back(node);
      if (!learner && random.OneIn(2)) lists[0].push_back(node);
      if (!learner && random.OneIn(2)) lists[1].push_back(node);
      if (random.OneIn(2)) lists[3].push_back(node);
      if (node > 1 && random.OneIn(2)) lost.push_back(node);
    }
    if (lists[0].empty() || lists[3].empty() || random.OneIn(2)) lists[1].clear();
    Configuration before = Of(lists[0], lists[1], lists[2]);
    if (!lists[3].empty() && random.OneIn(2)) before = Toward(before, lists[3], {1, 2, 3});
    if (!Validate(before).ok() || !before.IsVoter(NodeId{1})) continue;
    const UnsafeOverride unsafe = Evicting(lost);
    if (!ActsOn(unsafe, before)) continue;
    const Configuration after = Recovered(before, unsafe, NodeId{1}, kAt);
    ASSERT_TRUE(Validate(after).ok()) << Validate(after) << " of " << ToString(before);
    EXPECT_TRUE(after.IsVoter(NodeId{1})) << ToString(after);
    EXPECT_FALSE(ActsOn(unsafe, after)) << ToString(after);
    for (const Member& member : after.target ? after.target->voters : after.voters) {
      for (NodeId node : unsafe.evicted) EXPECT_NE(member.node, node) << ToString(after);
    }
  }
}

}  // namespace
}  // namespace cairn

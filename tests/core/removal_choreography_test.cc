// What lost acknowledged entries of a peer (NATS #7545; fault catalogue M6): of five members one is
// cut off, three lose power and one is removed, all at about the same time. In any order, and at
// any moment, nothing committed is lost, and the group serves when all is back.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/core/simulated_group.h"

namespace cairn {
namespace {

constexpr int kPermutations = 1000;

std::vector<NodeId> Nodes(const std::vector<uint64_t>& nodes) {
  std::vector<NodeId> ids;
  for (const uint64_t node : nodes) ids.push_back(NodeId{node});
  return ids;
}

enum class Act { kCutOff1, kCrash1, kCrash2, kCrash3, kRemove4, kRestartSome, kHeal };

void Do(Act act, SimulatedGroup& group, Random& random) {
  const auto crash = [&](uint64_t node) {
    if (group.running(NodeId{node})) group.Crash(NodeId{node});
  };
  switch (act) {
    case Act::kCutOff1:
      return group.Partition({NodeId{1}});
    case Act::kCrash1:
      return crash(1);
    case Act::kCrash2:
      return crash(2);
    case Act::kCrash3:
      return crash(3);
    case Act::kRemove4:
      // Whoever thinks it leads is asked.
      for (const NodeId node : group.nodes()) group.Declare(node, Nodes({1, 2, 3, 5}));
      return;
    case Act::kRestartSome:
      for (const NodeId node : group.nodes()) {
        if (!group.running(node) && random.OneIn(2)) group.Restart(node);
      }
      return;
    case Act::kHeal:
      return group.Partition({});
  }
}

TEST(RemovalChoreographyTest, LosesNothingInAnyOrder) {
  int removed = 0;
  for (int run = 0; run < kPermutations; ++run) {
    const uint64_t seed = static_cast<uint64_t>(run) + 1;
    Random random(seed);
    SimulatedGroup group(5, seed);
    group.Run(Seconds(5));
    std::vector<Act> acts = {Act::kCutOff1,     Act::kCrash1,  Act::kCrash2,
                             Act::kCrash3,      Act::kRemove4, Act::kRestartSome,
                             Act::kRestartSome, Act::kHeal,    Act::kRemove4};
    for (size_t i = acts.size(); i > 1; --i) std::swap(acts[i - 1], acts[random.Below(i)]);
    for (const Act act : acts) {
      for (const NodeId node : group.nodes()) group.Propose(node, 1 + random.Below(3));
      // Some of it is on its way when the next thing happens.
      for (uint64_t steps = random.Below(40); steps > 0; --steps) group.RandomStep();
      Do(act, group, random);
      if (random.OneIn(3)) group.Run(Milliseconds(static_cast<int64_t>(random.Below(3000))));
      ASSERT_EQ(group.violation(), "") << "seed " << seed << "\n" << group.Story();
    }
    const Index committed = group.committed();
    group.Heal(Seconds(20));
    ASSERT_EQ(group.violation(), "") << "seed " << seed << "\n" << group.Story();
    const NodeId leader = group.Leader();
    ASSERT_NE(leader, NodeId::kNone) << "seed " << seed << "\n" << group.Story();
    EXPECT_GE(group.raft(leader).commit(), committed) << "seed " << seed;
    EXPECT_FALSE(group.raft(leader).configuration().joint()) << "seed " << seed;
    removed += group.raft(leader).configuration().IsMember(NodeId{4}) ? 0 : 1;
  }
  // Not all of them come to a leader that can.
  EXPECT_GT(removed, kPermutations / 4);
  EXPECT_LT(removed, kPermutations);
}

}  // namespace
}  // namespace cairn

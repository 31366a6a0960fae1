// A change of voters, and power cuts at every step of it (fault catalogue M4): it goes on or is
// undone, and never hangs.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/core/simulated_group.h"

namespace cairn {
namespace {

const std::vector<NodeId> kTarget = {NodeId{2}, NodeId{3}, NodeId{4}};

enum class Cut { kLeader, kAll, kAllButTheLeader };

// Declares {2,3,4} in a group of {1,2,3}, cuts the power after `steps`, and gives the members in
// the end.
std::string MembersAfter(uint64_t steps, Cut cut) {
  SimulatedGroup group(3, 4, steps + 1, {});
  group.Run(Seconds(5));
  const NodeId leader = group.Leader();
  EXPECT_NE(leader, NodeId::kNone);
  group.Declare(leader, kTarget);
  for (uint64_t step = 0; step < steps; ++step) group.RandomStep();
  for (const NodeId node : group.nodes()) {
    const bool leads = node == leader;
    if (cut == Cut::kLeader && !leads) continue;
    if (cut == Cut::kAllButTheLeader && leads) continue;
    group.Crash(node);
  }
  group.Heal(Seconds(30));
  EXPECT_EQ(group.violation(), "") << group.Story();
  const NodeId last = group.Leader();
  EXPECT_NE(last, NodeId::kNone) << "steps " << steps << "\n" << group.Story();
  if (last == NodeId::kNone) return "";
  group.Propose(last, 1);
  group.Run(Seconds(2));
  EXPECT_EQ(group.raft(last).commit(), group.raft(last).last().index);
  return ToString(group.raft(last).configuration());
}

class ChangeCrashTest : public testing::TestWithParam<Cut> {};

TEST_P(ChangeCrashTest, GoesOnOrIsUndone) {
  std::set<std::string> ends;
  for (uint64_t steps = 0; steps < 250; ++steps) ends.insert(MembersAfter(steps, GetParam()));
  std::set<std::string> allowed = {"voters=1,2,3", "voters=2,3,4"};
  EXPECT_TRUE(ends.contains("voters=2,3,4"));
  for (const std::string& end : ends) EXPECT_TRUE(allowed.contains(end)) << end;
}

INSTANTIATE_TEST_SUITE_P(Cuts, ChangeCrashTest,
                         testing::Values(Cut::kLeader, Cut::kAll, Cut::kAllButTheLeader),
                         [](const testing::TestParamInfo<Cut>& cut) -> std::string {
                           if (cut.param == Cut::kLeader) return "Leader";
                           return cut.param == Cut::kAll ? "All" : "AllButTheLeader";
                         });

}  // namespace
}  // namespace cairn

#include "service/membership/loss_estimate.h"

#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(LossEstimateTest, SaysWhatStaysAndWhatNobodyKnows) {
  EXPECT_EQ(
      LossEstimate(
          {.last = {.index = 12, .term = 3}, .commit = 9, .since_leader = Milliseconds(12'340)}),
      "Entries up to 9 are committed and stay. Entries 10 to 12 stay and may never have been "
      "acknowledged. Whatever was acknowledged behind 12 is lost; how much that is nobody left "
      "can know. A leader was last heard 12.3 s ago.");
  EXPECT_EQ(
      LossEstimate({.last = {.index = 10, .term = 3}, .commit = 9}),
      "Entries up to 9 are committed and stay. Entry 10 stays and may never have been "
      "acknowledged. Whatever was acknowledged behind 10 is lost; how much that is nobody left "
      "can know. No leader was heard since this member started.");
  EXPECT_EQ(
      LossEstimate({.last = {.index = 9, .term = 3}, .commit = 9}),
      "Entries up to 9 are committed and stay. Whatever was acknowledged behind 9 is lost; how "
      "much that is nobody left can know. No leader was heard since this member started.");
}

TEST(LossEstimateTest, CountsVotersOnce) {
  Configuration configuration;
  configuration.voters = {{NodeId{1}, {}, {}}, {NodeId{2}, {}, {}}, {NodeId{4}, {}, {}}};
  configuration.outgoing_voters = {{NodeId{1}, {}, {}}, {NodeId{3}, {}, {}}};
  configuration.learners = {{NodeId{5}, {}, {}}};
  EXPECT_EQ(VotersLeft(configuration, {}), 4u);
  EXPECT_EQ(VotersLeft(configuration, {NodeId{2}, NodeId{3}, NodeId{5}}), 2u);
}

}  // namespace
}  // namespace cairn

#include "raft/forwarding/forward_intake.h"

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

ForwardedProposals Request(Term term, uint64_t life, uint64_t request) {
  ForwardedProposals forwarded;
  forwarded.term = term;
  forwarded.life = life;
  forwarded.request = request;
  return forwarded;
}

TEST(ForwardIntakeTest, TakesEachRequestOnce) {
  ForwardIntake intake;
  EXPECT_FALSE(intake.Admit(NodeId{2}, Request(3, 7, 1)));  // this node has not led term 3
  intake.Lead(3);
  EXPECT_TRUE(intake.Admit(NodeId{2}, Request(3, 7, 2)));
  EXPECT_TRUE(intake.Admit(NodeId{2}, Request(3, 7, 1)));  // overtaken
  EXPECT_FALSE(intake.Admit(NodeId{2}, Request(3, 7, 2)));
  EXPECT_TRUE(intake.Admit(NodeId{3}, Request(3, 7, 2)));   // another node's
  EXPECT_TRUE(intake.Admit(NodeId{2}, Request(3, 8, 2)));   // after a restart
  EXPECT_FALSE(intake.Admit(NodeId{2}, Request(3, 7, 2)));  // still
}

TEST(ForwardIntakeTest, OtherTermsAreIgnored) {
  ForwardIntake intake;
  intake.Lead(3);
  EXPECT_TRUE(intake.Admit(NodeId{2}, Request(3, 7, 1)));
  EXPECT_FALSE(intake.Admit(NodeId{2}, Request(2, 7, 2)));
  EXPECT_FALSE(intake.Admit(NodeId{2}, Request(4, 7, 2)));
  intake.Lead(5);
  EXPECT_FALSE(intake.Admit(NodeId{2}, Request(3, 7, 1)));
  EXPECT_FALSE(intake.Admit(NodeId{2}, Request(3, 7, 2)));
  EXPECT_TRUE(intake.Admit(NodeId{2}, Request(5, 7, 1)));
}

TEST(ForwardIntakeTest, WhatIsTooOldToKnowCountsAsSeen) {
  ForwardIntake intake;
  intake.Lead(1);
  EXPECT_TRUE(intake.Admit(NodeId{2}, Request(1, 7, 2 * ForwardIntake::kWindow)));
  EXPECT_FALSE(intake.Admit(NodeId{2}, Request(1, 7, ForwardIntake::kWindow)));
  EXPECT_TRUE(intake.Admit(NodeId{2}, Request(1, 7, ForwardIntake::kWindow + 1)));
  EXPECT_FALSE(intake.Admit(NodeId{2}, Request(1, 7, ForwardIntake::kWindow + 1)));
}

TEST(ForwardIntakeTest, MemoryIsBounded) {
  ForwardIntake intake;
  intake.Lead(1);
  for (uint64_t life = 1; life <= ForwardIntake::kMaxLives; ++life) {
    EXPECT_TRUE(intake.Admit(NodeId{2}, Request(1, life, 1)));
  }
  EXPECT_FALSE(intake.Admit(NodeId{2}, Request(1, 999'999, 1)));
  EXPECT_TRUE(intake.Admit(NodeId{2}, Request(1, 1, 2)));
}

TEST(ForwardIntakeTest, NothingTwiceInAnyOrder) {
  Random random(9);
  ForwardIntake intake;
  intake.Lead(1);
  std::set<uint64_t> taken;
  for (int i = 0; i < 20'000; ++i) {
    uint64_t request = 1 + random.Below(static_cast<uint64_t>(i) + 1);
    if (intake.Admit(NodeId{2}, Request(1, 7, request))) {
      ASSERT_TRUE(taken.insert(request).second);
    }
  }
}

}  // namespace
}  // namespace cairn

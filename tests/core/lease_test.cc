#include "raft/core/lease.h"

#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr Duration kTimeout = Milliseconds(1000);

Instant At(int64_t milliseconds) { return Instant{} + Milliseconds(1'000'000 + milliseconds); }

Configuration Voters(int voters) {
  Configuration configuration;
  for (int i = 1; i <= voters; ++i) {
    configuration.voters.push_back({NodeId(i), Incarnation::kUnknown, ""});
  }
  return configuration;
}

// Another node's clock, which says other numbers than ours.
Instant Theirs(Instant ours, int64_t rate_per_mille = 1000) {
  return Instant{(ours.nanoseconds - At(0).nanoseconds) / 1000 * rate_per_mille + 77'000'000'000};
}

TEST(LeaseTest, EndsWhenTheQuorumsPromisesDo) {
  const Configuration three = Voters(3);
  Lease lease(0);
  EXPECT_EQ(lease.Until(three, NodeId{1}), Instant());
  EXPECT_TRUE(lease.Promised(NodeId{2}, At(0), kTimeout, Theirs(At(5)), At(10)));
  // With the leader itself that is a majority. It counts from the sending, not from the answer.
  EXPECT_EQ(lease.Until(three, NodeId{1}), At(1000));
  EXPECT_EQ(lease.Until(Voters(5), NodeId{1}), Instant());
  EXPECT_TRUE(lease.Promised(NodeId{3}, At(300), kTimeout, Theirs(At(305)), At(310)));
  EXPECT_EQ(lease.Until(three, NodeId{1}), At(1300));
  EXPECT_EQ(lease.Until(Voters(5), NodeId{1}), At(1000));
}

TEST(LeaseTest, IsThatOfBothHalvesOfAJointConfiguration) {
  Configuration joint = Voters(3);
  joint.outgoing_voters = {{NodeId{1}, Incarnation::kUnknown, ""},
                           {NodeId{4}, Incarnation::kUnknown, ""},
                           {NodeId{5}, Incarnation::kUnknown, ""}};
  Lease lease(0);
  lease.Promised(NodeId{2}, At(0), kTimeout, Theirs(At(0)), At(1));
  EXPECT_EQ(lease.Until(joint, NodeId{1}), Instant());
  lease.Promised(NodeId{5}, At(-200), kTimeout, Theirs(At(0)), At(1));
  EXPECT_EQ(lease.Until(joint, NodeId{1}), At(800));
}

TEST(LeaseTest, CountsAPromiseShorterByTheGreatestDifferenceOfRates) {
  Lease lease(50);
  lease.Promised(NodeId{2}, At(0), kTimeout, Theirs(At(0)), At(1));
  EXPECT_EQ(lease.Until(Voters(3), NodeId{1}), At(950));
}

TEST(LeaseTest, OldAnswersAndOtherNodesDoNotProlongIt) {
  const Configuration three = Voters(3);
  Lease lease(0);
  lease.Promised(NodeId{2}, At(500), kTimeout, Theirs(At(501)), At(502));
  lease.Promised(NodeId{2}, At(100), kTimeout, Theirs(At(101)), At(900));
  EXPECT_EQ(lease.Until(three, NodeId{1}), At(1500));
  // A learner, a stranger, and an echo of what was never sent.
  lease.Promised(NodeId{9}, At(900), kTimeout, Theirs(At(901)), At(902));
  lease.Promised(NodeId{3}, At(2000), kTimeout, Theirs(At(901)), At(902));
  EXPECT_EQ(lease.Until(three, NodeId{1}), At(1500));
  // Who promises nothing.
  lease.Promised(NodeId{3}, At(900), Duration{}, Theirs(At(901)), At(902));
  EXPECT_EQ(lease.Until(three, NodeId{1}), At(1500));
}

TEST(LeaseTest, OnceEndedItDoesNotComeBack) {
  Lease lease(0);
  lease.Promised(NodeId{2}, At(0), kTimeout, Theirs(At(0)), At(1));
  lease.End();
  EXPECT_EQ(lease.Until(Voters(3), NodeId{1}), Instant());
  lease.Promised(NodeId{2}, At(10), kTimeout, Theirs(At(10)), At(11));
  EXPECT_EQ(lease.Until(Voters(3), NodeId{1}), Instant());
}

TEST(LeaseTest, AGroupOfOneNeedsNoPromise) {
  EXPECT_EQ(Lease(50).Until(Voters(1), NodeId{1}), kDistantFuture);
}

// Heartbeats every 100 ms whose answers take `delay`; the other clock runs at `rate`.
bool Ends(int64_t rate_per_mille, int64_t allowed, int64_t delay, int64_t milliseconds) {
  Lease lease(allowed);
  for (int64_t t = 0; t < milliseconds; t += 100) {
    // The delay comes and goes, before or behind the reading of the clock.
    const int64_t there = t % 300 == 0 ? delay : 0;
    const int64_t back = t % 300 == 200 ? delay : 0;
    if (!lease.Promised(NodeId{2}, At(t), kTimeout, Theirs(At(t + there), rate_per_mille),
                        At(t + there + back))) {
      return true;
    }
  }
  return false;
}

TEST(LeaseTest, EndsWhereAClockRunsOtherwiseByMoreThanAllowed) {
  EXPECT_TRUE(Ends(1100, 50, 1, 30'000));
  EXPECT_TRUE(Ends(900, 50, 1, 30'000));
  EXPECT_FALSE(Ends(1040, 50, 1, 600'000));
  EXPECT_FALSE(Ends(960, 50, 1, 600'000));
  EXPECT_FALSE(Ends(1000, 0, 0, 600'000));
}

TEST(LeaseTest, DelaysOfMessagesAreNotTakenForAnotherRate) {
  EXPECT_FALSE(Ends(1000, 50, 900, 600'000));
  EXPECT_FALSE(Ends(1000, 0, 900, 600'000));
  EXPECT_TRUE(Ends(1200, 50, 900, 60'000));
}

TEST(LeaseTest, ARateThatChangesLaterIsNoticedToo) {
  Lease lease(50);
  Instant theirs = At(77'000);
  int64_t t = 0;
  for (; t < 3'600'000; t += 100, theirs = theirs + Milliseconds(100)) {
    ASSERT_TRUE(lease.Promised(NodeId{2}, At(t), kTimeout, theirs, At(t + 1)));
  }
  bool noticed = false;
  const int64_t changed = t;
  for (; t < changed + 40'000 && !noticed; t += 100, theirs = theirs + Milliseconds(120)) {
    noticed = !lease.Promised(NodeId{2}, At(t), kTimeout, theirs, At(t + 1));
  }
  EXPECT_TRUE(noticed);
}

TEST(LeaseTest, AClockThatGoesBackEndsIt) {
  Lease lease(50);
  EXPECT_TRUE(lease.Promised(NodeId{2}, At(0), kTimeout, At(90'000), At(1)));
  EXPECT_FALSE(lease.Promised(NodeId{2}, At(100), kTimeout, At(5), At(101)));
  EXPECT_TRUE(lease.ended());
}

}  // namespace
}  // namespace cairn

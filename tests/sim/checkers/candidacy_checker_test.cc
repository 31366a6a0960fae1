#include "tests/sim/checkers/candidacy_checker.h"

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

constexpr NodeId kA{1};
constexpr NodeId kB{2};

class CandidacyCheckerTest : public ::testing::Test {
 protected:
  bool violated() const { return violations_.any(); }

  EventQueue events_;
  EventLog log_{events_, nullptr};
  Violations violations_{log_};
  Counters counters_;
  CandidacyChecker checker_{violations_, counters_};
};

TEST_F(CandidacyCheckerTest, ObserversVoteAndNeverLead) {
  checker_.Observes(kA);
  checker_.Voted(kA);
  checker_.AskedForVotes(kB, 1);
  checker_.Elected(kB, 1);
  EXPECT_FALSE(violated());
  EXPECT_EQ(counters_.Get("observer voted"), 1u);
  checker_.Elected(kA, 2);
  EXPECT_TRUE(violated());
}

TEST_F(CandidacyCheckerTest, ObserversAskForNoVotes) {
  checker_.Observes(kA);
  checker_.AskedForVotes(kA, 2);
  EXPECT_TRUE(violated());
}

TEST_F(CandidacyCheckerTest, PausedMembersLeadNoLaterTerm) {
  checker_.Paused(kA, 3);
  checker_.Elected(kA, 3);
  checker_.Elected(kB, 4);
  EXPECT_FALSE(violated());
  checker_.Elected(kA, 5);
  EXPECT_TRUE(violated());
}

TEST_F(CandidacyCheckerTest, WhoGoesOnMayLead) {
  checker_.Paused(kA, 3);
  checker_.Resumed(kA);
  checker_.Elected(kA, 4);
  EXPECT_FALSE(violated());
}

TEST_F(CandidacyCheckerTest, WhoWasDeletedDoesNotCampaign) {
  checker_.Deleted(kA);
  checker_.Voted(kA);
  checker_.AskedForVotes(kB, 1);
  EXPECT_FALSE(violated());
  checker_.AskedForVotes(kA, 1);
  EXPECT_TRUE(violated());
}

}  // namespace
}  // namespace cairn::sim

#include "tests/sim/checkers/membership_checker.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

constexpr NodeId kA{1};

std::vector<Member> Members(const std::vector<uint64_t>& ids) {
  std::vector<Member> members;
  for (uint64_t id : ids) {
    members.push_back({NodeId{id}, Incarnation::kUnknown, absl::StrCat("node", id)});
  }
  return members;
}

// Node 1 leads term 1 and holds everything; the others follow where a test says so.
class MembershipCheckerTest : public ::testing::Test {
 protected:
  MembershipCheckerTest() {
    ledger_.ObserveConfigurations(
        [this](const Ledger::ConfigurationChange& change) { checker_.Appended(change); },
        [this](const Ledger::ConfigurationChange& change) { checker_.Committed(change); });
    for (uint64_t node = 1; node <= 5; ++node) {
      LogChange change;
      change.hard_state = {1, kA};
      Write(NodeId{node}, change);
    }
  }
  void Write(NodeId node, const LogChange& change) {
    ledger_.Appended(node, change);
    ledger_.Synced(node, ledger_.log(node).appended());
  }
  // `nodes` hold one more entry durably.
  void Append(const std::vector<uint64_t>& nodes, Index at,
              std::shared_ptr<const Configuration> configuration = nullptr) {
    LogChange change;
    change.first = at;
    change.entries = {{1, {at, at}, std::move(configuration)}};
    for (uint64_t node : nodes) Write(NodeId{node}, change);
  }
  static std::shared_ptr<const Configuration> Make(const std::vector<uint64_t>& voters,
                                                   const std::vector<uint64_t>& outgoing = {},
                                                   const std::vector<uint64_t>& learners = {}) {
    return std::make_shared<const Configuration>(
        Configuration{Members(voters), Members(outgoing), Members(learners)});
  }
  void Begin() {
    Append({1, 2, 3}, 1, Make({1, 2, 3}));
    Append({1, 2, 3}, 2);
  }
  std::string Violation() const { return violations_.first().substr(0, 4); }

  EventQueue events_;
  EventLog log_{events_, nullptr};
  Violations violations_{log_};
  Counters counters_;
  Ledger ledger_{{NodeId{1}, NodeId{2}, NodeId{3}}, violations_, counters_};
  MembershipChecker checker_{ledger_, violations_, counters_};
};

TEST_F(MembershipCheckerTest, AWholeChange) {
  Begin();
  Append({1, 2}, 3, Make({1, 4, 5}, {1, 2, 3}));
  EXPECT_EQ(ledger_.commit(), 2u) << "the new half is missing";
  EXPECT_EQ(Violation(), "");
  for (uint64_t node : {4, 5}) {
    LogChange change;
    change.first = 1;
    change.entries = {{1, {1, 1}, Make({1, 2, 3})}, {1, {2, 2}}};
    Write(NodeId{node}, change);
  }
  Append({4}, 3, Make({1, 4, 5}, {1, 2, 3}));
  EXPECT_EQ(ledger_.commit(), 3u);
  // From here on the new voters are enough, also before the configuration that says so.
  Append({1, 4}, 4);
  EXPECT_EQ(ledger_.commit(), 4u);
  Append({1, 4}, 5, Make({1, 4, 5}));
  EXPECT_EQ(ledger_.commit(), 5u);
  EXPECT_TRUE(checker_.WasRemoved(NodeId{2}));
  EXPECT_FALSE(checker_.WasRemoved(NodeId{4}));
  EXPECT_TRUE(checker_.EverMember(NodeId{3}));
  EXPECT_FALSE(checker_.EverMember(NodeId{6}));
  EXPECT_EQ(counters_.Get("joint configuration committed"), 1u);
  EXPECT_EQ(counters_.Get("several voters replaced at once"), 1u);
  EXPECT_EQ(Violation(), "");
}

TEST_F(MembershipCheckerTest, LearnersAreNotCounted) {
  Begin();
  Append({1, 2}, 3, Make({1, 2, 3}, {}, {4, 5}));
  EXPECT_EQ(ledger_.commit(), 3u);
  for (uint64_t node : {4, 5}) {
    LogChange change;
    change.first = 1;
    change.entries = {{1, {1, 1}, Make({1, 2, 3})},
                      {1, {2, 2}},
                      {1, {3, 3}, Make({1, 2, 3}, {}, {4, 5})},
                      {1, {4, 4}}};
    Write(NodeId{node}, change);
  }
  Append({1}, 4);
  EXPECT_EQ(ledger_.commit(), 3u);
  ledger_.Claimed(kA, 4, "test");
  EXPECT_EQ(Violation(), "I9 c");
}

TEST_F(MembershipCheckerTest, AtRestTheLastOneCounts) {
  Begin();
  GroupStatus status;
  status.configuration = *Make({1, 2, 3});
  EXPECT_TRUE(checker_.IsInForce(status));
  Append({1, 2}, 3, Make({1, 2, 3}, {}, {4}));
  EXPECT_FALSE(checker_.IsInForce(status));
  status.configuration = *Make({1, 2, 3}, {}, {4});
  checker_.ShownAtRest(kA, status);
  EXPECT_EQ(Violation(), "");
  // As if an entry with another one had been there.
  status.configuration = *Make({1, 2, 3}, {}, {5});
  checker_.ShownAtRest(kA, status);
  EXPECT_EQ(Violation(), "I16 ");
}

TEST_F(MembershipCheckerTest, TheLastOneInTheLogCounts) {
  Begin();
  Append({1}, 3, Make({1, 2, 3}, {}, {4}));
  GroupStatus status;
  status.last_index = 3;
  status.last_term = 1;
  status.configuration_index = 3;
  checker_.Shown(kA, status);
  // The log is shorter on the disk than in memory, or the other way round.
  status.last_index = 4;
  status.configuration_index = 4;
  checker_.Shown(kA, status);
  EXPECT_EQ(Violation(), "");
  status.last_index = 3;
  // It cannot read its last one, and does not campaign.
  status.state = NodeState::kRepairing;
  checker_.Shown(kA, status);
  EXPECT_EQ(Violation(), "");
  status.state = NodeState::kServing;
  checker_.Shown(kA, status);
  EXPECT_EQ(Violation(), "I16 ");
}

TEST_F(MembershipCheckerTest, QuorumsThatNeedNotMeet) {
  Begin();
  Append({1}, 3, Make({1, 4, 5}));
  EXPECT_EQ(Violation(), "I16 ");
}

TEST_F(MembershipCheckerTest, TheOneBeforeIsNotCommitted) {
  Begin();
  Append({1}, 3, Make({1, 2, 3}, {}, {4}));
  EXPECT_EQ(Violation(), "");
  Append({1}, 4, Make({1, 2, 3}));
  EXPECT_EQ(Violation(), "I16 ");
}

TEST_F(MembershipCheckerTest, NothingOfTheOwnTermIsCommitted) {
  Begin();
  for (uint64_t node : {1, 2, 3}) {
    LogChange change;
    change.hard_state = {2, NodeId{2}};
    Write(NodeId{node}, change);
  }
  LogChange change;
  change.first = 3;
  change.entries = {{2, {3, 3}}, {2, {4, 4}, Make({1, 2, 3}, {}, {4})}};
  Write(NodeId{2}, change);
  EXPECT_EQ(Violation(), "I16 ");
}

TEST_F(MembershipCheckerTest, ElectionsNeedAQuorumOfVoters) {
  Begin();
  std::set<NodeId> votes = {NodeId{1}, NodeId{3}};
  auto voted = [&](NodeId node) { return votes.contains(node); };
  checker_.Elected(kA, 1, voted);
  EXPECT_EQ(Violation(), "");
  votes = {NodeId{1}, NodeId{4}, NodeId{5}};
  checker_.Elected(kA, 1, voted);
  EXPECT_EQ(Violation(), "I16 ");
}

TEST_F(MembershipCheckerTest, AnswersAreTrue) {
  Begin();
  DeclaredMembers members = {Members({1, 2, 3}), {{NodeId{4}, Incarnation::kUnknown, "new"}}};
  checker_.Declared(1, members, "new");
  auto named = std::make_shared<Configuration>(*Make({1, 2, 3}));
  named->learners = members.learners;
  Append({1, 2}, 3, named);
  checker_.Told(1, kA, ControlDone{{3, 1}, kA});
  EXPECT_EQ(Violation(), "");
  checker_.Declared(2, {Members({1, 2}), {}}, "");
  checker_.Told(2, kA, ControlDone{{3, 1}, kA});
  EXPECT_EQ(Violation(), "I16 ");
}

TEST_F(MembershipCheckerTest, WhatWasRefusedIsNotAppended) {
  Begin();
  DeclaredMembers members = {Members({1, 2, 3}), {{NodeId{4}, Incarnation::kUnknown, "new"}}};
  checker_.Declared(1, members, "new");
  checker_.Told(1, kA, ControlRefused{ControlRefused::Reason::kLagging, "", kA});
  EXPECT_EQ(Violation(), "");
  auto named = std::make_shared<Configuration>(*Make({1, 2, 3}));
  named->learners = members.learners;
  Append({1}, 3, named);
  EXPECT_EQ(Violation(), "I16 ");
}

// Another majority than that of the members before: an operator has to say so.
TEST_F(MembershipCheckerTest, AForcedConfigurationTakesAnOperator) {
  Begin();
  Configuration forced = *Make({4, 5});
  forced.unsafe_recoveries.count = 1;
  Append({1}, 3, std::make_shared<const Configuration>(forced));
  EXPECT_EQ(Violation(), "I16 ");
}

TEST_F(MembershipCheckerTest, AForcedConfigurationStaysWrittenDown) {
  Begin();
  ledger_.Rescue(kA, {NodeId{2}, NodeId{3}}, {.evicted = {NodeId{2}, NodeId{3}}, .quorum = 0});
  // Whoever led before the loss leads no more.
  LogChange term;
  term.hard_state = {2, kA};
  Write(kA, term);
  LogChange change;
  change.first = 3;
  Configuration forced = *Make({1});
  forced.unsafe_recoveries.count = 1;
  change.entries = {{2, {3, 3}, std::make_shared<const Configuration>(forced)}};
  Write(kA, change);
  EXPECT_EQ(violations_.first(), "");
  EXPECT_EQ(counters_.Get("configuration forced by an unsafe recovery"), 1u);
  change.first = 4;
  change.entries = {{2, {4, 4}, Make({1})}};
  Write(kA, change);
  EXPECT_EQ(Violation(), "I16 ");
}

}  // namespace
}  // namespace cairn::sim

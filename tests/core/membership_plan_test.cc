#include "raft/core/membership_plan.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "raft/core/quorum.h"

namespace cairn {
namespace {

constexpr uint64_t kNodes = 6;

Member MakeMember(uint64_t node) {
  return {NodeId{node}, Incarnation{100 + node}, absl::StrCat("host", node, ":1")};
}

std::vector<Member> Members(const std::vector<uint64_t>& nodes) {
  std::vector<Member> members;
  for (const uint64_t node : nodes) members.push_back(MakeMember(node));
  return members;
}

Configuration Of(const std::vector<uint64_t>& voters, const std::vector<uint64_t>& learners = {}) {
  return {.voters = Members(voters), .outgoing_voters = {}, .learners = Members(learners)};
}

bool Yes(NodeId) { return true; }
bool No(NodeId) { return false; }

TEST(MembershipPlanTest, RefusesWhatIsNoGroup) {
  const Configuration current = Of({1, 2, 3});
  const auto refusal = [&](const DeclaredMembers& declared) {
    const absl::Status status = CheckDeclared(current, declared);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_EQ(refusal({}), "a group without voters");
  EXPECT_EQ(refusal({.voters = {}, .learners = Members({1})}), "a group without voters");
  EXPECT_EQ(refusal({.voters = Members({1, 1})}), "node 1 is named twice");
  EXPECT_EQ(refusal({.voters = Members({1}), .learners = Members({1})}), "node 1 is named twice");
  EXPECT_EQ(refusal({.voters = Members({0, 1})}), "a member with id 0");
  DeclaredMembers declared = {.voters = Members({1, 2})};
  declared.voters[1].address = "";
  EXPECT_EQ(refusal(declared), "node 2 has no address");
  declared.voters[1].address = declared.voters[0].address;
  EXPECT_EQ(refusal(declared), "address host1:1 is named twice");
  declared = {.voters = Members({1, 2})};
  declared.voters[1].incarnation = Incarnation{999};
  EXPECT_TRUE(absl::StrContains(refusal(declared), "incarnation 102, not 999"))
      << declared.voters[1].address;
  declared = {};
  for (uint64_t node = 1; node <= 100'000; ++node) declared.voters.push_back(MakeMember(node));
  EXPECT_EQ(refusal(declared), "100000 members, 128 at most");
  declared.voters.resize(kMaxMembers);
  EXPECT_TRUE(CheckDeclared(current, declared).ok());
}

TEST(MembershipPlanTest, FillsInKnownDisksAndOrders) {
  DeclaredMembers declared = {.voters = Members({3, 1, 4})};
  declared.voters[0].incarnation = Incarnation::kUnknown;
  declared.voters[2].incarnation = Incarnation::kUnknown;
  const MembershipTarget target = MakeTarget(Of({1, 2, 3}, {5}), declared);
  ASSERT_EQ(target.voters.size(), 3u);
  EXPECT_EQ(target.voters[1], MakeMember(3));
  EXPECT_EQ(target.voters[2].node, NodeId{4});
  EXPECT_EQ(target.voters[2].incarnation, Incarnation::kUnknown);
  EXPECT_EQ(target.voters_before, Members({1, 2, 3}));
  EXPECT_EQ(target.learners_before, Members({5}));
}

// A node can be added before it is there to say which disk it has.
TEST(MembershipPlanTest, LearnsADiskLater) {
  Configuration current = Of({1, 2});
  current.voters[1].incarnation = Incarnation::kUnknown;
  const DeclaredMembers declared = {.voters = Members({1, 2})};
  ASSERT_TRUE(CheckDeclared(current, declared).ok());
  const MembershipTarget target = MakeTarget(current, declared);
  EXPECT_FALSE(LeadsTo(current, target));
  EXPECT_EQ(FirstStep(current, target), Of({1, 2}));
}

TEST(MembershipPlanTest, WalksToTheTarget) {
  const Configuration start = Of({1, 2, 3}, {5});
  const MembershipTarget target =
      MakeTarget(start, {.voters = Members({2, 3, 4}), .learners = Members({6})});
  const Configuration declared = FirstStep(start, target);
  EXPECT_EQ(ToString(declared), "voters=1,2,3 learners=4,5,6 target=2,3,4 target_learners=6");
  EXPECT_EQ(NextStep(declared, No, Yes), std::nullopt);
  const std::optional<Configuration> joint = NextStep(declared, Yes, Yes);
  ASSERT_TRUE(joint);
  EXPECT_EQ(ToString(*joint),
            "voters=2,3,4 outgoing=1,2,3 learners=5,6 target=2,3,4 target_learners=6");
  // Whoever answers or not: a joint configuration is left.
  const std::optional<Configuration> reached = NextStep(*joint, No, No);
  ASSERT_TRUE(reached);
  EXPECT_EQ(*reached, Of({2, 3, 4}, {6}));
  EXPECT_EQ(NextStep(*reached, Yes, Yes), std::nullopt);
  for (const Configuration& each : {declared, *joint, *reached}) {
    EXPECT_TRUE(LeadsTo(each, target)) << ToString(each);
  }
  EXPECT_FALSE(LeadsTo(start, target));
  EXPECT_EQ(StepBack(declared), start);
}

TEST(MembershipPlanTest, NeedsOneStepWhereNoVoterChanges) {
  const Configuration start = Of({1, 2}, {3});
  DeclaredMembers declared = {.voters = Members({1, 2}), .learners = Members({4})};
  declared.voters[1].address = "moved:1";
  const Configuration next = FirstStep(start, MakeTarget(start, declared));
  EXPECT_FALSE(next.target || next.joint());
  EXPECT_EQ(next.voters[1].address, "moved:1");
  EXPECT_EQ(next.learners, Members({4}));
}

TEST(MembershipPlanTest, WaitsForAQuorumOfTheTarget) {
  const Configuration start = Of({1, 2, 3});
  const Configuration declared = FirstStep(start, MakeTarget(start, {.voters = Members({3})}));
  EXPECT_EQ(NextStep(declared, Yes, [](NodeId node) { return node != NodeId{3}; }), std::nullopt);
  EXPECT_TRUE(NextStep(declared, Yes, [](NodeId node) { return node == NodeId{3}; }));
}

TEST(MembershipPlanTest, LeavesAJointConfigurationWithoutATarget) {
  Configuration joint = Of({1, 4}, {5});
  joint.outgoing_voters = Members({1, 2});
  const std::optional<Configuration> next = NextStep(joint, No, No);
  ASSERT_TRUE(next);
  EXPECT_EQ(*next, Of({1, 4}, {5}));
}

TEST(MembershipPlanTest, DoesTheArithmetic) {
  const std::vector<Member> voters = Members({1, 2, 3, 4, 5});
  const auto fault = [&](const std::set<uint64_t>& alive) {
    return QuorumFault(voters, [&](NodeId node) { return alive.contains(ToInteger(node)); });
  };
  EXPECT_EQ(fault({}), "needs 3 of 5 voters, none answers");
  EXPECT_EQ(fault({2}), "needs 3 of 5 voters, only node 2 answers");
  EXPECT_EQ(fault({2, 5}), "needs 3 of 5 voters, only nodes 2, 5 answer");
  EXPECT_EQ(fault({2, 4, 5}), "");
  EXPECT_EQ(QuorumFault(Members({1, 2}), [](NodeId node) { return node == NodeId{1}; }),
            "needs 2 of 2 voters, only node 1 answers");
}

TEST(MembershipPlanTest, KnowsWhichConfigurationsMayFollow) {
  Configuration joint = Of({1, 2, 3, 4, 5});
  joint.outgoing_voters = Members({1, 2, 3});
  EXPECT_EQ(TransitionFault(Of({1, 2, 3}), Of({1, 2, 3}, {4})), "");
  EXPECT_EQ(TransitionFault(Of({1, 2, 3}), joint), "");
  EXPECT_EQ(TransitionFault(joint, joint), "");
  EXPECT_EQ(TransitionFault(joint, Of({1, 2, 3, 4, 5})), "");
  EXPECT_NE(TransitionFault(joint, Of({1, 2, 3})), "");
  EXPECT_NE(TransitionFault(Of({1, 2, 3}), Of({1, 2, 3, 4, 5})), "");
  EXPECT_NE(TransitionFault(Of({1, 2, 4}), joint), "");
}

// Every quorum of one configuration meets every quorum of the next, whatever the plan and whenever
// it is cancelled.
TEST(MembershipPlanTest, RandomPlansKeepQuorumsMeeting) {
  Random random(7);
  const auto draw = [&random] {
    DeclaredMembers declared;
    for (uint64_t node = 1; node <= kNodes; ++node) {
      const uint64_t kind = random.Below(4);
      if (kind < 2) declared.voters.push_back(MakeMember(node));
      if (kind == 2) declared.learners.push_back(MakeMember(node));
    }
    if (declared.voters.empty()) declared.voters.push_back(MakeMember(kNodes + 1));
    return declared;
  };
  const auto won = [](const Configuration& configuration, const std::set<NodeId>& granted) {
    return CountVotes(configuration, [&](NodeId node) { return granted.contains(node); }) ==
           VoteResult::kWon;
  };
  Configuration current = Of({1, 2, 3});
  int steps = 0;
  for (int plan = 0; plan < 3000; ++plan) {
    const MembershipTarget target = MakeTarget(current, draw());
    if (LeadsTo(current, target)) continue;
    Configuration next = FirstStep(current, target);
    for (bool done = false; !done; ++steps) {
      ASSERT_TRUE(Validate(next).ok()) << ToString(next);
      ASSERT_EQ(TransitionFault(current, next), "");
      for (uint64_t set = 0; set < uint64_t{1} << (kNodes + 1); ++set) {
        std::set<NodeId> in;
        std::set<NodeId> out;
        for (uint64_t node = 1; node <= kNodes + 1; ++node) {
          (((set >> (node - 1)) & 1) != 0 ? in : out).insert(NodeId{node});
        }
        ASSERT_FALSE(won(current, in) && won(next, out))
            << ToString(current) << " then " << ToString(next);
      }
      current = next;
      if (current.target && !current.joint() && random.OneIn(4)) {
        next = StepBack(current);
      } else if (auto following = NextStep(current, Yes, Yes)) {
        next = *following;
      } else {
        done = true;
      }
    }
    ASSERT_FALSE(current.joint() || current.target);
  }
  EXPECT_GT(steps, 3000);
}

TEST(MembershipPlanTest, UnsafeRecoveriesAreNeverForgotten) {
  Configuration before = Of({1, 2, 3});
  before.unsafe_recoveries = {.count = 1,
                              .evicted = {NodeId{4}},
                              .quorum = 0,
                              .at = {.index = 7, .term = 5},
                              .asked = {},
                              .evicted_ever = {NodeId{4}}};
  EXPECT_NE(TransitionFault(before, Of({1, 2, 3})), "");
  Configuration once_more = Of({1});
  once_more.unsafe_recoveries = before.unsafe_recoveries;
  EXPECT_NE(TransitionFault(before, once_more), "");
  once_more.unsafe_recoveries.count = 2;
  EXPECT_EQ(TransitionFault(before, once_more), "");
  once_more.unsafe_recoveries.count = 3;
  EXPECT_NE(TransitionFault(before, once_more), "");

  const auto yes = [](NodeId) { return true; };
  const MembershipTarget target = MakeTarget(before, {.voters = Of({1, 2, 5}).voters});
  Configuration current = FirstStep(before, target);
  EXPECT_EQ(StepBack(current).unsafe_recoveries, before.unsafe_recoveries);
  while (true) {
    EXPECT_EQ(current.unsafe_recoveries, before.unsafe_recoveries) << ToString(current);
    const auto next = NextStep(current, yes, yes);
    if (!next) break;
    EXPECT_EQ(TransitionFault(current, *next), "");
    current = *next;
  }
  EXPECT_EQ(current.voters, target.voters);
}

TEST(MembershipPlanTest, FewerMayBeEnough) {
  const auto only_first = [](NodeId node) { return node == NodeId{1}; };
  EXPECT_EQ(QuorumFault(Of({1, 2, 3}).voters, only_first),
            "needs 2 of 3 voters, only node 1 answers");
  EXPECT_EQ(QuorumFault(Of({1, 2, 3}).voters, only_first, 1), "");
}

}  // namespace
}  // namespace cairn

// Membership and leadership as a program asks for them: Group on whole hosts.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "raft/host.h"
#include "tests/raft/test_cluster.h"

namespace cairn {
namespace {

using Reason = ControlRefused::Reason;

std::string Text(const ControlResult& result) {
  const auto* refused = std::get_if<ControlRefused>(&result);
  if (refused == nullptr) return "done";
  return std::string(NameOf(refused->reason)) + ": " + refused->message;
}

Reason ReasonOf(const ControlResult& result) {
  const auto* refused = std::get_if<ControlRefused>(&result);
  EXPECT_NE(refused, nullptr) << "not refused";
  return refused == nullptr ? Reason::kUnknown : refused->reason;
}

bool Applied(const ProposalResult& result) {
  return std::holds_alternative<ProposalApplied>(result);
}

std::string StoppedBecause(TestCluster& cluster, uint64_t node) {
  const auto& stopped = cluster.Stopped(node);
  return stopped.has_value() ? std::string(stopped->second.message()) : "";
}

// Runs until the configuration of `node` says `text`.
void AwaitMembers(TestCluster& cluster, uint64_t node, const std::string& text) {
  for (int i = 0; i < 10'000; ++i) {
    if (ToString(cluster.At(node).Status().configuration) == text) return;
    cluster.Run(Milliseconds(1));
  }
  FAIL() << ToString(cluster.At(node).Status().configuration) << " instead of " << text;
}

TEST(GroupControlTest, GrowsFromOneToThree) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_EQ(cluster.AwaitLeader(), 1u);
  ASSERT_TRUE(Applied(cluster.Propose(1, "before")));
  cluster.StartJoiner(2);
  cluster.StartJoiner(3);
  EXPECT_EQ(Text(cluster.Change(1, {.voters = cluster.Members({1, 2, 3})})), "done");
  AwaitMembers(cluster, 1, "voters=1,2,3");
  ASSERT_TRUE(Applied(cluster.Propose(2, "after")));
  cluster.Run(Milliseconds(200));
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_EQ(cluster.Commands(node), (std::vector<std::string>{"before", "after"})) << node;
    EXPECT_FALSE(cluster.At(node).Status().learner) << node;
  }
  // The first node is not needed any more.
  cluster.Stop(1);
  EXPECT_NE(cluster.AwaitLeader(), 0u);
  EXPECT_TRUE(Applied(cluster.Propose(cluster.Leader(), "without the first")));
}

TEST(GroupControlTest, AJoinerThatRestartsIsStillAMember) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_EQ(cluster.AwaitLeader(), 1u);
  cluster.StartJoiner(2);
  ASSERT_EQ(Text(cluster.Change(1, {.voters = cluster.Members({1, 2})})), "done");
  AwaitMembers(cluster, 1, "voters=1,2");
  cluster.Run(Milliseconds(200));
  cluster.Start(1);
  cluster.Start(2);
  ASSERT_NE(cluster.AwaitLeader(), 0u);
  EXPECT_TRUE(Applied(cluster.Propose(2, "a")));
}

TEST(GroupControlTest, ALearnerTakesEntriesAndDoesNotVote) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_EQ(cluster.AwaitLeader(), 1u);
  cluster.StartJoiner(2);
  ASSERT_EQ(
      Text(cluster.Change(1, {.voters = cluster.Members({1}), .learners = cluster.Members({2})})),
      "done");
  ASSERT_TRUE(Applied(cluster.Propose(2, "through the learner")));
  cluster.Run(Milliseconds(200));
  EXPECT_TRUE(cluster.At(2).Status().learner);
  EXPECT_EQ(cluster.Commands(2).size(), 1u);
  cluster.Stop(1);
  cluster.Run(Seconds(10));
  EXPECT_EQ(cluster.Leader(), 0u);
}

TEST(GroupControlTest, ALeaderRemovesItselfAndIsTold) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  std::vector<uint64_t> others;
  for (uint64_t node = 1; node <= 3; ++node) {
    if (node != leader) others.push_back(node);
  }
  EXPECT_EQ(Text(cluster.Change(leader, {.voters = cluster.Members(others)})), "done");
  cluster.Run(Milliseconds(500));
  EXPECT_EQ(StoppedBecause(cluster, leader).rfind("MEMBER_REMOVED", 0), 0u)
      << StoppedBecause(cluster, leader);
  EXPECT_EQ(cluster.Stopped(leader)->first, NodeState::kHalted);
  const uint64_t next = cluster.AwaitLeader();
  ASSERT_NE(next, 0u);
  EXPECT_NE(next, leader);
  EXPECT_TRUE(Applied(cluster.Propose(next, "a")));
  EXPECT_FALSE(Applied(cluster.Propose(leader, "b")));
}

TEST(GroupControlTest, AMemberThatWasRemovedWhileAwayIsTold) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  const uint64_t away = cluster.SomeFollower();
  cluster.Stop(away);
  std::vector<uint64_t> others;
  for (uint64_t node = 1; node <= 3; ++node) {
    if (node != away) others.push_back(node);
  }
  ASSERT_EQ(Text(cluster.Change(leader, {.voters = cluster.Members(others)})), "done");
  cluster.Run(Seconds(10));
  const Term term = cluster.At(leader).Status().term;
  cluster.Start(away);
  cluster.Run(Seconds(10));
  EXPECT_EQ(StoppedBecause(cluster, away).rfind("MEMBER_REMOVED", 0), 0u);
  EXPECT_EQ(cluster.Leader(), leader) << "it has disturbed";
  EXPECT_EQ(cluster.At(leader).Status().term, term);
}

TEST(GroupControlTest, RefusalsSayWhy) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  const uint64_t follower = cluster.SomeFollower();
  const DeclaredMembers all = {.voters = cluster.Members({1, 2, 3})};
  const ControlResult asked = cluster.Change(follower, all);
  EXPECT_EQ(ReasonOf(asked), Reason::kNotLeader);
  EXPECT_EQ(std::get<ControlRefused>(asked).leader, NodeId{leader});
  EXPECT_EQ(Text(cluster.Change(leader, {})), "invalid: a group without voters");
  EXPECT_EQ(Text(cluster.Change(leader, all)), "done") << "it is so already";
  const uint64_t third = 6 - leader - follower;
  cluster.Stop(third);
  cluster.Run(Seconds(2));
  EXPECT_EQ(Text(cluster.Change(leader, {.voters = cluster.Members({leader, third})})),
            "would lose the quorum: needs 2 of 2 voters, only node " + std::to_string(leader) +
                " answers");
  EXPECT_EQ(ReasonOf(cluster.Transfer(leader, third)), Reason::kBadTarget);
  EXPECT_EQ(ReasonOf(cluster.Transfer(leader, leader)), Reason::kBadTarget);
  EXPECT_EQ(ReasonOf(cluster.Transfer(follower, leader)), Reason::kNotLeader);
}

TEST(GroupControlTest, HandsLeadershipOver) {
  TestCluster cluster(3);
  cluster.StartAll();
  for (int i = 0; i < 20; ++i) {
    const uint64_t leader = cluster.AwaitLeader();
    const uint64_t target = 1 + leader % 3;
    ASSERT_TRUE(Applied(cluster.Propose(leader, "a")));
    ASSERT_EQ(Text(cluster.Transfer(leader, target)), "done");
    EXPECT_EQ(cluster.At(target).Status().role, Role::kLeader);
    ASSERT_EQ(cluster.AwaitLeader(), target);
  }
  const uint64_t leader = cluster.Leader();
  ASSERT_EQ(Text(cluster.Transfer(leader, 0)), "done");
  EXPECT_NE(cluster.AwaitLeader(), leader);
}

// Commands wait while leadership is handed over, on every member, and go to whoever leads then.
TEST(GroupControlTest, NoCommandFailsWhileLeadershipIsHandedOver) {
  TestCluster cluster(3);
  cluster.StartAll();
  ASSERT_NE(cluster.AwaitLeader(), 0u);
  int proposed = 0;
  int applied = 0;
  std::vector<std::string> failures;
  const auto propose = [&] {
    for (uint64_t node = 1; node <= 3; ++node) {
      const std::string name = std::to_string(++proposed);
      cluster.At(node).Propose("command " + name, {}, [&, name, node](ProposalResult result) {
        const auto* refused = std::get_if<ProposalNotApplied>(&result);
        applied += Applied(result) ? 1 : 0;
        if (!Applied(result)) {
          failures.push_back(name + " at " + std::to_string(node) + ": " +
                             (refused != nullptr ? NameOf(refused->reason) : "unknown"));
        }
      });
    }
  };
  for (int i = 0; i < 30; ++i) {
    const uint64_t leader = cluster.AwaitLeader();
    std::optional<ControlResult> result;
    cluster.At(leader).TransferLeadership(NodeId{1 + leader % 3}, cluster.world.Now() + Seconds(1),
                                          [&](ControlResult r) { result = std::move(r); });
    for (int step = 0; step < 100; ++step) {
      propose();
      cluster.Run(Milliseconds(1));
    }
    ASSERT_TRUE(result.has_value());
    ASSERT_EQ(Text(*result), "done");
  }
  cluster.Run(Seconds(5));
  EXPECT_EQ(failures, std::vector<std::string>());
  EXPECT_EQ(applied, proposed);
  // Each once.
  EXPECT_EQ(cluster.Commands(1).size(), static_cast<size_t>(proposed));
}

// Calls of one order stay in order over a hand-over, wherever they go meanwhile.
TEST(GroupControlTest, OrderedCommandsStayInOrderOverAHandOver) {
  TestCluster cluster(3);
  cluster.StartAll();
  ASSERT_NE(cluster.AwaitLeader(), 0u);
  std::map<uint64_t, std::shared_ptr<ProposalOrder>> orders;
  for (uint64_t node = 1; node <= 3; ++node) orders[node] = std::make_shared<ProposalOrder>();
  int next = 0;
  for (int i = 0; i < 10; ++i) {
    const uint64_t leader = cluster.AwaitLeader();
    cluster.At(leader).TransferLeadership(NodeId{1 + leader % 3}, cluster.world.Now() + Seconds(1),
                                          [](const ControlResult&) {});
    for (int step = 0; step < 50; ++step) {
      ++next;
      for (uint64_t node = 1; node <= 3; ++node) {
        ProposeOptions options;
        options.order = orders[node];
        cluster.At(node).Propose(std::to_string(node) + ":" + std::to_string(100'000 + next),
                                 options, [](const ProposalResult&) {});
      }
      cluster.Run(Milliseconds(1));
    }
    cluster.Run(Milliseconds(300));
  }
  cluster.Run(Seconds(5));
  std::map<char, std::string> last;
  for (const std::string& command : cluster.Commands(1)) {
    EXPECT_LT(last[command[0]], command) << "out of order";
    last[command[0]] = command;
  }
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_FALSE(orders[node]->broken) << "node " << node;
    EXPECT_EQ(last[static_cast<char>('0' + node)],
              std::to_string(node) + ":" + std::to_string(100'000 + next));
  }
}

// Where the first of two commands in order was taken by a leader that leads no more, the second one
// waits until it is known what became of the first.
TEST(GroupControlTest, AnOrderWaitsForWhatAFormerLeaderTook) {
  GroupOptions options;
  options.slow_disk_timeout = Milliseconds(300);
  TestCluster cluster(3, options);
  cluster.StartAll();
  const uint64_t first = cluster.AwaitLeader();
  ProposeOptions in_order;
  in_order.order = std::make_shared<ProposalOrder>();
  std::vector<std::string> answers;
  const auto propose = [&](const std::string& command) {
    cluster.At(first).Propose(command, in_order, [&, command](const ProposalResult& result) {
      answers.push_back(command + (Applied(result) ? " applied" : " refused"));
    });
  };
  cluster.Disk(first).HoldSyncs();
  propose("a");
  cluster.Run(Milliseconds(400));
  ASSERT_NE(cluster.Leader(), first) << "handed over because its disk is slow";
  propose("b");
  propose("c");
  std::optional<ProposalResult> other;
  cluster.At(first).Propose("x", {}, [&](ProposalResult result) { other = std::move(result); });
  cluster.Run(Milliseconds(100));
  EXPECT_TRUE(answers.empty());
  ASSERT_TRUE(other.has_value()) << "out of that order";
  EXPECT_TRUE(Applied(*other));
  cluster.Disk(first).ReleaseSyncs();
  cluster.Run(Seconds(1));
  EXPECT_EQ(answers, (std::vector<std::string>{"a applied", "b applied", "c applied"}));
  EXPECT_EQ(cluster.Commands(first), (std::vector<std::string>{"a", "x", "b", "c"}));
  EXPECT_FALSE(in_order.order->broken);
}

// Before it falls silent it asks another to campaign: nobody waits for an election timeout.
TEST(GroupControlTest, ALeaderWhoseDiskFailsHandsOverAtOnce) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t first = cluster.AwaitLeader();
  ASSERT_TRUE(Applied(cluster.Propose(first, "a")));
  cluster.Disk(first).FailSyncs(absl::InternalError("the disk is gone"));
  std::optional<ProposalResult> lost;
  cluster.At(first).Propose("b", {}, [&](ProposalResult r) { lost = std::move(r); });
  cluster.Run(Milliseconds(50));
  EXPECT_EQ(cluster.At(first).Status().state, NodeState::kFenced);
  const uint64_t next = cluster.Leader();
  ASSERT_NE(next, 0u) << "an election timeout is 1000 ms";
  EXPECT_NE(next, first);
  EXPECT_TRUE(Applied(cluster.Propose(next, "c")));
}

TEST(GroupControlTest, ALeaderWhoseDiskIsSlowHandsOver) {
  GroupOptions options;
  options.slow_disk_timeout = Milliseconds(300);
  TestCluster cluster(3, options);
  cluster.StartAll();
  const uint64_t first = cluster.AwaitLeader();
  cluster.Disk(first).HoldSyncs();
  std::optional<ProposalResult> slow;
  cluster.At(first).Propose("a", {}, [&](ProposalResult r) { slow = std::move(r); });
  cluster.Run(Milliseconds(250));
  EXPECT_EQ(cluster.Leader(), first);
  EXPECT_FALSE(slow.has_value()) << "answered by what its own disk holds";
  cluster.Run(Milliseconds(150));
  const uint64_t next = cluster.Leader();
  ASSERT_NE(next, 0u);
  EXPECT_NE(next, first);
  EXPECT_TRUE(Applied(cluster.Propose(next, "b")));
  cluster.Disk(first).ReleaseSyncs();
  cluster.Run(Seconds(1));
  ASSERT_TRUE(slow.has_value());
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_EQ(cluster.Commands(node), (std::vector<std::string>{"a", "b"})) << node;
  }
}

TEST(GroupControlTest, ASlowDiskIsBorneWhereThatIsAskedFor) {
  GroupOptions options;
  options.slow_disk_timeout = {};
  TestCluster cluster(3, options);
  cluster.StartAll();
  const uint64_t first = cluster.AwaitLeader();
  cluster.Disk(first).HoldSyncs();
  std::optional<ProposalResult> slow;
  cluster.At(first).Propose("a", {}, [&](ProposalResult r) { slow = std::move(r); });
  cluster.Run(Seconds(5));
  EXPECT_EQ(cluster.Leader(), first);
  cluster.Disk(first).ReleaseSyncs();
  cluster.Run(Milliseconds(10));
  EXPECT_TRUE(slow.has_value() && Applied(*slow));
}

TEST(GroupControlTest, StepsDownAndCampaigns) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  std::optional<ControlResult> result;
  cluster.At(leader).Campaign([&](ControlResult r) { result = std::move(r); });
  cluster.Run(Milliseconds(10));
  EXPECT_EQ(ReasonOf(result.value()), Reason::kNothingToDo);
  cluster.At(leader).StepDown([&](ControlResult r) { result = std::move(r); });
  cluster.Run(Milliseconds(10));
  EXPECT_EQ(Text(result.value()), "done");
  EXPECT_EQ(cluster.At(leader).Status().role, Role::kFollower);
  EXPECT_NE(cluster.AwaitLeader(), 0u);
}

TEST(GroupControlTest, LeadershipIsAnnouncedWhenTheFirstEntryIsApplied) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  const uint64_t target = 1 + leader % 3;
  // Entries reach no other node: the target leads, and cannot commit its first entry.
  cluster.network.SetFilter([&](Envelope& envelope) {
    const auto* body = std::get_if<MessageBody>(&envelope.body);
    return envelope.from != NodeId{target} || body == nullptr ||
           !std::holds_alternative<AppendEntries>(*body);
  });
  ASSERT_EQ(Text(cluster.Transfer(leader, target, Milliseconds(500))), "done");
  EXPECT_EQ(cluster.At(target).Status().role, Role::kLeader);
  EXPECT_FALSE(cluster.At(target).Status().serving_leader);
  EXPECT_EQ(cluster.Leader(), 0u);
  EXPECT_EQ(ReasonOf(cluster.Change(target, {.voters = cluster.Members({1, 2, 3})})),
            Reason::kNotReady);
  cluster.network.SetFilter(nullptr);
  EXPECT_EQ(cluster.AwaitLeader(), target);
}

// Who is asked to campaign while it follows, who loses the election, and who wins one and commits
// nothing before another one leads: none of them serves, and each hears who does.
TEST(GroupControlTest, WhoLosesAnElectionHearsWhoLeads) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t first = cluster.AwaitLeader();
  const uint64_t loser = 1 + first % 3;
  const uint64_t other = 6 - first - loser;
  cluster.Run(Seconds(1));
  std::vector<GroupStatus> heard;
  cluster.At(loser).WatchLeadership([&](const GroupStatus& status) { heard.push_back(status); });
  cluster.Run(Milliseconds(1));
  const auto ends_with = [&heard](uint64_t leader) {
    for (const GroupStatus& status : heard) EXPECT_FALSE(status.serving_leader);
    return !heard.empty() && heard.back().role == Role::kFollower &&
           heard.back().leader == NodeId{leader};
  };
  EXPECT_TRUE(ends_with(first));

  std::optional<ControlResult> asked;
  cluster.At(loser).Campaign([&](ControlResult result) { asked = std::move(result); });
  cluster.Run(Seconds(1));
  EXPECT_EQ(ReasonOf(asked.value()), Reason::kNothingToDo);
  EXPECT_EQ(heard.size(), 1u) << "nothing has changed";

  // It is handed the leadership, and nobody hears that it asks for votes.
  cluster.network.SetFilter([&](Envelope& envelope) {
    const auto* body = std::get_if<MessageBody>(&envelope.body);
    return envelope.from != NodeId{loser} || body == nullptr ||
           !std::holds_alternative<VoteRequest>(*body);
  });
  EXPECT_EQ(ReasonOf(cluster.Transfer(first, loser, Milliseconds(300))), Reason::kTimeout);
  const auto stood = [](const GroupStatus& status) { return status.role == Role::kCandidate; };
  EXPECT_TRUE(std::any_of(heard.begin(), heard.end(), stood));
  cluster.Stop(first);
  ASSERT_EQ(cluster.AwaitLeader(), other);
  cluster.Run(Seconds(1));
  EXPECT_TRUE(ends_with(other));

  // It is elected, and nobody takes an entry of it.
  cluster.network.SetFilter([&](Envelope& envelope) {
    const auto* body = std::get_if<MessageBody>(&envelope.body);
    return envelope.from != NodeId{loser} || body == nullptr ||
           !std::holds_alternative<AppendEntries>(*body);
  });
  ASSERT_EQ(Text(cluster.Transfer(other, loser)), "done");
  ASSERT_EQ(heard.back().role, Role::kLeader);
  cluster.Start(first);
  cluster.network.CutOff(NodeId{loser});
  const uint64_t last = cluster.AwaitLeader();
  ASSERT_NE(last, loser);
  cluster.network.Rejoin(NodeId{loser});
  cluster.network.SetFilter(nullptr);
  cluster.Run(Seconds(1));
  EXPECT_TRUE(ends_with(last));
}

// Three hosts with a group in which node 3 is an observer.
class ObserverTest : public testing::Test {
 protected:
  static constexpr GroupId kWatched{2};

  ObserverTest() {
    for (uint64_t node = 1; node <= 3; ++node) Start(node, node == 3);
  }
  void Start(uint64_t node, bool observer) {
    cluster_.Start(node);
    GroupOptions options;
    options.never_campaigns = observer;
    commands_[node].clear();
    groups_.insert_or_assign(
        node, *cluster_.HostAt(node).Open(kWatched, std::make_unique<TestMachine>(&commands_[node]),
                                          options));
    up_.insert(node);
  }
  void Stop(uint64_t node) {
    cluster_.Stop(node);
    up_.erase(node);
  }
  // 0: nobody leads for long.
  uint64_t AwaitLeader() {
    for (int i = 0; i < 20'000; ++i) {
      for (const uint64_t node : up_) {
        if (groups_.at(node).Status().serving_leader) return node;
      }
      cluster_.Run(Milliseconds(1));
    }
    return 0;
  }
  bool Propose(uint64_t node) {
    std::optional<ProposalResult> result;
    groups_.at(node).Propose("a", {}, [&](ProposalResult r) { result = std::move(r); });
    cluster_.Run(Seconds(2));
    return result.has_value() && Applied(*result);
  }

  TestCluster cluster_{3};
  std::map<uint64_t, std::vector<std::string>> commands_;
  std::map<uint64_t, Group> groups_;
  std::set<uint64_t> up_;
};

TEST_F(ObserverTest, AcknowledgesAndVotesAndNeverLeads) {
  const uint64_t leader = AwaitLeader();
  ASSERT_TRUE(leader == 1 || leader == 2) << leader;
  const uint64_t other = 3 - leader;
  Stop(other);
  ASSERT_TRUE(Propose(leader)) << "its acknowledgement counts";
  EXPECT_EQ(commands_[3].size(), 1u);
  // Nobody else has the longest log, and it asks for no vote all the same.
  Stop(leader);
  Start(other, false);
  EXPECT_EQ(AwaitLeader(), 0u);
  EXPECT_EQ(groups_.at(3).Status().role, Role::kFollower);
  Start(leader, false);
  Stop(other);
  ASSERT_EQ(AwaitLeader(), leader) << "by its vote";
  ASSERT_TRUE(Propose(leader));
  EXPECT_EQ(commands_[3].size(), 2u);
}

// It is a setting of the process: the next one without it campaigns as soon as any other.
TEST_F(ObserverTest, WithoutTheSettingItLeads) {
  const uint64_t leader = AwaitLeader();
  Stop(3 - leader);
  ASSERT_TRUE(Propose(leader));
  Stop(leader);
  Stop(3);
  Start(3, false);
  Start(3 - leader, false);
  ASSERT_EQ(AwaitLeader(), 3u);
  EXPECT_TRUE(Propose(3));
}

// Who leads alone has nothing to do ever again; the last turn has to show all.
TEST(GroupControlTest, AMemberThatIsGoneIsNoPeerAnyMore) {
  GroupOptions options;
  options.election_timeout = Milliseconds(40);
  options.heartbeat_interval = Milliseconds(10);
  TestCluster cluster(2, options);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  ASSERT_EQ(cluster.At(leader).Status().peers.size(), 1u);
  ASSERT_EQ(Text(cluster.Change(leader, {.voters = cluster.Members({leader})})), "done");
  cluster.Run(Seconds(10));
  EXPECT_TRUE(cluster.At(leader).Status().peers.empty());
}

TEST(GroupControlTest, EveryCallIsAnsweredWhenTheHostStops) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  for (uint64_t node = 1; node <= 3; ++node) {
    if (node != leader) cluster.network.CutOff(NodeId{node});
  }
  int answers = 0;
  const auto count = [&answers](const ControlResult&) { ++answers; };
  cluster.At(leader).ChangeMembership({.voters = cluster.Members({leader})},
                                      cluster.world.Now() + Seconds(60), count);
  cluster.Run(Milliseconds(5));
  cluster.At(leader).CancelMembership(cluster.world.Now() + Seconds(60), count);
  Group group = cluster.At(leader);
  cluster.Stop(leader);
  EXPECT_EQ(answers, 2);
  group.StepDown(count);
  EXPECT_EQ(answers, 3);
}

ControlResult RecoverUnsafely(TestCluster& cluster, uint64_t node, UnsafeRecoveryRequest request) {
  std::optional<ControlResult> result;
  cluster.At(node).RecoverUnsafely(std::move(request),
                                   [&](ControlResult given) { result = std::move(given); });
  for (int i = 0; i < 1000 && !result; ++i) cluster.Run(Milliseconds(1));
  EXPECT_TRUE(result.has_value());
  return result.value_or(ControlResult(ControlRefused{}));
}

TEST(GroupControlTest, ASurvivorGoesOnAlone) {
  TestCluster cluster(3);
  cluster.StartAll();
  ASSERT_NE(cluster.AwaitLeader(), 0u);
  ASSERT_TRUE(Applied(cluster.Propose(1, "before")));
  const UnsafeRecoveryRequest request = {.evicted = {NodeId{2}, NodeId{3}}};
  EXPECT_EQ(ReasonOf(RecoverUnsafely(cluster, 1, request)), Reason::kNotLost);
  cluster.Run(Milliseconds(200));
  cluster.Stop(2);
  cluster.Stop(3);
  cluster.Run(Seconds(10));
  EXPECT_EQ(cluster.At(1).Status().leader, NodeId::kNone);
  EXPECT_TRUE(cluster.At(1).Status().leader_heard_at.has_value());
  UnsafeRecoveryRequest check = request;
  check.only_check = true;
  EXPECT_EQ(Text(RecoverUnsafely(cluster, 1, check)), "done");
  cluster.Run(Seconds(10));
  EXPECT_EQ(cluster.Leader(), 0u);
  EXPECT_EQ(Text(RecoverUnsafely(cluster, 1, request)), "done");
  ASSERT_EQ(cluster.AwaitLeader(), 1u);
  AwaitMembers(cluster, 1, "voters=1 unsafe_recoveries=1");
  ASSERT_TRUE(Applied(cluster.Propose(1, "after")));
  EXPECT_EQ(cluster.Commands(1), (std::vector<std::string>{"before", "after"}));
  // Known after a restart, too, and to whoever joins.
  cluster.Start(1);
  ASSERT_EQ(cluster.AwaitLeader(), 1u);
  EXPECT_EQ(cluster.At(1).Status().configuration.unsafe_recoveries.evicted, request.evicted);
  cluster.StartJoiner(4);
  ASSERT_EQ(Text(cluster.Change(1, {.voters = cluster.Members({1, 4})})), "done");
  AwaitMembers(cluster, 4, "voters=1,4 unsafe_recoveries=1");
  EXPECT_EQ(cluster.At(4).Status().state, NodeState::kServing);
}

TEST(GroupControlTest, AnUnsafeOverrideIsShownWhileItHolds) {
  TestCluster cluster(5);
  cluster.StartAll();
  ASSERT_NE(cluster.AwaitLeader(), 0u);
  for (uint64_t node = 2; node <= 5; ++node) cluster.Stop(node);
  cluster.Run(Seconds(10));
  // Node 2 is counted, and is not there: nobody is elected.
  UnsafeRecoveryRequest request = {.evicted = {NodeId{3}, NodeId{4}, NodeId{5}}};
  request.expiry = Seconds(20);
  EXPECT_EQ(Text(RecoverUnsafely(cluster, 1, request)), "done");
  cluster.Run(Seconds(10));
  const GroupStatus status = cluster.At(1).Status();
  EXPECT_EQ(status.state, NodeState::kDegraded);
  EXPECT_EQ(status.reason.substr(0, status.reason.find(", until")),
            "unsafe override: nodes 3,4,5 are not counted");
  cluster.Run(Seconds(11));
  EXPECT_EQ(cluster.At(1).Status().reason, "no leader is known");
  EXPECT_EQ(cluster.At(1).Status().configuration.unsafe_recoveries.count, 0u);
}

}  // namespace
}  // namespace cairn

#include "raft/host.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "tests/raft/test_cluster.h"

namespace cairn {
namespace {

using Strings = std::vector<std::string>;

std::string Text(const ProposalResult& result) {
  if (const auto* applied = std::get_if<ProposalApplied>(&result)) {
    return std::string(applied->reply.view()) + (applied->duplicate ? " again" : "");
  }
  if (const auto* refused = std::get_if<ProposalNotApplied>(&result))
    return NameOf(refused->reason);
  return "unknown";
}

std::string Text(const ReadResult& result) {
  if (const auto* refused = std::get_if<ReadRefused>(&result)) return NameOf(refused->reason);
  return "ready at " + std::to_string(std::get<ReadReady>(result).index);
}

std::string StoppedBecause(TestCluster& cluster, uint64_t node) {
  const auto& stopped = cluster.Stopped(node);
  if (!stopped.has_value()) return "";
  return std::string(NameOf(stopped->first)) + ": " + stopped->second.ToString();
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(HostTest, ASingleNodeServesAndRemembers) {
  TestCluster cluster(1);
  cluster.StartAll();
  EXPECT_EQ(cluster.AwaitLeader(), 1u);
  EXPECT_EQ(Text(cluster.Propose(1, "a")), "reply 1");
  EXPECT_EQ(Text(cluster.Propose(1, "b")), "reply 2");
  EXPECT_EQ(Text(cluster.Linearize(1)), "ready at 4");
  cluster.Start(1);
  EXPECT_EQ(cluster.AwaitLeader(), 1u);
  EXPECT_EQ(cluster.Commands(1), (Strings{"a", "b"}));
}

TEST(HostTest, ThreeNodesElectAndReplicate) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  ASSERT_NE(leader, 0u);
  EXPECT_EQ(Text(cluster.Propose(leader, "a")), "reply 1");
  cluster.Run(Milliseconds(10));
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_EQ(cluster.Commands(node), Strings{"a"});
    GroupStatus status = cluster.At(node).Status();
    EXPECT_EQ(status.role == Role::kLeader, node == leader);
    EXPECT_EQ(status.leader, NodeId{leader});
    EXPECT_EQ(status.applied_index, 3u);
    EXPECT_EQ(status.last_index, 3u);
    EXPECT_EQ(status.state, NodeState::kServing);
    EXPECT_EQ(status.peers.size(), node == leader ? 2u : 0u);
    EXPECT_EQ(status.configuration.voters.size(), 3u);
    EXPECT_TRUE(status.formed);
  }
}

// By what each has acknowledged, and when it was heard; nobody else says anything of peers.
TEST(HostTest, TheLeaderKnowsHowFarItsPeersAre) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  const uint64_t away = leader % 3 + 1;
  const uint64_t other = 6 - leader - away;
  EXPECT_EQ(Text(cluster.Propose(leader, "a")), "reply 1");
  cluster.Run(Seconds(1));
  cluster.network.CutOff(NodeId{away});
  const Index before = cluster.At(leader).Status().last_index;
  for (int i = 2; i <= 6; ++i) {
    EXPECT_EQ(Text(cluster.Propose(leader, "b")), "reply " + std::to_string(i));
  }
  cluster.Run(Milliseconds(400));
  const auto expect_matches = [&](Index of_away, Index of_other) {
    const GroupStatus status = cluster.At(leader).Status();
    ASSERT_EQ(status.peers.size(), 2u);
    for (const PeerStatus& peer : status.peers) {
      const bool is_away = peer.node == NodeId{away};
      ASSERT_TRUE(is_away || peer.node == NodeId{other});
      EXPECT_EQ(peer.match, is_away ? of_away : of_other);
      EXPECT_GE(peer.next, peer.match + 1);
      const bool heard = peer.since_contact <= Milliseconds(200);
      EXPECT_EQ(heard, !is_away || of_away == of_other) << ToMilliseconds(peer.since_contact);
    }
    EXPECT_TRUE(cluster.At(other).Status().peers.empty());
  };
  expect_matches(before, before + 5);
  cluster.network.Rejoin(NodeId{away});
  cluster.Run(Seconds(2));
  expect_matches(before + 5, before + 5);
}

TEST(HostTest, NobodyTakesPartBeforeEverybodyHasAnswered) {
  TestCluster cluster(3);
  cluster.Start(1);
  cluster.Start(2);
  cluster.Run(Seconds(10));
  EXPECT_EQ(cluster.Leader(), 0u);
  EXPECT_EQ(cluster.At(1).Status().term, 0u);
  EXPECT_FALSE(cluster.At(1).Status().formed);
  EXPECT_EQ(Text(cluster.Propose(1, "a")), "NOT_FORMED");
  EXPECT_EQ(Text(cluster.Linearize(1)), "NOT_FORMED");
  cluster.Start(3);
  EXPECT_NE(cluster.AwaitLeader(), 0u);
}

TEST(HostTest, AMajorityCarriesOnWithoutOne) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t first = cluster.AwaitLeader();
  EXPECT_EQ(Text(cluster.Propose(first, "a")), "reply 1");
  cluster.Stop(first);
  uint64_t second = cluster.AwaitLeader();
  ASSERT_NE(second, 0u);
  EXPECT_EQ(Text(cluster.Propose(second, "b")), "reply 2");
  cluster.Start(first);
  cluster.Run(Seconds(1));
  EXPECT_EQ(cluster.Commands(first), (Strings{"a", "b"}));
}

// Fault catalogue D16: the disk it voted with is gone.
TEST(HostTest, AWipedNodeIsRefusedAndNeverVotes) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  EXPECT_EQ(Text(cluster.Propose(leader, "a")), "reply 1");
  uint64_t wiped = cluster.SomeFollower();
  cluster.Wipe(wiped);
  cluster.Start(wiped);
  cluster.Run(Seconds(2));
  EXPECT_TRUE(
      Contains(StoppedBecause(cluster, wiped), "halted: FAILED_PRECONDITION: MEMBER_AMNESIA"))
      << StoppedBecause(cluster, wiped);
  EXPECT_EQ(Text(cluster.Propose(wiped, "x")), "STORAGE_FAILED");
  EXPECT_EQ(cluster.At(wiped).Status().state, NodeState::kHalted);
  EXPECT_EQ(cluster.Disk(wiped).store(TestCluster::kGroup).hard_state(), HardState());
  // With another one gone there is no majority, whatever the wiped one would say.
  uint64_t other = 6 - leader - wiped;
  cluster.Stop(leader);
  cluster.Run(Seconds(10));
  EXPECT_EQ(cluster.At(other).Status().role == Role::kLeader, false);
}

TEST(HostTest, AFollowerPassesCommandsToTheLeader) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  uint64_t follower = cluster.SomeFollower();
  EXPECT_EQ(Text(cluster.Propose(follower, "a")), "reply 1");
  EXPECT_EQ(Text(cluster.Propose(leader, "b")), "reply 2");
  ProposeOptions options;
  options.forward = false;
  ProposalResult result = cluster.Propose(follower, "c", options);
  EXPECT_EQ(Text(result), "NOT_LEADER");
  EXPECT_EQ(std::get<ProposalNotApplied>(result).leader, NodeId{leader});
}

TEST(HostTest, AForwardedRequestThatComesTwiceIsAppliedOnce) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  uint64_t follower = cluster.SomeFollower();
  std::optional<Envelope> copy;
  cluster.network.SetFilter([&](Envelope& envelope) {
    if (std::holds_alternative<ForwardedProposals>(envelope.body)) copy = envelope;
    return true;
  });
  EXPECT_EQ(Text(cluster.Propose(follower, "a")), "reply 1");
  ASSERT_TRUE(copy.has_value());
  std::unique_ptr<Transport> replay = cluster.network.MakeTransport(NodeId{follower + 10});
  replay->Send(*copy);
  cluster.Run(Seconds(1));
  EXPECT_EQ(cluster.Commands(leader), Strings{"a"});
  // Hours later, in another term.
  cluster.Stop(leader, false);
  ASSERT_NE(cluster.AwaitLeader(), 0u);
  cluster.Start(leader);
  cluster.Run(Seconds(1));
  uint64_t next = cluster.AwaitLeader();
  copy->to = NodeId{next};
  if (copy->from == copy->to) copy->from = NodeId{leader};
  replay->Send(*copy);
  cluster.Run(Seconds(1));
  EXPECT_EQ(cluster.Commands(next), Strings{"a"});
}

TEST(HostTest, ForwardedCommandsAreUnknownWhenTheLeaderChanges) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  uint64_t follower = cluster.SomeFollower();
  cluster.network.SetFilter(
      [](Envelope& envelope) { return !std::holds_alternative<ForwardedResults>(envelope.body); });
  std::optional<ProposalResult> result;
  cluster.At(follower).Propose("a", {}, [&](ProposalResult r) { result = std::move(r); });
  cluster.Run(Milliseconds(100));
  EXPECT_FALSE(result.has_value());
  EXPECT_EQ(cluster.Commands(leader), Strings{"a"});
  cluster.Stop(leader);
  cluster.Run(Seconds(5));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(Text(*result), "unknown");
}

TEST(HostTest, FollowersReadWhatTheLeaderAcknowledged) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  uint64_t follower = cluster.SomeFollower();
  for (int i = 1; i <= 20; ++i) {
    cluster.Propose(leader, "command " + std::to_string(i));
    EXPECT_EQ(Text(cluster.Linearize(follower)), "ready at " + std::to_string(2 + i));
    EXPECT_EQ(cluster.Commands(follower).size(), static_cast<size_t>(i));
  }
}

TEST(HostTest, ALeaderWithPromisesAnswersReadsThatAllowItAtOnce) {
  GroupOptions options;
  options.lease = true;
  TestCluster cluster(3, options);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  EXPECT_EQ(Text(cluster.Propose(leader, "a")), "reply 1");
  cluster.Run(options.heartbeat_interval * 2);
  // Nobody hears it any more, and nobody can take its place yet.
  cluster.network.CutOff(NodeId{leader});
  std::optional<ReadResult> by_lease;
  std::optional<ReadResult> linearizable;
  cluster.At(leader).BeginRead({.lease = true}, [&](ReadResult r) { by_lease = r; });
  cluster.At(leader).BeginRead({}, [&](ReadResult r) { linearizable = r; });
  cluster.Run(Milliseconds(1));
  ASSERT_TRUE(by_lease.has_value());
  EXPECT_EQ(Text(*by_lease), "ready at 3");
  EXPECT_FALSE(linearizable.has_value());
  // The promises end before anybody else can lead.
  by_lease.reset();
  cluster.Run(options.election_timeout - Milliseconds(40));
  cluster.At(leader).BeginRead({.lease = true}, [&](ReadResult r) { by_lease = r; });
  cluster.Run(Seconds(5));
  EXPECT_EQ(Text(by_lease.value()), "NO_LEADER");
  EXPECT_EQ(Text(linearizable.value()), "NO_LEADER");
}

TEST(HostTest, AReadThatMayBeOldNeedsNobodyAsLongAsSomebodyAskedLately) {
  GroupOptions options;
  options.quiesce_after = 0;
  TestCluster cluster(3, options);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  cluster.Propose(leader, "a");
  uint64_t follower = cluster.SomeFollower();
  // When it came to know its leader it has asked how far that is.
  cluster.Run(Seconds(6));
  std::optional<ReadResult> read;
  auto ask = [&](Duration max_staleness) {
    read.reset();
    cluster.At(follower).BeginRead({.max_staleness = max_staleness},
                                   [&](ReadResult r) { read = r; });
    return read.has_value();
  };
  // Nobody has asked here lately: this one asks the leader.
  EXPECT_FALSE(ask(Seconds(5)));
  cluster.Run(Milliseconds(50));
  EXPECT_EQ(Text(read.value()), "ready at 3");
  cluster.network.CutOff(NodeId{follower});
  cluster.Propose(leader, "b");
  cluster.Run(Milliseconds(500));
  EXPECT_TRUE(ask(Seconds(1)));
  EXPECT_EQ(Text(read.value()), "ready at 3");
  EXPECT_FALSE(ask(Milliseconds(400)));
}

TEST(HostTest, ADeposedLeaderServesNoReads) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  EXPECT_EQ(Text(cluster.Propose(leader, "a")), "reply 1");
  cluster.network.CutOff(NodeId{leader});
  std::optional<ReadResult> read;
  cluster.At(leader).Linearize(std::nullopt, [&](ReadResult r) { read = r; });
  cluster.Run(Seconds(5));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(Text(*read), "NO_LEADER");
}

TEST(HostTest, ReadsHaveDeadlines) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  cluster.network.CutOff(NodeId{leader});
  std::optional<ReadResult> read;
  cluster.At(leader).Linearize(cluster.world.Now() + Milliseconds(200),
                               [&](ReadResult r) { read = r; });
  cluster.Run(Milliseconds(250));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(Text(*read), "DEADLINE");
  cluster.At(leader).Linearize(cluster.world.Now(), [&](ReadResult r) { read = r; });
  cluster.Run(Milliseconds(1));
  EXPECT_EQ(Text(*read), "DEADLINE");
}

TEST(HostTest, DeadlinesBeforeAndAfterProposing) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  ProposeOptions options;
  options.deadline = cluster.world.Now();
  EXPECT_EQ(Text(cluster.Propose(leader, "late", options)), "NOT_PROPOSED");
  cluster.network.CutOff(NodeId{leader});
  options.deadline = cluster.world.Now() + Milliseconds(100);
  Instant before = cluster.world.Now();
  EXPECT_EQ(Text(cluster.Propose(leader, "lost", options)), "unknown");
  EXPECT_LT(cluster.world.Now() - before, Milliseconds(120));
}

TEST(HostTest, ARetryInASessionOverALeaderChangeIsAppliedOnce) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t first = cluster.AwaitLeader();
  ProposeOptions options;
  options.session = {cluster.OpenSession(first), 1};
  // The answer never comes: the leader is cut off right after it has sent the entry.
  std::optional<ProposalResult> lost;
  cluster.At(first).Propose("a", options, [&](ProposalResult r) { lost = std::move(r); });
  cluster.Run(Microseconds(1500));
  cluster.network.CutOff(NodeId{first});
  cluster.Run(Seconds(5));
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(Text(*lost), "unknown");
  uint64_t second = cluster.AwaitLeader();
  ASSERT_NE(second, first);
  EXPECT_EQ(Text(cluster.Propose(second, "a", options)), "reply 1 again");
  EXPECT_EQ(Text(cluster.Propose(second, "b", options)), "SESSION_NUMBER_REUSED");
  options.session.number = 2;
  EXPECT_EQ(Text(cluster.Propose(second, "b", options)), "reply 2");
  cluster.network.Rejoin(NodeId{first});
  cluster.Run(Seconds(3));
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_EQ(cluster.Commands(node), (Strings{"a", "b"}));
    EXPECT_EQ(Text(cluster.Propose(node, "a", {{options.session.session, 1}, {}, true, {}})),
              "reply 1 again");
  }
  options.session.session = 999;
  EXPECT_EQ(Text(cluster.Propose(second, "c", options)), "SESSION_EXPIRED");
}

// Its entry is in nobody's log but its own: surely not applied, once another one is in its place.
TEST(HostTest, ACommandWhosePlaceGoesToAnotherIsSurelyNotApplied) {
  GroupOptions options;
  options.election_timeout = Seconds(3);
  TestCluster cluster(3, options);
  cluster.StartAll();
  uint64_t first = cluster.AwaitLeader();
  cluster.network.CutOff(NodeId{first});
  std::optional<ProposalResult> result;
  cluster.At(first).Propose("a", {}, [&](ProposalResult r) { result = std::move(r); });
  // Until it no longer leads, and for a moment more: it still waits to learn what became of it.
  while (cluster.At(first).Status().role == Role::kLeader) cluster.Run(Milliseconds(10));
  cluster.Run(Milliseconds(1200));
  EXPECT_FALSE(result.has_value());
  cluster.network.Rejoin(NodeId{first});
  cluster.Run(Seconds(10));
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(Text(*result) == "NOT_LEADER" || Text(*result) == "unknown") << Text(*result);
  for (uint64_t node = 1; node <= 3; ++node) EXPECT_EQ(cluster.Commands(node), Strings{});
}

TEST(HostTest, AFailedSyncFencesTheNode) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  cluster.Disk(leader).FailSyncs(absl::InternalError("the disk is gone"));
  ProposalResult result = cluster.Propose(leader, "a");
  EXPECT_EQ(Text(result), "unknown");
  EXPECT_EQ(StoppedBecause(cluster, leader), "fenced: INTERNAL: the disk is gone");
  EXPECT_EQ(cluster.At(leader).Status().state, NodeState::kFenced);
  EXPECT_FALSE(cluster.At(leader).Status().serving_leader);
  EXPECT_EQ(Text(cluster.Propose(leader, "b")), "STORAGE_FAILED");
  EXPECT_EQ(Text(cluster.Linearize(leader)), "STORAGE_FAILED");
  // It neither leads nor votes; the others go on.
  uint64_t next = cluster.AwaitLeader();
  ASSERT_NE(next, 0u);
  ASSERT_NE(next, leader);
  EXPECT_NE(Text(cluster.Propose(next, "c")), "unknown");
}

// It may have voted in a term it does not know of.
TEST(HostTest, ALostVoteIsNotGivenAgain) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  cluster.Propose(leader, "a");
  const uint64_t node = cluster.SomeFollower();
  cluster.Run(Seconds(1));
  cluster.Disk(node).store(TestCluster::kGroup).LoseHardState();
  cluster.Stop(leader);
  cluster.Start(node);
  cluster.Run(Seconds(10));
  EXPECT_EQ(cluster.Leader(), 0u) << "with one more gone there is no majority";
  EXPECT_EQ(cluster.At(node).Status().state, NodeState::kRepairing);
  // A majority without it confirms a leader, and it is a member like the others.
  cluster.Start(leader);
  ASSERT_NE(cluster.AwaitLeader(), 0u);
  cluster.Run(Seconds(2));
  EXPECT_EQ(cluster.At(node).Status().state, NodeState::kServing);
  cluster.Stop(leader);
  const uint64_t next = cluster.AwaitLeader();
  ASSERT_NE(next, 0u);
  EXPECT_NE(Text(cluster.Propose(next, "b")), "unknown");
}

// The first copy overwrites an entry; the second one is looked at before that is carried out.
TEST(HostTest, OverwritingEntriesMayComeTwiceInOneGo) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t first = cluster.AwaitLeader();
  cluster.network.CutOff(NodeId{first});
  cluster.At(first).Propose("lost", {}, [](ProposalResult) {});
  cluster.Run(Seconds(5));
  ASSERT_NE(cluster.AwaitLeader(), 0u);
  std::optional<Envelope> copy;
  cluster.network.SetFilter([&](Envelope& envelope) {
    if (envelope.to != NodeId{first} || envelope.entries.empty()) return true;
    copy = envelope;
    return false;
  });
  cluster.network.Rejoin(NodeId{first});
  cluster.Run(Seconds(1));
  ASSERT_TRUE(copy.has_value());
  cluster.network.SetFilter({});
  std::unique_ptr<Transport> replay = cluster.network.MakeTransport(NodeId{first + 10});
  replay->Send(*copy);
  replay->Send(*copy);
  cluster.Run(Seconds(1));
  EXPECT_EQ(StoppedBecause(cluster, first), "");
  EXPECT_EQ(cluster.At(first).Status().last_index,
            cluster.At(cluster.Leader()).Status().last_index);
}

// An entry with a position both sides know and another content: nothing may be built on it.
TEST(HostTest, UnequalEntriesAtOnePositionFence) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  uint64_t node = cluster.SomeFollower();
  cluster.network.SetFilter([&](Envelope& envelope) {
    if (envelope.to != NodeId{node} || envelope.entries.empty()) return true;
    const RecordRun& run = envelope.entries.front();
    RecordRunBuilder builder(TestCluster::kGroup,
                             std::get<AppendEntries>(std::get<MessageBody>(envelope.body)).previous,
                             EntryHash{1, 2});
    for (size_t i = 0; i < run.size(); ++i) {
      builder.Add(PreparedEntry::Make(EntryType::kNoop, ""), run[i].position().term, WallTime{1});
    }
    envelope.entries = {std::move(builder).Build()};
    return true;
  });
  Index before = cluster.Disk(node).store(TestCluster::kGroup).last().index;
  EXPECT_EQ(Text(cluster.Propose(leader, "a")), "reply 1");
  cluster.Run(Milliseconds(100));
  EXPECT_TRUE(Contains(StoppedBecause(cluster, node), "fenced: INTERNAL: safety violation"))
      << StoppedBecause(cluster, node);
  EXPECT_EQ(cluster.Disk(node).store(TestCluster::kGroup).last().index, before);
}

TEST(HostTest, OverloadIsRefusedAtOnceAndBreaksNothing) {
  GroupOptions options;
  options.max_inflight_bytes = 1000;
  TestCluster cluster(1, options);
  cluster.StartAll();
  cluster.AwaitLeader();
  std::vector<std::string> answers;
  for (int i = 0; i < 20; ++i) {
    cluster.At(1).Propose(std::string(100, 'x'), {},
                          [&](const ProposalResult& result) { answers.push_back(Text(result)); });
  }
  EXPECT_EQ(answers.size(), 16u);  // the refusals; four of 212 bytes are under way
  EXPECT_EQ(std::count(answers.begin(), answers.end(), "OVERLOADED"), 16);
  cluster.Run(Milliseconds(10));
  EXPECT_EQ(answers.size(), 20u);
  EXPECT_EQ(Text(cluster.Propose(1, "more")), "reply 5");
  EXPECT_EQ(Text(cluster.Propose(1, std::string((1 << 20) + 1, 'x'))), "ENTRY_TOO_LARGE");
  EXPECT_EQ(Text(cluster.Propose(1, std::string(1 << 20, 'x'))), "reply 6");
}

TEST(HostTest, ManyCommandsAreTakenInTurns) {
  TestCluster cluster(1);
  cluster.StartAll();
  cluster.AwaitLeader();
  constexpr int kCommands = 20'000;  // 8 MB
  std::vector<std::string> answers;
  for (int i = 0; i < kCommands; ++i) {
    cluster.At(1).Propose(std::to_string(i) + std::string(300, 'x'), {},
                          [&](const ProposalResult& result) { answers.push_back(Text(result)); });
  }
  cluster.world.RunOne();
  GroupStatus status = cluster.At(1).Status();
  EXPECT_GT(status.last_index, 1000u);
  EXPECT_LT(status.last_index, 10'000u);
  cluster.Run(Milliseconds(1));
  ASSERT_EQ(answers.size(), size_t{kCommands});
  for (int i = 0; i < kCommands; ++i) {
    ASSERT_EQ(answers[static_cast<size_t>(i)], "reply " + std::to_string(i + 1));
    ASSERT_EQ(cluster.Commands(1)[static_cast<size_t>(i)],
              std::to_string(i) + std::string(300, 'x'));
  }
}

TEST(HostTest, AMemberThatLagsIsServedFromTheDisk) {
  GroupOptions options;
  options.log_cache_bytes = 2000;
  TestCluster cluster(3, options);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  uint64_t follower = cluster.SomeFollower();
  cluster.Stop(follower);
  Strings commands;
  for (int i = 0; i < 300; ++i) {
    commands.push_back(std::to_string(i) + std::string(1000, 'x'));
    cluster.Propose(leader, commands.back());
  }
  cluster.Start(follower);
  cluster.Run(Seconds(2));
  EXPECT_EQ(cluster.Commands(follower), commands);
  // Nor does the applier find them in memory after a restart.
  cluster.Start(leader);
  cluster.Run(Seconds(3));
  EXPECT_EQ(cluster.Commands(leader), commands);
}

// What a former leader asked of its disk must not be sent in another term.
TEST(HostTest, EntriesReadTooLateAreNotSent) {
  GroupOptions options;
  options.log_cache_bytes = 0;
  TestCluster cluster(3, options);
  cluster.StartAll();
  for (int round = 0; round < 30; ++round) {
    uint64_t leader = cluster.AwaitLeader();
    ASSERT_NE(leader, 0u);
    uint64_t follower = cluster.SomeFollower();
    cluster.network.CutOff(NodeId{follower});
    for (int i = 0; i < 5; ++i) cluster.Propose(leader, std::string(1000, 'x'));
    cluster.network.Rejoin(NodeId{follower});
    cluster.Run(Milliseconds(95 + round));  // about when the follower is heard again
    cluster.network.CutOff(NodeId{leader});
    cluster.Run(Seconds(3));
    cluster.network.Rejoin(NodeId{leader});
  }
  cluster.Run(Seconds(5));
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_EQ(cluster.Commands(node).size(), 150u);
    EXPECT_EQ(StoppedBecause(cluster, node), "");
  }
}

TEST(HostTest, ShutdownAnswersEveryCall) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  cluster.network.CutOff(NodeId{leader});
  std::vector<std::string> answers;
  auto answer = [&](const auto& result) { answers.push_back(Text(result)); };
  for (int i = 0; i < 5; ++i) cluster.At(leader).Propose("a", {}, answer);
  cluster.At(leader).Linearize(std::nullopt, answer);
  cluster.Run(Milliseconds(50));
  cluster.At(leader).Propose("still in the mailbox", {}, answer);
  cluster.At(leader).Linearize(std::nullopt, answer);
  EXPECT_TRUE(answers.empty());
  cluster.HostAt(leader).Shutdown(cluster.world.Now());
  std::sort(answers.begin(), answers.end());
  EXPECT_EQ(answers, (Strings{"STOPPING", "STOPPING", "STOPPING", "unknown", "unknown", "unknown",
                              "unknown", "unknown"}));
  EXPECT_EQ(Text(cluster.Propose(leader, "b")), "STOPPING");
  EXPECT_EQ(Text(cluster.Linearize(leader)), "STOPPING");
}

TEST(HostTest, BatchesKeepTheirOrder) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  for (uint64_t node : {leader, cluster.SomeFollower()}) {
    std::vector<PreparedEntry> entries;
    Strings commands;
    for (int i = 0; i < 300; ++i) {
      commands.push_back(std::to_string(i) + std::string(1000, 'x'));
      entries.push_back(PreparedEntry::Make(EntryType::kCommand, commands.back()));
    }
    size_t before = cluster.Commands(leader).size();
    std::vector<bool> heard(entries.size(), false);
    cluster.At(node).ProposeBatch(
        std::move(entries), {}, [&](size_t first, std::vector<ProposalResult> results) {
          for (size_t i = 0; i < results.size(); ++i) {
            EXPECT_FALSE(heard[first + i]);
            heard[first + i] = true;
            EXPECT_EQ(Text(results[i]), "reply " + std::to_string(before + first + i + 1));
          }
        });
    cluster.Run(Seconds(1));
    EXPECT_EQ(std::count(heard.begin(), heard.end(), true), 300);
    Strings applied(cluster.Commands(leader).begin() + static_cast<std::ptrdiff_t>(before),
                    cluster.Commands(leader).end());
    EXPECT_EQ(applied, commands);
  }
}

TEST(HostTest, NothingBehindARefusalInAnOrderIsApplied) {
  TestCluster cluster(1);
  cluster.StartAll();
  cluster.AwaitLeader();
  ProposeOptions options;
  options.order = std::make_shared<ProposalOrder>();
  EXPECT_EQ(Text(cluster.Propose(1, "a", options)), "reply 1");
  EXPECT_EQ(Text(cluster.Propose(1, std::string(2 << 20, 'x'), options)), "ENTRY_TOO_LARGE");
  EXPECT_EQ(Text(cluster.Propose(1, "b", options)), "ORDER_BROKEN");
  EXPECT_EQ(cluster.Commands(1), Strings{"a"});
}

TEST(HostTest, WatchersHearOfEveryChange) {
  TestCluster cluster(3);
  cluster.StartAll();
  std::vector<std::string> heard;
  cluster.At(1).WatchLeadership([&](const GroupStatus& status) {
    heard.push_back(std::string(NameOf(status.role)) + (status.serving_leader ? " serves" : "") +
                    " " + NameOf(status.state));
  });
  cluster.Run(Milliseconds(1));
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_TRUE(Contains(heard[0], "starting"));
  uint64_t leader = cluster.AwaitLeader();
  cluster.Run(Seconds(1));
  EXPECT_TRUE(Contains(heard.back(), "serving")) << heard.back();
  EXPECT_EQ(Contains(heard.back(), " serves"), leader == 1);
  cluster.Disk(1).FailSyncs(absl::InternalError("the disk is gone"));
  cluster.Propose(leader, "a");
  cluster.Run(Seconds(1));
  EXPECT_TRUE(Contains(heard.back(), "fenced")) << heard.back();
}

// The machine kept more than the log did. What is lost comes from the leader; until then nothing
// behind the last good entry is read.
TEST(HostTest, AMachineMayHoldWhatTheLogHasLost) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  uint64_t node = cluster.SomeFollower();
  cluster.Propose(leader, "a");
  cluster.Propose(leader, "b");
  cluster.Run(Seconds(1));
  cluster.Stop(node);
  LogPosition last = cluster.Disk(node).store(TestCluster::kGroup).last();
  cluster.Disk(node).store(TestCluster::kGroup).Tear(last.index - 1);
  cluster.KeepState(node, last);
  cluster.Start(node);
  cluster.Run(Seconds(3));
  EXPECT_EQ(StoppedBecause(cluster, node), "");
  EXPECT_EQ(cluster.At(node).Status().applied_index, last.index);
  EXPECT_EQ(Text(cluster.Linearize(node)), "ready at " + std::to_string(last.index));
  EXPECT_EQ(cluster.Commands(node), Strings{});
  EXPECT_EQ(Text(cluster.Propose(leader, "c")), "reply 3");
  cluster.Run(Seconds(1));
  EXPECT_EQ(cluster.Commands(node), Strings{"c"});
}

// Who its members are is written to the log by the first leader, which must not fail then.
// Keeps its state on disk by itself; the test plays its disk.
class DiskMachine final : public StateMachine {
 public:
  explicit DiskMachine(OpenContext* context) : context_(context) {}
  bool durable() const override { return true; }
  absl::StatusOr<LogPosition> Open(const OpenContext& context) override {
    *context_ = context;
    return LogPosition{};
  }
  void Apply(ApplyBatch&) override {}

 private:
  OpenContext* const context_;
};

TEST(HostTest, ADurableMachineHasADirectoryAndFencesWhenItsDiskFails) {
  TestCluster cluster(1);
  cluster.StartAll();
  OpenContext context;
  absl::StatusOr<Group> group =
      cluster.HostAt(1).Open(GroupId{2}, std::make_unique<DiskMachine>(&context), GroupOptions());
  ASSERT_TRUE(group.ok()) << group.status();
  EXPECT_TRUE(Contains(context.directory, "/groups/2/machine")) << context.directory;
  ASSERT_NE(context.file_system, nullptr);
  EXPECT_TRUE(WriteFileAtomically(*context.file_system, context.directory + "/state", "x").ok());
  cluster.Run(Seconds(5));
  EXPECT_EQ(group->Status().state, NodeState::kServing);
  context.failed(absl::UnavailableError("the disk is full"));
  cluster.Run(Seconds(1));
  EXPECT_EQ(group->Status().state, NodeState::kFenced);
  ASSERT_TRUE(cluster.Stopped(1).has_value());
  EXPECT_EQ(cluster.Stopped(1)->first, NodeState::kFenced);
  EXPECT_EQ(cluster.Stopped(1)->second.message(), "the disk is full");
}

TEST(HostTest, InitialMembersAreChecked) {
  NodeIdentity identity;
  identity.node = NodeId{1};
  identity.incarnation = Incarnation{1};
  identity.initial_members.voters = {{NodeId{2}, {}, "b"}, {NodeId{1}, {}, "a"}};
  EXPECT_TRUE(absl::IsInvalidArgument(Host::Start(identity, HostDependencies()).status()));
  identity.initial_members.voters = {{NodeId{1}, {}, "a"}, {NodeId{1}, {}, "b"}};
  EXPECT_TRUE(absl::IsInvalidArgument(Host::Start(identity, HostDependencies()).status()));
}

TEST(HostTest, NobodyToApplyOrToOpenIsRefused) {
  NodeIdentity identity;
  identity.node = NodeId{1};
  identity.incarnation = Incarnation{1};
  identity.initial_members.voters = {{NodeId{1}, {}, "a"}};
  HostDependencies no_appliers;
  no_appliers.appliers = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(Host::Start(identity, std::move(no_appliers)).status()));
  HostDependencies no_openers;
  no_openers.openers = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(Host::Start(identity, std::move(no_openers)).status()));
}

TEST(HostTest, OptionsAreChecked) {
  TestCluster cluster(1);
  cluster.StartAll();
  std::vector<std::string> commands;
  auto open = [&](GroupId group, const GroupOptions& options) {
    return cluster.HostAt(1)
        .Open(group, std::make_unique<TestMachine>(&commands), options)
        .status();
  };
  EXPECT_TRUE(absl::IsAlreadyExists(open(TestCluster::kGroup, GroupOptions())));
  EXPECT_TRUE(absl::IsInvalidArgument(open(GroupId::kNone, GroupOptions())));
  GroupOptions options;
  options.max_command_bytes = kMaxPayloadBytes + 1;
  EXPECT_TRUE(absl::IsInvalidArgument(open(GroupId{2}, options)));
  options = GroupOptions();
  options.heartbeat_interval = Seconds(60);
  EXPECT_TRUE(absl::IsInvalidArgument(open(GroupId{2}, options)));
  EXPECT_TRUE(open(GroupId{2}, GroupOptions()).ok());
}

}  // namespace
}  // namespace cairn

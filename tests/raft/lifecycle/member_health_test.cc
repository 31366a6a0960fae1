// Who is healthy: members that catch up, by entries and by snapshots, once and again, and members
// whose applying is paused.

#include <algorithm>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/check.h"
#include "gtest/gtest.h"
#include "tests/raft/lifecycle/life_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};

class MemberHealthTest : public testing::Test {
 protected:
  MemberHealthTest() {
    cluster_.options.compaction.snapshot_entries = 1'000'000;
    cluster_.options.compaction.retained_entries = 5;
    cluster_.options.max_healthy_lag = 10;
    cluster_.OpenEverywhere(kGroup);
    leader_ = cluster_.Leader(kGroup);
    follower_ = cluster_.Follower(kGroup);
    third_ = 6 - leader_ - follower_;
    cluster_.Fill(kGroup, 5);
    CAIRN_CHECK(cluster_.Await([&] { return AllHealthy(); }));
  }

  GroupStatus Status(uint64_t node) { return cluster_.Status(node, kGroup); }
  bool Healthy(uint64_t node) { return !WhyUnhealthy(Status(node)).has_value(); }
  bool AllHealthy() { return Healthy(leader_) && Healthy(follower_) && Healthy(third_); }
  // Everything the leader has committed is applied.
  bool HasAll(uint64_t node) { return Status(node).applied_index == Status(leader_).commit_index; }
  void CutOff(uint64_t node) { cluster_.network.CutOff(NodeId{node}); }
  // And so long that it has noticed.
  void LoseLeader(uint64_t node) {
    CutOff(node);
    CAIRN_CHECK(cluster_.Await([&] { return !Healthy(node); }));
  }
  void Rejoin(uint64_t node) { cluster_.network.Rejoin(NodeId{node}); }
  // Runs until `node` is healthy, and says whether it had everything whenever it was. What it lacks
  // of what is committed meanwhile does not count.
  testing::AssertionResult HealthyOnlyWithAll(uint64_t node) {
    const Index wanted = Status(leader_).commit_index;
    const bool healthy = cluster_.Await([&] { return Healthy(node); });
    if (!healthy) return testing::AssertionFailure() << *WhyUnhealthy(Status(node));
    if (Status(node).applied_index >= wanted) return testing::AssertionSuccess();
    return testing::AssertionFailure()
           << "healthy at " << Status(node).applied_index << " of " << wanted;
  }

  LifeCluster cluster_;
  uint64_t leader_ = 0;
  uint64_t follower_ = 0;
  uint64_t third_ = 0;
};

TEST_F(MemberHealthTest, WhoIsCutOffIsNotHealthyUntilItHasCaughtUp) {
  LoseLeader(follower_);
  cluster_.Fill(kGroup, 40);
  EXPECT_TRUE(Healthy(leader_));
  Rejoin(follower_);
  EXPECT_TRUE(HealthyOnlyWithAll(follower_));
}

// What it knows to be committed is applied, and yet there is more.
TEST_F(MemberHealthTest, WhoWaitsForASnapshotIsNotHealthyAlthoughAllItKnowsIsApplied) {
  LoseLeader(follower_);
  cluster_.Fill(kGroup, 60);
  ASSERT_TRUE(cluster_.Snapshot(leader_, kGroup).ok());
  ASSERT_TRUE(cluster_.Await([&] { return Status(leader_).first_index > 40; }));
  // Snapshots come no further than their offer.
  cluster_.network.SetFilter(
      [](Envelope& envelope) { return !std::holds_alternative<SnapshotRequest>(envelope.body); });
  Rejoin(follower_);
  ASSERT_TRUE(cluster_.Await([&] { return Status(follower_).health.committed_index > 40; }));
  cluster_.world.RunFor(Seconds(5));
  const GroupStatus behind = Status(follower_);
  EXPECT_EQ(behind.state, NodeState::kServing);
  EXPECT_EQ(behind.leader, NodeId{leader_});
  EXPECT_EQ(behind.commit_index, behind.applied_index);
  EXPECT_GE(behind.health.lag, 40u);
  EXPECT_TRUE(WhyUnhealthy(behind).has_value());
  cluster_.network.SetFilter(nullptr);
  EXPECT_TRUE(HealthyOnlyWithAll(follower_));
}

// It catches up, the group goes on meanwhile and leaves it behind again: healthy at the end only.
TEST_F(MemberHealthTest, ASecondSnapshotIsWaitedFor) {
  LoseLeader(follower_);
  cluster_.Fill(kGroup, 60);
  ASSERT_TRUE(cluster_.Snapshot(leader_, kGroup).ok());
  ASSERT_TRUE(cluster_.Await([&] { return Status(leader_).first_index > 40; }));
  const Index first = Status(leader_).snapshot_index;
  // The first snapshot comes, and what is behind it does not; nor does the leader's word.
  cluster_.network.SetFilter([this](Envelope& envelope) {
    const auto* body = std::get_if<MessageBody>(&envelope.body);
    const bool word = body != nullptr && std::holds_alternative<ReadIndexReply>(*body);
    return envelope.to != NodeId{follower_} || (envelope.entries.empty() && !word);
  });
  Rejoin(follower_);
  bool healthy = false;
  const auto installed = [&] {
    healthy |= Healthy(follower_);
    return Status(follower_).applied_index >= first;
  };
  ASSERT_TRUE(cluster_.Await(installed));
  // The leader's log goes on without it.
  cluster_.Fill(kGroup, 60);
  ASSERT_TRUE(cluster_.Snapshot(leader_, kGroup).ok());
  ASSERT_TRUE(cluster_.Await([&] {
    healthy |= Healthy(follower_);
    return Status(leader_).first_index > first + 40;
  }));
  EXPECT_FALSE(healthy);
  cluster_.network.SetFilter(nullptr);
  EXPECT_TRUE(HealthyOnlyWithAll(follower_));
  EXPECT_EQ(cluster_.View(follower_, kGroup).restored.size(), 2u);
}

TEST_F(MemberHealthTest, WhoStartsAgainIsHealthyWhenItHasEverything) {
  cluster_.Stop(follower_);
  cluster_.Fill(kGroup, 3);
  cluster_.Start(follower_);
  ASSERT_TRUE(cluster_.Open(follower_, kGroup).ok());
  EXPECT_FALSE(Healthy(follower_));
  // Less is missing than the bound, and it counts all the same.
  EXPECT_TRUE(HealthyOnlyWithAll(follower_));
}

TEST_F(MemberHealthTest, PausedAndCaughtUpIsHealthy) {
  ASSERT_TRUE(cluster_.Await([&] { return HasAll(follower_); }));
  ASSERT_TRUE(cluster_.Pause(follower_, kGroup).ok());
  cluster_.world.RunFor(Seconds(1));
  EXPECT_TRUE(Healthy(follower_));
  // One entry that waits is enough, far below the bound.
  cluster_.Fill(kGroup, 1);
  ASSERT_TRUE(cluster_.Await([&] { return Status(follower_).health.lag == 1; }));
  EXPECT_FALSE(Healthy(follower_));
  EXPECT_EQ(*WhyUnhealthy(Status(follower_)), "is paused, 1 entries behind");
  cluster_.world.RunFor(Seconds(5));
  EXPECT_FALSE(Healthy(follower_));
  cluster_.At(follower_, kGroup).ResumeApply();
  EXPECT_TRUE(HealthyOnlyWithAll(follower_));
}

TEST_F(MemberHealthTest, ABusyGroupIsHealthy) {
  bool healthy = true;
  for (int i = 0; i < 50; ++i) {
    cluster_.Fill(kGroup, 1);
    healthy &= AllHealthy();
  }
  EXPECT_TRUE(healthy);
}

TEST_F(MemberHealthTest, AHandleMayOutliveItsHost) {
  Group handle = cluster_.At(follower_, kGroup);
  cluster_.Stop(follower_);
  EXPECT_GT(handle.Status().log_writer.entries, 0u);
}

// Watchers hear of it, which is what services do.
TEST_F(MemberHealthTest, WatchersAreTold) {
  std::optional<bool> told;
  cluster_.At(follower_, kGroup).WatchLeadership([&](const GroupStatus& status) {
    told = !WhyUnhealthy(status).has_value();
  });
  ASSERT_TRUE(cluster_.Await([&] { return told.has_value(); }));
  EXPECT_TRUE(*told);
  ASSERT_TRUE(cluster_.Pause(follower_, kGroup).ok());
  cluster_.Fill(kGroup, 1);
  EXPECT_TRUE(cluster_.Await([&] { return !*told; }));
  cluster_.At(follower_, kGroup).ResumeApply();
  EXPECT_TRUE(cluster_.Await([&] { return *told; }));
}

// What status shows of queues and counters, at a member that works, one that waits and one that is
// fed by a snapshot.
TEST_F(MemberHealthTest, QueuesAndCountersAreShown) {
  const GroupStatus leads = Status(leader_);
  EXPECT_EQ(leads.counts.elections_won, 1u);
  EXPECT_GE(leads.counts.elections_started, 1u);
  EXPECT_EQ(leads.counts.leader_changes, 1u);
  EXPECT_EQ(leads.calls.applied, 5u);
  // The first entry of the log, the no-op or the members, and five commands.
  EXPECT_EQ(leads.counts.appended_entries, leads.last_index);
  EXPECT_GT(leads.counts.appended_bytes, 0u);
  EXPECT_EQ(leads.log_writer.entries, leads.last_index);
  EXPECT_GT(leads.log_writer.syncs.count(), 0u);
  EXPECT_EQ(leads.log_writer.queued_entries, 0u);
  EXPECT_EQ(Status(follower_).counts.elections_won, 0u);

  LoseLeader(follower_);
  cluster_.Fill(kGroup, 60);
  ASSERT_TRUE(cluster_.Snapshot(leader_, kGroup).ok());
  ASSERT_TRUE(cluster_.Await([&] { return Status(leader_).first_index > 40; }));
  Rejoin(follower_);
  ASSERT_TRUE(HealthyOnlyWithAll(follower_));
  EXPECT_EQ(Status(leader_).counts.snapshots_saved, 1u);
  EXPECT_EQ(Status(leader_).counts.snapshots_offered, 1u);
  EXPECT_GT(Status(leader_).counts.snapshot_bytes_sent, 0u);
  EXPECT_EQ(Status(follower_).counts.snapshots_received, 1u);
  EXPECT_EQ(Status(follower_).counts.snapshot_bytes_received,
            Status(leader_).counts.snapshot_bytes_sent);

  // A command and a read that wait, since nobody else answers. Whom the leader still takes for one
  // that needs a snapshot would be sent nothing.
  ASSERT_TRUE(cluster_.Await([&] {
    const GroupStatus status = Status(leader_);
    return std::all_of(status.peers.begin(), status.peers.end(),
                       [&](const PeerStatus& peer) { return peer.match == status.last_index; });
  }));
  CutOff(follower_);
  CutOff(third_);
  int answers = 0;
  cluster_.At(leader_, kGroup).Propose("x", {}, [&](const ProposalResult&) { ++answers; });
  cluster_.At(leader_, kGroup)
      .Linearize(cluster_.world.Now() + Milliseconds(200), [&](const ReadResult&) { ++answers; });
  cluster_.world.RunFor(Milliseconds(150));
  const GroupStatus waits = Status(leader_);
  EXPECT_EQ(waits.queues.calls, 2u);
  EXPECT_EQ(waits.queues.reads, 1u);
  EXPECT_EQ(waits.queues.proposals_in_log, 1u);
  EXPECT_GT(waits.queues.call_bytes, 0u);
  // What is said of peers may be a heartbeat old.
  EXPECT_TRUE(cluster_.Await(
      [&] {
        const std::vector<PeerStatus> peers = Status(leader_).peers;
        return peers.size() == 2 && peers[0].inflight_messages == 1 && peers[0].inflight_bytes > 0;
      },
      Milliseconds(600)));
  ASSERT_TRUE(cluster_.Await([&] { return answers == 2; }));
  const GroupStatus after = Status(leader_);
  EXPECT_EQ(after.queues.calls, 0u);
  EXPECT_EQ(after.queues.reads, 0u);
  EXPECT_EQ(after.calls.unknown, 1u);
  ASSERT_EQ(after.calls.reads_refused.size(), 1u);
  EXPECT_EQ(after.calls.reads_refused[0].second, 1u);

  // Refusals by their reason.
  cluster_.At(leader_, kGroup)
      .Propose(std::string(cluster_.options.max_command_bytes + 1, 'x'), {},
               [](const ProposalResult&) {});
  const CallCounts calls = Status(leader_).calls;
  ASSERT_EQ(calls.commands_refused.size(), 1u);
  EXPECT_EQ(calls.commands_refused[0].first, NameOf(ProposalNotApplied::Reason::kTooLarge));
}

}  // namespace
}  // namespace cairn

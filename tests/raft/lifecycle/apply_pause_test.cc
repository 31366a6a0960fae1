// Applying is paused and goes on; a snapshot is replayed; what an asynchronous machine has done.

#include <string>
#include <utility>
#include <variant>

#include "gtest/gtest.h"
#include "tests/raft/lifecycle/life_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};

class ApplyPauseTest : public testing::Test {
 protected:
  ApplyPauseTest() {
    cluster_.options.compaction.snapshot_entries = 1'000'000;
    cluster_.options.compaction.retained_entries = 5;
    cluster_.OpenEverywhere(kGroup);
    leader_ = cluster_.Leader(kGroup);
    follower_ = cluster_.Follower(kGroup);
    cluster_.Fill(kGroup, 5);
  }
  bool Same(uint64_t a, uint64_t b) {
    return cluster_.View(a, kGroup).commands == cluster_.View(b, kGroup).commands;
  }
  GroupStatus Status(uint64_t node) { return cluster_.Status(node, kGroup); }

  LifeCluster cluster_;
  uint64_t leader_ = 0;
  uint64_t follower_ = 0;
};

TEST_F(ApplyPauseTest, NothingIsAppliedAndEverythingElseGoesOn) {
  ASSERT_TRUE(cluster_.Pause(follower_, kGroup).ok());
  const std::string before = cluster_.View(follower_, kGroup).commands;
  const Index applied = Status(follower_).applied_index;
  cluster_.Fill(kGroup, 20);
  cluster_.world.RunFor(Seconds(1));
  EXPECT_EQ(cluster_.View(follower_, kGroup).commands, before);
  const GroupStatus paused = Status(follower_);
  EXPECT_TRUE(paused.apply_paused);
  EXPECT_EQ(paused.applied_index, applied);
  EXPECT_EQ(paused.commit_index, Status(leader_).commit_index);
  EXPECT_EQ(paused.durable_index, Status(leader_).last_index);
  // A read waits for its deadline, and a member that applies serves meanwhile.
  const ReadResult late = cluster_.Read(follower_, kGroup, Seconds(1));
  ASSERT_TRUE(std::holds_alternative<ReadRefused>(late));
  EXPECT_EQ(std::get<ReadRefused>(late).reason, ReadRefused::Reason::kDeadline);
  EXPECT_TRUE(std::holds_alternative<ReadReady>(cluster_.Read(leader_, kGroup, Seconds(1))));
  cluster_.At(follower_, kGroup).ResumeApply();
  EXPECT_TRUE(cluster_.Await([&] { return Same(leader_, follower_); }, Seconds(1)));
  EXPECT_FALSE(Status(follower_).apply_paused);
  EXPECT_EQ(cluster_.View(follower_, kGroup).applies, 25);
  EXPECT_TRUE(std::holds_alternative<ReadReady>(cluster_.Read(follower_, kGroup, Seconds(1))));
}

TEST_F(ApplyPauseTest, WhoLeadsIsNotPausedAndWhoIsPausedDoesNotLead) {
  EXPECT_TRUE(absl::IsFailedPrecondition(cluster_.Pause(leader_, kGroup)));
  EXPECT_FALSE(Status(leader_).apply_paused);
  // It votes all the same: with one member gone the third can lead only by its vote.
  ASSERT_TRUE(cluster_.Pause(follower_, kGroup).ok());
  const uint64_t third = 6 - leader_ - follower_;
  cluster_.Stop(leader_);
  EXPECT_EQ(cluster_.Leader(kGroup), third);
  cluster_.Fill(kGroup, 3);
  // Alone with one that is gone it never leads, until it goes on.
  cluster_.Start(leader_);
  ASSERT_TRUE(cluster_.Open(leader_, kGroup).ok());
  cluster_.network.CutOff(NodeId{leader_});
  cluster_.network.CutOff(NodeId{third});
  cluster_.world.RunFor(Seconds(10));
  EXPECT_EQ(Status(follower_).role, Role::kFollower);
  const Term term = Status(follower_).term;
  cluster_.network.Rejoin(NodeId{leader_});
  cluster_.world.RunFor(Seconds(10));
  EXPECT_FALSE(Status(follower_).serving_leader);
  cluster_.At(follower_, kGroup).ResumeApply();
  EXPECT_TRUE(cluster_.Await(
      [&] { return Status(follower_).serving_leader || Status(leader_).serving_leader; }));
  EXPECT_GT(Status(follower_).term, term);
}

TEST_F(ApplyPauseTest, ASnapshotThatComesMeanwhileIsInstalledWhenItGoesOn) {
  ASSERT_TRUE(cluster_.Pause(follower_, kGroup).ok());
  const int applies = cluster_.View(follower_, kGroup).applies;
  cluster_.network.CutOff(NodeId{follower_});
  cluster_.Fill(kGroup, 60);
  ASSERT_TRUE(cluster_.Snapshot(leader_, kGroup).ok());
  ASSERT_TRUE(cluster_.Await([&] { return Status(leader_).first_index > 40; }));
  cluster_.network.Rejoin(NodeId{follower_});
  ASSERT_TRUE(cluster_.Await([&] { return Status(follower_).snapshot_index > 40; }));
  cluster_.Fill(kGroup, 5);
  cluster_.world.RunFor(Seconds(2));
  EXPECT_TRUE(cluster_.View(follower_, kGroup).restored.empty());
  EXPECT_EQ(cluster_.View(follower_, kGroup).applies, applies);
  cluster_.At(follower_, kGroup).ResumeApply();
  EXPECT_TRUE(cluster_.Await([&] { return Same(leader_, follower_); }));
  EXPECT_EQ(cluster_.View(follower_, kGroup).restored.size(), 1u);
  EXPECT_TRUE(cluster_.Stopped(follower_).ok()) << cluster_.Stopped(follower_);
}

TEST_F(ApplyPauseTest, APauseThatIsTakenBackIsCancelledAndARestartKnowsOfNone) {
  absl::Status told;
  cluster_.At(follower_, kGroup).PauseApply([&](const absl::Status& status) { told = status; });
  cluster_.Fill(kGroup, 1);
  EXPECT_TRUE(Status(follower_).apply_paused);
  EXPECT_TRUE(told.ok());
  cluster_.Stop(follower_);
  cluster_.Start(follower_);
  ASSERT_TRUE(cluster_.Open(follower_, kGroup).ok());
  EXPECT_TRUE(cluster_.Await([&] { return Same(leader_, follower_); }));
  EXPECT_FALSE(Status(follower_).apply_paused);
}

TEST_F(ApplyPauseTest, ASnapshotIsReplayedWithWhatCameBehindIt) {
  EXPECT_TRUE(absl::IsFailedPrecondition(cluster_.Replay(follower_, kGroup)));
  const Index at = cluster_.Snapshot(follower_, kGroup).value().index;
  cluster_.Fill(kGroup, 7);
  ASSERT_TRUE(cluster_.Await([&] { return Same(leader_, follower_); }));
  const std::string before = cluster_.View(follower_, kGroup).commands;
  cluster_.View(follower_, kGroup).commands = "lost";
  ASSERT_TRUE(cluster_.Replay(follower_, kGroup).ok());
  EXPECT_EQ(cluster_.View(follower_, kGroup).commands, before);
  EXPECT_EQ(cluster_.View(follower_, kGroup).restored, std::vector<Index>{at});
  EXPECT_FALSE(Status(follower_).replaying);
  cluster_.Fill(kGroup, 3);
  EXPECT_TRUE(cluster_.Await([&] { return Same(leader_, follower_); }));
}

// The leader answers each command once, and a session call that is in the replayed part is a
// duplicate afterwards, with its first answer.
TEST_F(ApplyPauseTest, SessionsAreRightAfterAReplayOnTheLeader) {
  ASSERT_TRUE(cluster_.Snapshot(leader_, kGroup).ok());
  std::optional<ProposalResult> opened;
  cluster_.At(leader_, kGroup).OpenSession("client", {}, [&](ProposalResult r) {
    opened = std::move(r);
  });
  ASSERT_TRUE(cluster_.Await([&] { return opened.has_value(); }));
  ProposeOptions call;
  call.session = {std::get<ProposalApplied>(*opened).at.index, 1, false};
  const ProposalResult first = cluster_.Propose(leader_, kGroup, "once", call);
  absl::Status replayed = absl::UnknownError("not told");
  cluster_.At(leader_, kGroup).ReplaySnapshot([&](const absl::Status& s) { replayed = s; });
  const ProposalResult again = cluster_.Propose(leader_, kGroup, "once", call);
  ASSERT_TRUE(cluster_.Await([&] { return replayed.ok(); })) << replayed;
  EXPECT_TRUE(std::get<ProposalApplied>(again).duplicate);
  EXPECT_EQ(std::get<ProposalApplied>(again).reply, std::get<ProposalApplied>(first).reply);
  EXPECT_TRUE(cluster_.Await([&] { return Same(leader_, follower_); }));
}

TEST_F(ApplyPauseTest, AReplayWaitsForThePauseAndReadsForTheReplay) {
  ASSERT_TRUE(cluster_.Snapshot(follower_, kGroup).ok());
  cluster_.Fill(kGroup, 4);
  ASSERT_TRUE(cluster_.Pause(follower_, kGroup).ok());
  std::optional<absl::Status> replayed;
  cluster_.At(follower_, kGroup).ReplaySnapshot([&](const absl::Status& s) { replayed = s; });
  cluster_.Fill(kGroup, 4);
  cluster_.world.RunFor(Seconds(1));
  EXPECT_FALSE(replayed.has_value());
  EXPECT_TRUE(cluster_.View(follower_, kGroup).restored.empty());
  // Of two at a time one is refused.
  EXPECT_TRUE(absl::IsFailedPrecondition(cluster_.Replay(follower_, kGroup)));
  cluster_.At(follower_, kGroup).ResumeApply();
  ASSERT_TRUE(cluster_.Await([&] { return replayed.has_value(); }));
  EXPECT_TRUE(replayed->ok()) << *replayed;
  EXPECT_TRUE(cluster_.Await([&] { return Same(leader_, follower_); }));
}

TEST_F(ApplyPauseTest, ReadsWaitForWhatAnAsynchronousMachineHasProcessed) {
  constexpr GroupId kSlow{2};
  for (uint64_t node = 1; node <= LifeCluster::kNodes; ++node) {
    ASSERT_TRUE(cluster_.Open(node, kSlow, /*asynchronous=*/true).ok());
  }
  const uint64_t leader = cluster_.Leader(kSlow);
  MachineView& view = cluster_.View(leader, kSlow);
  cluster_.Fill(kSlow, 3);
  const GroupStatus before = cluster_.Status(leader, kSlow);
  EXPECT_LT(before.processed_index, before.applied_index);
  const ReadResult late = cluster_.Read(leader, kSlow, Milliseconds(500));
  EXPECT_TRUE(std::holds_alternative<ReadRefused>(late));
  view.context.processed(view.applied_up_to);
  EXPECT_TRUE(std::holds_alternative<ReadReady>(cluster_.Read(leader, kSlow, Milliseconds(500))));
  const GroupStatus after = cluster_.Status(leader, kSlow);
  EXPECT_EQ(after.processed_index, after.applied_index);
  // A machine that is not asynchronous has always processed what it applied.
  EXPECT_EQ(Status(leader_).processed_index, Status(leader_).applied_index);
}

}  // namespace
}  // namespace cairn

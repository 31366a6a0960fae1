// Groups that are opened, closed, deleted and reset while another one is under load.

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/raft/lifecycle/life_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kBusy{1};
constexpr GroupId kGroup{2};

class GroupLifeTest : public testing::Test {
 protected:
  GroupLifeTest() {
    cluster_.options.compaction.snapshot_entries = 50;
    cluster_.options.compaction.retained_entries = 10;
    cluster_.OpenEverywhere(kBusy);
    cluster_.OpenEverywhere(kGroup);
    EXPECT_NE(cluster_.Leader(kBusy), 0u);
  }
  ~GroupLifeTest() override {
    // The other group never noticed.
    LoadFor(Seconds(1));
    EXPECT_EQ(busy_.not_applied, 0);
    EXPECT_GT(busy_.applied, 100);
  }

  // Proposes to the busy group all the time, one command after the other.
  void LoadFor(Duration duration) {
    const Instant end = cluster_.world.Now() + duration;
    while (cluster_.world.Now() < end) {
      if (!busy_.under_way) ProposeNext();
      cluster_.world.RunFor(Milliseconds(1));
    }
  }
  bool Await(const std::function<bool()>& done) {
    for (int i = 0; i < 30'000 && !done(); ++i) LoadFor(Milliseconds(1));
    return done();
  }
  absl::Status End(const std::function<void(Host::LifeDone)>& call) {
    auto told = std::make_shared<std::optional<absl::Status>>();
    call([told](const absl::Status& status) { *told = status; });
    if (!Await([&] { return told->has_value(); })) return absl::InternalError("nobody told");
    return **told;
  }
  absl::Status Close(uint64_t node, Duration patience = Seconds(2), GroupId group = kGroup) {
    const Instant deadline = cluster_.world.Now() + patience;
    return End([&](Host::LifeDone done) {
      cluster_.HostAt(node).Close(group, deadline, std::move(done));
    });
  }
  absl::Status Delete(uint64_t node, GroupId group = kGroup) {
    return End([&](Host::LifeDone done) {
      cluster_.HostAt(node).Delete(group, Instant{}, std::move(done));
    });
  }
  absl::Status Reset(uint64_t node, GroupId group = kGroup) {
    return End([&](Host::LifeDone done) { cluster_.HostAt(node).Reset(group, std::move(done)); });
  }
  bool Same(uint64_t a, uint64_t b) {
    return cluster_.View(a, kGroup).commands == cluster_.View(b, kGroup).commands;
  }
  // Declares the members, and runs until there is an answer.
  ControlResult Change(DeclaredMembers members) {
    const uint64_t leader = cluster_.Leader(kGroup);
    std::optional<ControlResult> result;
    cluster_.At(leader, kGroup)
        .ChangeMembership(std::move(members), cluster_.world.Now() + Seconds(5),
                          [&](ControlResult r) { result = std::move(r); });
    EXPECT_TRUE(Await([&] { return result.has_value(); }));
    return *std::move(result);
  }
  Member MemberOf(uint64_t node) {
    return {NodeId{node}, cluster_.Status(node, kGroup).incarnation, absl::StrCat("node", node)};
  }

  std::map<std::pair<uint64_t, GroupId>, MachineView> views_;  // of groups the cluster knows not
  LifeCluster cluster_;

 private:
  void ProposeNext() {
    busy_.under_way = true;
    cluster_.At(cluster_.Leader(kBusy), kBusy).Propose("load", {}, [this](ProposalResult result) {
      busy_.under_way = false;
      ++(std::holds_alternative<ProposalApplied>(result) ? busy_.applied : busy_.not_applied);
    });
  }
  struct Busy {
    bool under_way = false;
    int applied = 0;
    int not_applied = 0;
  };
  Busy busy_;
};

// Executors that are tasks of this very thread help with nothing, and nobody waits for them.
TEST_F(GroupLifeTest, ManyGroupsAreOpenedWithoutThreads) {
  constexpr uint64_t kMany = 5;
  std::vector<std::vector<Group>> members(4);
  for (uint64_t node = 1; node <= 3; ++node) {
    std::vector<GroupToOpen> groups;
    for (uint64_t id = 1; id <= kMany; ++id) {
      const GroupId group{10 + id};
      groups.push_back(
          {group, std::make_unique<LifeMachine>(&views_[{node, group}], false), cluster_.options});
    }
    for (absl::StatusOr<Group>& group : cluster_.HostAt(node).OpenAll(std::move(groups))) {
      ASSERT_TRUE(group.ok()) << group.status();
      members[node].push_back(*std::move(group));
    }
  }
  EXPECT_EQ(cluster_.HostAt(1).StatusOfOpenings().longest_wait, Duration{});
  for (uint64_t i = 0; i < kMany; ++i) {
    EXPECT_EQ(members[1][i].Status().group, GroupId{11 + i});
    ASSERT_TRUE(Await([&] {
      return std::any_of(members.begin() + 1, members.end(),
                         [&](const auto& groups) { return groups[i].Status().serving_leader; });
    }));
  }
}

TEST_F(GroupLifeTest, AGroupIsClosedAndOpenedAgain) {
  cluster_.Fill(kGroup, 30);
  const uint64_t follower = cluster_.Follower(kGroup);
  const uint64_t leader = cluster_.Leader(kGroup);
  for (int i = 0; i < 5; ++i) {
    const Group old = cluster_.At(follower, kGroup);
    ASSERT_TRUE(Close(follower).ok());
    EXPECT_FALSE(cluster_.View(follower, kGroup).alive);
    // Its handles refuse everything.
    const ProposalResult refused = cluster_.Propose(follower, kGroup, "late");
    EXPECT_EQ(std::get<ProposalNotApplied>(refused).reason, ProposalNotApplied::Reason::kStopping);
    EXPECT_TRUE(std::holds_alternative<ReadRefused>(cluster_.Read(follower, kGroup, Seconds(1))));
    EXPECT_FALSE(cluster_.Pause(follower, kGroup).ok());
    EXPECT_FALSE(cluster_.Snapshot(follower, kGroup).ok());
    EXPECT_EQ(old.Status().reason, "the group is closed on this node");
    EXPECT_TRUE(absl::IsNotFound(Close(follower)));
    // The rest of the group goes on.
    cluster_.Fill(kGroup, 20);
    ASSERT_TRUE(cluster_.Open(follower, kGroup).ok());
    EXPECT_TRUE(absl::IsAlreadyExists(cluster_.Open(follower, kGroup)));
    EXPECT_TRUE(Await([&] { return Same(leader, follower); })) << i;
  }
  EXPECT_TRUE(cluster_.Stopped(follower).ok()) << cluster_.Stopped(follower);
}

// What others still answer to the group that was closed must not fit what it asks now.
TEST_F(GroupLifeTest, AGroupThatIsOpenedAgainNumbersItsQuestionsAnew) {
  const uint64_t follower = cluster_.Follower(kGroup);
  std::vector<std::pair<uint64_t, uint64_t>> asked;  // life, request; since it was opened
  cluster_.network.SetFilter([&](Envelope& envelope) {
    const auto* forwarded = std::get_if<ForwardedProposals>(&envelope.body);
    if (forwarded != nullptr && envelope.group == kGroup) {
      asked.emplace_back(forwarded->life, forwarded->request);
    }
    return true;
  });
  std::vector<std::pair<uint64_t, uint64_t>> first;
  for (int i = 0; i < 3; ++i) {
    asked.clear();
    ASSERT_TRUE(
        std::holds_alternative<ProposalApplied>(cluster_.Propose(follower, kGroup, "forwarded")));
    ASSERT_FALSE(asked.empty());
    first.push_back(asked.front());
    ASSERT_TRUE(Close(follower).ok());
    ASSERT_TRUE(cluster_.Open(follower, kGroup).ok());
    ASSERT_NE(cluster_.Leader(kGroup), follower);
    ASSERT_TRUE(Await([&] { return cluster_.Status(follower, kGroup).leader != NodeId::kNone; }));
  }
  cluster_.network.SetFilter(nullptr);
  EXPECT_EQ(first[0].second, first[1].second);
  EXPECT_NE(first[0].first, first[1].first);
  EXPECT_NE(first[1].first, first[2].first);
}

// A failed disk reports a group that was closed with what was never synced, as if that were
// durable.
TEST(GroupLifeOnAFailedDiskTest, NothingIsOpened) {
  LifeCluster cluster;
  cluster.OpenEverywhere(kGroup);
  const uint64_t follower = cluster.Follower(kGroup);
  cluster.Files(follower).set_fault_hook([](const FileAccess& access) {
    return FileFault{.error = access.operation == FileAccess::Operation::kSync ? 5 : 0};
  });
  cluster.Fill(kGroup, 1);
  ASSERT_TRUE(cluster.Await([&] { return !cluster.Stopped(follower).ok(); }));
  std::optional<absl::Status> closed;
  cluster.HostAt(follower).Close(kGroup, Instant{},
                                 [&](const absl::Status& status) { closed = status; });
  ASSERT_TRUE(cluster.Await([&] { return closed.has_value(); }));
  EXPECT_EQ(cluster.Open(follower, kGroup), cluster.Stopped(follower));
  cluster.Files(follower).set_fault_hook(nullptr);
}

// What is under way is answered: by its result if that comes in time, else as unknown.
TEST_F(GroupLifeTest, ClosingDrains) {
  const uint64_t leader = cluster_.Leader(kGroup);
  std::vector<ProposalResult> results;
  for (int i = 0; i < 10; ++i) {
    cluster_.At(leader, kGroup).Propose("drained", {}, [&](ProposalResult r) {
      results.push_back(std::move(r));
    });
  }
  ASSERT_TRUE(Close(leader).ok());
  ASSERT_EQ(results.size(), 10u);
  for (const ProposalResult& result : results) {
    EXPECT_TRUE(std::holds_alternative<ProposalApplied>(result));
  }
  // Others elect another leader.
  ASSERT_TRUE(Await([&] { return cluster_.Leader(kGroup) != leader; }));
  ASSERT_TRUE(cluster_.Open(leader, kGroup).ok());
  const uint64_t next = cluster_.Leader(kGroup);
  cluster_.network.SetFilter([&](Envelope& envelope) {
    return envelope.group != kGroup || envelope.from != NodeId{next};
  });
  results.clear();
  cluster_.At(next, kGroup).Propose("stuck", {}, [&](ProposalResult r) {
    results.push_back(std::move(r));
  });
  LoadFor(Milliseconds(20));
  ASSERT_TRUE(Close(next, Milliseconds(100)).ok());
  ASSERT_EQ(results.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<ProposalUnknown>(results[0]));
  cluster_.network.SetFilter(nullptr);
}

TEST_F(GroupLifeTest, ADeletedGroupIsGone) {
  cluster_.Fill(kGroup, 120);
  for (uint64_t node = 1; node <= LifeCluster::kNodes; ++node) {
    EXPECT_TRUE(cluster_.Files(node).Exists("/data/snapshots/2").value());
    ASSERT_TRUE(Delete(node).ok());
    EXPECT_FALSE(cluster_.Files(node).Exists("/data/snapshots/2").value());
    EXPECT_EQ(cluster_.Disk(node).Groups(), std::vector<GroupId>{kBusy});
    // Once more does no harm.
    EXPECT_TRUE(Delete(node).ok());
  }
  // Opened again nobody is a member, so nobody leads, and nobody has anything.
  cluster_.OpenEverywhere(kGroup);
  LoadFor(Seconds(10));
  for (uint64_t node = 1; node <= LifeCluster::kNodes; ++node) {
    const GroupStatus status = cluster_.Status(node, kGroup);
    EXPECT_EQ(status.role, Role::kFollower);
    EXPECT_EQ(status.last_index, 0u);
    EXPECT_NE(status.incarnation, cluster_.IncarnationOf(node));
  }
}

// A member whose part was deleted helps nobody to lead: with it and one that lacks what was
// committed there is no quorum. Declared anew it is fed and counts.
TEST_F(GroupLifeTest, ADeletedMemberIsNoAmnesiacVoter) {
  cluster_.Fill(kGroup, 5);
  const uint64_t leader = cluster_.Leader(kGroup);
  const uint64_t behind = leader == 1 ? 2 : 1;
  const uint64_t deleted = 6 - leader - behind;
  cluster_.network.SetFilter([&](Envelope& envelope) {
    return envelope.group != kGroup || envelope.to != NodeId{behind};
  });
  cluster_.Fill(kGroup, 5);  // acknowledged by `leader` and `deleted`
  ASSERT_TRUE(Delete(deleted).ok());
  ASSERT_TRUE(cluster_.Open(deleted, kGroup).ok());
  cluster_.network.SetFilter([&](Envelope& envelope) {
    return envelope.group != kGroup ||
           (envelope.from != NodeId{leader} && envelope.to != NodeId{leader});
  });
  LoadFor(Seconds(20));
  EXPECT_FALSE(cluster_.Status(behind, kGroup).serving_leader);
  EXPECT_FALSE(cluster_.Status(deleted, kGroup).serving_leader);
  EXPECT_EQ(cluster_.View(deleted, kGroup).commands, "");
  cluster_.network.SetFilter(nullptr);
  ASSERT_NE(cluster_.Leader(kGroup), 0u);
  EXPECT_NE(cluster_.Leader(kGroup), deleted);
  DeclaredMembers without;
  without.voters = {MemberOf(leader), MemberOf(behind)};
  ASSERT_TRUE(std::holds_alternative<ControlDone>(Change(without)));
  DeclaredMembers with = without;
  with.voters.push_back(MemberOf(deleted));
  ASSERT_TRUE(Await([&] { return std::holds_alternative<ControlDone>(Change(with)); }));
  EXPECT_TRUE(
      Await([&] { return Same(leader, deleted) && !cluster_.Status(deleted, kGroup).learner; }));
  // It is who it is now after a restart, too.
  const Incarnation now = cluster_.Status(deleted, kGroup).incarnation;
  ASSERT_TRUE(Close(deleted).ok());
  ASSERT_TRUE(cluster_.Open(deleted, kGroup).ok());
  EXPECT_EQ(cluster_.Status(deleted, kGroup).incarnation, now);
  cluster_.Fill(kGroup, 3);
  EXPECT_TRUE(Await([&] { return Same(leader, deleted); }));
  EXPECT_TRUE(cluster_.Stopped(deleted).ok()) << cluster_.Stopped(deleted);
}

TEST_F(GroupLifeTest, VotersAreNotResetAndLearnersAreFedAnew) {
  cluster_.Fill(kGroup, 20);
  const uint64_t leader = cluster_.Leader(kGroup);
  const uint64_t learner = cluster_.Follower(kGroup);
  const uint64_t third = 6 - leader - learner;
  for (uint64_t node = 1; node <= LifeCluster::kNodes; ++node) {
    const absl::Status refused = Reset(node);
    EXPECT_TRUE(absl::IsFailedPrecondition(refused));
    EXPECT_NE(refused.message().find("demote"), std::string::npos) << refused;
  }
  cluster_.Fill(kGroup, 2);
  DeclaredMembers members;
  members.voters = {MemberOf(leader), MemberOf(third)};
  members.learners = {MemberOf(learner)};
  ASSERT_TRUE(std::holds_alternative<ControlDone>(Change(members)));
  ASSERT_TRUE(Await([&] { return cluster_.Status(learner, kGroup).learner; }));
  ASSERT_TRUE(Await([&] {
    return !cluster_.Status(leader, kGroup).configuration.joint() && Same(leader, learner);
  }));
  LoadFor(Seconds(1));
  ASSERT_TRUE(Reset(learner).ok());
  EXPECT_TRUE(absl::IsNotFound(Reset(learner)));
  ASSERT_TRUE(cluster_.Open(learner, kGroup).ok());
  EXPECT_EQ(cluster_.View(learner, kGroup).commands, "");
  DeclaredMembers without = members;
  without.learners.clear();
  ASSERT_TRUE(std::holds_alternative<ControlDone>(Change(without)));
  members.learners = {MemberOf(learner)};
  ASSERT_TRUE(Await([&] { return std::holds_alternative<ControlDone>(Change(members)); }));
  EXPECT_TRUE(Await([&] { return Same(leader, learner); }));
}

// Its leader could not tell it from what it was: it would count entries that are gone.
TEST_F(GroupLifeTest, WhoIsNamedWithoutItsDiskIsNotReset) {
  cluster_.Fill(kGroup, 5);
  const uint64_t leader = cluster_.Leader(kGroup);
  const uint64_t learner = cluster_.Follower(kGroup);
  DeclaredMembers members;
  members.voters = {MemberOf(leader), MemberOf(6 - leader - learner)};
  ASSERT_TRUE(std::holds_alternative<ControlDone>(Change(members)));
  ASSERT_TRUE(Await([&] { return !cluster_.Status(leader, kGroup).configuration.joint(); }));
  ASSERT_TRUE(Delete(learner).ok());
  ASSERT_TRUE(cluster_.Open(learner, kGroup).ok());
  members.learners = {MemberOf(learner)};
  members.learners[0].incarnation = Incarnation::kUnknown;
  ASSERT_TRUE(Await([&] { return std::holds_alternative<ControlDone>(Change(members)); }));
  ASSERT_TRUE(
      Await([&] { return Same(leader, learner) && cluster_.Status(learner, kGroup).learner; }));
  const absl::Status refused = Reset(learner);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_NE(refused.message().find("without its disk"), std::string::npos) << refused;
  cluster_.Fill(kGroup, 2);
  members.learners = {MemberOf(learner)};
  ASSERT_TRUE(Await([&] { return std::holds_alternative<ControlDone>(Change(members)); }));
  bool reset = false;  // once it knows
  EXPECT_TRUE(Await([&] { return reset = reset || Reset(learner).ok(); }));
}

// Wherever the power goes in a deletion, the next start finds the group whole, or gone for good.
TEST_F(GroupLifeTest, PowerCutsInADeletion) {
  const uint64_t node = cluster_.Follower(kBusy);
  int whole = 0;
  int gone = 0;
  for (int cut = 1;; ++cut) {
    const GroupId group{static_cast<uint64_t>(10 + cut)};
    cluster_.OpenEverywhere(group);
    cluster_.Fill(group, 60);
    ASSERT_TRUE(Await([&] { return cluster_.Status(node, group).snapshot_index > 0; }));
    int calls = 0;
    bool was_cut = false;
    cluster_.Files(node).set_fault_hook([&](const FileAccess& access) {
      FileFault fault;
      const bool reads = access.operation == FileAccess::Operation::kRead ||
                         access.operation == FileAccess::Operation::kList;
      if (was_cut || (!reads && ++calls >= cut)) was_cut = true;
      if (was_cut) fault.error = 5;
      return fault;
    });
    bool done = false;
    cluster_.HostAt(node).Delete(group, Instant{}, [&](const absl::Status& s) { done = s.ok(); });
    for (int i = 0; i < 200 && !was_cut && !done; ++i) cluster_.world.RunFor(Milliseconds(1));
    cluster_.Files(node).set_fault_hook(nullptr);
    cluster_.Stop(node);
    cluster_.Start(node);
    ASSERT_TRUE(cluster_.Open(node, kBusy).ok());
    ASSERT_TRUE(Await([&] { return !absl::IsFailedPrecondition(cluster_.Open(node, group)); }));
    const GroupStatus status = cluster_.Status(node, group);
    const bool is_gone = status.incarnation != cluster_.IncarnationOf(node);
    ++(is_gone ? gone : whole);
    EXPECT_TRUE(is_gone || !done);
    if (is_gone) {
      EXPECT_EQ(cluster_.View(node, group).commands, "");
      EXPECT_EQ(status.last_index, 0u);
    } else {
      EXPECT_TRUE(Await([&] {
        return cluster_.View(node, group).commands ==
               cluster_.View(cluster_.Leader(group), group).commands;
      })) << cut;
    }
    for (uint64_t each = 1; each <= LifeCluster::kNodes; ++each) {
      ASSERT_TRUE(Delete(each, group).ok());
    }
    if (done && !was_cut) break;
    ASSERT_LT(cut, 200);
  }
  EXPECT_GT(whole, 2);
  EXPECT_GT(gone, 5);
}

}  // namespace
}  // namespace cairn

// Whole hosts in virtual time whose disks lose entries: they get them back from each other.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "raft/host.h"
#include "storage/record.h"
#include "tests/raft/test_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kGroup = TestCluster::kGroup;

// Three members, with ten commands that all of them have applied.
class RepairClusterTest : public testing::Test {
 protected:
  RepairClusterTest() : RepairClusterTest(GroupOptions()) {}
  explicit RepairClusterTest(const GroupOptions& options) : cluster_(3, options) {
    cluster_.StartAll();
    leader_ = cluster_.AwaitLeader();
    for (int i = 0; i < 10; ++i) cluster_.Propose(leader_, absl::StrCat("command ", i));
    cluster_.Run(Seconds(1));
    last_ = cluster_.At(leader_).Status().last_index;
  }

  FakeLogStore& Store(uint64_t node) { return cluster_.Disk(node).store(kGroup); }
  std::string StoppedBecause(uint64_t node) {
    const auto& stopped = cluster_.Stopped(node);
    if (!stopped.has_value()) return "";
    return absl::StrCat(NameOf(stopped->first), ": ", stopped->second.ToString());
  }
  // All have applied the same commands, nothing is damaged, and more can be written.
  void ExpectWhole(size_t commands) {
    const uint64_t leader = cluster_.AwaitLeader();
    ASSERT_NE(leader, 0u);
    const ProposalResult result = cluster_.Propose(leader, "and one more");
    EXPECT_TRUE(std::holds_alternative<ProposalApplied>(result));
    cluster_.Run(Seconds(2));
    for (uint64_t node = 1; node <= 3; ++node) {
      EXPECT_EQ(StoppedBecause(node), "");
      EXPECT_EQ(cluster_.Commands(node).size(), commands + 1) << node;
      EXPECT_EQ(cluster_.Commands(node), cluster_.Commands(leader)) << node;
      EXPECT_EQ(Store(node).damaged(), std::set<Index>()) << node;
      EXPECT_EQ(cluster_.At(node).Status().state, NodeState::kServing) << node;
    }
  }

  TestCluster cluster_;
  uint64_t leader_ = 0;
  Index last_ = 0;
};

// What the store has is read from there.
class UncachedRepairTest : public RepairClusterTest {
 protected:
  UncachedRepairTest() : RepairClusterTest(Uncached()) {}

 private:
  static GroupOptions Uncached() {
    GroupOptions options;
    options.log_cache_bytes = 1;
    return options;
  }
};

TEST_F(RepairClusterTest, WhatRecoveryFindsIsRepaired) {
  const uint64_t node = cluster_.SomeFollower();
  cluster_.Stop(node);
  for (Index index : {Index{3}, Index{4}, Index{7}, last_}) Store(node).Damage(index);
  cluster_.Start(node);
  cluster_.Run(Seconds(2));
  EXPECT_EQ(Store(node).repaired(), 4u);
  ExpectWhole(10);
  // It is written down, and the next start knows it.
  for (int start = 0; start < 2; ++start) {
    const LossReport::Counts counts = cluster_.Losses(node).counts();
    EXPECT_EQ(counts.damaged, 4u);
    EXPECT_EQ(counts.repaired, 4u);
    EXPECT_EQ(counts.open, 0u);
    cluster_.Stop(node);
    cluster_.Start(node);
  }
}

// All are damaged, each elsewhere, and nobody can lead before it is repaired.
TEST_F(RepairClusterTest, EachHasWhatTheOthersLack) {
  for (uint64_t node = 1; node <= 3; ++node) cluster_.Stop(node);
  for (Index index = 1; index <= last_; ++index) {
    Store(1 + index % 3).Damage(index);
    Store(1 + (index + 1) % 3).Damage(index);
  }
  cluster_.StartAll();
  ExpectWhole(10);
}

// The members of the group stand in entry 1 or 2.
TEST_F(RepairClusterTest, AConfigurationIsRepairedToo) {
  const Configuration before = cluster_.At(leader_).Status().configuration;
  const uint64_t node = cluster_.SomeFollower();
  cluster_.Stop(node);
  for (Index index = 1; index <= last_; ++index) Store(node).Damage(index);
  cluster_.Start(node);
  cluster_.Run(Seconds(2));
  EXPECT_EQ(cluster_.At(node).Status().configuration, before);
  EXPECT_GT(cluster_.At(node).Status().configuration_index, 0u);
  ExpectWhole(10);
}

// The log is opened without a word; the damage shows when entries are applied.
TEST_F(RepairClusterTest, WhatIsFoundWhileApplyingIsRepaired) {
  for (uint64_t node = 1; node <= 3; ++node) {
    cluster_.Stop(node);
    Store(node).Damage(2 + node, /*found_later=*/true);
    Store(node).Damage(6 + node, /*found_later=*/true);
  }
  cluster_.StartAll();
  ExpectWhole(10);
}

// The others have the entry and not this one's last ones; so nobody else may lead.
TEST_F(RepairClusterTest, WhoMustLeadIsRepairedBeforeItDoes) {
  const uint64_t behind = cluster_.SomeFollower();
  cluster_.Stop(behind);
  cluster_.Propose(leader_, "only two have it");
  const uint64_t third = 6 - leader_ - behind;
  cluster_.Run(Seconds(1));
  cluster_.Stop(leader_);
  cluster_.Stop(third);
  Store(third).Damage(4);
  cluster_.Start(third);
  cluster_.Start(behind);
  ASSERT_EQ(cluster_.AwaitLeader(), third);
  cluster_.Start(leader_);
  ExpectWhole(11);
}

// Whoever has heard from all others halts, and says no more; so the rest waits for it, until it is
// started again.
TEST_F(RepairClusterTest, WhatAllHaveLostStopsThemAll) {
  for (uint64_t node = 1; node <= 3; ++node) {
    cluster_.Stop(node);
    Store(node).Damage(5);
  }
  std::set<uint64_t> halted;
  std::set<uint64_t> start = {1, 2, 3};
  for (int i = 0; i < 20 && halted.size() < 3; ++i) {
    for (uint64_t node : start) cluster_.Start(node);
    start.clear();
    EXPECT_EQ(cluster_.AwaitLeader(), 0u);
    for (uint64_t node = 1; node <= 3; ++node) {
      const GroupStatus status = cluster_.At(node).Status();
      if (StoppedBecause(node).empty()) {
        EXPECT_EQ(status.state, NodeState::kRepairing) << node;
        EXPECT_TRUE(status.reason.starts_with("1 entries cannot be read here, the first is 5"))
            << status.reason;
        continue;
      }
      EXPECT_EQ(status.state, NodeState::kHalted) << node;
      EXPECT_TRUE(
          StoppedBecause(node).starts_with("halted: DATA_LOSS: entries 5..5 are held by no "))
          << StoppedBecause(node);
      halted.insert(node);
      start.insert(node);
    }
    ASSERT_FALSE(start.empty()) << "who has heard from all others halts";
  }
  EXPECT_EQ(halted.size(), 3u);
}

// One has it, but is away: the others wait for it, and go on when it comes.
TEST_F(RepairClusterTest, TheOnlyGoodCopyIsWaitedFor) {
  cluster_.Stop(leader_);
  for (uint64_t node = 1; node <= 3; ++node) {
    if (node == leader_) continue;
    cluster_.Stop(node);
    Store(node).Damage(5);
    cluster_.Start(node);
  }
  EXPECT_EQ(cluster_.AwaitLeader(), 0u);
  for (uint64_t node = 1; node <= 3; ++node) {
    if (node == leader_) continue;
    EXPECT_EQ(StoppedBecause(node), "");
    const GroupStatus status = cluster_.At(node).Status();
    EXPECT_EQ(status.state, NodeState::kRepairing);
    EXPECT_EQ(status.reason,
              "1 entries cannot be read here, the first is 5; the others are asked for them");
  }
  cluster_.Start(leader_);
  ExpectWhole(10);
}

// What was said of an entry that is repaired is not said of the next one.
TEST_F(RepairClusterTest, WhoHaltsNamesWhatIsLost) {
  for (uint64_t node = 1; node <= 3; ++node) {
    cluster_.Stop(node);
    Store(node).Damage(1 + node);
    Store(node).Damage(6, /*found_later=*/true);
  }
  cluster_.StartAll();
  EXPECT_EQ(cluster_.AwaitLeader(), 0u);
  size_t halted = 0;
  for (uint64_t node = 1; node <= 3; ++node) {
    if (StoppedBecause(node).empty()) continue;
    EXPECT_TRUE(StoppedBecause(node).ends_with("; entry 6")) << StoppedBecause(node);
    ++halted;
  }
  EXPECT_GE(halted, 1u);
}

TEST_F(RepairClusterTest, AStoreThatCannotRepairHaltsTheNode) {
  const uint64_t node = cluster_.SomeFollower();
  cluster_.Stop(node);
  Store(node).Damage(3);
  Store(node).RefuseRepairs();
  cluster_.Start(node);
  cluster_.Run(Seconds(2));
  EXPECT_EQ(StoppedBecause(node),
            "halted: DATA_LOSS: entry 3 cannot be read, and the fake store was told to repair "
            "nothing");
}

TEST(RepairTest, ASingleNodeHasNobodyToAsk) {
  TestCluster cluster(1);
  cluster.StartAll();
  cluster.AwaitLeader();
  cluster.Propose(1, "a");
  cluster.Run(Seconds(1));
  cluster.Stop(1);
  cluster.Disk(1).store(kGroup).Damage(3);
  cluster.Start(1);
  cluster.Run(Seconds(1));
  ASSERT_TRUE(cluster.Stopped(1).has_value());
  EXPECT_EQ(cluster.Stopped(1)->first, NodeState::kHalted);
}

// An answer of another entry, a late one, or one of who was not asked: none of them is written.
TEST_F(RepairClusterTest, OnlyTheAnswerThatWasAskedForCounts) {
  const uint64_t node = cluster_.SomeFollower();
  cluster_.Stop(node);
  Store(node).Damage(3);
  std::vector<Envelope> answers;
  cluster_.network.SetFilter([&](Envelope& envelope) {
    auto* reply = std::get_if<EntryReply>(&envelope.body);
    if (reply == nullptr || envelope.to != NodeId{node}) return true;
    answers.push_back(envelope);
    reply->request += 1000;
    return true;
  });
  cluster_.Start(node);
  cluster_.Run(Seconds(5));
  EXPECT_GE(answers.size(), 2u) << "it asks again, and asks others";
  EXPECT_EQ(Store(node).repaired(), 0u);
  EXPECT_EQ(cluster_.At(node).Status().state, NodeState::kRepairing);
  cluster_.network.SetFilter({});
  cluster_.Run(Seconds(5));
  EXPECT_EQ(Store(node).repaired(), 1u);
  ExpectWhole(10);
}

// Three times as long as one waits for an answer.
TEST_F(RepairClusterTest, AnswersMayTakeLong) {
  const uint64_t node = cluster_.SomeFollower();
  cluster_.Stop(node);
  Store(node).Damage(3);
  Store(node).Damage(7);
  const std::unique_ptr<Transport> relay = cluster_.network.MakeTransport(NodeId{99});
  bool arrives = false;
  cluster_.network.SetFilter([&](Envelope& envelope) {
    if (arrives || !std::holds_alternative<EntryReply>(envelope.body)) return true;
    cluster_.world.PostAt(cluster_.world.Now() + Milliseconds(600), [&, late = envelope]() mutable {
      arrives = true;
      relay->Send(std::move(late));
      arrives = false;
    });
    return false;
  });
  cluster_.Start(node);
  cluster_.Run(Seconds(5));
  EXPECT_EQ(Store(node).repaired(), 2u);
  ExpectWhole(10);
  cluster_.network.SetFilter({});
}

// A member asks for entries up to one that is of another term here: it gets those before. The
// giver's store reads them in one run.
TEST_F(UncachedRepairTest, EntriesAreGivenUpToWhereTheTermEnds) {
  const uint64_t node = cluster_.SomeFollower();
  ASSERT_TRUE(std::holds_alternative<ControlDone>(cluster_.Transfer(leader_, 6 - leader_ - node)));
  cluster_.Run(Seconds(1));
  ASSERT_EQ(cluster_.At(node).Status().last_index, last_ + 1);
  cluster_.Stop(node);
  for (uint64_t each = 1; each <= 3; ++each) Store(each).ReadWholeRuns();
  Store(node).Damage(last_);
  size_t asked = 0;
  cluster_.network.SetFilter([&](Envelope& envelope) {
    auto* request = std::get_if<EntryRequest>(&envelope.body);
    if (request == nullptr) return true;
    EXPECT_EQ(request->wanted.back().last, last_);
    request->wanted.back().last = last_ + 1;
    ++asked;
    return true;
  });
  cluster_.Start(node);
  cluster_.Run(Seconds(2));
  EXPECT_GE(asked, 1u);
  cluster_.network.SetFilter({});
  EXPECT_EQ(Store(node).repaired(), 1u);
  ExpectWhole(10);
}

// A failing disk takes a second to say that it cannot read an entry. Who finds one looks at the
// entries behind it, too, and the host's other groups do not wait for that.
TEST(SlowReadsTest, TheGroupNextDoorKeepsItsLeader) {
  constexpr GroupId kNextDoor{2};
  GroupOptions options;
  options.log_cache_bytes = 1;
  options.quiesce_after = 0;
  std::vector<std::string> commands;
  std::map<uint64_t, Group> next_door;
  TestCluster cluster(3, options);
  const auto start = [&](uint64_t node) {
    cluster.Start(node);
    next_door.insert_or_assign(
        node,
        *cluster.HostAt(node).Open(kNextDoor, std::make_unique<TestMachine>(&commands), options));
  };
  for (uint64_t node = 1; node <= 3; ++node) start(node);
  const uint64_t leader = cluster.AwaitLeader();
  const uint64_t behind = cluster.SomeFollower();
  for (auto& [node, group] : next_door) {
    if (node == leader) continue;
    group.TransferLeadership(NodeId{leader}, cluster.world.Now() + Seconds(2),
                             [](ControlResult) {});
  }
  cluster.Run(Seconds(2));
  ASSERT_TRUE(next_door.at(leader).Status().serving_leader);
  cluster.Stop(behind);
  for (int i = 0; i < 30; ++i) cluster.Propose(leader, absl::StrCat("command ", i));
  const Index last = cluster.At(leader).Status().last_index;
  FakeLogStore& store = cluster.Disk(leader).store(kGroup);
  for (Index index = last - 20; index < last - 10; ++index) store.Damage(index, true);
  store.OnBadRead([&] { cluster.world.SpendHere(Seconds(1)); });
  const Term term = next_door.at(leader).Status().term;
  start(behind);
  for (int i = 0; i < 300; ++i) {
    cluster.Run(Milliseconds(100));
    ASSERT_TRUE(next_door.at(leader).Status().serving_leader) << i;
  }
  EXPECT_EQ(next_door.at(leader).Status().term, term);
  EXPECT_EQ(store.damaged(), std::set<Index>());
  EXPECT_EQ(cluster.Commands(behind), cluster.Commands(leader));
}

// Node `without` is taken out. The others have logged it, and it is not committed; only one of them
// is left. So it may be a member for long, and needs what it cannot read.
TEST_F(RepairClusterTest, WhoIsRemovedByNothingCommittedGetsItsEntries) {
  const uint64_t without = cluster_.SomeFollower();
  const uint64_t holder = 6 - leader_ - without;
  cluster_.network.CloseDoors();
  cluster_.network.SetFilter([&](Envelope& envelope) {
    if (envelope.to == NodeId{without}) return false;
    const auto* body = std::get_if<MessageBody>(&envelope.body);
    const auto* reply = body == nullptr ? nullptr : std::get_if<AppendReply>(body);
    return reply == nullptr || reply->match <= last_ + 2;  // the joint configuration
  });
  cluster_.At(leader_).ChangeMembership({.voters = cluster_.Members({leader_, holder})},
                                        cluster_.world.Now() + Seconds(5), [](ControlResult) {});
  cluster_.Run(Seconds(1));
  const GroupStatus status = cluster_.At(holder).Status();
  ASSERT_EQ(status.configuration_index, last_ + 3);
  ASSERT_EQ(status.commit_index, last_ + 2);
  ASSERT_FALSE(status.configuration.IsMember(NodeId{without}));
  for (uint64_t node = 1; node <= 3; ++node) cluster_.Stop(node);
  Store(without).Damage(4);
  cluster_.network.SetFilter({});
  cluster_.Start(holder);
  cluster_.Start(without);
  cluster_.Run(Seconds(5));
  EXPECT_EQ(Store(without).damaged(), std::set<Index>());
}

// Another version of Cairn has written a configuration that this one cannot read.
TEST_F(RepairClusterTest, AConfigurationThatCannotBeReadStaysDamaged) {
  const uint64_t node = cluster_.SomeFollower();
  cluster_.Stop(node);
  RecordRunBuilder builder(kGroup, Store(node).last(), Store(node).HashAt(last_).value());
  builder.Add(PreparedEntry::Make(EntryType::kConfiguration, "\xff of another version"),
              Store(node).last().term, WallTime{1});
  const RecordRun run = std::move(builder).Build();
  LogAppend append;
  append.runs = {run};
  ASSERT_TRUE(Store(node).Append(append).ok());
  Store(node).Damage(last_ + 1);
  size_t given = 0;
  cluster_.network.SetFilter([&](Envelope& envelope) {
    if (envelope.to != NodeId{node}) return true;
    auto* reply = std::get_if<EntryReply>(&envelope.body);
    if (reply == nullptr) return false;
    envelope.entries = {run};
    ++given;
    return true;
  });
  cluster_.Start(node);
  cluster_.Run(Seconds(5));
  EXPECT_GE(given, 2u);
  EXPECT_EQ(Store(node).damaged(), std::set<Index>{last_ + 1});
  EXPECT_EQ(cluster_.At(node).Status().state, NodeState::kRepairing);
  EXPECT_EQ(StoppedBecause(node), "");
}

// The last write was cut off, or has rotted, and one other member that runs has all of it; nobody
// leads.
class TornTailClusterTest : public RepairClusterTest {
 protected:
  // As many entries as take three answers.
  void TearLargeEntries() {
    for (int i = 0; i < 5; ++i) cluster_.Propose(leader_, std::string(400 << 10, 'x'));
    cluster_.Run(Seconds(1));
    last_ = cluster_.At(leader_).Status().last_index;
    cluster_.Stop(leader_);
    cluster_.Stop(torn_);
    Store(torn_).Tear(last_ - 4);
    cluster_.network.SetFilter([this](Envelope& envelope) {
      const auto* body = std::get_if<MessageBody>(&envelope.body);
      if (body != nullptr && (std::holds_alternative<PreVoteRequest>(*body) ||
                              std::holds_alternative<VoteRequest>(*body))) {
        return false;
      }
      if (!std::holds_alternative<EntryReply>(envelope.body)) return true;
      return ++answers_ != lost_;
    });
  }
  // With a power cut.
  void Restart() {
    cluster_.Stop(torn_);
    cluster_.Start(torn_);
    cluster_.Run(Milliseconds(1));
  }
  // Until so many answers are on their way.
  void AwaitAnswers(size_t count) {
    for (int i = 0; i < 10'000 && answers_ < count; ++i) cluster_.Run(Milliseconds(1));
    ASSERT_EQ(answers_, count);
    cluster_.Run(Milliseconds(2));
  }
  bool Claims(Index index) { return cluster_.At(torn_).Status().last_index == index; }
  // Whether it has all of them, as a start finds them.
  bool HasThem() {
    Restart();
    return Claims(last_) && cluster_.At(torn_).Status().durable_index == last_;
  }

  const uint64_t torn_ = cluster_.SomeFollower();
  size_t answers_ = 0;
  size_t lost_ = 0;  // this one of them
};

TEST_F(TornTailClusterTest, ASecondPowerCutForgetsNoneOfThem) {
  TearLargeEntries();
  for (size_t answers = 1; answers <= 2; ++answers) {
    SCOPED_TRACE(answers);
    cluster_.Start(torn_);
    answers_ = 0;
    AwaitAnswers(answers);
    Restart();
    EXPECT_TRUE(Claims(last_));
    cluster_.Stop(torn_);
  }
  cluster_.Start(torn_);
  answers_ = 0;
  AwaitAnswers(3);
  EXPECT_TRUE(HasThem());
  cluster_.network.SetFilter({});
  cluster_.Start(leader_);
  ExpectWhole(15);
}

// What has come is not asked for again.
TEST_F(TornTailClusterTest, AnAnswerThatIsLostCostsOneAnswer) {
  TearLargeEntries();
  lost_ = 2;
  cluster_.Start(torn_);
  AwaitAnswers(4);
  EXPECT_TRUE(HasThem());
}

}  // namespace
}  // namespace cairn

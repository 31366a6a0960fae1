#include "raft/peers/formation.h"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr Duration kInterval = Milliseconds(100);
constexpr Duration kBackoff = Milliseconds(1000);

Configuration InitialMembers(uint64_t count) {
  Configuration members;
  for (uint64_t node = 1; node <= count; ++node) {
    members.voters.push_back(
        {NodeId{node}, Incarnation::kUnknown, "address" + std::to_string(node)});
  }
  return members;
}

// Nodes with disks (their identities) that say Hello over a network that loses, repeats and delays.
class World {
 public:
  World(uint64_t count, uint64_t seed) : random_(seed), members_(InitialMembers(count)) {
    for (uint64_t node = 1; node <= count; ++node) Format(NodeId{node});
  }

  // An empty disk under the node's id.
  void Format(NodeId node) {
    NodeIdentity identity;
    identity.node = node;
    identity.incarnation = Incarnation{++last_incarnation_};
    identity.initial_members = members_;
    disks_[node] = identity;
    running_.erase(node);
  }
  void Start(NodeId node) {
    Formation::Options options{kInterval, kBackoff, random_.Next()};
    running_[node] = std::make_unique<Formation>(disks_[node], options, now_);
    Collect(node);
  }
  void StartAll() {
    for (const auto& [node, disk] : disks_) Start(node);
  }
  void Stop(NodeId node) { running_.erase(node); }

  // One thing happens: a message arrives (any of those under way), or time passes.
  void Step() {
    if (!network_.empty() && !random_.OneIn(4)) {
      Deliver(random_.Below(network_.size()));
    } else {
      AdvanceTo(now_ + Milliseconds(static_cast<int64_t>(random_.Below(60))));
    }
  }

  void Deliver(size_t at) {
    Packet packet = network_[at];
    if (!(repeat_ > 0 && random_.Chance(repeat_, 100))) {
      network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (loss_ > 0 && random_.Chance(loss_, 100)) return;
    auto to = running_.find(packet.to);
    if (to == running_.end()) return;
    to->second->Receive(now_, packet.from, packet.incarnation, packet.hello);
    Collect(packet.to);
  }

  void AdvanceTo(Instant now) {
    now_ = now;
    for (auto& [node, formation] : running_) {
      if (formation->NextWakeup() <= now_) formation->Tick(now_);
      Collect(node);
    }
  }

  // Lets everything arrive in order until nothing is under way.
  void Settle() {
    for (int i = 0; i < 1000 && !network_.empty(); ++i) Deliver(0);
    EXPECT_TRUE(network_.empty());
  }

  // Runs fault-free for a while.
  void RunCalmly(Duration duration) {
    loss_ = repeat_ = 0;
    for (Instant end = now_ + duration; now_ < end; AdvanceTo(now_ + Milliseconds(10))) Settle();
  }

  void SetFaults(uint64_t loss_percent, uint64_t repeat_percent) {
    loss_ = loss_percent;
    repeat_ = repeat_percent;
  }

  Formation& At(uint64_t node) { return *running_.at(NodeId{node}); }
  bool Formed(uint64_t node) { return At(node).state() == Formation::State::kFormed; }
  bool Refused(uint64_t node) { return At(node).state() == Formation::State::kRefused; }
  const NodeIdentity& Disk(uint64_t node) { return disks_.at(NodeId{node}); }
  size_t messages() const { return messages_; }
  size_t under_way() const { return network_.size(); }
  Random& random() { return random_; }

  // Which tables the nodes that live have formed with.
  std::set<Configuration> Tables() const {
    std::set<Configuration> tables;
    for (const auto& [node, disk] : disks_) {
      if (disk.formed) tables.insert(disk.initial_members);
    }
    return tables;
  }

 private:
  struct Packet {
    NodeId from;
    NodeId to;
    Incarnation incarnation;
    Hello hello;
  };

  void Collect(NodeId node) {
    Formation& formation = *running_.at(node);
    NodeIdentity& disk = disks_.at(node);
    if (formation.state() == Formation::State::kFormed && !disk.formed) {
      disk.formed = true;
      disk.initial_members = formation.members();
    }
    for (Formation::Outgoing& outgoing : formation.TakeOutgoing()) {
      ++messages_;
      network_.push_back({node, outgoing.to, disk.incarnation, std::move(outgoing.hello)});
    }
  }

  Random random_;
  Configuration members_;
  Instant now_{1'000'000'000};
  uint64_t last_incarnation_ = 0;
  std::map<NodeId, NodeIdentity> disks_;
  std::map<NodeId, std::unique_ptr<Formation>> running_;
  std::deque<Packet> network_;
  uint64_t loss_ = 0;
  uint64_t repeat_ = 0;
  size_t messages_ = 0;
};

TEST(FormationTest, ASingleMemberFormsAtOnce) {
  World world(1, 1);
  world.StartAll();
  EXPECT_TRUE(world.Formed(1));
  EXPECT_EQ(world.Disk(1).initial_members.voters[0].incarnation, Incarnation{1});
}

TEST(FormationTest, MembersFormWithOneTable) {
  World world(3, 2);
  world.StartAll();
  world.RunCalmly(Milliseconds(200));
  for (uint64_t node = 1; node <= 3; ++node) ASSERT_TRUE(world.Formed(node)) << node;
  EXPECT_EQ(world.Tables().size(), 1u);
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_EQ(world.At(1).members().Find(NodeId{node})->incarnation, Incarnation{node});
  }
  EXPECT_LT(world.messages(), 40u);
}

TEST(FormationTest, NobodyFormsBeforeEveryMemberHasAnswered) {
  World world(3, 3);
  world.Start(NodeId{1});
  world.Start(NodeId{2});
  world.RunCalmly(Seconds(20));
  EXPECT_EQ(world.At(1).state(), Formation::State::kAsking);
  EXPECT_EQ(world.At(1).Missing(), "no answer yet from 3");
  // Asks less and less often: two nodes, one question and one answer a second to each other.
  EXPECT_LT(world.messages(), 20u * 8);
  world.Start(NodeId{3});
  world.RunCalmly(Milliseconds(300));
  for (uint64_t node = 1; node <= 3; ++node) EXPECT_TRUE(world.Formed(node)) << node;
}

TEST(FormationTest, AMemberThatMissedTheEndAdoptsTheTable) {
  World world(3, 4);
  world.StartAll();
  // Node 3 answers, and goes down as soon as another one has formed.
  while (!world.Formed(1) && !world.Formed(2)) world.Step();
  world.Stop(NodeId{3});
  world.RunCalmly(Seconds(3));
  bool formed = world.Disk(3).formed;
  world.Start(NodeId{3});
  world.RunCalmly(Seconds(1));
  EXPECT_TRUE(world.Formed(3)) << formed;
  EXPECT_EQ(world.Tables().size(), 1u);
}

TEST(FormationTest, AWipedMemberIsRefusedAndSaysWhatToDo) {
  World world(3, 5);
  world.StartAll();
  world.RunCalmly(Seconds(1));
  world.Format(NodeId{2});
  world.Start(NodeId{2});
  world.RunCalmly(Seconds(1));
  ASSERT_TRUE(world.Refused(2));
  EXPECT_EQ(world.At(2).refusal(),
            "MEMBER_AMNESIA: node 1 says that the cluster has formed with another data directory "
            "of node 2 (incarnation 2, this one is 4): bring that one back, or remove member 2 and "
            "add this node as a new member");
  // For good: nothing can make it take part.
  world.RunCalmly(Seconds(5));
  EXPECT_TRUE(world.Refused(2));
}

TEST(FormationTest, AFormedNodeKeepsAnsweringAfterARestart) {
  World world(3, 6);
  world.StartAll();
  world.RunCalmly(Seconds(1));
  world.Stop(NodeId{1});
  world.Stop(NodeId{2});
  world.Start(NodeId{1});
  EXPECT_TRUE(world.Formed(1));
  EXPECT_EQ(world.under_way(), 0u);
  world.Format(NodeId{2});
  world.Start(NodeId{2});
  world.RunCalmly(Seconds(1));
  EXPECT_TRUE(world.Refused(2));
}

// A member is wiped while the cluster forms: the others may form with its old disk or its new one,
// but all with the same, and with the old one the new one never takes part.
TEST(FormationTest, OneTableWhateverHappensMeanwhile) {
  std::vector<uint64_t> seeds = {2324};  // an answer of the old disk overtakes one of the new disk
  for (uint64_t seed = 1; seed <= 400; ++seed) seeds.push_back(seed);
  for (uint64_t seed : seeds) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(3 + 2 * (seed % 2), seed);
    world.SetFaults(world.random().Below(30), world.random().Below(50));
    world.StartAll();
    uint64_t steps = 20 + world.random().Below(200);
    for (uint64_t step = 0; step < steps; ++step) {
      world.Step();
      uint64_t dice = world.random().Below(40);
      if (dice == 0) world.Format(NodeId{2});  // at most this one: a minority of disks
      if (dice <= 1) world.Start(NodeId{2});
      if (dice == 2) world.Start(NodeId{1});  // a restart
      ASSERT_LE(world.Tables().size(), 1u);
    }
    world.RunCalmly(Seconds(5));
    ASSERT_LE(world.Tables().size(), 1u);
    ASSERT_TRUE(world.Formed(1));
    ASSERT_TRUE(world.Formed(3));
    bool member = world.At(1).members().Find(NodeId{2})->incarnation == world.Disk(2).incarnation;
    ASSERT_EQ(world.Formed(2), member);
    ASSERT_EQ(world.Refused(2), !member);
  }
}

TEST(FormationTest, StrangersAndOtherTablesAreIgnored) {
  World world(3, 7);
  world.StartAll();
  Hello hello;
  hello.formed = true;
  hello.members = InitialMembers(4);
  for (Member& member : hello.members.voters) member.incarnation = Incarnation{9};
  world.At(1).TakeOutgoing();
  world.At(1).Receive(Instant{}, NodeId{4}, Incarnation{9}, hello);
  world.At(1).Receive(Instant{}, NodeId{2}, Incarnation{9}, hello);
  EXPECT_EQ(world.At(1).state(), Formation::State::kAsking);
  EXPECT_TRUE(world.At(1).TakeOutgoing().empty());
}

// An old message must not stop a node for good.
TEST(FormationTest, ARefusalMustAnswerAQuestion) {
  World world(3, 8);
  world.Start(NodeId{1});
  Hello hello;
  hello.formed = true;
  hello.members = InitialMembers(3);
  for (Member& member : hello.members.voters) member.incarnation = Incarnation{9};
  for (uint64_t question : {uint64_t{0}, uint64_t{17}, ~uint64_t{0}}) {
    hello.question = question;
    world.At(1).Receive(Instant{}, NodeId{2}, Incarnation{9}, hello);
    EXPECT_EQ(world.At(1).state(), Formation::State::kAsking);
  }
}

}  // namespace
}  // namespace cairn

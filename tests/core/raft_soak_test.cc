// Random schedules with faults over groups of 1 to 5, every promise checked after every step. The
// seed in the failure repeats it.

#include <cstdint>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "raft/core/raft.h"
#include "tests/core/simulated_group.h"

namespace cairn {
namespace {

constexpr int kSteps = 6000;

struct Soak {
  const char* name;
  SimulatedFaults faults;
  int seeds;
  int joiners = 0;  // nodes that are no members at first
};

std::string LastLines(const std::string& story, size_t count) {
  size_t begin = story.size();
  while (count-- > 0 && begin > 0) {
    const size_t newline = story.rfind('\n', begin - 2);
    if (newline == std::string::npos) return story;
    begin = newline + 1;
  }
  return story.substr(begin);
}

// Everything works again: one leader, no change under way, new entries committed by all members,
// reads answered.
void ExpectLive(SimulatedGroup& group) {
  group.Heal(Seconds(20));
  ASSERT_EQ(group.violation(), "");
  const NodeId leader = group.Leader();
  ASSERT_NE(leader, NodeId::kNone) << "no leader after healing";
  group.Propose(leader, 3);
  const int reads = group.reads_answered();
  const Configuration members = group.raft(leader).configuration();
  EXPECT_FALSE(members.joint() || members.target) << ToString(members);
  for (const NodeId node : members.Nodes()) group.Read(node);
  group.Run(Seconds(3));
  ASSERT_EQ(group.violation(), "");
  const Index last = group.raft(leader).last().index;
  for (const NodeId node : members.Nodes()) {
    EXPECT_EQ(group.raft(node).commit(), last) << "node " << ToInteger(node);
    EXPECT_EQ(group.raft(node).applied(), last) << "node " << ToInteger(node);
    EXPECT_FALSE(group.raft(node).unsure()) << "node " << ToInteger(node);
    EXPECT_EQ(group.raft(node).torn_from(), std::nullopt) << "node " << ToInteger(node);
  }
  EXPECT_EQ(group.reads_answered(), reads + static_cast<int>(members.Nodes().size()));
}

std::string NameOfSoak(const testing::TestParamInfo<Soak>& soak) { return soak.param.name; }

class RaftSoakTest : public testing::TestWithParam<Soak> {};

TEST_P(RaftSoakTest, KeepsEveryPromise) {
  int elections = 0;
  Index committed = 0;
  int reads = 0;
  int changes = 0;
  int transfers = 0;
  int taken = 0;
  int restored = 0;
  int forgotten = 0;
  int torn_taken = 0;
  for (int run = 0; run < GetParam().seeds; ++run) {
    const uint64_t seed = static_cast<uint64_t>(run) + 1;
    const int joiners = GetParam().joiners;
    const bool forget = GetParam().faults.forget;
    const int size = forget ? 3 + 2 * (run % 2) : 1 + run % (joiners > 0 ? 3 : 5);
    SimulatedGroup group(size, size + joiners, seed, GetParam().faults);
    for (int step = 0; step < kSteps && group.violation().empty(); ++step) group.RandomStep();
    ASSERT_EQ(group.violation(), "") << "seed " << seed << " size " << size << "\n"
                                     << LastLines(group.Story(), 120);
    ExpectLive(group);
    ASSERT_FALSE(HasFailure()) << "seed " << seed << " size " << size << "\n"
                               << LastLines(group.Story(), 120);
    elections += group.elections();
    committed += group.committed();
    reads += group.reads_answered();
    changes += group.changes();
    transfers += group.transfers();
    taken += group.snapshots_taken();
    restored += group.snapshots_restored();
    forgotten += group.forgotten();
    torn_taken += group.torn_taken();
  }
  // A soak in which nothing happens proves nothing.
  EXPECT_GT(elections, GetParam().seeds);
  EXPECT_GT(committed, static_cast<Index>(GetParam().seeds) * 10);
  EXPECT_GT(reads, GetParam().seeds);
  if (GetParam().faults.change > 0) {
    EXPECT_GT(changes, GetParam().seeds * 3);
    // Where nodes crash all the time hardly one comes to its end.
    if (!GetParam().faults.outcomes_only) {
      EXPECT_GT(transfers, GetParam().seeds / 20);
    }
  }
  if (GetParam().faults.compact > 0) {
    EXPECT_GT(taken, GetParam().seeds / 2);
    EXPECT_GT(restored, GetParam().seeds / 2);
  }
  if (GetParam().faults.torn) {
    EXPECT_GT(torn_taken, 0);
  }
  if (GetParam().faults.forget) {
    EXPECT_GT(forgotten, GetParam().seeds);
  }
  std::cout << changes << " configurations, " << transfers << " transfers, " << elections
            << " elections, " << committed << " entries, " << reads << " reads, " << taken
            << " logs gave way to snapshots, " << restored << " restored, " << forgotten
            << " disks forgot\n";
}

INSTANTIATE_TEST_SUITE_P(
    Faults, RaftSoakTest,
    testing::Values(
        Soak{"None", {}, 10},
        Soak{"Network", {.lose = 20, .repeat = 10, .reorder = 3, .partition = 400}, 30},
        Soak{"Crashes", {.crash = 300, .slow_disks = true}, 30}, Soak{"Pauses", {.pause = 200}, 40},
        Soak{"Everything",
             {.lose = 20,
              .repeat = 10,
              .reorder = 3,
              .crash = 400,
              .partition = 500,
              .pause = 1000,
              .slow_disks = true},
             80},
        Soak{"TornTails",
             {.lose = 30,
              .repeat = 20,
              .reorder = 4,
              .crash = 200,
              .partition = 600,
              .slow_disks = true,
              .torn = true},
             80},
        Soak{"Membership", {.change = 60, .control = 150, .wipe = 300, .slow_disks = true}, 80, 3},
        Soak{"MembershipAndEverything",
             {.lose = 25,
              .repeat = 10,
              .reorder = 3,
              .crash = 400,
              .partition = 500,
              .pause = 1000,
              .change = 80,
              .control = 300,
              .wipe = 300,
              .slow_disks = true},
             150,
             3},
        Soak{"MembershipAndSnapshots",
             {.lose = 25,
              .repeat = 10,
              .reorder = 3,
              .crash = 400,
              .partition = 500,
              .pause = 1000,
              .change = 60,
              .control = 300,
              .wipe = 300,
              .slow_disks = true,
              .compact = 15},
             100,
             3},
        Soak{"MembershipOutcomes",
             {.lose = 15,
              .repeat = 10,
              .reorder = 3,
              .crash = 150,
              .partition = 250,
              .pause = 800,
              .change = 60,
              .control = 200,
              .wipe = 300,
              .slow_disks = true,
              .outcomes_only = true},
             150,
             2},
        Soak{"Snapshots",
             {.lose = 20,
              .repeat = 10,
              .reorder = 3,
              .crash = 400,
              .partition = 300,
              .pause = 1000,
              .slow_disks = true,
              .compact = 10},
             100},
        Soak{"TornTailsAndSnapshots",
             {.lose = 30,
              .repeat = 20,
              .reorder = 4,
              .crash = 200,
              .partition = 400,
              .slow_disks = true,
              .torn = true,
              .compact = 20},
             80},
        Soak{"RotAndSnapshots",
             {.lose = 30,
              .repeat = 10,
              .reorder = 3,
              .crash = 150,
              .partition = 300,
              .slow_disks = true,
              .compact = 20,
              .rot = true,
              .outcomes_only = true},
             100},
        Soak{"Forgetting",
             {.lose = 10,
              .repeat = 10,
              .reorder = 3,
              .late = 10,
              .crash = 300,
              .partition = 600,
              .forget = true,
              .hasty = true},
             150},
        Soak{"ForgettingAndSnapshots",
             {.lose = 10,
              .repeat = 10,
              .reorder = 3,
              .late = 10,
              .crash = 300,
              .partition = 600,
              .compact = 10,
              .forget = true,
              .hasty = true},
             100},
        Soak{"Outcomes",
             {.lose = 15,
              .repeat = 10,
              .reorder = 3,
              .crash = 120,
              .partition = 200,
              .pause = 800,
              .slow_disks = true,
              .outcomes_only = true},
             200},
        Soak{"Rot",
             {.lose = 30,
              .repeat = 10,
              .reorder = 3,
              .crash = 150,
              .partition = 300,
              .slow_disks = true,
              .rot = true,
              .outcomes_only = true},
             200}),
    NameOfSoak);

// Who counts changes meanwhile. Whoever is left may be too few to go on; nobody may be wrong.
TEST(ForgettingTest, WhileMembersChangeNothingIsLost) {
  int forgotten = 0;
  int changes = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SimulatedGroup group(3, 5, seed,
                         {.lose = 20,
                          .repeat = 10,
                          .reorder = 3,
                          .late = 10,
                          .crash = 300,
                          .partition = 600,
                          .change = 40,
                          .control = 300,
                          .forget = true,
                          .hasty = true,
                          .outcomes_only = true});
    for (int step = 0; step < kSteps && group.violation().empty(); ++step) group.RandomStep();
    ASSERT_EQ(group.violation(), "") << "seed " << seed << "\n" << LastLines(group.Story(), 120);
    forgotten += group.forgotten();
    changes += group.changes();
  }
  EXPECT_GT(forgotten, 150);
  EXPECT_GT(changes, 200);
}

// Two of three have committed entries, and one of these forgets them. Without the other the group
// waits, for the third one knows nothing of them either.
TEST(ForgettingTest, WhoForgotOutvotesNobody) {
  int harmful = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SimulatedGroup group(3, seed, {.forget = true});
    group.Run(Seconds(5));
    const NodeId leader = group.Leader();
    ASSERT_NE(leader, NodeId::kNone);
    const NodeId node = leader == NodeId{1} ? NodeId{2} : NodeId{1};
    const NodeId behind = NodeId{6 - ToInteger(leader) - ToInteger(node)};
    group.Partition({behind});
    for (int i = 0; i < 4; ++i) {
      group.Propose(leader);
      group.Settle();
    }
    const Index committed = group.committed();
    group.Crash(leader);
    group.Crash(node);
    group.Partition({});
    const bool forgot = group.disk(node).durable().unsure;
    const bool lacks = group.disk(node).durable().entries.size() < committed;
    group.Restart(node);
    group.Run(Seconds(10));
    ASSERT_EQ(group.violation(), "") << "seed " << seed << "\n" << LastLines(group.Story(), 60);
    if (!forgot || group.disk(leader).durable().unsure) continue;
    harmful += lacks ? 1 : 0;
    EXPECT_EQ(group.Leader(), NodeId::kNone);
    ExpectLive(group);
    EXPECT_GE(group.committed(), committed);
  }
  EXPECT_GT(harmful, 10);
}

// No catch-up livelock: a member that was away for long converges while commands keep coming and
// the log keeps being dropped, and one snapshot is enough where the log retains what is written
// while it is under way.
TEST(CatchUpUnderLoadTest, AMemberFarBehindConverges) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SimulatedGroup group(3, seed);
    group.Run(Seconds(5));
    const NodeId leader = group.Leader();
    ASSERT_NE(leader, NodeId::kNone);
    const NodeId behind = leader == NodeId{1} ? NodeId{2} : NodeId{1};
    auto load = [&](int rounds) {
      for (int round = 0; round < rounds; ++round) {
        group.Propose(leader, 5);
        group.Run(Milliseconds(10));
        for (const NodeId node : group.nodes()) group.Compact(node, 25);
      }
    };
    group.Partition({behind});
    load(100);
    const Index before = group.raft(behind).commit();
    EXPECT_LT(before + 400, group.raft(leader).commit());
    group.Partition({});
    load(60);
    ASSERT_EQ(group.violation(), "") << "seed " << seed << "\n" << LastLines(group.Story(), 60);
    EXPECT_GE(group.raft(behind).commit() + 10, group.raft(leader).commit()) << "seed " << seed;
    EXPECT_GE(group.snapshots_restored(), 1);
    EXPECT_LE(group.snapshots_restored(), 2) << "seed " << seed;
    EXPECT_FALSE(group.raft(leader).Peer(behind)->snapshotting);
  }
}

}  // namespace
}  // namespace cairn

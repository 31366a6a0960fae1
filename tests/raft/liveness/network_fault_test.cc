// Networks that are broken in part (fault catalogue N1 to N5, N9): whole hosts on a virtual clock.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "raft/envelope.h"
#include "raft/host.h"
#include "tests/raft/test_cluster.h"

namespace cairn {
namespace {

GroupOptions Awake() {
  GroupOptions options;
  options.quiesce_after = 0;
  return options;
}
const Duration kElectionTimeout = GroupOptions().election_timeout;

// A cluster that leads, and counts what its members think of the term.
class BrokenNetwork {
 public:
  using Passes = std::function<bool(uint64_t from, uint64_t to, const Envelope&)>;

  explicit BrokenNetwork(uint64_t nodes, const GroupOptions& options = Awake())
      : nodes_(nodes), cluster_(nodes, options) {
    cluster_.StartAll();
    leader_ = cluster_.AwaitLeader();
    term_ = Term();
  }
  ~BrokenNetwork() { Heal(); }

  void Break(Passes passes) {
    cluster_.network.SetFilter([passes = std::move(passes)](Envelope& envelope) {
      return passes(ToInteger(envelope.from), ToInteger(envelope.to), envelope);
    });
  }
  void Heal() {
    cluster_.network.SetFilter([](Envelope&) { return true; });
  }
  void Run(Duration duration) { cluster_.Run(duration); }

  uint64_t leader() const { return leader_; }
  uint64_t follower() const { return leader_ == 1 ? 2 : 1; }
  // Terms in which somebody stood, since the cluster was made.
  uint64_t Elections() { return Term() - term_; }
  uint64_t Leader() { return cluster_.Leader(); }
  bool Commits(uint64_t at) {
    return std::holds_alternative<ProposalApplied>(cluster_.Propose(at, "a command"));
  }
  // Nobody waits for it.
  void ProposeInVain() {
    cluster_.At(leader_).Propose("a command", {}, [](const ProposalResult&) {});
  }
  // Whether a command that is given to whoever leads meanwhile is applied in that time.
  std::optional<Duration> UntilACommit(Duration patience) {
    const Instant start = cluster_.world.Now();
    bool applied = false;
    while (cluster_.world.Now() - start < patience) {
      const uint64_t leader = cluster_.Leader();
      if (leader != 0) {
        ProposeOptions options;
        options.forward = false;
        cluster_.At(leader).Propose("a command", options, [&applied](const ProposalResult& result) {
          applied = applied || std::holds_alternative<ProposalApplied>(result);
        });
      }
      cluster_.Run(Milliseconds(10));
      if (applied) break;
    }
    const Duration took = cluster_.world.Now() - start;
    // No callback may outlive this.
    Heal();
    cluster_.Run(Seconds(20));
    if (!applied || took >= patience) return std::nullopt;
    return took;
  }

 private:
  uint64_t Term() {
    uint64_t term = 0;
    for (uint64_t node = 1; node <= nodes_; ++node) {
      term = std::max<uint64_t>(term, cluster_.At(node).Status().term);
    }
    return term;
  }

  const uint64_t nodes_;
  TestCluster cluster_;
  uint64_t leader_ = 0;
  uint64_t term_ = 0;
};

// After the first seconds of a fault there is a leader that commits, and it stays for a minute.
void ExpectStable(BrokenNetwork& network, const std::string& what) {
  network.Run(kElectionTimeout * 10);
  EXPECT_LE(network.Elections(), 3u) << what;
  const uint64_t leader = network.Leader();
  ASSERT_NE(leader, 0u) << what;
  EXPECT_TRUE(network.Commits(leader)) << what;
  const uint64_t elections = network.Elections();
  network.Run(Seconds(60));
  EXPECT_EQ(network.Elections(), elections) << what;
  EXPECT_EQ(network.Leader(), leader) << what;
  EXPECT_TRUE(network.Commits(leader)) << what;
}

// N2: a member that is heard and hears nothing, and one that hears and is not heard.
TEST(NetworkFaultTest, OneWayLossOfAnyMember) {
  for (const uint64_t nodes : {3, 5}) {
    for (const bool of_leader : {true, false}) {
      for (const bool deaf : {true, false}) {
        BrokenNetwork network(nodes);
        const uint64_t broken = of_leader ? network.leader() : network.follower();
        network.Break([=](uint64_t from, uint64_t to, const Envelope&) {
          return (deaf ? to : from) != broken;
        });
        ExpectStable(network, std::to_string(nodes) + " nodes, " +
                                  (of_leader ? "leader" : "follower") +
                                  (deaf ? " hears nothing" : " is not heard"));
      }
    }
  }
}

// N2: of one link only one way works.
TEST(NetworkFaultTest, OneLinkOneWay) {
  for (const uint64_t nodes : {3, 5}) {
    for (const bool to_leader : {true, false}) {
      BrokenNetwork network(nodes);
      const uint64_t leader = network.leader();
      const uint64_t follower = network.follower();
      network.Break([=](uint64_t from, uint64_t to, const Envelope&) {
        return to_leader ? from != follower || to != leader : from != leader || to != follower;
      });
      ExpectStable(network, std::to_string(nodes) + (to_leader ? " to" : " from") + " the leader");
    }
  }
}

// N3: two halves that share one member; each member sees two others; all see one.
TEST(NetworkFaultTest, BridgeRingAndStar) {
  const auto near = [](uint64_t from, uint64_t to, uint64_t apart, uint64_t nodes) {
    const uint64_t distance = (from + nodes - to) % nodes;
    return std::min(distance, nodes - distance) <= apart;
  };
  for (uint64_t middle = 1; middle <= 5; ++middle) {
    BrokenNetwork bridge(5);
    bridge.Break([=](uint64_t from, uint64_t to, const Envelope&) {
      const auto side = [&](uint64_t node) { return (node + 5 - middle) % 5 <= 2; };
      return from == middle || to == middle || side(from) == side(to);
    });
    ExpectStable(bridge, "bridge " + std::to_string(middle));
    BrokenNetwork star(5);
    star.Break([=](uint64_t from, uint64_t to, const Envelope&) {
      return from == middle || to == middle;
    });
    ExpectStable(star, "star " + std::to_string(middle));
  }
  BrokenNetwork ring(5);
  ring.Break([=](uint64_t from, uint64_t to, const Envelope&) { return near(from, to, 1, 5); });
  ExpectStable(ring, "ring");
  BrokenNetwork seven(7);
  seven.Break([=](uint64_t from, uint64_t to, const Envelope&) { return near(from, to, 2, 7); });
  ExpectStable(seven, "ring of seven");
}

// N1: nobody in a minority says that a command is applied; the others go on.
TEST(NetworkFaultTest, EverySplitOfFive) {
  for (uint64_t side = 1; side < 16; ++side) {
    BrokenNetwork network(5);
    const auto of_first = [side](uint64_t node) { return node != 5 && (side >> (node - 1) & 1); };
    network.Break([=](uint64_t from, uint64_t to, const Envelope&) {
      return of_first(from) == of_first(to);
    });
    const auto first = static_cast<uint64_t>(__builtin_popcountll(side));
    network.Run(kElectionTimeout * 10);
    const uint64_t leader = network.Leader();
    ASSERT_NE(leader, 0u) << side;
    EXPECT_EQ(of_first(leader), first >= 3) << side;
    EXPECT_TRUE(network.Commits(leader)) << side;
  }
}

// N4: links that come and go with a period near the election timeout.
TEST(NetworkFaultTest, FlappingLinksAreForgottenSoon) {
  Random random(20261130);
  for (int i = 0; i < 30; ++i) {
    const uint64_t nodes = i % 2 == 0 ? 3 : 5;
    BrokenNetwork network(nodes);
    for (int turn = 0; turn < 30; ++turn) {
      std::set<std::pair<uint64_t, uint64_t>> down;
      for (uint64_t from = 1; from <= nodes; ++from) {
        for (uint64_t to = 1; to <= nodes; ++to) {
          if (random.Below(2) == 0) down.emplace(from, to);
        }
      }
      network.Break([down](uint64_t from, uint64_t to, const Envelope&) {
        return down.count({from, to}) == 0;
      });
      network.Run(Milliseconds(500 + static_cast<int64_t>(random.Below(1500))));
    }
    network.Heal();
    const std::optional<Duration> took = network.UntilACommit(kElectionTimeout * 5);
    EXPECT_TRUE(took.has_value()) << i;
  }
}

// N5: one message in twenty is lost, and no election comes of it; one in three, and it goes on.
TEST(NetworkFaultTest, LossInPercent) {
  for (const uint64_t percent : {1, 5, 30}) {
    Random random(percent);
    BrokenNetwork network(5);
    network.Break([&random, percent](uint64_t, uint64_t, const Envelope&) {
      return random.Below(100) >= percent;
    });
    int applied = 0;
    for (int second = 0; second < 120; ++second) {
      network.Run(Seconds(1));
      const uint64_t leader = network.Leader();
      if (leader != 0 && network.Commits(leader)) ++applied;
    }
    if (percent <= 5) {
      EXPECT_EQ(network.Elections(), 0u) << percent;
    }
    EXPECT_GE(applied, 100) << percent;
    network.Heal();
  }
}

// N9: heartbeats pass, and whatever has entries vanishes.
TEST(NetworkFaultTest, ALeaderWhoseEntriesVanishGivesWay) {
  BrokenNetwork network(3);
  const uint64_t leader = network.leader();
  network.Break([=](uint64_t from, uint64_t, const Envelope& envelope) {
    return from != leader || envelope.entries.empty();
  });
  EXPECT_TRUE(network.UntilACommit(Seconds(60)).has_value());
}

// One member of three takes no entries; all have rested for long; and a follower comes so slowly
// that it takes one in ten seconds.
TEST(NetworkFaultTest, WhoeverElseIsSlowNobodyGivesWay) {
  BrokenNetwork one(3);
  one.Break([to_one = one.follower()](uint64_t, uint64_t to, const Envelope& envelope) {
    return to != to_one || envelope.entries.empty();
  });
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(one.Commits(one.leader()));
    one.Run(Seconds(1));
  }
  EXPECT_EQ(one.Elections(), 0u);
  EXPECT_EQ(one.Leader(), one.leader());

  BrokenNetwork resting(3, GroupOptions());
  for (int i = 0; i < 3; ++i) {
    resting.Run(Seconds(120));
    EXPECT_TRUE(resting.Commits(resting.leader()));
  }
  EXPECT_EQ(resting.Elections(), 0u);

  // What both take comes through in the first tenth of a second of each ten.
  BrokenNetwork slow(3);
  int64_t tenths = 0;
  slow.Break([&tenths](uint64_t, uint64_t, const Envelope& envelope) {
    return envelope.entries.empty() || tenths % 100 == 0;
  });
  for (; tenths < 1200; ++tenths) {
    if (tenths % 100 == 1) slow.ProposeInVain();
    slow.Run(Milliseconds(100));
  }
  EXPECT_EQ(slow.Elections(), 0u);
}

}  // namespace
}  // namespace cairn

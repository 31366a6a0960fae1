// Figure 3 of the Raft paper (Ongaro and Ousterhout 2014): its five properties, each watched over
// random histories of a cluster that loses, repeats and reorders messages, is partitioned, and
// loses power. (ScenarioCluster checks them too, each at the one place where it could break; here
// they are said once more, by looking at all nodes from outside.)

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/core/scenario_cluster.h"

namespace cairn {
namespace {

constexpr uint64_t kHistories = 50;
constexpr int kSteps = 1000;

struct Entry {
  Term term = 0;
  uint64_t value = 0;
  friend bool operator==(const Entry&, const Entry&) = default;
};
using Log = std::vector<Entry>;

// A cluster of three or five nodes to which random things happen.
class History {
 public:
  explicit History(uint64_t seed)
      : random_(seed), cluster_(MakeConfiguration(seed % 2 == 0 ? 3 : 5), {}, MakeOptions(seed)) {
    cluster_.SetDetail(Detail::kNothing);
    for (NodeId node : cluster_.nodes()) {
      if (random_.OneIn(3)) cluster_.SetSlow(node, true);
      cluster_.Start(node);
    }
  }

  void Step() {
    NodeId node = cluster_.nodes()[random_.Below(cluster_.nodes().size())];
    if (!cluster_.IsUp(node)) {
      if (random_.OneIn(4)) cluster_.Start(node);
      return;
    }
    switch (random_.Below(16)) {
      case 0:
        if (random_.OneIn(3)) cluster_.Timeout(node);
        break;
      case 1:
      case 2:
        cluster_.Propose(node, 1 + random_.Below(3), 100);
        break;
      case 3:
        cluster_.Sync(node, 1 + random_.Below(4));
        break;
      case 4:
        cluster_.Duplicate({.to = node}, 1);
        break;
      case 5:
        cluster_.Drop({.to = node}, 1);
        break;
      case 6:
        if (random_.OneIn(5)) cluster_.Crash(node, random_.Below(3));
        break;
      case 7:
        if (random_.OneIn(5)) Partition();
        break;
      case 8:
        if (random_.OneIn(5)) cluster_.Run(Milliseconds(100));
        break;
      case 9:
        cluster_.Deliver({.from = node}, 1);
        break;
      default:
        cluster_.Deliver({.to = node}, 1 + random_.Below(6));
        break;
    }
  }

  ScenarioCluster& cluster() { return cluster_; }

  Log LogOf(NodeId node) {
    Log log;
    for (const SimulatedEntry& entry : cluster_.disk(node).readable().entries) {
      log.push_back({entry.term, entry.value});
    }
    return log;
  }
  std::vector<NodeId> UpNodes() {
    std::vector<NodeId> up;
    for (NodeId node : cluster_.nodes()) {
      if (cluster_.IsUp(node)) up.push_back(node);
    }
    return up;
  }
  std::vector<NodeId> Leaders() {
    std::vector<NodeId> leaders = UpNodes();
    std::erase_if(leaders,
                  [&](NodeId node) { return cluster_.raft(node).role() != Role::kLeader; });
    return leaders;
  }

 private:
  static Configuration MakeConfiguration(uint64_t size) {
    Configuration configuration;
    for (uint64_t node = 1; node <= size; ++node) {
      configuration.voters.push_back({NodeId{node}, Incarnation{node}, "address"});
    }
    return configuration;
  }
  static RaftOptions MakeOptions(uint64_t seed) {
    RaftOptions options;
    options.seed = seed;
    options.max_inflight_bytes = 500;
    return options;
  }

  void Partition() {
    std::set<NodeId> side;
    for (NodeId node : cluster_.nodes()) {
      if (random_.OneIn(2)) side.insert(node);
    }
    std::set<NodeId> other;
    for (NodeId node : cluster_.nodes()) {
      if (!side.contains(node)) other.insert(node);
    }
    if (random_.OneIn(2)) {
      cluster_.Partition({});
    } else {
      cluster_.Partition({side, other});
    }
  }

  Random random_;
  ScenarioCluster cluster_;
};

bool IsPrefix(const Log& prefix, const Log& log) {
  return prefix.size() <= log.size() && std::equal(prefix.begin(), prefix.end(), log.begin());
}

// At most one leader can be elected in a given term (5.2).
TEST(PaperPropertiesTest, ElectionSafety) {
  size_t elections = 0;
  for (uint64_t seed = 1; seed <= kHistories; ++seed) {
    SCOPED_TRACE(seed);
    History history(seed);
    std::map<Term, NodeId> leaders;
    for (int step = 0; step < kSteps; ++step) {
      history.Step();
      for (NodeId leader : history.Leaders()) {
        Term term = history.cluster().raft(leader).term();
        ASSERT_EQ(leaders.try_emplace(term, leader).first->second, leader) << "term " << term;
      }
    }
    ASSERT_EQ(history.cluster().violation(), "");
    elections += leaders.size();
  }
  EXPECT_GT(elections, 2 * kHistories);
}

// A leader never overwrites or deletes entries in its log; it only appends new ones (5.3).
TEST(PaperPropertiesTest, LeaderAppendOnly) {
  size_t grown = 0;
  for (uint64_t seed = 1; seed <= kHistories; ++seed) {
    SCOPED_TRACE(seed);
    History history(seed);
    std::map<std::pair<NodeId, Term>, Log> logs;
    for (int step = 0; step < kSteps; ++step) {
      history.Step();
      for (NodeId leader : history.Leaders()) {
        Log& before = logs[{leader, history.cluster().raft(leader).term()}];
        Log now = history.LogOf(leader);
        ASSERT_TRUE(IsPrefix(before, now)) << "node " << ToInteger(leader);
        grown += now.size() - before.size();
        before = std::move(now);
      }
    }
    ASSERT_EQ(history.cluster().violation(), "");
  }
  EXPECT_GT(grown, 10 * kHistories);
}

// If two logs contain an entry with the same index and term, then the logs are identical in all
// entries up through that index (5.3).
TEST(PaperPropertiesTest, LogMatching) {
  size_t compared = 0;
  for (uint64_t seed = 1; seed <= kHistories; ++seed) {
    SCOPED_TRACE(seed);
    History history(seed);
    for (int step = 0; step < kSteps; ++step) {
      history.Step();
      if (step % 10 != 0) continue;
      for (NodeId a : history.cluster().nodes()) {
        for (NodeId b : history.cluster().nodes()) {
          if (a >= b) continue;
          Log log_a = history.LogOf(a);
          Log log_b = history.LogOf(b);
          size_t agreed = std::min(log_a.size(), log_b.size());
          while (agreed > 0 && log_a[agreed - 1].term != log_b[agreed - 1].term) --agreed;
          log_a.resize(agreed);
          ASSERT_TRUE(IsPrefix(log_a, log_b)) << ToInteger(a) << " and " << ToInteger(b);
          compared += agreed;
        }
      }
    }
    ASSERT_EQ(history.cluster().violation(), "");
  }
  EXPECT_GT(compared, 1000 * kHistories);
}

// If an entry is committed in a given term, it is in the logs of the leaders of all later terms
// (5.4).
TEST(PaperPropertiesTest, LeaderCompleteness) {
  size_t checked = 0;
  for (uint64_t seed = 1; seed <= kHistories; ++seed) {
    SCOPED_TRACE(seed);
    History history(seed);
    std::map<Term, Log> committed;  // by the term in which it was, what was committed
    for (int step = 0; step < kSteps; ++step) {
      history.Step();
      for (NodeId leader : history.Leaders()) {
        const Raft& raft = history.cluster().raft(leader);
        Log log = history.LogOf(leader);
        for (const auto& [term, entries] : committed) {
          if (term >= raft.term()) break;
          ASSERT_TRUE(IsPrefix(entries, log))
              << "committed in term " << term << ", lost in " << raft.term();
          checked += entries.size();
        }
        log.resize(raft.commit());
        committed[raft.term()] = std::move(log);
      }
    }
    ASSERT_EQ(history.cluster().violation(), "");
  }
  EXPECT_GT(checked, 100 * kHistories);
}

// If a server has applied a log entry at a given index, no other server ever applies another one
// there (5.4.3).
TEST(PaperPropertiesTest, StateMachineSafety) {
  size_t applied_by_all = 0;
  for (uint64_t seed = 1; seed <= kHistories; ++seed) {
    SCOPED_TRACE(seed);
    History history(seed);
    std::map<NodeId, Log> applied;
    Log longest;
    for (int step = 0; step < kSteps; ++step) {
      history.Step();
      for (NodeId node : history.UpNodes()) {
        Log& own = applied[node];
        Log log = history.LogOf(node);
        log.resize(history.cluster().raft(node).applied());
        ASSERT_TRUE(IsPrefix(own, log)) << "node " << ToInteger(node) << " took something back";
        own = std::move(log);
        ASSERT_TRUE(IsPrefix(own, longest) || IsPrefix(longest, own)) << ToInteger(node);
        if (own.size() > longest.size()) longest = own;
      }
    }
    ASSERT_EQ(history.cluster().violation(), "");
    applied_by_all += longest.size();
  }
  EXPECT_GT(applied_by_all, 5 * kHistories);
}

}  // namespace
}  // namespace cairn

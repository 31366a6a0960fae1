// Commands that are meant for one term only.

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "raft/proposal.h"
#include "tests/raft/test_cluster.h"

namespace cairn {
namespace {

using Strings = std::vector<std::string>;

ProposeOptions InTerm(Term term) {
  ProposeOptions options;
  options.expected_term = term;
  return options;
}

std::string Text(const ProposalResult& result) {
  if (const auto* refused = std::get_if<ProposalNotApplied>(&result)) {
    return std::string(NameOf(refused->reason)) + " " + std::to_string(refused->term);
  }
  return std::holds_alternative<ProposalApplied>(result) ? "applied" : "unknown";
}

TEST(TermFenceTest, OnlyTheLeaderOfThatTermAppends) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  const Term term = cluster.At(leader).Status().term;
  for (uint64_t node : {leader, cluster.SomeFollower()}) {
    const std::string name = std::to_string(node);
    EXPECT_EQ(Text(cluster.Propose(node, "now" + name, InTerm(term))), "applied");
    const std::string refused = "TERM_CHANGED " + std::to_string(term);
    EXPECT_EQ(Text(cluster.Propose(node, "later", InTerm(term + 1))), refused);
    if (term > 1) {
      EXPECT_EQ(Text(cluster.Propose(node, "before", InTerm(term - 1))), refused);
    }
  }
  cluster.Run(Seconds(1));
  EXPECT_EQ(cluster.Commands(leader).size(), 2u);
}

TEST(TermFenceTest, ABatchIsRefusedWhole) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  const Term term = cluster.At(leader).Status().term;
  for (Term expected : {term + 1, term}) {
    std::vector<PreparedEntry> entries;
    for (const char* command : {"a", "b", "c"}) {
      entries.push_back(PreparedEntry::Make(EntryType::kCommand, command, {}));
    }
    Strings results;
    cluster.At(leader).ProposeBatch(std::move(entries), InTerm(expected),
                                    [&](size_t, std::vector<ProposalResult> some) {
                                      for (const auto& one : some) results.push_back(Text(one));
                                    });
    cluster.Run(Seconds(1));
    const std::string refused = "TERM_CHANGED " + std::to_string(term);
    // The first one breaks the order of those behind it.
    ASSERT_EQ(results.size(), 3u);
    if (expected != term) {
      EXPECT_EQ(results[0], refused);
    } else {
      EXPECT_EQ(results, Strings({"applied", "applied", "applied"}));
    }
  }
  EXPECT_EQ(cluster.Commands(leader), Strings({"a", "b", "c"}));
}

// It waits while leadership is handed over, at the leader and behind one that forwards; when it is
// taken up again there is another term.
TEST(TermFenceTest, WhatWaitedIsLookedAtAgain) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  const uint64_t other = cluster.SomeFollower();
  const Term term = cluster.At(leader).Status().term;
  std::optional<ProposalResult> own, free, forwarded;
  bool handed_over = false;
  cluster.At(leader).TransferLeadership(NodeId{other}, cluster.world.Now() + Seconds(2),
                                        [&](ControlResult) { handed_over = true; });
  cluster.At(leader).Propose("own", InTerm(term), [&](ProposalResult r) { own = std::move(r); });
  cluster.At(leader).Propose("free", {}, [&](ProposalResult r) { free = std::move(r); });
  cluster.At(other).Propose("forwarded", InTerm(term),
                            [&](ProposalResult r) { forwarded = std::move(r); });
  cluster.Run(Seconds(5));
  ASSERT_TRUE(handed_over && own && free && forwarded);
  const Term present = cluster.At(leader).Status().term;
  ASSERT_GT(present, term);
  const std::string refused = "TERM_CHANGED " + std::to_string(present);
  EXPECT_EQ(Text(*own), refused);
  EXPECT_EQ(Text(*forwarded), refused);
  EXPECT_EQ(Text(*free), "applied");
  EXPECT_EQ(cluster.Commands(leader), Strings{"free"});
}

// A request of the old term that comes to the same node when it leads again.
TEST(TermFenceTest, AForwardedOneIsCheckedByTheLeader) {
  TestCluster cluster(3);
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  const uint64_t follower = cluster.SomeFollower();
  const Term term = cluster.At(leader).Status().term;
  cluster.network.SetFilter([&](Envelope& envelope) {
    if (auto* forwarded = std::get_if<ForwardedProposals>(&envelope.body)) {
      forwarded->expected_term = term + 1;  // as if it had not looked itself
    }
    return true;
  });
  EXPECT_EQ(Text(cluster.Propose(follower, "a", InTerm(term))),
            "TERM_CHANGED " + std::to_string(term));
  EXPECT_EQ(cluster.Commands(leader), Strings{});
}

}  // namespace
}  // namespace cairn

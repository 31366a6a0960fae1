#include "raft/host.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/raft/test_cluster.h"

namespace cairn {
namespace {

std::string ReplyOf(const ProposalResult& result) {
  if (const auto* applied = std::get_if<ProposalApplied>(&result)) {
    return std::string(applied->reply.view()) + (applied->duplicate ? " again" : "");
  }
  if (const auto* refused = std::get_if<ProposalNotApplied>(&result))
    return NameOf(refused->reason);
  return "unknown";
}

TEST(HostTest, ASingleNodeServes) {
  TestCluster cluster(1);
  cluster.StartAll();
  EXPECT_EQ(cluster.AwaitLeader(), 1u);
  EXPECT_EQ(ReplyOf(cluster.Propose(1, "a")), "reply 1");
  EXPECT_EQ(ReplyOf(cluster.Propose(1, "b")), "reply 2");
  cluster.Start(1);
  EXPECT_EQ(cluster.AwaitLeader(), 1u);
  EXPECT_EQ(cluster.Commands(1), (std::vector<std::string>{"a", "b"}));
}

TEST(HostTest, ThreeNodesElectAndReplicate) {
  TestCluster cluster(3);
  cluster.StartAll();
  uint64_t leader = cluster.AwaitLeader();
  ASSERT_NE(leader, 0u);
  EXPECT_EQ(ReplyOf(cluster.Propose(leader, "a")), "reply 1");
  cluster.Run(Milliseconds(10));
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_EQ(cluster.Commands(node), std::vector<std::string>{"a"});
  }
}

}  // namespace
}  // namespace cairn

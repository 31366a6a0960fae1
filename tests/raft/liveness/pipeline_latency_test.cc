// A pipeline is no deeper than its window: behind a slow link what is fresh does not wait for more.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"
#include "gtest/gtest.h"
#include "raft/core/options.h"
#include "tests/raft/lifecycle/life_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};

// The way from the leader to one member: first in, first out, whatever it is, so many bytes a
// second. The worst there is: production has lanes.
class SlowLink {
 public:
  SlowLink(LifeCluster* cluster, NodeId from, NodeId to, int64_t bytes_per_second)
      : cluster_(*cluster), bytes_per_second_(bytes_per_second) {
    cluster_.network.SetFilter([this, from, to](Envelope& envelope) {
      if (passing_ || envelope.from != from || envelope.to != to) return true;
      Take(std::move(envelope));
      return false;
    });
  }

  int64_t waiting_bytes() const { return waiting_bytes_; }
  int64_t most_bytes() const { return most_bytes_; }
  // How long heartbeats, and entries, had to wait at most.
  Duration slowest_heartbeat() const { return slowest_heartbeat_; }
  Duration slowest_entries() const { return slowest_entries_; }

 private:
  void Take(Envelope envelope) {
    int64_t bytes = 64;
    for (const RecordRun& run : envelope.entries) bytes += static_cast<int64_t>(run.byte_size());
    waiting_bytes_ += bytes;
    most_bytes_ = std::max(most_bytes_, waiting_bytes_);
    const Instant now = cluster_.world.Now();
    free_at_ = std::max(free_at_, now) + Seconds(1) * bytes / bytes_per_second_;
    const auto* body = std::get_if<MessageBody>(&envelope.body);
    if (body != nullptr && std::holds_alternative<Heartbeat>(*body)) {
      slowest_heartbeat_ = std::max(slowest_heartbeat_, free_at_ - now);
    }
    if (!envelope.entries.empty()) slowest_entries_ = std::max(slowest_entries_, free_at_ - now);
    executor_.PostAt(free_at_, [this, bytes, envelope = std::move(envelope)]() mutable {
      waiting_bytes_ -= bytes;
      passing_ = true;
      way_in_->Send(std::move(envelope));
      passing_ = false;
    });
  }

  LifeCluster& cluster_;
  const int64_t bytes_per_second_;
  ManualExecutor executor_{&cluster_.world};
  std::unique_ptr<Transport> way_in_ = cluster_.network.MakeTransport(NodeId{99});
  bool passing_ = false;
  Instant free_at_;
  int64_t waiting_bytes_ = 0;
  int64_t most_bytes_ = 0;
  Duration slowest_heartbeat_;
  Duration slowest_entries_;
};

TEST(PipelineLatencyTest, BehindASlowLinkNoMoreWaitsThanTheWindow) {
  constexpr int64_t kLink = 2 << 20;     // bytes a second
  constexpr size_t kCommand = 16 << 10;  // twice as much is proposed
  constexpr int kCommands = 5 * 256;
  LifeCluster cluster;
  cluster.options.compaction.snapshot_entries = 1'000'000;
  cluster.options.compaction.retained_entries = 1'000'000;
  cluster.options.election_timeout = Seconds(5);  // the slow member is to stay a follower
  cluster.OpenEverywhere(kGroup);
  const uint64_t leader = cluster.Leader(kGroup);
  ASSERT_NE(leader, 0u);
  const uint64_t slow = cluster.Follower(kGroup);
  cluster.Fill(kGroup, 1);
  SlowLink link(&cluster, NodeId{leader}, NodeId{slow}, kLink);

  int applied = 0;
  Duration slowest;
  const std::string command(kCommand, 'x');
  for (int i = 0; i < kCommands; ++i) {
    const Instant asked = cluster.world.Now();
    cluster.At(leader, kGroup).Propose(command, {}, [&, asked](const ProposalResult& result) {
      applied += std::holds_alternative<ProposalApplied>(result) ? 1 : 0;
      slowest = std::max(slowest, cluster.world.Now() - asked);
    });
    cluster.world.RunFor(Microseconds(3906));
  }
  EXPECT_EQ(applied, kCommands);
  // The other follower's disk and the leader's make a majority: nobody waits for the slow link.
  EXPECT_LE(slowest, Milliseconds(20));
  // The link never rested, and never had more to do than the window, one message beyond it, and
  // heartbeats.
  const RaftOptions raft;
  const auto window = static_cast<int64_t>(raft.max_inflight_bytes + 4 * kCommand);
  EXPECT_GT(link.most_bytes(), static_cast<int64_t>(raft.max_inflight_bytes) / 2);
  EXPECT_LE(link.most_bytes(), window);
  const Duration bound = Seconds(1) * window / kLink;
  EXPECT_LE(link.slowest_heartbeat(), bound);
  EXPECT_LE(link.slowest_entries(), bound);
  EXPECT_EQ(cluster.Status(leader, kGroup).role, Role::kLeader);
  // What is left comes when nothing more is proposed.
  EXPECT_TRUE(cluster.Await([&] {
    return cluster.Status(slow, kGroup).applied_index ==
           cluster.Status(leader, kGroup).commit_index;
  }));
  cluster.network.SetFilter(nullptr);
}

}  // namespace
}  // namespace cairn

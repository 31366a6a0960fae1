// How much slower commits are where one follower's disk is slow (fault catalogue D19): whole hosts
// over the block log in virtual time, where each sync of a disk takes as long as is said here, so
// that a count of commits says exactly that.

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/raft/repair/disk_cluster.h"

namespace cairn {
namespace {

constexpr Duration kFast = Milliseconds(1);
constexpr Duration kSlow = Milliseconds(200);
constexpr Duration kMeasured = Seconds(4);

// Who proposes again as soon as its command is applied.
class Client {
 public:
  explicit Client(Group& group) : group_(group) { Propose(); }
  uint64_t applied() const { return applied_; }

 private:
  void Propose() {
    group_.Propose(absl::StrCat("c", applied_), {}, [this](const ProposalResult& result) {
      if (!std::holds_alternative<ProposalApplied>(result)) return;
      ++applied_;
      Propose();
    });
  }

  Group& group_;
  uint64_t applied_ = 0;
};

struct Measured {
  uint64_t commits = 0;
  Index slow_is_behind = 0;  // entries, in the end
};

// Of three nodes, where `slow` followers need kSlow for a sync, and `clients` propose at once.
Measured Commits(int slow, int clients) {
  DiskCluster cluster(3, {.snapshot_entries = 1'000'000, .sync_time = kFast});
  cluster.StartAll();
  const uint64_t leader = cluster.AwaitLeader();
  EXPECT_NE(leader, 0u);
  uint64_t slow_one = 0;
  for (uint64_t node = 1; node <= 3 && slow > 0; ++node) {
    if (node == leader) continue;
    cluster.SetSyncTime(node, kSlow);
    slow_one = node;
    --slow;
  }
  std::vector<std::unique_ptr<Client>> running;
  while (clients-- > 0) {
    running.push_back(std::make_unique<Client>(cluster.GroupOf(leader)));
  }
  cluster.Run(kMeasured);
  EXPECT_EQ(cluster.AwaitLeader(), leader);
  Measured measured;
  for (const auto& client : running) measured.commits += client->applied();
  if (slow_one != 0) {
    measured.slow_is_behind =
        cluster.Status(leader).commit_index - cluster.Status(slow_one).commit_index;
  }
  cluster.StopAll();
  return measured;
}

TEST(SlowFollowerTest, CommitsAreAsManyAsWithoutIt) {
  for (const int clients : {1, 20}) {
    const Measured fast = Commits(0, clients);
    const Measured slow = Commits(1, clients);
    const Measured slower = Commits(2, clients);
    SCOPED_TRACE(absl::StrCat(clients, " clients: ", fast.commits, ", ", slow.commits, ", ",
                              slower.commits));
    RecordProperty(absl::StrCat("with_", clients, "_clients"),
                   absl::StrCat(fast.commits, " ", slow.commits, " ", slower.commits));
    // A sync here and one there, and the way there and back: 4 ms and little more.
    EXPECT_GE(fast.commits, 4'000u / 6 * static_cast<uint64_t>(clients));
    EXPECT_GE(slow.commits * 100, fast.commits * 99);
    // The measure sees a slow disk where there is one to be seen: then a quorum has it.
    EXPECT_LE(slower.commits * 20, fast.commits);
  }
}

}  // namespace
}  // namespace cairn

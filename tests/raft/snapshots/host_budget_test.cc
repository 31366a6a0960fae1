// What a host sends of snapshots is limited for all its groups together.

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/raft/lifecycle/life_cluster.h"

namespace cairn {
namespace {

constexpr uint64_t kBytesPerSecond = uint64_t{256} << 10;
constexpr uint64_t kSender = 1;
constexpr uint64_t kBehind = 3;
const std::vector<GroupId> kGroups = {GroupId{1}, GroupId{2}};

class HostBudgetTest : public testing::Test {
 protected:
  struct Piece {
    Instant when;
    GroupId group;
    uint64_t bytes = 0;
  };

  HostBudgetTest() : cluster_(Limited()) {
    cluster_.options.compaction.snapshot_entries = 1'000'000;
    cluster_.options.compaction.retained_entries = 1;
    for (const GroupId group : kGroups) cluster_.OpenEverywhere(group);
    for (const GroupId group : kGroups) Lead(group);
  }

  static LifeHooks Limited() {
    LifeHooks hooks;
    hooks.snapshot_bytes_per_second = kBytesPerSecond;
    return hooks;
  }

  // Has kSender lead the group.
  void Lead(GroupId group) {
    const uint64_t leader = cluster_.Leader(group);
    ASSERT_NE(leader, 0u);
    if (leader == kSender) return;
    cluster_.At(leader, group)
        .TransferLeadership(NodeId{kSender}, cluster_.world.Now() + Seconds(10),
                            [](const ControlResult&) {});
    ASSERT_TRUE(cluster_.Await([&] { return cluster_.Status(kSender, group).serving_leader; }));
  }

  // Gives the group's state some 2 MB, no two chunks of which are alike, and drops the log.
  // More than a receiver asks for at once: what was asked for first is sent first.
  void Grow(GroupId group) {
    for (int i = 0; i < 100; ++i) {
      std::string command;
      while (command.size() < 20'000) absl::StrAppend(&command, ToInteger(group), i, " ");
      const ProposalResult result = cluster_.Propose(kSender, group, command);
      ASSERT_TRUE(std::holds_alternative<ProposalApplied>(result));
    }
    const absl::StatusOr<LogPosition> taken = cluster_.Snapshot(kSender, group);
    ASSERT_TRUE(taken.ok()) << taken.status();
  }

  void WatchPieces() {
    cluster_.network.SetFilter([this](Envelope& envelope) {
      if (const auto* piece = std::get_if<SnapshotPiece>(&envelope.body)) {
        EXPECT_EQ(envelope.from, NodeId{kSender});
        pieces_.push_back({cluster_.world.Now(), envelope.group, piece->bytes.size()});
      }
      return true;
    });
  }

  LifeCluster cluster_;
  std::vector<Piece> pieces_;
};

TEST_F(HostBudgetTest, TwoGroupsAtOnceShareIt) {
  cluster_.Stop(kBehind);
  for (const GroupId group : kGroups) Lead(group);
  for (const GroupId group : kGroups) Grow(group);
  WatchPieces();
  cluster_.Start(kBehind);
  for (const GroupId group : kGroups) ASSERT_TRUE(cluster_.Open(kBehind, group).ok());
  ASSERT_TRUE(cluster_.Await(
      [&] {
        return std::all_of(kGroups.begin(), kGroups.end(), [&](GroupId group) {
          return !cluster_.View(kBehind, group).restored.empty();
        });
      },
      Seconds(60)));

  ASSERT_FALSE(pieces_.empty());
  const Instant start = pieces_.front().when;
  uint64_t before = 0;
  std::map<GroupId, uint64_t> of;
  std::map<GroupId, Instant> first;
  std::map<GroupId, Instant> last;
  for (const Piece& piece : pieces_) {
    // Each goes once what was sent before it has had its time.
    const double seconds = static_cast<double>((piece.when - start).nanoseconds) * 1e-9;
    EXPECT_LE(static_cast<double>(before), seconds * kBytesPerSecond * 1.001 + 1) << seconds;
    before += piece.bytes;
    of[piece.group] += piece.bytes;
    first.try_emplace(piece.group, piece.when);
    last[piece.group] = piece.when;
  }
  for (const GroupId group : kGroups) EXPECT_GT(of[group], uint64_t{1'900'000}) << ToInteger(group);
  EXPECT_LT(first[kGroups[0]], last[kGroups[1]]);
  EXPECT_LT(first[kGroups[1]], last[kGroups[0]]) << "neither waits for the other";
  // And no less than that is sent.
  const double took = static_cast<double>((pieces_.back().when - start).nanoseconds) * 1e-9;
  EXPECT_GE(static_cast<double>(before), took * kBytesPerSecond * 0.9);
}

}  // namespace
}  // namespace cairn

// A snapshot that is being taken is aborted by the program.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/raft/lifecycle/life_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};

class SnapshotAbortTest : public testing::Test {
 protected:
  using Taken = absl::StatusOr<LogPosition>;

  SnapshotAbortTest() {
    cluster_.options.compaction.snapshot_entries = 1'000'000;
    cluster_.OpenEverywhere(kGroup);
    cluster_.Fill(kGroup, 5);
    node_ = cluster_.Leader(kGroup);
  }

  // Asks for one, whose end is written down.
  std::shared_ptr<std::optional<Taken>> Ask() {
    auto taken = std::make_shared<std::optional<Taken>>();
    group().Snapshot([taken](const Taken& end) {
      EXPECT_FALSE(taken->has_value()) << "told once";
      *taken = end;
    });
    return taken;
  }
  Group& group() { return cluster_.At(node_, kGroup); }
  std::vector<std::string> Files() {
    return cluster_.Files(node_).List(absl::StrCat("/data/snapshots/", ToInteger(kGroup))).value();
  }

  LifeCluster cluster_;
  uint64_t node_ = 0;
};

TEST_F(SnapshotAbortTest, WhoWaitsIsToldAndNothingStays) {
  const auto first = Ask();
  const auto second = Ask();
  ASSERT_TRUE(cluster_.AwaitEachTask([&] { return group().AbortSnapshot(); }));
  EXPECT_FALSE(group().AbortSnapshot()) << "it was aborted already";
  ASSERT_TRUE(cluster_.Await([&] { return first->has_value() && second->has_value(); }));
  EXPECT_TRUE(absl::IsCancelled((*first)->status())) << (*first)->status();
  EXPECT_TRUE(absl::IsCancelled((*second)->status())) << (*second)->status();
  EXPECT_EQ(Files(), std::vector<std::string>());
  EXPECT_EQ(cluster_.Status(node_, kGroup).state, NodeState::kServing);
  EXPECT_FALSE(group().AbortSnapshot()) << "none runs";

  const auto next = Ask();
  ASSERT_TRUE(cluster_.Await([&] { return next->has_value(); }));
  ASSERT_TRUE((*next)->ok()) << (*next)->status();
  EXPECT_EQ((**next)->index, cluster_.Status(node_, kGroup).applied_index);
  EXPECT_NE(Files(), std::vector<std::string>());
}

TEST_F(SnapshotAbortTest, OneThatWasDueByItselfComesLater) {
  const GroupId other{2};
  cluster_.options.compaction.snapshot_entries = 20;
  cluster_.OpenEverywhere(other);
  const uint64_t leader = cluster_.Leader(other);
  Group& group = cluster_.At(leader, other);
  for (int i = 0; i < 30; ++i) group.Propose(absl::StrCat(i), {}, [](const ProposalResult&) {});
  ASSERT_TRUE(cluster_.AwaitEachTask([&] { return group.AbortSnapshot(); }));
  const auto files = [&] { return cluster_.Files(leader).List("/data/snapshots/2").value(); };
  cluster_.world.RunFor(Seconds(9));
  cluster_.Fill(other, 1);
  EXPECT_EQ(files(), std::vector<std::string>());
  cluster_.world.RunFor(Seconds(1));
  cluster_.Fill(other, 1);
  EXPECT_TRUE(cluster_.Await([&] { return !files().empty(); }));
}

}  // namespace
}  // namespace cairn

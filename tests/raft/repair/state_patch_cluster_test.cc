// Whole hosts in virtual time: what becomes of the state that a member offers to one whose own
// cannot be read any more, where that is not what it should be, or does not come to be of use.

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "raft/envelope.h"
#include "storage/snapshot_manifest.h"
#include "tests/raft/repair/disk_cluster.h"

namespace cairn {
namespace {

constexpr uint64_t kDamaged = 2;

DiskCluster::Options Streams() {
  DiskCluster::Options options;
  options.streams = true;
  options.scrub = {.bytes_per_second = 1 << 20, .period = Seconds(1)};
  options.tail = std::string(200, '.');
  return options;
}

class StatePatchClusterTest : public testing::Test {
 protected:
  StatePatchClusterTest() {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.Propose(70));
    cluster_.Run(Seconds(1));
    // Nothing of the state is in memory, where it is right.
    cluster_.Stop(kDamaged);
    cluster_.Files(kDamaged).RestartProcess();
    cluster_.Start(kDamaged);
    EXPECT_TRUE(cluster_.Await([&] { return cluster_.Whole(); }));
  }
  void Damage() {
    cluster_.Files(kDamaged).FlipBits("/data/groups/1/machine/00000001-00000003.block", 700, 1);
  }

  DiskCluster cluster_{3, Streams()};
};

// Changes what members offer: the manifest says another hash of its last entry, or another term,
// and all else fits.
class ForgedManifests {
 public:
  explicit ForgedManifests(bool of_another_term) : of_another_term_(of_another_term) {}

  bool Change(Envelope& envelope) {
    if (auto* offer = std::get_if<SnapshotOffer>(&envelope.body)) {
      const auto forged = ids_.find(offer->id);
      if (forged == ids_.end()) return true;
      offer->id = forged->second;
      if (of_another_term_) {
        ++offer->position.term;
        ++offer->term;
      }
    } else if (auto* request = std::get_if<SnapshotRequest>(&envelope.body)) {
      for (const auto& [real, forged] : ids_) {
        if (request->id == forged) request->id = real;
      }
    } else if (auto* piece = std::get_if<SnapshotPiece>(&envelope.body)) {
      if (piece->gone) return true;
      if (!ids_.contains(piece->id)) return Learn(*piece);
      if (piece->file == kManifestPart) {
        piece->bytes = manifests_.at(piece->id).substr(piece->offset, piece->bytes.size());
      }
      piece->id = ids_.at(piece->id);
    }
    return true;
  }
  size_t forged() const { return ids_.size(); }

 private:
  // Always false: the offer that comes again is of the forged one.
  bool Learn(const SnapshotPiece& piece) {
    if (piece.file != kManifestPart || piece.offset != 0) return false;
    absl::StatusOr<SnapshotManifest> manifest = DecodeManifest(piece.bytes);
    EXPECT_TRUE(manifest.ok()) << manifest.status();
    if (!manifest.ok()) return false;
    if (of_another_term_) {
      ++manifest->position.term;
    } else {
      manifest->hash.low ^= 1;
    }
    manifests_[piece.id] = EncodeManifest(*manifest);
    ids_[piece.id] = SnapshotIdOf(manifests_[piece.id]);
    return false;
  }

  const bool of_another_term_;
  std::map<ContentId, ContentId> ids_;          // by the real one
  std::map<ContentId, std::string> manifests_;  // the same
};

// As a snapshot that is to take the state's place: the two logs cannot both be right.
class AnotherLogTest : public StatePatchClusterTest, public testing::WithParamInterface<bool> {};

TEST_P(AnotherLogTest, AStateOfItFencesWhoWouldTakeIt) {
  auto forger = std::make_shared<ForgedManifests>(GetParam());
  cluster_.SetFilter([forger](Envelope& envelope) { return forger->Change(envelope); });
  Damage();
  EXPECT_TRUE(cluster_.Await([&] { return !cluster_.Stopped(kDamaged).ok(); }, Seconds(60)));
  EXPECT_GE(forger->forged(), 1u);
  EXPECT_TRUE(absl::StrContains(cluster_.Stopped(kDamaged).message(), "safety violation: entry"))
      << cluster_.Stopped(kDamaged);
  EXPECT_EQ(cluster_.Status(kDamaged).state, NodeState::kFenced);
  EXPECT_EQ(cluster_.Status(kDamaged).counts.state_mended, 0u);
  EXPECT_TRUE(cluster_.Propose(1)) << "the others go on";
}

INSTANTIATE_TEST_SUITE_P(OfAnotherHashAndOfAnotherTerm, AnotherLogTest, testing::Bool());

// One whose applying is paused does not come to what the others offer, one snapshot after the
// other. Who waits to compare them gives way to the next: the work does not grow.
TEST_F(StatePatchClusterTest, WhoWaitsToCompareGivesWay) {
  if (cluster_.AwaitLeader() == kDamaged) {
    cluster_.Stop(kDamaged);
    cluster_.AwaitLeader();
    cluster_.Start(kDamaged);
    ASSERT_TRUE(cluster_.Await([&] { return cluster_.Whole(); }));
  }
  cluster_.GroupOf(kDamaged).PauseApply([](const absl::Status&) {});
  cluster_.Run(Seconds(1));
  Damage();
  const auto tasks_of_a_round = [&] {
    const uint64_t before = cluster_.tasks();
    EXPECT_TRUE(cluster_.Propose(1));
    cluster_.Run(Seconds(40));
    return cluster_.tasks() - before;
  };
  tasks_of_a_round();
  const uint64_t first = tasks_of_a_round();
  EXPECT_EQ(cluster_.Status(kDamaged).state, NodeState::kRepairing);
  for (int i = 0; i < 10; ++i) tasks_of_a_round();
  EXPECT_LT(tasks_of_a_round(), first * 3 / 2);
  cluster_.GroupOf(kDamaged).ResumeApply();
  EXPECT_TRUE(cluster_.Await([&] { return cluster_.Whole(); }, Seconds(60)));
  EXPECT_EQ(cluster_.Status(kDamaged).counts.state_mended, 1u);
}

// Both copies of the checkpoint are bad, and there is nobody to ask: they are written anew.
TEST(OnlyMemberTest, BadCheckpointsAreWrittenAnew) {
  DiskCluster cluster(1, Streams());
  cluster.StartAll();
  ASSERT_TRUE(cluster.Propose(70));
  ASSERT_TRUE(cluster.Await([&] { return cluster.Whole(); }));
  for (const char* name : {"CHECKPOINT", "CHECKPOINT.copy"}) {
    cluster.Files(1).FlipBits(absl::StrCat("/data/groups/1/machine/", name), 60, 1);
  }
  ASSERT_TRUE(cluster.Await([&] { return cluster.Status(1).counts.state_damaged == 1; }));
  ASSERT_TRUE(cluster.Await([&] { return cluster.Status(1).counts.state_mended == 1; }));
  EXPECT_TRUE(cluster.Await([&] { return cluster.Whole(); }));
  const std::string expected = cluster.Commands(1);
  cluster.Stop(1);
  cluster.Start(1);
  ASSERT_TRUE(cluster.runs(1)) << cluster.Stopped(1);
  EXPECT_TRUE(cluster.Await([&] { return cluster.Whole(); }));
  EXPECT_EQ(cluster.Commands(1), expected);
}

}  // namespace
}  // namespace cairn

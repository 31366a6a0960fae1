// A member that cannot read an entry that others have compacted, in virtual time: it is brought
// back by a snapshot, also where another member is down; or drops the entry, too.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "storage/block/log_verifier.h"
#include "storage/file_system.h"
#include "tests/raft/lifecycle/life_cluster.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};

class RepairBySnapshotTest : public testing::Test {
 protected:
  RepairBySnapshotTest() {
    cluster_.options.compaction.snapshot_entries = 1'000'000;
    cluster_.options.compaction.retained_entries = 5;
    cluster_.OpenEverywhere(kGroup);
    leader_ = cluster_.Leader(kGroup);
    follower_ = cluster_.Follower(kGroup);
    third_ = 6 - leader_ - follower_;
    cluster_.Fill(kGroup, 5);
    cluster_.Propose(leader_, kGroup, kCommand);
    cluster_.Fill(kGroup, 60);
    EXPECT_TRUE(cluster_.Await([&] {
      return cluster_.Status(follower_, kGroup).applied_index ==
             cluster_.Status(leader_, kGroup).last_index;
    }));
  }

  // The entry of the command, in the log of a node that is down.
  void Damage(uint64_t node, const std::string& command = kCommand) {
    ASSERT_EQ(DamageAll(node, command), 1u);
  }
  // Wherever it stands; gives in how many files.
  size_t DamageAll(uint64_t node, const std::string& command) {
    SimulatedFileSystem& files = cluster_.Files(node);
    size_t found = 0;
    const std::vector<std::string> names = files.List("/data/log").value();
    for (const std::string& name : names) {
      const std::string path = "/data/log/" + name;
      const absl::StatusOr<std::string> bytes = ReadWholeFile(files, path);
      if (!bytes.ok()) continue;
      const size_t at = bytes->find(command);
      if (at == std::string::npos) continue;
      files.FlipBits(path, at, 1);
      ++found;
    }
    return found;
  }

  static constexpr char kCommand[] = "the one that will be unreadable";
  LifeCluster cluster_;
  uint64_t leader_ = 0;
  uint64_t follower_ = 0;
  uint64_t third_ = 0;
};

TEST_F(RepairBySnapshotTest, TheLeaderHasCompactedItAndTheThirdIsDown) {
  ASSERT_TRUE(cluster_.Snapshot(leader_, kGroup).ok());
  ASSERT_TRUE(cluster_.Await([&] { return cluster_.Status(leader_, kGroup).first_index > 40; }));
  cluster_.Stop(follower_);
  Damage(follower_);
  cluster_.Stop(third_);
  cluster_.Start(follower_);
  ASSERT_TRUE(cluster_.Open(follower_, kGroup).ok());
  EXPECT_TRUE(cluster_.Await([&] { return !cluster_.View(follower_, kGroup).restored.empty(); },
                             Seconds(10)));
  ASSERT_NE(cluster_.Leader(kGroup), 0u);
  cluster_.Fill(kGroup, 1);
  EXPECT_TRUE(cluster_.Await([&] {
    return cluster_.View(follower_, kGroup).commands == cluster_.View(leader_, kGroup).commands;
  }));
  EXPECT_TRUE(cluster_.Stopped(follower_).ok());
}

// Two entries at the border of what the others have: the first is dropped here too, as the state
// has it. What its hash is, only the second one tells, which is repaired after that.
TEST_F(RepairBySnapshotTest, WhatIsDroppedLeavesTheStoreWhenItsHashIsKnown) {
  cluster_.Propose(leader_, kGroup, "the last one they drop");
  cluster_.Propose(leader_, kGroup, "the first one they keep");
  const Index kept = cluster_.Status(leader_, kGroup).last_index;
  const auto all_have = [&](Index index) {
    return cluster_.Await([&] {
      return cluster_.Status(follower_, kGroup).applied_index == index &&
             cluster_.Status(third_, kGroup).applied_index == index;
    });
  };
  cluster_.Fill(kGroup, 3);
  ASSERT_TRUE(all_have(kept + 3));
  ASSERT_TRUE(cluster_.Snapshot(follower_, kGroup).ok());
  cluster_.Fill(kGroup, 1);
  ASSERT_TRUE(all_have(kept + 4));
  for (const uint64_t node : {leader_, third_}) {
    ASSERT_TRUE(cluster_.Snapshot(node, kGroup).ok());
    ASSERT_TRUE(cluster_.Await([&] { return cluster_.Status(node, kGroup).first_index == kept; }));
  }
  ASSERT_EQ(cluster_.Status(follower_, kGroup).first_index, kept - 1);
  cluster_.Stop(follower_);
  Damage(follower_, "the last one they drop");
  Damage(follower_, "the first one they keep");
  cluster_.Start(follower_);
  ASSERT_TRUE(cluster_.Open(follower_, kGroup).ok());
  ASSERT_TRUE(
      cluster_.Await([&] { return cluster_.Status(follower_, kGroup).first_index == kept; }));
  cluster_.world.RunFor(Seconds(2));
  const auto image = cluster_.Files(follower_).CrashImage({});
  const auto log = LogInspector::Open(*image, "/data/log");
  ASSERT_TRUE(log.ok()) << log.status();
  for (const VerifiedFile& file : VerifyLog(**log)) {
    for (const LogFinding& finding : file.faulty) {
      ADD_FAILURE() << finding.path << " " << finding.entries.first << ": " << finding.reason;
    }
  }
}

// Forty entries that the state has, and that the others have compacted: they go together, after
// each of the others was asked.
TEST_F(RepairBySnapshotTest, AGapThatNobodyHasIsDroppedAtOnce) {
  constexpr int kGap = 40;
  constexpr int kRetained = 200;
  cluster_.options.compaction.retained_entries = kRetained;
  for (uint64_t node = 1; node <= 3; ++node) cluster_.Stop(node);
  for (uint64_t node = 1; node <= 3; ++node) cluster_.Start(node);
  cluster_.OpenEverywhere(kGroup);
  leader_ = cluster_.Leader(kGroup);
  follower_ = cluster_.Follower(kGroup);
  third_ = 6 - leader_ - follower_;
  const auto name = [](int i) { return "of the gap, number " + std::to_string(100 + i); };
  const auto fill_up_to = [&](Index last) {
    cluster_.Fill(kGroup, static_cast<int>(last - cluster_.Status(leader_, kGroup).last_index));
    return cluster_.Await([&] {
      return cluster_.Status(follower_, kGroup).applied_index == last &&
             cluster_.Status(third_, kGroup).applied_index == last;
    });
  };
  const Index before = cluster_.Status(leader_, kGroup).last_index;
  for (int i = 0; i < kGap; ++i) cluster_.Propose(leader_, kGroup, name(i));
  const Index last = before + kGap;
  ASSERT_EQ(cluster_.Status(leader_, kGroup).last_index, last);
  ASSERT_TRUE(fill_up_to(before + kRetained));
  ASSERT_TRUE(cluster_.Snapshot(follower_, kGroup).ok());
  ASSERT_TRUE(fill_up_to(before + kRetained + kGap + 5));
  for (const uint64_t node : {leader_, third_}) {
    ASSERT_TRUE(cluster_.Snapshot(node, kGroup).ok());
    ASSERT_TRUE(cluster_.Await([&] { return cluster_.Status(node, kGroup).first_index > last; }));
  }
  ASSERT_LE(cluster_.Status(follower_, kGroup).first_index, before + 1);
  cluster_.Stop(follower_);
  for (int i = 0; i < kGap; ++i) ASSERT_GE(DamageAll(follower_, name(i)), 1u);
  int questions = 0;
  cluster_.network.SetFilter([&](Envelope& envelope) {
    questions += std::holds_alternative<EntryRequest>(envelope.body) ? 1 : 0;
    return true;
  });
  cluster_.Start(follower_);
  ASSERT_TRUE(cluster_.Open(follower_, kGroup).ok());
  ASSERT_TRUE(cluster_.Await([&] { return cluster_.Status(follower_, kGroup).first_index > last; },
                             Seconds(10)));
  cluster_.network.SetFilter({});
  EXPECT_EQ(cluster_.Status(follower_, kGroup).first_index, last + 1);
  EXPECT_LE(questions, 6);
  EXPECT_TRUE(cluster_.Stopped(follower_).ok());
  EXPECT_TRUE(cluster_.Await([&] {
    return cluster_.View(follower_, kGroup).commands == cluster_.View(leader_, kGroup).commands;
  }));
}

// The leader's snapshot has lost its last byte. Who asks for it gets another one, and nothing is
// taken from the leader's log.
TEST_F(RepairBySnapshotTest, ASnapshotThatIsShortIsNotSentAndTheLogStays) {
  cluster_.Stop(follower_);
  cluster_.Fill(kGroup, 30);
  ASSERT_TRUE(cluster_.Snapshot(leader_, kGroup).ok());
  ASSERT_TRUE(cluster_.Await([&] { return cluster_.Status(leader_, kGroup).first_index > 40; }));
  SimulatedFileSystem& files = cluster_.Files(leader_);
  const std::string directory = "/data/snapshots/1/";
  const std::vector<std::string> names = files.List(directory).value();
  ASSERT_FALSE(names.empty());
  size_t shortened = 0;
  for (const std::string& name : names) {
    std::string bytes = ReadWholeFile(files, directory + name).value();
    if (bytes.find(kCommand) == std::string::npos) continue;
    bytes.pop_back();
    ASSERT_TRUE(WriteFileAtomically(files, directory + name, bytes).ok());
    ++shortened;
  }
  ASSERT_EQ(shortened, 1u);
  const GroupStatus before = cluster_.Status(leader_, kGroup);
  cluster_.Start(follower_);
  ASSERT_TRUE(cluster_.Open(follower_, kGroup).ok());
  EXPECT_TRUE(cluster_.Await([&] {
    return cluster_.View(follower_, kGroup).commands == cluster_.View(leader_, kGroup).commands;
  }));
  EXPECT_EQ(cluster_.View(follower_, kGroup).restored.size(), 1u) << "never the short one";
  const GroupStatus after = cluster_.Status(leader_, kGroup);
  EXPECT_TRUE(after.serving_leader);
  EXPECT_EQ(after.term, before.term);
  EXPECT_EQ(after.last_index, before.last_index);
  EXPECT_EQ(after.first_index, before.first_index);
  EXPECT_EQ(after.durable_index, before.durable_index);
  EXPECT_NE(files.List(directory).value(), names) << "another one was saved";
}

}  // namespace
}  // namespace cairn

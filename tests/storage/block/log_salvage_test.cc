#include "storage/block/log_salvage.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/repair/lost_end.h"
#include "tests/storage/block/damaged_log.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

constexpr char kSalvaged[] = "/salvaged";

class LogSalvageTest : public testing::Test {
 protected:
  std::unique_ptr<LogInspector> Inspect() {
    absl::StatusOr<std::unique_ptr<LogInspector>> log =
        LogInspector::Open(file_system_, kTestDirectory);
    EXPECT_TRUE(log.ok()) << log.status();
    return log.ok() ? *std::move(log) : nullptr;
  }

  std::map<std::string, std::string> Files() {
    std::map<std::string, std::string> files;
    const std::vector<std::string> names = file_system_.List(kTestDirectory).value();
    for (const std::string& name : names) {
      files[name] = ReadWholeFile(file_system_, std::string(kTestDirectory) + "/" + name).value();
    }
    return files;
  }

  // Writes the salvaged log after what is to be said was said; the damaged one stays as it is.
  SalvagePlan Salvaged() {
    const auto before = Files();
    const std::unique_ptr<LogInspector> log = Inspect();
    SalvagePlan plan = PlanSalvage(*log);
    const absl::Status done = Salvage(*log, plan, plan.acknowledgement, file_system_, kSalvaged);
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_EQ(Files(), before);
    return plan;
  }

  // The salvaged log opens, holds this, and says of these groups that they forget something.
  void ExpectSalvaged(const Model& model, const std::set<GroupId>& forgetting = {}) {
    BlockLogOptions options = TestOptions();
    options.directory = kSalvaged;
    LogDriver driver(file_system_, options);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    for (const auto& [group, expected] : model) {
      RecoveredLog recovered = driver.recovered(group);
      EXPECT_EQ(recovered.hard_state_lost, forgetting.contains(group)) << ToInteger(group);
      recovered.hard_state_lost = false;
      EXPECT_EQ(Difference(recovered, expected), "");
      EXPECT_EQ(Difference(driver.store(group), expected), "");
    }
  }

  // The model with the last entries of group A cut off.
  Model CutFrom(Index first) const {
    Model model = log_.model();
    LogAppend cut;
    cut.truncate_from = first;
    Apply(cut, model[kGroupA]);
    return model;
  }

  SimulatedFileSystem file_system_;
  DamagedLog log_{file_system_};
};

TEST_F(LogSalvageTest, AWholeLogLosesNothing) {
  EXPECT_EQ(Salvaged().acknowledgement, "nothing-lost");
  ExpectSalvaged(log_.model());
}

TEST_F(LogSalvageTest, EntriesFromTheFirstBadOneAreLost) {
  log_.FlipEntry(6);
  log_.FlipEntry(9);
  const SalvagePlan plan = Salvaged();
  ASSERT_EQ(plan.groups.size(), 2u);
  EXPECT_EQ(plan.acknowledgement, "lose-1:6.." + std::to_string(log_.last().index));
  EXPECT_EQ(plan.groups[0].last.index, 5u);
  EXPECT_TRUE(absl::StrContains(plan.groups[0].reason, log_.Find(7).path)) << plan.groups[0].reason;
  EXPECT_EQ(plan.groups[1].lost, IndexRange());
  ExpectSalvaged(CutFrom(6), {kGroupA});
}

// The operator says that nobody is left who could be asked.
TEST_F(LogSalvageTest, WhoIsAloneBelievesWhatItHas) {
  log_.FlipEntry(6);
  const std::unique_ptr<LogInspector> log = Inspect();
  SalvagePlan plan = PlanSalvage(*log);
  const std::string words = plan.acknowledgement;
  SetAlone(plan);
  EXPECT_EQ(plan.acknowledgement, words + "-alone");
  EXPECT_TRUE(absl::IsInvalidArgument(Salvage(*log, plan, words, file_system_, kSalvaged)));
  const absl::Status done = Salvage(*log, plan, plan.acknowledgement, file_system_, kSalvaged);
  ASSERT_TRUE(done.ok()) << done;
  ExpectSalvaged(CutFrom(6));
}

// Whether it was opened since or not.
TEST_F(LogSalvageTest, WhatHasLostItsEndSaysSoAfterwards) {
  const absl::Status lost = LoseEndOfLog(file_system_, kTestDirectory);
  ASSERT_TRUE(lost.ok()) << lost;
  const Model kept = CutFrom(log_.last().index);
  EXPECT_EQ(Salvaged().acknowledgement, "lose-1:vote,2:vote");
  ExpectSalvaged(kept, {kGroupA, kGroupB});
}

TEST_F(LogSalvageTest, AGroupThatIsSureAgainIsSureAfterwards) {
  const absl::Status lost = LoseEndOfLog(file_system_, kTestDirectory);
  ASSERT_TRUE(lost.ok()) << lost;
  Model kept = CutFrom(log_.last().index);
  {
    LogDriver driver(file_system_);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    LogAppend sure;
    sure.hard_state = kept[kGroupB].hard_state = HardState{.term = 9, .vote = NodeId{2}};
    sure.sure = true;
    ASSERT_TRUE(driver.Apply(kGroupB, sure).ok());
    ASSERT_TRUE(driver.Sync().ok());
  }
  file_system_.RestartProcess();
  EXPECT_EQ(Salvaged().acknowledgement, "lose-1:vote");
  ExpectSalvaged(kept, {kGroupA});
}

TEST_F(LogSalvageTest, ABlockThatIsGoneIsNamed) {
  for (uint64_t at : {uint64_t{0}, TestOptions().geometry.block_bytes - 512}) {
    file_system_.FlipBits(DamagedLog::PathOf(2), at + 9, 0x40);
  }
  const SalvagePlan plan = Salvaged();
  EXPECT_EQ(plan.unreadable, std::vector<std::string>({DamagedLog::PathOf(2)}));
  // The votes stand in the checkpoint of the next block.
  EXPECT_FALSE(absl::StrContains(plan.acknowledgement, "vote")) << plan.acknowledgement;
  EXPECT_TRUE(absl::StrContains(plan.acknowledgement, "2.block")) << plan.acknowledgement;
  ExpectSalvaged(CutFrom(plan.groups[0].last.index + 1), {kGroupA});
  EXPECT_GT(plan.groups[0].last.index, 3u);
}

TEST_F(LogSalvageTest, ABaseAndAHardStateAreKept) {
  LogDriver driver(file_system_);
  driver.set_model(log_.model());
  driver.Vote(kGroupA, {.term = 9, .vote = static_cast<NodeId>(2)});
  driver.Drop(kGroupA, 7);
  driver.Reset(kGroupB, {20, 5});
  driver.Append(kGroupB, 6, {"behind the snapshot"});
  ASSERT_TRUE(driver.Sync().ok());
  const Model model = driver.synced();
  file_system_.RestartProcess();
  EXPECT_EQ(Salvaged().acknowledgement, "nothing-lost");
  ExpectSalvaged(model);
}

TEST_F(LogSalvageTest, NothingIsWrittenWithoutTheRightWord) {
  log_.FlipEntry(6);
  const std::unique_ptr<LogInspector> log = Inspect();
  const SalvagePlan plan = PlanSalvage(*log);
  for (const std::string word : {"", "nothing-lost", "lose-1:6..7"}) {
    const absl::Status refused = Salvage(*log, plan, word, file_system_, kSalvaged);
    EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
    EXPECT_FALSE(file_system_.Exists(kSalvaged).value());
  }
  // Nor over something.
  const absl::Status taken =
      Salvage(*log, plan, plan.acknowledgement, file_system_, kTestDirectory);
  EXPECT_TRUE(absl::IsAlreadyExists(taken)) << taken;
}

TEST_F(LogSalvageTest, NotWhileALogIsWritten) {
  LogDriver driver(file_system_);
  ASSERT_TRUE(driver.status().ok());
  const std::unique_ptr<LogInspector> log = Inspect();
  const SalvagePlan plan = PlanSalvage(*log);
  const absl::Status refused = Salvage(*log, plan, plan.acknowledgement, file_system_, kSalvaged);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
}

}  // namespace
}  // namespace cairn

// A block log that has lost its last batch, both copies of its id record, though it was synced:
// that groups may have forgotten what they promised is said at every start until they are sure
// again.

#include "tests/raft/repair/lost_end.h"

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/file_system.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

constexpr GroupId kGroupD = static_cast<GroupId>(4);

class LostEndTest : public testing::Test {
 protected:
  void SetUp() override {
    {
      LogDriver driver(disk_);
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      for (const GroupId group : {kGroupA, kGroupB}) {
        driver.Vote(group, {.term = 2, .vote = NodeId{3}});
        driver.Append(group, 2, {"kept"});
      }
      ASSERT_TRUE(driver.Sync().ok());
      kept_ = driver.model();
      driver.Append(kGroupA, 2, {"lost"});
      ASSERT_TRUE(driver.Sync().ok());
    }
    disk_.RestartProcess();
    const absl::Status lost = LoseEndOfLog(disk_, kTestDirectory);
    ASSERT_TRUE(lost.ok()) << lost;
  }

  // Opens the log as another process does.
  void Start() {
    driver_.reset();
    disk_.RestartProcess();
    BlockLogOptions options = TestOptions();
    options.copy_distance = 2;
    driver_ = std::make_unique<LogDriver>(disk_, options);
    ASSERT_TRUE(driver_->status().ok()) << driver_->status();
  }
  bool Lost(GroupId group) { return driver_->recovered(group).hard_state_lost; }
  void BeSure(GroupId group) {
    LogAppend append;
    append.hard_state = {.term = 2, .vote = NodeId{3}};
    append.sure = true;
    ASSERT_TRUE(driver_->Apply(group, append).ok());
    ASSERT_TRUE(driver_->Sync().ok());
  }

  SimulatedFileSystem disk_;
  std::unique_ptr<LogDriver> driver_;
  Model kept_;
};

TEST_F(LostEndTest, EachGroupIsLostUntilItIsSure) {
  Start();
  EXPECT_TRUE(Lost(kGroupA));
  EXPECT_TRUE(Lost(kGroupB)) << "it may have been in that batch";
  EXPECT_EQ(driver_->store(kGroupA).last(), kept_.at(kGroupA).last());
  driver_->set_model(kept_);
  driver_->Vote(kGroupB, {.term = 5, .vote = NodeId{1}});
  ASSERT_TRUE(driver_->Sync().ok());
  Start();
  EXPECT_TRUE(Lost(kGroupB)) << "a later vote does not bring the forgotten ones back";
  EXPECT_TRUE(Lost(kGroupA));
  BeSure(kGroupA);
  Start();
  EXPECT_FALSE(Lost(kGroupA));
  EXPECT_TRUE(Lost(kGroupB));
}

// Group B rests: what says that it is lost is written again with its copies.
TEST_F(LostEndTest, NeitherRollsNorCopiesForgetIt) {
  Start();
  driver_->set_model(kept_);
  EXPECT_TRUE(Lost(kGroupA));
  const std::string first_block = JoinPath(kTestDirectory, BlockFileName(1));
  EXPECT_TRUE(disk_.Exists(first_block).value());
  for (int i = 0; i < 150; ++i) {
    driver_->Append(kGroupA, 2, {std::string(700, 'x')});
    if (i % 20 == 19) driver_->Drop(kGroupA, driver_->model().at(kGroupA).last().index - 2);
    ASSERT_TRUE(driver_->Sync().ok());
    // Were this the last that the process did.
    const std::unique_ptr<SimulatedFileSystem> image = disk_.WorstCaseImage();
    LogDriver after(*image);
    ASSERT_TRUE(after.status().ok()) << after.status();
    ASSERT_TRUE(after.recovered(kGroupA).hard_state_lost) << i;
    ASSERT_TRUE(after.recovered(kGroupB).hard_state_lost) << i;
  }
  EXPECT_FALSE(disk_.Exists(first_block).value()) << "group B was to be copied from there";
  Start();
  EXPECT_TRUE(Lost(kGroupA));
  EXPECT_TRUE(Lost(kGroupB));
}

// It may have been in the batch that is lost, and nothing else on this disk would tell.
TEST_F(LostEndTest, SoIsAGroupThatTheDiskDoesNotKnow) {
  Start();
  EXPECT_TRUE(Lost(kGroupC));
  BeSure(kGroupA);
  Start();
  EXPECT_FALSE(Lost(kGroupA));
  EXPECT_TRUE(Lost(kGroupC)) << "on the disk since";
  EXPECT_TRUE(Lost(kGroupD)) << "as long as others are lost";
  BeSure(kGroupB);
  BeSure(kGroupC);
  BeSure(kGroupD);
  Start();
  for (const GroupId group : {kGroupA, kGroupB, kGroupC, kGroupD}) EXPECT_FALSE(Lost(group));
  EXPECT_FALSE(Lost(static_cast<GroupId>(5)));
}

// Recovery ends at any call, and the power goes or does not.
TEST_F(LostEndTest, ACrashWhileItIsOpenedDoesNotForgetIt) {
  const std::unique_ptr<SimulatedFileSystem> damaged = disk_.WorstCaseImage();
  bool reached_end = false;
  int opened = 0;
  for (uint64_t nth = 1; !reached_end; ++nth) {
    for (const bool power_cut : {false, true}) {
      SCOPED_TRACE(absl::StrCat("call ", nth, power_cut ? ", power cut" : ""));
      std::unique_ptr<SimulatedFileSystem> disk = damaged->WorstCaseImage();
      uint64_t calls = 0;
      disk->set_fault_hook([&](const FileAccess&) {
        FileFault fault;
        if (++calls >= nth) fault.error = EIO;
        return fault;
      });
      { LogDriver driver(*disk); }
      reached_end = calls < nth;
      disk->set_fault_hook({});
      disk->RestartProcess();
      if (power_cut) disk = disk->WorstCaseImage();
      LogDriver driver(*disk);
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      ++opened;
      for (const GroupId group : {kGroupA, kGroupB}) {
        EXPECT_TRUE(driver.recovered(group).hard_state_lost);
        EXPECT_EQ(driver.store(group).last(), kept_.at(group).last());
      }
    }
  }
  EXPECT_GT(opened, 40);
}

}  // namespace
}  // namespace cairn

#include "storage/block/block_set.h"

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/executor.h"
#include "gtest/gtest.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_verifier.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

BlockSet::Options Options() {
  const BlockLogOptions options = TestOptions();
  return {
      .directory = options.directory, .identity = options.identity, .geometry = options.geometry};
}

std::vector<std::string> NamesIn(SimulatedFileSystem& file_system) {
  return file_system.List(kTestDirectory).value();
}

TEST(BlockSetTest, ABlockThatIsReleasedBecomesTheNextOne) {
  SimulatedFileSystem file_system;
  ASSERT_TRUE(file_system.MakeDirectory(kTestDirectory).ok());
  BlockSet blocks(file_system, Options(), {});
  ASSERT_TRUE(blocks.Prepare(1).ok());
  ASSERT_TRUE(blocks.Prepare(2).ok());
  ASSERT_TRUE(blocks.Release(1).ok());
  EXPECT_EQ(blocks.Ids(), std::vector<uint64_t>({2}));
  EXPECT_EQ(NamesIn(file_system).size(), 2u) << "one is a spare";
  ASSERT_TRUE(blocks.Prepare(3).ok());
  EXPECT_EQ(NamesIn(file_system), std::vector<std::string>({BlockFileName(2), BlockFileName(3)}));
  ASSERT_TRUE(blocks.Prepare(3, 100'000).ok()) << "a longer one in its place";
  EXPECT_GE(blocks.Find(3)->geometry().block_bytes, 100'000u);
}

TEST(BlockSetTest, SomebodyWhoReadsKeepsIt) {
  SimulatedFileSystem file_system;
  ASSERT_TRUE(file_system.MakeDirectory(kTestDirectory).ok());
  BlockSet blocks(file_system, Options(), {});
  ASSERT_TRUE(blocks.Prepare(1).ok());
  {
    const std::shared_ptr<BlockFile> reading = blocks.Find(1);
    ASSERT_TRUE(blocks.Release(1).ok());
    EXPECT_EQ(NamesIn(file_system), std::vector<std::string>({BlockFileName(1)}));
  }
  ASSERT_TRUE(blocks.Release(1).ok());
  EXPECT_TRUE(blocks.Ids().empty());
}

// Who prepares ahead of time may come when the log has long gone on: numbers are not used again.
TEST(BlockSetTest, WhoComesTooLateMakesNoBlockThatWasReleased) {
  SimulatedFileSystem file_system;
  ASSERT_TRUE(file_system.MakeDirectory(kTestDirectory).ok());
  BlockSet blocks(file_system, Options(), {});
  for (uint64_t id : {1, 2, 3}) ASSERT_TRUE(blocks.Prepare(id).ok());
  ASSERT_TRUE(blocks.Release(1).ok());
  ASSERT_TRUE(blocks.Release(2).ok());
  ASSERT_TRUE(blocks.Prepare(2).ok());
  ASSERT_TRUE(blocks.Prepare(1).ok());
  EXPECT_EQ(blocks.Ids(), std::vector<uint64_t>({3}));
}

// Runs what was posted when it is told to.
class LateExecutor final : public Executor {
 public:
  void Post(Task task) override { tasks_.push_back(std::move(task)); }
  void PostAt(Instant, Task task) override { tasks_.push_back(std::move(task)); }

  size_t size() const { return tasks_.size(); }
  void RunAll() {
    for (; !tasks_.empty(); tasks_.pop_front()) std::move(tasks_.front())();
  }

 private:
  std::deque<Task> tasks_;
};

TEST(BlockSetTest, ALogWhoseBackgroundComesLateIsTheSame) {
  SimulatedFileSystem file_system;
  LateExecutor background;
  Model model;
  {
    BlockLogOptions options = TestOptions();
    options.background = &background;
    LogDriver driver(file_system, options);
    for (int i = 0; i < 60; ++i) {
      driver.Append(kGroupA, 1, {std::string(2000, 'x')});
      driver.Drop(kGroupA, driver.model().at(kGroupA).last().index - 1);
      ASSERT_TRUE(driver.Sync().ok());
    }
    EXPECT_GT(background.size(), 5u);
    const size_t blocks = driver.log().figures().blocks;
    background.RunAll();
    EXPECT_LE(driver.log().figures().blocks, blocks + 1);
    model = driver.synced();
  }
  file_system.RestartProcess();
  {
    const auto log = LogInspector::Open(file_system, kTestDirectory);
    ASSERT_TRUE(log.ok()) << log.status();
    for (const VerifiedFile& file : VerifyLog(**log)) {
      EXPECT_TRUE(file.faulty.empty()) << file.path << ": " << file.faulty[0].reason;
    }
  }
  LogDriver driver(file_system);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_TRUE(driver.log().notes().empty()) << driver.log().notes()[0];
  EXPECT_EQ(Difference(driver.recovered(kGroupA), model.at(kGroupA)), "");
  EXPECT_EQ(Difference(driver.store(kGroupA), model.at(kGroupA)), "");
}

}  // namespace
}  // namespace cairn

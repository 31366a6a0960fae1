#include "storage/block/block_set.h"

#include <cerrno>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/executor.h"
#include "gtest/gtest.h"
#include "storage/block/block_log.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_verifier.h"
#include "storage/no_room.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"

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

// A longer one is to take the place of one that was prepared, and there is no handle left when the
// old one is gone: what is used in the end stands under its name.
TEST(BlockSetTest, AFileThatWasReplacedIsNotWrittenTo) {
  for (const auto refused : {FileAccess::Operation::kSyncDirectory, FileAccess::Operation::kOpen}) {
    SCOPED_TRACE(refused == FileAccess::Operation::kOpen ? "open" : "sync");
    SimulatedFileSystem file_system;
    ASSERT_TRUE(file_system.MakeDirectory(kTestDirectory).ok());
    BlockSet blocks(file_system, Options(), {});
    ASSERT_TRUE(blocks.Prepare(1).ok());
    const std::string name = BlockFileName(1);
    file_system.set_fault_hook([&](const FileAccess& access) {
      const bool here = access.operation == FileAccess::Operation::kSyncDirectory ||
                        absl::EndsWith(access.path, name);
      return FileFault{.error = access.operation == refused && here ? EMFILE : 0};
    });
    const auto longer = blocks.Begin(1, 100'000, BlockSet::Reserve::kKeep);
    ASSERT_TRUE(IsNoRoom(longer.status())) << longer.status();
    file_system.set_fault_hook(nullptr);
    const auto begun = blocks.Begin(1, 0, BlockSet::Reserve::kKeep);
    ASSERT_TRUE(begun.ok()) << begun.status();
    const std::string text = "in the file of that name";
    ASSERT_TRUE((*begun)->file().Write(4096, text).ok());
    auto file = file_system.Open(absl::StrCat(kTestDirectory, "/", name),
                                 {.mode = FileSystem::OpenMode::kRead});
    ASSERT_TRUE(file.ok()) << file.status();
    std::string read(text.size(), '\0');
    ASSERT_TRUE((*file)->Read(4096, read.size(), read.data()).ok());
    EXPECT_EQ(read, text);
  }
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

// Nor is a block that somebody writes to made anew, whatever it would be encrypted with today.
TEST(BlockSetTest, ABlockThatWasBegunIsNotReplaced) {
  SimulatedFileSystem file_system;
  ASSERT_TRUE(file_system.MakeDirectory(kTestDirectory).ok());
  const std::shared_ptr<KeyRing> keys = TestRing(Cipher::kAes256Gcm, {1});
  BlockSet::Options options = Options();
  options.keys = keys;
  BlockSet blocks(file_system, options, {});
  ASSERT_TRUE(blocks.Prepare(2).ok());
  const absl::StatusOr<std::shared_ptr<BlockFile>> begun = blocks.Begin(2);
  ASSERT_TRUE(begun.ok()) << begun.status();
  const std::string written((*begun)->geometry().unit_bytes, 'w');
  const uint64_t at = (*begun)->geometry().data_begin();
  ASSERT_TRUE((*begun)->Write(at, written).ok());
  ASSERT_TRUE(blocks.Prepare(3).ok());
  ASSERT_TRUE(keys->Replace({TestKey(2), TestKey(1)}).ok());
  for (uint64_t id : {1, 2, 3}) ASSERT_TRUE(blocks.Prepare(id).ok());
  EXPECT_EQ(blocks.Find(2), *begun);
  EXPECT_EQ(blocks.Find(3)->header().key, TestKey(2).id) << "nobody writes there yet";
  EXPECT_EQ(blocks.Ids(), std::vector<uint64_t>({2, 3}));
  const std::string path = JoinPath(kTestDirectory, BlockFileName(2));
  const auto reopened =
      BlockFile::Open(file_system, path, 2, std::nullopt, keys.get(), FileSystem::OpenMode::kRead);
  ASSERT_TRUE(reopened.ok()) << reopened.status();
  EXPECT_EQ((*reopened)->ReadDirect(at, written.size()).view(), written);
}

TEST(BlockSetTest, ABlockThatCouldNotBeBegunCanBePreparedAgain) {
  SimulatedFileSystem file_system;
  ASSERT_TRUE(file_system.MakeDirectory(kTestDirectory).ok());
  BlockSet blocks(file_system, Options(), {});
  ASSERT_TRUE(blocks.Begin(1).ok());
  file_system.set_fault_hook([](const FileAccess& access) {
    const bool full = access.operation == FileAccess::Operation::kPreallocate;
    return FileFault{.error = full ? ENOSPC : 0};
  });
  EXPECT_FALSE(blocks.Begin(2).ok());
  file_system.set_fault_hook(nullptr);
  EXPECT_EQ(blocks.Find(2), nullptr);
  ASSERT_TRUE(blocks.Prepare(2).ok());
  EXPECT_NE(blocks.Find(2), nullptr);
  EXPECT_TRUE(blocks.Begin(2).ok());
}

// Which calls make the zeros of new blocks, without what is done to spares of the reserve.
std::vector<FileAccess::Operation> ZeroesMade(SimulatedFileSystem& file_system,
                                              absl::FunctionRef<void()> work) {
  std::vector<FileAccess::Operation> made;
  file_system.set_fault_hook([&](const FileAccess& access) {
    if (access.operation == FileAccess::Operation::kPreallocate ||
        access.operation == FileAccess::Operation::kReserveZeroes) {
      made.push_back(access.operation);
    }
    return FileFault{};
  });
  work();
  file_system.set_fault_hook(nullptr);
  return made;
}

TEST(BlockSetTest, ZeroesAreReservedIfThatIsSaidAndForALongBlock) {
  using Operation = FileAccess::Operation;
  SimulatedFileSystem file_system;
  ASSERT_TRUE(file_system.MakeDirectory(kTestDirectory).ok());
  BlockSet blocks(file_system, Options(), {});
  const auto made = ZeroesMade(file_system, [&] {
    ASSERT_TRUE(blocks.Prepare(1).ok());
    blocks.FillWith(Zeroes::kReserved);
    ASSERT_TRUE(blocks.Prepare(2).ok());
    ASSERT_TRUE(blocks.Release(1).ok());
    ASSERT_TRUE(blocks.Begin(3).ok()) << "in a file that was used before";
    blocks.FillWith(Zeroes::kWritten);
    ASSERT_TRUE(blocks.Begin(4).ok());
    ASSERT_TRUE(blocks.Begin(5, 100'000).ok());
  });
  EXPECT_EQ(made, std::vector<Operation>({Operation::kPreallocate, Operation::kReserveZeroes,
                                          Operation::kReserveZeroes, Operation::kPreallocate,
                                          Operation::kReserveZeroes}));
}

// Where few batches fill a block there are few syncs to pay for zeros that were not written.
TEST(BlockSetTest, FewLargeBatchesMakeALogReserveItsZeroes) {
  SimulatedFileSystem file_system;
  BlockLogOptions options = TestOptions();
  options.geometry.block_bytes = 256 << 10;
  LogDriver driver(file_system, options);
  const auto fill_blocks = [&](size_t batches, size_t bytes) {
    const auto made = ZeroesMade(file_system, [&] {
      for (size_t i = 0; i < batches; ++i) {
        driver.Append(kGroupA, 1, {std::string(bytes, 'x')});
        ASSERT_TRUE(driver.Sync().ok());
      }
    });
    // The first ones still go by the block before.
    return made.size() < 3 ? FileAccess::Operation::kSync : made.back();
  };
  EXPECT_EQ(fill_blocks(1'000, 10), FileAccess::Operation::kPreallocate);
  EXPECT_EQ(fill_blocks(100, 10'000), FileAccess::Operation::kReserveZeroes);
  EXPECT_EQ(fill_blocks(1'000, 10), FileAccess::Operation::kPreallocate);
  EXPECT_EQ(Difference(driver.store(kGroupA), driver.model().at(kGroupA)), "");
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

void ExpectTheSame(SimulatedFileSystem& file_system, const BlockLogOptions& options,
                   const Model& model) {
  {
    const auto log = LogInspector::Open(file_system, kTestDirectory, options.keys);
    ASSERT_TRUE(log.ok()) << log.status();
    for (const VerifiedFile& file : VerifyLog(**log)) {
      EXPECT_TRUE(file.faulty.empty()) << file.path << ": " << file.faulty[0].reason;
    }
  }
  LogDriver driver(file_system, options);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_TRUE(driver.log().notes().empty()) << driver.log().notes()[0];
  EXPECT_EQ(Difference(driver.recovered(kGroupA), model.at(kGroupA)), "");
  EXPECT_EQ(Difference(driver.store(kGroupA), model.at(kGroupA)), "");
}

void WriteBlocks(LogDriver& driver) {
  for (int i = 0; i < 60; ++i) {
    driver.Append(kGroupA, 1, {std::string(2000, 'x')});
    driver.Drop(kGroupA, driver.model().at(kGroupA).last().index - 1);
    ASSERT_TRUE(driver.Sync().ok());
  }
}

class LateBackgroundTest : public testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(All, LateBackgroundTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& each) {
                           return each.param ? "KeysChange" : "Plain";
                         });

TEST_P(LateBackgroundTest, ALogWhoseBackgroundComesLateIsTheSame) {
  SimulatedFileSystem file_system;
  LateExecutor background;
  const std::shared_ptr<KeyRing> keys =
      GetParam() ? TestRing(Cipher::kAes256Gcm, {1}) : std::shared_ptr<KeyRing>();
  BlockLogOptions options = TestOptions();
  options.keys = keys;
  Model model;
  {
    BlockLogOptions late = options;
    late.background = &background;
    LogDriver driver(file_system, late);
    WriteBlocks(driver);
    EXPECT_GT(background.size(), 5u);
    const size_t blocks = driver.log().figures().blocks;
    // The block that is written to now has a key that nobody would give it any more.
    if (keys != nullptr) {
      ASSERT_TRUE(keys->Replace({TestKey(2), TestKey(1)}).ok());
    }
    background.RunAll();
    EXPECT_LE(driver.log().figures().blocks, blocks + 1);
    model = driver.synced();
    ExpectTheSame(*file_system.WorstCaseImage(), options, model);
    driver.Append(kGroupA, 1, {"and goes on"});
    ASSERT_TRUE(driver.Sync().ok());
    model = driver.synced();
  }
  file_system.RestartProcess();
  ExpectTheSame(file_system, options, model);
}

// The next life of the log, in the same process, has blocks that the one before knows nothing of.
TEST_P(LateBackgroundTest, WhatALogLeavesBehindDoesNothingToTheNextOne) {
  SimulatedFileSystem file_system;
  LateExecutor background;
  const std::shared_ptr<KeyRing> keys =
      GetParam() ? TestRing(Cipher::kAes256Gcm, {1}) : std::shared_ptr<KeyRing>();
  BlockLogOptions options = TestOptions();
  options.keys = keys;
  Model model;
  {
    BlockLogOptions late = options;
    late.background = &background;
    LogDriver driver(file_system, late);
    WriteBlocks(driver);
    model = driver.synced();
  }
  EXPECT_GT(background.size(), 5u);
  {
    LogDriver driver(file_system, options);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    driver.set_model(model);
    // Into the block that the life before was to prepare.
    for (int i = 0; i < 10; ++i) {
      driver.Append(kGroupA, 1, {std::string(2000, 'y')});
      ASSERT_TRUE(driver.Sync().ok());
    }
    background.RunAll();
    model = driver.synced();
  }
  file_system.RestartProcess();
  ExpectTheSame(file_system, options, model);
}

}  // namespace
}  // namespace cairn

#include "storage/block/log_inspector.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/damaged_log.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using State = BlockSummary::State;

std::unique_ptr<LogInspector> Inspect(FileSystem& file_system,
                                      const std::string& directory = kTestDirectory) {
  absl::StatusOr<std::unique_ptr<LogInspector>> log = LogInspector::Open(file_system, directory);
  EXPECT_TRUE(log.ok()) << log.status();
  return log.ok() ? *std::move(log) : nullptr;
}

struct ReadBack {
  std::vector<Index> entries;
  std::vector<IndexRange> unreadable;
};

ReadBack ReadAll(const LogInspector& log, GroupId group, Index from = 0,
                 uint64_t count = UINT64_MAX) {
  ReadBack back;
  log.Read(
      group, from, count,
      [&](const RecordRun& run) {
        for (size_t i = 0; i < run.size(); ++i) back.entries.push_back(run[i].position().index);
      },
      [&](const LogInspector::Unreadable& bad) { back.unreadable.push_back(bad.entries); });
  return back;
}

std::vector<Index> Indexes(Index first, Index last) {
  std::vector<Index> indexes;
  for (Index i = first; i <= last; ++i) indexes.push_back(i);
  return indexes;
}

TEST(LogInspectorTest, DescribesACleanLog) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  const std::unique_ptr<LogInspector> inspector = Inspect(file_system);
  EXPECT_TRUE(inspector->scan().ok()) << inspector->scan().status();
  EXPECT_THAT(inspector->notes(), IsEmpty());
  EXPECT_EQ(inspector->writer(), std::nullopt);

  const std::vector<BlockSummary> blocks = inspector->Summaries();
  ASSERT_THAT(blocks, SizeIs(3));
  EXPECT_EQ(blocks[0].state, State::kSealed);
  EXPECT_EQ(blocks[1].state, State::kSealed);
  EXPECT_EQ(blocks[2].state, State::kHead);
  uint64_t batch = 0;
  for (const BlockSummary& block : blocks) {
    EXPECT_EQ(block.path, log.PathOf(block.block));
    EXPECT_EQ(block.bytes, uint64_t{16} << 10);
    EXPECT_EQ(block.first_batch, batch + 1);
    batch = block.last_batch;
    EXPECT_EQ(block.batches, block.last_batch - block.first_batch + 1);
    EXPECT_THAT(block.notes, IsEmpty());
  }
  EXPECT_EQ(batch, log.batches());
  EXPECT_EQ(blocks[0].groups.at(kGroupA).front().first, 1u);
  EXPECT_EQ(blocks[2].groups.at(kGroupA).back().last, log.last().index);
  // What the blocks hold of a group lies end to end.
  EXPECT_EQ(blocks[0].groups.at(kGroupA).back().last + 1,
            blocks[1].groups.at(kGroupA).front().first);
}

TEST(LogInspectorTest, ReadsWhatIsInTheLog) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  const std::unique_ptr<LogInspector> inspector = Inspect(file_system);
  const ReadBack all = ReadAll(*inspector, kGroupA);
  EXPECT_EQ(all.entries, Indexes(1, log.last().index));
  EXPECT_THAT(all.unreadable, IsEmpty());
  EXPECT_EQ(ReadAll(*inspector, kGroupA, 7, 5).entries, Indexes(7, 11));
  EXPECT_EQ(ReadAll(*inspector, kGroupA, log.last().index, 5).entries,
            Indexes(log.last().index, log.last().index));
  EXPECT_THAT(ReadAll(*inspector, kGroupA, log.last().index + 1).entries, IsEmpty());
  EXPECT_THAT(ReadAll(*inspector, kGroupC).entries, IsEmpty());
  EXPECT_EQ(ReadAll(*inspector, kGroupB).entries, Indexes(1, log.model().at(kGroupB).last().index));
}

TEST(LogInspectorTest, FindsTheLogInADataDirectory) {
  SimulatedFileSystem file_system;
  BlockLogOptions options = TestOptions();
  options.directory = "/data/log";
  { LogDriver driver(file_system, options); }
  EXPECT_EQ(Inspect(file_system, "/data")->directory(), "/data/log");
  EXPECT_EQ(Inspect(file_system, "/data/log")->directory(), "/data/log");
  ASSERT_TRUE(file_system.MakeDirectory("/other").ok());
  EXPECT_TRUE(absl::IsNotFound(LogInspector::Open(file_system, "/other").status()));
  EXPECT_TRUE(absl::IsNotFound(LogInspector::Open(file_system, "/absent").status()));
}

TEST(LogInspectorTest, LooksAtALogThatIsBeingWritten) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system);
  driver.Append(kGroupA, 1, {"one"});
  ASSERT_TRUE(driver.Sync().ok());
  const std::unique_ptr<LogInspector> inspector = Inspect(file_system);
  EXPECT_THAT(inspector->writer().value_or(""), HasSubstr("process "));
  EXPECT_EQ(ReadAll(*inspector, kGroupA).entries, Indexes(1, 1));
}

TEST(LogInspectorTest, WritesNothing) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  log.FlipEntry(3);
  file_system.FlipBits(log.PathOf(1), 0, 0xff);
  file_system.set_fault_hook([](const FileAccess& access) {
    using Operation = FileAccess::Operation;
    EXPECT_TRUE(access.operation == Operation::kOpen || access.operation == Operation::kRead ||
                access.operation == Operation::kReadDirect || access.operation == Operation::kList)
        << static_cast<int>(access.operation) << " " << access.path;
    return FileFault();
  });
  const std::unique_ptr<LogInspector> inspector = Inspect(file_system);
  inspector->Summaries();
  ReadAll(*inspector, kGroupA);
  EXPECT_THAT(inspector->Summaries()[0].notes, Contains(HasSubstr("one header copy is bad")));
}

TEST(LogInspectorTest, ReadsAroundABadEntry) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  log.FlipEntry(3);
  const std::unique_ptr<LogInspector> inspector = Inspect(file_system);
  const ReadBack back = ReadAll(*inspector, kGroupA);
  EXPECT_THAT(back.unreadable, ElementsAre(IndexRange{3, 3}));
  EXPECT_EQ(back.entries.size(), log.last().index - 1);
  EXPECT_EQ(back.entries[2], 4u);
}

TEST(LogInspectorTest, ReadsTheRestOfALogWithAMissingBlock) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  const IndexRange lost = Inspect(file_system)->Summaries()[1].groups.at(kGroupA)[0];
  ASSERT_TRUE(file_system.Remove(log.PathOf(2)).ok());
  const std::unique_ptr<LogInspector> inspector = Inspect(file_system);
  ASSERT_THAT(inspector->Summaries(), SizeIs(2));
  const ReadBack back = ReadAll(*inspector, kGroupA);
  EXPECT_THAT(back.unreadable, ElementsAre(lost));
  EXPECT_EQ(back.entries.size(), log.last().index - (lost.last - lost.first + 1));
}

TEST(LogInspectorTest, DescribesEachBlockOfALogThatHasLostOne) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  const uint64_t end = uint64_t{16} << 10;
  file_system.Overwrite(log.PathOf(2), 0, std::string(512, 'x'));
  file_system.Overwrite(log.PathOf(2), end - 512, std::string(512, 'x'));
  const std::unique_ptr<LogInspector> inspector = Inspect(file_system);
  ASSERT_TRUE(inspector->scan().ok()) << inspector->scan().status();
  EXPECT_TRUE(inspector->scan()->lost_blocks.contains(2));
  const std::vector<BlockSummary> blocks = inspector->Summaries();
  ASSERT_THAT(blocks, SizeIs(3));
  EXPECT_EQ(blocks[0].state, State::kSealed);
  EXPECT_EQ(blocks[1].state, State::kDamaged);
  EXPECT_EQ(blocks[1].bytes, end);
  EXPECT_THAT(blocks[1].notes, ElementsAre(HasSubstr("block header")));
  EXPECT_EQ(blocks[2].state, State::kHead);
  EXPECT_FALSE(ReadAll(*inspector, kGroupA).entries.empty());
}

TEST(LogInspectorTest, NeedsNoManifest) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  ASSERT_TRUE(file_system.Remove(absl::StrCat(kTestDirectory, "/MANIFEST")).ok());
  std::unique_ptr<LogInspector> inspector = Inspect(file_system);
  EXPECT_THAT(inspector->notes(), ElementsAre(HasSubstr("one copy of the manifest is bad")));
  EXPECT_TRUE(inspector->scan().ok());
  ASSERT_TRUE(file_system.Remove(absl::StrCat(kTestDirectory, "/MANIFEST.copy")).ok());
  inspector = Inspect(file_system);
  EXPECT_FALSE(inspector->scan().ok());
  EXPECT_THAT(inspector->Summaries(), SizeIs(3));
  EXPECT_EQ(ReadAll(*inspector, kGroupA).entries, Indexes(1, log.last().index));
}

TEST(LogInspectorTest, KnowsSparesAndPreparedBlocks) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  {
    SimulatedFileSystem other;
    BlockSet blocks(other,
                    {.directory = kTestDirectory,
                     .identity = TestOptions().identity,
                     .geometry = TestOptions().geometry},
                    {});
    ASSERT_TRUE(other.MakeDirectory(kTestDirectory).ok());
    ASSERT_TRUE(blocks.Prepare(4).ok());
    const std::string bytes = ReadWholeFile(other, log.PathOf(4)).value();
    ASSERT_TRUE(WriteFileAtomically(file_system, log.PathOf(4), bytes).ok());
  }
  const std::string spare = absl::StrCat(kTestDirectory, "/", SpareFileName(9));
  ASSERT_TRUE(WriteFileAtomically(file_system, spare, std::string(100, 'x')).ok());
  const std::vector<BlockSummary> blocks = Inspect(file_system)->Summaries();
  ASSERT_THAT(blocks, SizeIs(5));
  EXPECT_EQ(blocks[2].state, State::kHead);
  EXPECT_EQ(blocks[3].state, State::kPrepared);
  EXPECT_EQ(blocks[3].batches, 0u);
  EXPECT_EQ(blocks[4].state, State::kSpare);
  EXPECT_EQ(blocks[4].path, spare);
  EXPECT_EQ(blocks[4].bytes, 100u);
}

}  // namespace
}  // namespace cairn

#include "storage/block/log_verifier.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/damaged_log.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Alone, and with somebody who reads ahead, which changes nothing.
std::vector<VerifiedFile> Verify(FileSystem& file_system) {
  absl::StatusOr<std::unique_ptr<LogInspector>> log =
      LogInspector::Open(file_system, kTestDirectory);
  EXPECT_TRUE(log.ok()) << log.status();
  if (!log.ok()) return {};
  const SystemClock clock;
  ThreadExecutor beside(clock, "read ahead");
  std::vector<VerifiedFile> files = VerifyLog(**log);
  EXPECT_EQ(VerifyLog(**log, &beside), files);
  return files;
}

std::vector<LogFinding> FaultyOf(const std::vector<VerifiedFile>& files) {
  std::vector<LogFinding> all;
  for (const VerifiedFile& file : files) {
    all.insert(all.end(), file.faulty.begin(), file.faulty.end());
  }
  return all;
}

std::vector<LogFinding> TornOf(const std::vector<VerifiedFile>& files) {
  std::vector<LogFinding> all;
  for (const VerifiedFile& file : files) all.insert(all.end(), file.torn.begin(), file.torn.end());
  return all;
}

uint64_t CountOk(const std::vector<VerifiedFile>& files, GroupId group) {
  uint64_t count = 0;
  for (const VerifiedFile& file : files) {
    auto found = file.ok.find(group);
    if (found == file.ok.end()) continue;
    for (const IndexRange& range : found->second) count += range.last - range.first + 1;
  }
  return count;
}

TEST(LogVerifierTest, ACleanLogIsOk) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  const std::vector<VerifiedFile> files = Verify(file_system);
  ASSERT_THAT(files, SizeIs(3));
  for (const VerifiedFile& file : files) {
    EXPECT_THAT(file.torn, IsEmpty()) << file.path;
    EXPECT_THAT(file.faulty, IsEmpty()) << file.path;
    EXPECT_THAT(file.notes, IsEmpty()) << file.path;
  }
  EXPECT_EQ(CountOk(files, kGroupA), log.last().index);
  EXPECT_EQ(CountOk(files, kGroupB), 3u);
}

// Of every entry, also in the bodies of sealed blocks, which opening a log does not read.
TEST(LogVerifierTest, AFlippedEntryIsFaulty) {
  for (Index index = 1; index <= 20; ++index) {
    SimulatedFileSystem file_system;
    const DamagedLog log(file_system);
    if (index > log.last().index) break;
    const DamagedLog::Place place = log.Find(index);
    log.FlipEntry(index);
    const std::vector<VerifiedFile> files = Verify(file_system);
    const std::vector<LogFinding> faulty = FaultyOf(files);
    ASSERT_THAT(faulty, SizeIs(1)) << index;
    EXPECT_EQ(faulty[0].path, place.path);
    EXPECT_EQ(faulty[0].offset, place.offset);
    EXPECT_EQ(faulty[0].group, kGroupA);
    EXPECT_EQ(faulty[0].entries, (IndexRange{index, index}));
    EXPECT_EQ(faulty[0].reason, "it fails its checksums");
    EXPECT_THAT(TornOf(files), IsEmpty());
    EXPECT_EQ(CountOk(files, kGroupA), log.last().index - 1);
  }
}

TEST(LogVerifierTest, AnOverwrittenEntryDoesNoHarm) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  // The entry that stood at index 4 before another one did.
  const std::string bytes = ReadWholeFile(file_system, log.PathOf(1)).value();
  const size_t at = bytes.find(absl::StrCat("entry 4", std::string(10, 'p')));
  ASSERT_NE(at, std::string::npos);
  file_system.FlipBits(log.PathOf(1), at, 0x01);
  const std::vector<VerifiedFile> files = Verify(file_system);
  EXPECT_THAT(FaultyOf(files), IsEmpty());
  EXPECT_THAT(files[0].notes, ElementsAre(HasSubstr("no longer in the log")));
  EXPECT_EQ(CountOk(files, kGroupA), log.last().index);
}

TEST(LogVerifierTest, ATornTailIsTorn) {
  SimulatedFileSystem file_system;
  {
    LogDriver driver(file_system);
    driver.Append(kGroupA, 1, {"one"});
    ASSERT_TRUE(driver.Sync().ok());
    // The next batch ends in the middle of its data.
    uint64_t writes = 0;
    file_system.set_fault_hook([&](const FileAccess& access) {
      if (access.operation != FileAccess::Operation::kWrite) return FileFault();
      if (++writes > 1) return FileFault{.error = 5, .reached = FileFault::Reached::kNothing};
      return FileFault();
    });
    driver.Append(kGroupA, 1, {std::string(2000, 'x')});
    EXPECT_FALSE(driver.Sync().ok());
  }
  file_system.set_fault_hook(nullptr);
  // Of the data all but one sector in the middle reaches the disk.
  std::vector<PendingOperation> pending = file_system.Pending();
  CrashChoice choice;
  for (const PendingOperation& each : pending) {
    if (each.id != pending[pending.size() / 2].id) choice.kept.insert(each.id);
  }
  ASSERT_GT(pending.size(), 3u);
  file_system.Crash(choice);
  const std::vector<VerifiedFile> files = Verify(file_system);
  EXPECT_THAT(FaultyOf(files), IsEmpty());
  const std::vector<LogFinding> torn = TornOf(files);
  ASSERT_THAT(torn, SizeIs(1));
  EXPECT_EQ(torn[0].path, DamagedLog::PathOf(1));
  EXPECT_EQ(torn[0].group, kGroupA);
  EXPECT_EQ(torn[0].entries, (IndexRange{2, 2}));
  EXPECT_THAT(torn[0].reason, HasSubstr("never acknowledged"));
  EXPECT_EQ(CountOk(files, kGroupA), 1u);
}

// Whether a zero sector in the last batch is a power cut's doing is for the peers to decide;
// without a power cut it is rot.
TEST(LogVerifierTest, AZeroSectorAtTheEndMayBeTorn) {
  for (bool rebooted : {true, false}) {
    SimulatedFileSystem file_system;
    LogDriver driver(file_system);
    driver.Append(kGroupA, 1, {"one"});
    driver.Append(kGroupA, 1, {std::string(2000, 'x')});
    ASSERT_TRUE(driver.Sync().ok());
    const std::string bytes = ReadWholeFile(file_system, DamagedLog::PathOf(1)).value();
    const size_t offset = bytes.find(std::string(driver.model().at(kGroupA).At(2)->bytes().view()));
    ASSERT_NE(offset, std::string::npos);
    if (rebooted) file_system.Crash(CrashChoice());
    file_system.ZeroSector(DamagedLog::PathOf(1), offset + 1024);
    const std::vector<VerifiedFile> files = Verify(file_system);
    const std::vector<LogFinding> found = rebooted ? TornOf(files) : FaultyOf(files);
    ASSERT_THAT(found, SizeIs(1)) << rebooted;
    EXPECT_EQ(found[0].offset, offset);
    EXPECT_EQ(found[0].entries, (IndexRange{2, 2}));
    EXPECT_THAT(rebooted ? FaultyOf(files) : TornOf(files), IsEmpty());
  }
}

TEST(LogVerifierTest, AMissingBlockIsFaulty) {
  for (uint64_t block = 1; block <= 3; ++block) {
    SimulatedFileSystem file_system;
    const DamagedLog log(file_system);
    ASSERT_TRUE(file_system.Remove(log.PathOf(block)).ok());
    const std::vector<VerifiedFile> files = Verify(file_system);
    const std::vector<LogFinding> faulty = FaultyOf(files);
    ASSERT_FALSE(faulty.empty()) << block;
    std::string all;
    for (const LogFinding& each : faulty) absl::StrAppend(&all, each.reason, "\n");
    EXPECT_THAT(all, HasSubstr(BlockFileName(block)));
  }
}

TEST(LogVerifierTest, CopiesThatAreBadAreNotes) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  file_system.FlipBits(log.PathOf(1), 20, 0xff);    // header
  file_system.FlipBits(log.PathOf(1), 532, 0xff);   // seal
  file_system.FlipBits(log.PathOf(1), 1044, 0xff);  // head of the first batch
  const std::vector<VerifiedFile> files = Verify(file_system);
  EXPECT_THAT(FaultyOf(files), IsEmpty());
  EXPECT_THAT(files[0].notes, ElementsAre(HasSubstr("one header copy is bad, at 0"),
                                          HasSubstr("one seal copy is bad, at 512"),
                                          HasSubstr("one copy of its id record is bad, at 1024")));
}

TEST(LogVerifierTest, ALostBatchIsFaulty) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  // Both id records of a batch in the middle of block 1.
  const std::string bytes = ReadWholeFile(file_system, log.PathOf(1)).value();
  const DamagedLog::Place place = log.Find(2);
  const size_t head = bytes.rfind("\x4d\xc0\x4e\x1d", place.offset);
  const std::string start = bytes.substr(head, 64);
  const size_t copy = bytes.rfind(start);
  ASSERT_NE(copy, head);
  file_system.FlipBits(log.PathOf(1), head + 10, 0xff);
  file_system.FlipBits(log.PathOf(1), copy + 10, 0xff);
  const std::vector<LogFinding> faulty = FaultyOf(Verify(file_system));
  ASSERT_FALSE(faulty.empty());
  EXPECT_EQ(faulty[0].path, log.PathOf(1));
  EXPECT_EQ(faulty[0].offset, head);
  EXPECT_THAT(faulty[0].reason, HasSubstr("a batch is lost"));
}

TEST(LogVerifierTest, ADamagedManifestIsSaid) {
  SimulatedFileSystem file_system;
  const DamagedLog log(file_system);
  for (const char* name : {"/MANIFEST", "/MANIFEST.copy"}) {
    file_system.FlipBits(absl::StrCat(kTestDirectory, name), 10, 0x01);
    const std::vector<VerifiedFile> files = Verify(file_system);
    ASSERT_THAT(files, SizeIs(4));
    EXPECT_EQ(files[3].path, kTestDirectory);
    EXPECT_THAT(files[3].notes, SizeIs(1));
    EXPECT_THAT(files[3].faulty, SizeIs(absl::string_view(name) == "/MANIFEST" ? 0 : 1));
    EXPECT_EQ(CountOk(files, kGroupA), log.last().index);
  }
}

}  // namespace
}  // namespace cairn

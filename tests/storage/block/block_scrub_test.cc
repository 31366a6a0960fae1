// What rots in the sealed blocks of a log that is in use is found, by the scrub alone.

#include "storage/block/block_scrub.h"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/block/block_walk.h"
#include "storage/block/log_verifier.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"

namespace cairn {
namespace {

using testing::IsEmpty;
using testing::Not;

BlockLogOptions SmallBlocks(bool encrypted) {
  BlockLogOptions options = TestOptions();
  options.geometry.block_bytes = 8 << 10;
  if (encrypted) options.keys = TestRing(Cipher::kAes256Gcm);
  return options;
}

std::string PathOf(uint64_t block) { return JoinPath(kTestDirectory, BlockFileName(block)); }

// Group A: an entry a batch, some of them overwritten; group B: three entries in the first block.
void Fill(LogDriver& driver, size_t blocks = 4) {
  driver.Append(kGroupB, 1, {"one", "two", "three"});
  ASSERT_TRUE(driver.Sync().ok());
  driver.Append(kGroupA, 1, {"first", "second"});
  ASSERT_TRUE(driver.Sync().ok());
  driver.Truncate(kGroupA, 2, 2, {"another second"});
  ASSERT_TRUE(driver.Sync().ok());
  for (int i = 0; driver.log().figures().blocks < blocks; ++i) {
    driver.Append(kGroupA, 2, {absl::StrCat("entry ", i, std::string(300, 'p'))});
    ASSERT_TRUE(driver.Sync().ok());
  }
}

struct Round {
  std::set<std::pair<GroupId, Index>> damaged;
  std::vector<std::string> healed;
  std::vector<std::string> avoided;
  uint64_t bytes = 0;
  bool quiet() const { return damaged.empty() && healed.empty() && avoided.empty(); }
};

void Add(const ScrubStep& step, Round& round) {
  for (const ScrubFinding& finding : step.damaged) {
    EXPECT_TRUE(absl::IsDataLoss(finding.why)) << finding.why;
    round.damaged.insert({finding.group, finding.at.index});
  }
  round.healed.insert(round.healed.end(), step.healed.begin(), step.healed.end());
  round.avoided.insert(round.avoided.end(), step.avoided.begin(), step.avoided.end());
  round.bytes += step.bytes;
}

// What is left of a round.
Round Scrub(BlockLog& log, ScrubPosition position = {}, uint64_t max_bytes = 2048) {
  Round round;
  for (int i = 0; i < 10'000; ++i) {
    const ScrubStep step = log.scrub()->Step(position, max_bytes);
    Add(step, round);
    if (!step.round_ended) continue;
    EXPECT_EQ(position, ScrubPosition());
    return round;
  }
  ADD_FAILURE() << "a round without end";
  return round;
}

// As the offline tool sees it: entries that are faulty, and whether a copy is bad.
struct Verified {
  std::set<std::pair<GroupId, Index>> damaged;
  bool copy_bad = false;
  bool faulty = false;
};

Verified Verify(SimulatedFileSystem& file_system, const BlockLogOptions& options) {
  Verified verified;
  auto log = LogInspector::Open(file_system, kTestDirectory, options.keys);
  EXPECT_TRUE(log.ok()) << log.status();
  if (!log.ok()) return verified;
  for (const VerifiedFile& file : VerifyLog(**log)) {
    for (const LogFinding& finding : file.faulty) {
      verified.faulty = true;
      if (finding.group != GroupId::kNone) {
        verified.damaged.insert({finding.group, finding.entries.first});
      }
    }
    for (const std::string& note : file.notes) {
      verified.copy_bad |= !absl::StrContains(note, "no longer in the log");
    }
  }
  return verified;
}

void Repair(LogDriver& driver, const Round& round) {
  std::map<GroupId, std::vector<RecordRun>> runs;
  for (const auto& [group, index] : round.damaged) {
    runs[group].push_back(*driver.model().at(group).At(index));
  }
  for (const auto& [group, entries] : runs) {
    const absl::Status repaired = driver.store(group).Repair(entries);
    EXPECT_TRUE(repaired.ok()) << repaired;
  }
  EXPECT_TRUE(driver.Sync().ok());
}

// Writes until what is to be avoided is gone.
void WriteUntilGone(LogDriver& driver, SimulatedFileSystem& file_system, uint64_t block) {
  for (int i = 0; i < 40 && file_system.Exists(PathOf(block)).value(); ++i) {
    driver.Append(kGroupA, 2, {absl::StrCat("later ", i, std::string(300, 'q'))});
    ASSERT_TRUE(driver.Sync().ok());
  }
  EXPECT_FALSE(file_system.Exists(PathOf(block)).value());
}

void ExpectWhole(LogDriver& driver) {
  for (const auto& [group, log] : driver.model()) {
    EXPECT_EQ(Difference(driver.store(group), log), "");
  }
}

class BlockScrubTest : public testing::TestWithParam<bool> {
 protected:
  BlockLogOptions Options() const { return SmallBlocks(GetParam()); }
};

// Flips bytes of a log, one at a time while it is open, and lets the scrub look.
class Flips {
 public:
  explicit Flips(bool encrypted) : encrypted_(encrypted), options_(SmallBlocks(encrypted)) {
    LogDriver driver(origin_, options_);
    Fill(driver);
    model_ = driver.synced();
    origin_.RestartProcess();
  }

  void Try(uint64_t offset) {
    SCOPED_TRACE(offset);
    const std::unique_ptr<SimulatedFileSystem> disk = origin_.CrashImage({});
    LogDriver driver(*disk, options_);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    driver.set_model(model_);
    ASSERT_TRUE(Scrub(driver.log()).quiet());
    disk->FlipBits(PathOf(1), offset, 0x20);
    const Verified verified = Verify(*disk->CrashImage({}), options_);
    const Round round = Scrub(driver.log());
    EXPECT_EQ(round.damaged, verified.damaged);
    EXPECT_TRUE(!verified.copy_bad || !round.healed.empty() || !round.avoided.empty());
    found_ += round.quiet() ? 0 : 1;
    entries_ += round.damaged.size();
    healed_ += round.healed.size();
    avoided_ += round.avoided.size();
    Repair(driver, round);
    if (!round.avoided.empty()) WriteUntilGone(driver, *disk, 1);
    EXPECT_TRUE(Scrub(driver.log()).quiet());
    ExpectWhole(driver);
    const Verified after = Verify(*disk->CrashImage({}), options_);
    EXPECT_FALSE(after.faulty);
    EXPECT_FALSE(after.copy_bad);
  }

  void ExpectAllKinds() const {
    EXPECT_GT(entries_, 100u);
    EXPECT_GT(healed_, 100u);
    EXPECT_TRUE(encrypted_ || avoided_ > 100u) << "of the footer";
  }

  uint64_t bytes() const { return options_.geometry.block_bytes; }
  uint64_t found() const { return found_; }

 private:
  const bool encrypted_;
  const BlockLogOptions options_;
  SimulatedFileSystem origin_;
  Model model_;
  uint64_t found_ = 0, entries_ = 0, healed_ = 0, avoided_ = 0;
};

TEST(BlockScrubFlipTest, EachByteOfASealedBlock) {
  Flips flips(/*encrypted=*/false);
  for (uint64_t offset = 0; offset < flips.bytes(); ++offset) flips.Try(offset);
  flips.ExpectAllKinds();
}

TEST(BlockScrubFlipTest, BytesOfAnEncryptedBlock) {
  Flips flips(/*encrypted=*/true);
  for (uint64_t offset = 0; offset < flips.bytes(); offset += 7) flips.Try(offset);
  flips.ExpectAllKinds();
}

// As rot, and nobody else's matter.
TEST_P(BlockScrubTest, AReadThatFailsIsAsRot) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system, Options());
  Fill(driver);
  file_system.FailReads(PathOf(2), 2048, 512);
  const Round round = Scrub(driver.log());
  EXPECT_THAT(round.damaged, Not(IsEmpty()));
  Repair(driver, round);
  EXPECT_THAT(Scrub(driver.log()).damaged, IsEmpty());
  driver.Append(kGroupA, 2, {"goes on"});
  EXPECT_TRUE(driver.Sync().ok());
  ExpectWhole(driver);
}

TEST_P(BlockScrubTest, ABlockThatCannotBeReadAtAll) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system, Options());
  Fill(driver);
  file_system.FailReads(PathOf(1), 0, 8 << 10);
  const Round round = Scrub(driver.log());
  EXPECT_THAT(round.avoided, Not(IsEmpty()));
  EXPECT_GE(round.damaged.size(), 5u);
  EXPECT_TRUE(round.damaged.contains({kGroupB, 1}));
}

// Both id records are bad: no record of the batch can be told from another one.
TEST_P(BlockScrubTest, ALostBatchIsFoundAndItsBlockEmptied) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system, Options());
  Fill(driver);
  const auto file = BlockFile::Open(file_system, PathOf(2), 2, Options().identity,
                                    Options().keys.get(), FileSystem::OpenMode::kRead);
  ASSERT_TRUE(file.ok());
  const auto walk = WalkBlock(**file, ReadSeal(**file).seal, 0);
  ASSERT_TRUE(walk.ok());
  ASSERT_GE(walk->batches.size(), 3u);
  const FoundBatch& lost = walk->batches[1];
  const uint64_t unit = (*file)->geometry().unit_bytes;
  for (uint64_t at : {lost.id.data_begin, lost.id.id_begin}) {
    file_system.FlipBits(PathOf(2), at / unit * 512 + 60, 1);
  }
  const Index index = lost.id.sections.front().appended.value().first;
  const Round round = Scrub(driver.log());
  EXPECT_EQ(round.damaged, (std::set<std::pair<GroupId, Index>>{{kGroupA, index}}));
  EXPECT_THAT(round.avoided, Not(IsEmpty()));
  EXPECT_TRUE(Verify(*file_system.CrashImage({}), Options()).faulty);
  Repair(driver, round);
  WriteUntilGone(driver, file_system, 2);
  EXPECT_TRUE(Scrub(driver.log()).quiet());
  ExpectWhole(driver);
  EXPECT_FALSE(Verify(*file_system.CrashImage({}), Options()).faulty);
}

TEST_P(BlockScrubTest, TheManifestIsWrittenAgain) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system, Options());
  file_system.FlipBits(JoinPath(kTestDirectory, "MANIFEST.copy"), 20, 1);
  EXPECT_EQ(Scrub(driver.log()).healed.size(), 1u);
  EXPECT_TRUE(Scrub(driver.log()).quiet());
}

TEST_P(BlockScrubTest, WhatFailsToBeWrittenAgainHarmsNothing) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system, Options());
  Fill(driver);
  file_system.FlipBits(PathOf(1), 30, 1);
  file_system.set_fault_hook(NthFault(FileAccess::Operation::kSync, PathOf(1), 1, {.error = EIO}));
  EXPECT_EQ(Scrub(driver.log()).avoided.size(), 1u);
  file_system.set_fault_hook({});
  driver.Append(kGroupA, 2, {"goes on"});
  EXPECT_TRUE(driver.Sync().ok());
  ExpectWhole(driver);
  WriteUntilGone(driver, file_system, 1);
  EXPECT_EQ(file_system.uses_after_failure(), 0u);
}

// What is in use in a block to be avoided is copied away, and what of it cannot be read is told.
TEST_P(BlockScrubTest, WhoCopiesTellsWhatCannotBeRead) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system, Options());
  Fill(driver);
  file_system.FlipBits(PathOf(1), 30, 1);
  file_system.set_fault_hook(NthFault(FileAccess::Operation::kSync, PathOf(1), 1, {.error = EIO}));
  ASSERT_EQ(Scrub(driver.log()).avoided.size(), 1u);
  file_system.set_fault_hook({});
  file_system.FailReads(PathOf(1), 1024, 512);
  for (int i = 0; i < 5; ++i) {
    driver.Append(kGroupA, 2, {"goes on"});
    ASSERT_TRUE(driver.Sync().ok());
  }
  const Round round = Scrub(driver.log(), {.block = 1'000});
  EXPECT_EQ(round.bytes, 0u) << "nothing was read for it";
  EXPECT_TRUE(round.damaged.contains({kGroupB, 1}));
  Repair(driver, round);
  WriteUntilGone(driver, file_system, 1);
  ExpectWhole(driver);
}

// Between two steps nothing is held, so blocks are released as if nobody read them.
TEST_P(BlockScrubTest, BlocksAreReleasedBetweenSteps) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system, Options());
  Fill(driver, 5);
  ScrubPosition position;
  while (position.block < 2 || position.batch == 0) driver.log().scrub()->Step(position, 600);
  ASSERT_EQ(position.block, 2u);
  driver.Drop(kGroupB, 3);
  driver.Drop(kGroupA, driver.model().at(kGroupA).last().index);
  WriteUntilGone(driver, file_system, 2);
  EXPECT_TRUE(Scrub(driver.log(), position).quiet());
  ExpectWhole(driver);
}

// Nor is what is truncated, dropped and recycled while it is being read taken for rot.
TEST_P(BlockScrubTest, BlocksAreDroppedWhileTheyAreRead) {
  for (uint64_t nth = 1; nth < 12; ++nth) {
    SCOPED_TRACE(nth);
    SimulatedFileSystem file_system;
    LogDriver driver(file_system, Options());
    Fill(driver);
    bool dropped = false;
    uint64_t reads = 0;
    file_system.set_fault_hook([&](const FileAccess& access) {
      if (access.operation != FileAccess::Operation::kReadDirect || dropped || ++reads < nth) {
        return FileFault();
      }
      dropped = true;
      driver.Drop(kGroupB, 3);
      driver.Drop(kGroupA, driver.model().at(kGroupA).last().index);
      for (int i = 0; i < 20; ++i) {
        driver.Append(kGroupA, 3, {absl::StrCat("later ", i, std::string(300, 'q'))});
        EXPECT_TRUE(driver.Sync().ok());
      }
      return FileFault();
    });
    EXPECT_TRUE(Scrub(driver.log()).quiet());
    EXPECT_TRUE(dropped);
    EXPECT_TRUE(Scrub(driver.log()).quiet());
    ExpectWhole(driver);
  }
}

TEST_P(BlockScrubTest, GoesOnInTheMiddleAfterAStart) {
  SimulatedFileSystem file_system;
  ScrubPosition position;
  Model model;
  uint64_t whole = 0;
  {
    LogDriver driver(file_system, Options());
    Fill(driver);
    whole = Scrub(driver.log()).bytes;
    while (position.block < 2 || position.batch == 0) driver.log().scrub()->Step(position, 600);
    model = driver.synced();
  }
  file_system.RestartProcess();
  LogDriver driver(file_system, Options());
  driver.set_model(model);
  file_system.FlipBits(PathOf(1), 30, 1);
  const Round rest = Scrub(driver.log(), position);
  EXPECT_TRUE(rest.quiet()) << "block 1 is behind it";
  EXPECT_LT(rest.bytes, whole);
  EXPECT_EQ(Scrub(driver.log()).healed.size(), 1u);
}

TEST_P(BlockScrubTest, PositionsThatMakeNoSense) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system, Options());
  Fill(driver);
  for (const ScrubPosition& position :
       {ScrubPosition{1, 1, 1, 1}, ScrubPosition{1, 4096, 4096, 2}, ScrubPosition{2, 1536, 6144, 3},
        ScrubPosition{1, uint64_t{1} << 60, uint64_t{1} << 61, 1}, ScrubPosition{2, 0, 0, 9},
        ScrubPosition{1, 1024, 7168, uint64_t{1} << 60}, ScrubPosition{uint64_t{1} << 60}}) {
    EXPECT_TRUE(Scrub(driver.log(), position).quiet()) << position.block << " " << position.offset;
  }
}

// Rather more than is asked for, where a batch has more; but it gets on.
TEST_P(BlockScrubTest, ReadsAboutAsMuchAsItIsTold) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system, Options());
  Fill(driver);
  ScrubPosition position;
  EXPECT_LT(driver.log().scrub()->Step(position, 1).bytes, 32u << 10);
  EXPECT_TRUE(Scrub(driver.log(), {}, 1).quiet());
  EXPECT_TRUE(Scrub(driver.log(), {}, uint64_t{1} << 40).quiet());
}

// A step that ends where much is bad would have it repaired piece by piece.
TEST_P(BlockScrubTest, WhatIsBadInARowIsToldTogether) {
  SimulatedFileSystem file_system;
  BlockLogOptions options = Options();
  options.geometry.block_bytes = 16 << 10;
  LogDriver driver(file_system, options);
  Fill(driver);
  for (uint64_t unit = 5; unit < 12; ++unit) {
    file_system.FlipBits(PathOf(2), unit * kSectorBytes + 300, 0x20);
  }
  ScrubPosition position;
  std::vector<size_t> told;
  ScrubStep step;
  do {
    step = driver.log().scrub()->Step(position, 12 << 10);
    if (!step.damaged.empty()) told.push_back(step.damaged.size());
  } while (!step.round_ended);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_GE(told[0], 3u);
}

// What a log holds that is open already is in memory, and the disk is not asked; the scrub does.
TEST(BlockScrubMemoryTest, IsNotDeceivedByWhatIsKeptInMemory) {
  SimulatedFileSystem file_system;
  BlockLogOptions options = SmallBlocks(false);
  options.recent_bytes = 1 << 20;
  LogDriver driver(file_system, options);
  Fill(driver);
  const std::string content = ReadWholeFile(file_system, PathOf(1)).value();
  file_system.FlipBits(PathOf(1), content.find("another second"), 1);
  const Round round = Scrub(driver.log());
  EXPECT_EQ(round.damaged, (std::set<std::pair<GroupId, Index>>{{kGroupA, 2}}));
  ExpectWhole(driver);
  const auto kept = driver.store(kGroupA).Read(2, 2, 1);
  ASSERT_TRUE(kept.ok());
  ASSERT_TRUE(driver.store(kGroupA).Repair(*kept).ok());
  EXPECT_TRUE(driver.Sync().ok());
  EXPECT_TRUE(Scrub(driver.log()).quiet());
}

INSTANTIATE_TEST_SUITE_P(Kinds, BlockScrubTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Encrypted" : "Plain"; });

}  // namespace
}  // namespace cairn

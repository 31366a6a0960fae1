// A block log of which whole blocks are lost (fault catalogue D8, D12, D15): their files are
// missing, cut short, zeros, or without a header. It is opened all the same: what they held is
// asked of others, and where nobody can tell what that was the group says that it may have
// forgotten what it promised.

#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_verifier.h"
#include "storage/crash_choice.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/faulty_indexes.h"

namespace cairn {
namespace {

using Disk = std::unique_ptr<SimulatedFileSystem>;

constexpr uint64_t kBlocks = 4;
constexpr HardState kVote = {.term = 3, .vote = NodeId{3}};

std::string PathOf(uint64_t block) { return JoinPath(kTestDirectory, BlockFileName(block)); }

enum class Kind { kPlain, kEncrypted, kCompressed };

BlockLogOptions OptionsOf(Kind kind) {
  BlockLogOptions options = TestOptions();
  if (kind == Kind::kEncrypted) options.keys = TestRing(Cipher::kAes256Gcm);
  if (kind == Kind::kCompressed) options.compression = LogCompression::kZstd;
  options.compression_distance = 1;
  return options;
}

void Resize(SimulatedFileSystem& disk, uint64_t block, uint64_t length) {
  auto file = disk.Open(PathOf(block), {.mode = FileSystem::OpenMode::kReadWrite});
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Resize(length).ok());
  ASSERT_TRUE(disk.SyncNow(**file).ok());
}

// A way to lose a block.
struct Way {
  std::string name;
  std::function<void(SimulatedFileSystem& disk, uint64_t block, uint64_t size)> lose;
};

void Remove(SimulatedFileSystem& disk, uint64_t block, uint64_t) {
  ASSERT_TRUE(disk.Remove(PathOf(block)).ok());
  ASSERT_TRUE(disk.SyncDirectory(kTestDirectory).ok());
}

void Zero(SimulatedFileSystem& disk, uint64_t block, uint64_t size) {
  for (uint64_t at = 0; at < size; at += kSectorBytes) disk.ZeroSector(PathOf(block), at);
}

std::vector<Way> Ways(uint64_t size) {
  std::vector<Way> ways = {{"missing", Remove}, {"zeros", Zero}};
  ways.push_back({"without headers", [](SimulatedFileSystem& disk, uint64_t block, uint64_t bytes) {
                    disk.FlipBits(PathOf(block), 9, 1);
                    for (const uint64_t unit : {uint64_t{512}, uint64_t{4096}}) {
                      disk.FlipBits(PathOf(block), bytes - unit + 9, 1);
                    }
                  }});
  for (uint64_t length = 0; length < size; length += 7 * kSectorBytes) {
    for (const uint64_t cut : {length, length + 1}) {
      ways.push_back({absl::StrCat("cut to ", cut), [cut](SimulatedFileSystem& disk, uint64_t block,
                                                          uint64_t) { Resize(disk, block, cut); }});
    }
  }
  ways.push_back({"one byte less", [](SimulatedFileSystem& disk, uint64_t block, uint64_t bytes) {
                    Resize(disk, block, bytes - 1);
                  }});
  return ways;
}

// A log of several blocks, all of it synced: group A has entries in each, group B some in the first
// one and its vote in the second one.
class LostBlockTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { Write(/*entries_a_term=*/1000); }

  void Write(uint64_t entries_a_term) {
    disk_ = std::make_unique<SimulatedFileSystem>();
    last_in_ = {0};
    LogDriver driver(*disk_, options_);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    driver.Append(kGroupB, 1, {"one", "two", "three"});
    for (uint64_t block = 1; block <= kBlocks;) {
      const Index last = driver.log().figures().batches + 1;  // an entry a batch
      driver.Append(kGroupA, 1 + last / entries_a_term, {std::string(700, 'x')});
      ASSERT_TRUE(driver.Sync().ok());
      // The one that did not fit stands in the next one.
      if (driver.log().figures().blocks > block) {
        ++block;
        last_in_.push_back(last - 1);
        if (block == 2) driver.Vote(kGroupB, kVote);
      }
      if (block == kBlocks && last == last_in_.back() + 4) break;
    }
    last_in_.push_back(driver.model().at(kGroupA).last().index);
    while (driver.log().scrub()->Compress(1 << 20).bytes != 0) {
    }
    model_ = driver.synced();
    driver_.reset();
    disk_->RestartProcess();
    written_ = disk_->WorstCaseImage();
  }

  // Of the file.
  uint64_t SizeOf(uint64_t block) const {
    return ReadWholeFile(*written_, PathOf(block)).value().size();
  }
  void Lose(uint64_t block, const Way& way) { way.lose(*disk_, block, SizeOf(block)); }
  void Lose(uint64_t block) { Resize(*disk_, block, 600); }

  void Start() {
    driver_.reset();
    disk_->RestartProcess();
    driver_ = std::make_unique<LogDriver>(*disk_, options_);
    ASSERT_TRUE(driver_->status().ok()) << driver_->status();
  }
  // What a start says of the group: its last entry, whether it is unsure, what it cannot read.
  std::string Found(GroupId group) {
    const RecoveredLog& found = driver_->recovered(group);
    std::string text = absl::StrCat(driver_->store(group).last().index);
    if (found.hard_state_lost) absl::StrAppend(&text, " lost");
    if (found.faulty.empty()) return text;
    const Index first = found.faulty.front().first.index;
    const Index last = found.faulty.back().last;
    EXPECT_EQ(FaultyIndexes(found).size(), last - first + 1);
    return absl::StrCat(text, " without ", first, "..", last);
  }
  std::string ExpectedOfA(uint64_t block) const {
    if (block == kBlocks) return absl::StrCat(last_in_[block - 1], " lost");
    return absl::StrCat(last_in_[kBlocks], " without ", last_in_[block - 1] + 1, "..",
                        last_in_[block]);
  }
  static std::string ExpectedOfB(uint64_t block) {
    if (block == kBlocks) return "3 lost";
    return block == 1 ? "3 without 1..3" : "3";
  }
  // Entries first..last of the group as a peer has them.
  std::vector<RecordRun> Entries(GroupId group, Index first, Index last) const {
    std::vector<RecordRun> runs;
    for (Index i = first; i <= last; ++i) runs.push_back(*model_.at(group).At(i));
    return runs;
  }
  absl::Status RepairAll() {
    for (const GroupId group : {kGroupA, kGroupB}) {
      const std::vector<FaultyEntries> faulty = driver_->recovered(group).faulty;
      if (faulty.empty()) continue;
      // One behind the other, as a peer's answers come.
      const absl::Status status = driver_->store(group).Repair(
          Entries(group, faulty.front().first.index, faulty.back().last));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  // As a leader does that has caught it up.
  void BeSure(GroupId group) {
    LogAppend append;
    append.hard_state = kVote;
    const Index last = driver_->store(group).last().index;
    append.runs = Entries(group, last + 1, model_.at(group).last().index);
    append.sure = true;
    ASSERT_TRUE(driver_->store(group).Append(append).ok());
    ASSERT_TRUE(driver_->Sync().ok());
    model_.at(group).hard_state = kVote;
  }
  // The log goes on in another block.
  void Roll() {
    driver_->set_model(model_);
    const uint64_t blocks = driver_->log().figures().blocks;
    for (int i = 0; driver_->log().figures().blocks <= blocks && i < 40; ++i) {
      driver_->Append(kGroupA, 20, {std::string(700, 'y')});
      ASSERT_TRUE(driver_->Sync().ok());
    }
    model_ = driver_->synced();
  }
  // What `cairn log verify` finds that may have been acknowledged.
  std::string Verified() {
    driver_.reset();
    disk_->RestartProcess();
    const auto log = LogInspector::Open(*disk_, kTestDirectory, options_.keys);
    EXPECT_TRUE(log.ok()) << log.status();
    std::string text;
    for (const VerifiedFile& file : VerifyLog(**log)) {
      for (const LogFinding& each : file.faulty) {
        absl::StrAppend(&text, each.path, ":", each.entries.first, "..", each.entries.last, " ",
                        each.reason, "\n");
      }
    }
    return text;
  }
  void ExpectAllThere() {
    for (const GroupId group : {kGroupA, kGroupB}) {
      EXPECT_EQ(Difference(driver_->recovered(group), model_.at(group)), "");
      EXPECT_EQ(Difference(driver_->store(group), model_.at(group)), "");
    }
  }

  const BlockLogOptions options_ = OptionsOf(GetParam());
  Disk disk_;
  Disk written_;
  std::unique_ptr<LogDriver> driver_;
  Model model_;
  std::vector<Index> last_in_;  // by block, of group A
};

INSTANTIATE_TEST_SUITE_P(Kinds, LostBlockTest,
                         testing::Values(Kind::kPlain, Kind::kEncrypted, Kind::kCompressed));

TEST_P(LostBlockTest, EachBlockInEachWay) {
  for (uint64_t block = 1; block <= kBlocks; ++block) {
    for (const Way& way : Ways(SizeOf(block))) {
      SCOPED_TRACE(absl::StrCat("block ", block, " ", way.name));
      driver_.reset();
      disk_ = written_->WorstCaseImage();
      Lose(block, way);
      EXPECT_TRUE(absl::StrContains(Verified(), PathOf(block))) << Verified();
      for (int start = 0; start < 2; ++start) {
        ASSERT_NO_FATAL_FAILURE(Start());
        EXPECT_EQ(Found(kGroupA), ExpectedOfA(block));
        EXPECT_EQ(Found(kGroupB), ExpectedOfB(block));
        if (block != kBlocks) {
          EXPECT_EQ(driver_->recovered(kGroupB).hard_state, kVote);
        }
      }
    }
  }
}

TEST_P(LostBlockTest, ItIsWholeAgain) {
  const Model model = model_;
  for (uint64_t block = 1; block <= kBlocks; ++block) {
    for (const Way& way : {Way{"missing", Remove}, Way{"zeros", Zero}}) {
      SCOPED_TRACE(absl::StrCat("block ", block, " ", way.name));
      driver_.reset();
      disk_ = written_->WorstCaseImage();
      model_ = model;
      Lose(block, way);
      ASSERT_NO_FATAL_FAILURE(Start());
      ASSERT_TRUE(RepairAll().ok());
      if (block == kBlocks) {
        BeSure(kGroupA);
        BeSure(kGroupB);
      }
      EXPECT_EQ(Verified(), "");
      ASSERT_NO_FATAL_FAILURE(Start());
      ExpectAllThere();
      Roll();
      EXPECT_FALSE(disk_->Exists(PathOf(block)).value()) << "nothing of it is missing any more";
      ASSERT_NO_FATAL_FAILURE(Start());
      ExpectAllThere();
    }
  }
}

// Every set of blocks: what is left is read, and nothing else is made of it.
TEST_P(LostBlockTest, SeveralOfThem) {
  const Model model = model_;
  for (uint64_t lost = 1; lost < uint64_t{1} << kBlocks; ++lost) {
    for (const bool gone : {false, true}) {
      if (gone && lost + 1 == uint64_t{1} << kBlocks) continue;
      SCOPED_TRACE(absl::StrCat("blocks ", lost, gone ? " gone" : ""));
      driver_.reset();
      disk_ = written_->WorstCaseImage();
      model_ = model;
      for (uint64_t block = 1; block <= kBlocks; ++block) {
        if ((lost >> (block - 1) & 1) == 0) continue;
        if (gone) {
          Remove(*disk_, block, 0);
        } else {
          Lose(block);
        }
      }
      uint64_t last = kBlocks;
      while (last > 0 && (lost >> (last - 1) & 1) != 0) --last;
      for (int start = 0; start < 2; ++start) {
        ASSERT_NO_FATAL_FAILURE(Start());
        EXPECT_EQ(driver_->store(kGroupA).last().index, last_in_[last]);
        EXPECT_EQ(driver_->store(kGroupB).last().index, last == 0 ? 0 : 3);
        for (const GroupId group : {kGroupA, kGroupB, kGroupC}) {
          EXPECT_EQ(driver_->recovered(group).hard_state_lost, last < kBlocks);
        }
      }
      ASSERT_TRUE(RepairAll().ok());
      if (last < kBlocks) {
        for (const GroupId group : {kGroupA, kGroupB}) BeSure(group);
      }
      ASSERT_NO_FATAL_FAILURE(Start());
      ExpectAllThere();
    }
  }
}

// Nobody can tell which terms the lost entries had: the log ends before them.
TEST_P(LostBlockTest, WhereTheTermsDiffer) {
  Write(/*entries_a_term=*/2);
  const Model model = model_;
  for (uint64_t block = 1; block < kBlocks; ++block) {
    SCOPED_TRACE(block);
    driver_.reset();
    disk_ = written_->WorstCaseImage();
    model_ = model;
    Lose(block);
    EXPECT_TRUE(absl::StrContains(
        Verified(), absl::StrCat(":", last_in_[block - 1] + 1, "..", last_in_[kBlocks])))
        << Verified();
    for (int start = 0; start < 3; ++start) {
      ASSERT_NO_FATAL_FAILURE(Start());
      EXPECT_EQ(Found(kGroupA), absl::StrCat(last_in_[block - 1], " lost"));
      EXPECT_EQ(Found(kGroupB), ExpectedOfB(block));
      EXPECT_EQ(driver_->recovered(kGroupA).known_commit, 0u);
    }
    ASSERT_TRUE(RepairAll().ok());
    BeSure(kGroupA);
    EXPECT_EQ(Verified(), "");
    ASSERT_NO_FATAL_FAILURE(Start());
    ExpectAllThere();
    Roll();
    ASSERT_NO_FATAL_FAILURE(Start());
    ExpectAllThere();
  }
}

// The lost block cut off entries before it, and one behind it did once more, so that no index is
// missing: what stands before is another log.
TEST_P(LostBlockTest, WhereOtherEntriesStood) {
  for (const bool same_end : {false, true}) {
    SCOPED_TRACE(same_end);
    disk_ = std::make_unique<SimulatedFileSystem>();
    {
      LogDriver driver(*disk_, options_);
      driver.Append(kGroupA, 1, {"1", "2", "3", "4", "5", "6"});
      ASSERT_TRUE(driver.Sync().ok());
      const auto fill = [&](uint64_t block) {
        while (driver.log().figures().blocks < block) {
          driver.Append(kGroupB, 1, {std::string(700, 'x')});
          ASSERT_TRUE(driver.Sync().ok());
        }
      };
      fill(2);
      driver.Truncate(kGroupA, 3, 2, {"other 3", "other 4", "other 5"});
      ASSERT_TRUE(driver.Sync().ok());
      fill(3);
      if (same_end) {
        driver.Truncate(kGroupA, 5, 3, {});
      } else {
        driver.Truncate(kGroupA, 5, 3, {"another 5"});
      }
      ASSERT_TRUE(driver.Sync().ok());
      fill(4);
      model_ = driver.synced();
    }
    Remove(*disk_, 2, 0);
    for (int start = 0; start < 2; ++start) {
      ASSERT_NO_FATAL_FAILURE(Start());
      EXPECT_EQ(Found(kGroupA), same_end ? "3 lost" : "4 lost");
      // Older, not another.
      EXPECT_EQ(driver_->store(kGroupA).HashAt(2).value(), model_.at(kGroupA).At(2)->last_hash());
    }
  }
}

// Opening ends at any call, and the power goes or does not.
TEST_P(LostBlockTest, ACrashWhileItIsOpened) {
  Write(/*entries_a_term=*/2);
  for (const std::vector<uint64_t>& lost :
       {std::vector<uint64_t>{1, 2}, std::vector<uint64_t>{kBlocks},
        std::vector<uint64_t>{1, 2, 3, 4}}) {
    disk_ = written_->WorstCaseImage();
    for (const uint64_t block : lost) Lose(block);
    const Disk damaged = disk_->WorstCaseImage();
    ASSERT_NO_FATAL_FAILURE(Start());
    const std::string a = Found(kGroupA);
    const std::string b = Found(kGroupB);
    bool reached_end = false;
    for (uint64_t nth = 1; !reached_end; ++nth) {
      for (const bool power_cut : {false, true}) {
        SCOPED_TRACE(absl::StrCat(lost.size(), " lost, call ", nth, power_cut ? " power cut" : ""));
        driver_.reset();
        disk_ = damaged->WorstCaseImage();
        uint64_t calls = 0;
        disk_->set_fault_hook([&](const FileAccess&) {
          FileFault fault;
          if (++calls >= nth) fault.error = EIO;
          return fault;
        });
        { LogDriver driver(*disk_, options_); }
        reached_end = calls < nth;
        disk_->set_fault_hook({});
        if (power_cut) disk_ = disk_->WorstCaseImage();
        ASSERT_NO_FATAL_FAILURE(Start());
        EXPECT_EQ(Found(kGroupA), a);
        EXPECT_EQ(Found(kGroupB), b);
      }
    }
  }
}

// A power cut at each write and sync of a repair: the entries are missing as before, or there.
TEST_P(LostBlockTest, APowerCutAtEachStepOfARepair) {
  Lose(2);
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string missing = Found(kGroupA);
  Random random(7);
  std::vector<Disk> cuts;
  disk_->set_fault_hook([&](const FileAccess&) {
    for (const CrashChoice& choice :
         EnumerateCrashes(disk_->Pending(), {.exhaustive = 4, .samples = 8}, random)) {
      cuts.push_back(disk_->CrashImage(choice));
    }
    return FileFault();
  });
  ASSERT_TRUE(RepairAll().ok());
  disk_->set_fault_hook(nullptr);
  cuts.push_back(disk_->WorstCaseImage());
  int repaired = 0;
  for (Disk& cut : cuts) {
    driver_.reset();
    disk_ = std::move(cut);
    ASSERT_NO_FATAL_FAILURE(Start());
    if (Found(kGroupA) == missing) {
      ASSERT_TRUE(RepairAll().ok());
    } else {
      ++repaired;
    }
    ASSERT_NO_FATAL_FAILURE(Start());
    ExpectAllThere();
  }
  EXPECT_GT(repaired, 0);
  EXPECT_GT(cuts.size(), 10u);
}

// A loss makes nobody believe what is another's, or do without a key.
TEST_P(LostBlockTest, OthersAreRefusedAllTheSame) {
  Lose(2);
  BlockLogOptions other = options_;
  other.identity.node = NodeId{99};
  EXPECT_TRUE(absl::IsFailedPrecondition(BlockLog::Open(*disk_, other).status()));
  if (GetParam() != Kind::kEncrypted) return;
  for (uint64_t block = 1; block < kBlocks; ++block) Lose(block);
  other = options_;
  other.keys = nullptr;
  EXPECT_TRUE(absl::IsFailedPrecondition(BlockLog::Open(*disk_, other).status()));
}

TEST_P(LostBlockTest, WithoutAnyFileItIsRefused) {
  for (uint64_t block = 1; block <= kBlocks; ++block) Remove(*disk_, block, 0);
  EXPECT_TRUE(absl::IsDataLoss(BlockLog::Open(*disk_, options_).status()));
}

}  // namespace
}  // namespace cairn

// An opening of a damaged log decides what became of its last batch, seals the block and begins
// another one. Wherever it ends, the next opening comes to the same.

#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/block/log_inspector.h"
#include "storage/file_system.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/repair/lost_end.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/faulty_indexes.h"

namespace cairn {
namespace {

// A log of some batches, each with an entry of group A that is longer than a sector, and each
// written by a process of its own.
class WrittenDisk {
 public:
  explicit WrittenDisk(int batches) {
    for (int i = 0; i < batches; ++i) {
      LogDriver driver(*files_);
      driver.set_model(model_);
      driver.Append(kGroupA, 2, {std::string(1500, 'a')});
      EXPECT_TRUE(driver.Sync().ok());
      model_ = driver.model();
      files_->RestartProcess();
    }
  }

  void CutPower() { files_ = files_->WorstCaseImage(); }
  // A sector of the entry never reached the disk, or so it looks.
  void ZeroEntryOf(uint64_t batch) { ZeroSector(Find(batch).id.data_begin + 1000); }
  void ZeroHeadOf(uint64_t batch) { ZeroSector(Find(batch).id.data_begin); }
  void FlipIdRecordOf(uint64_t batch) { files_->FlipBits(Path(), Find(batch).id.id_begin, 1); }
  void LoseEnd() {
    const absl::Status lost = LoseEndOfLog(*files_, kTestDirectory);
    EXPECT_TRUE(lost.ok()) << lost;
  }

  std::unique_ptr<SimulatedFileSystem> Take() { return std::move(files_); }

 private:
  static std::string Path() { return JoinPath(kTestDirectory, BlockFileName(1)); }
  void ZeroSector(uint64_t offset) { files_->ZeroSector(Path(), offset); }
  FoundBatch Find(uint64_t batch) const {
    return LogInspector::Open(*files_, kTestDirectory).value()->Walk(1)->batches.at(batch - 1);
  }

  std::unique_ptr<SimulatedFileSystem> files_ = std::make_unique<SimulatedFileSystem>();
  Model model_;
};

std::string WhatIsFound(SimulatedFileSystem& disk) {
  LogDriver driver(disk);
  if (!driver.status().ok()) return driver.status().ToString();
  const RecoveredLog& found = driver.recovered(kGroupA);
  std::string text = absl::StrCat("up to ", driver.store(kGroupA).last().index);
  if (found.hard_state_lost) absl::StrAppend(&text, ", lost");
  if (found.torn_from) absl::StrAppend(&text, ", maybe torn from ", *found.torn_from);
  for (const Index index : FaultyIndexes(found)) absl::StrAppend(&text, ", faulty ", index);
  return text;
}

bool IsSealed(SimulatedFileSystem& disk) {
  return LogInspector::Open(disk, kTestDirectory).value()->blocks().at(1).seal.seal.has_value();
}

using Damaged = std::function<std::unique_ptr<SimulatedFileSystem>()>;

// An opening that ends at each of its calls, and the one after it. `undecided`: what that finds
// after a power cut if the first one had not decided anything yet.
void ExpectAlways(const Damaged& damaged, const std::string& expected,
                  const std::string& undecided) {
  ASSERT_EQ(WhatIsFound(*damaged()), expected);
  bool reached_end = false;
  for (uint64_t nth = 1; !reached_end; ++nth) {
    for (const bool power_cut : {false, true}) {
      SCOPED_TRACE(absl::StrCat("call ", nth, power_cut ? ", power cut" : ""));
      std::unique_ptr<SimulatedFileSystem> disk = damaged();
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
      const bool decided = !power_cut || IsSealed(*disk);
      ASSERT_EQ(WhatIsFound(*disk), decided ? expected : undecided);
    }
  }
}
void ExpectAlways(const Damaged& damaged, const std::string& expected) {
  ExpectAlways(damaged, expected, expected);
}

// What proves batch 2 synced is the one behind it, of which nothing else is left.
TEST(InterruptedOpeningTest, BehindItABatchIsLost) {
  ExpectAlways(
      [] {
        WrittenDisk disk(3);
        disk.CutPower();
        disk.ZeroEntryOf(2);
        disk.LoseEnd();
        return disk.Take();
      },
      "up to 2, lost, faulty 2");
}

TEST(InterruptedOpeningTest, BehindItSomethingIsTorn) {
  ExpectAlways(
      [] {
        WrittenDisk disk(3);
        disk.CutPower();
        disk.ZeroEntryOf(2);
        disk.FlipIdRecordOf(3);
        disk.ZeroHeadOf(3);
        return disk.Take();
      },
      "up to 2, faulty 2");
}

TEST(InterruptedOpeningTest, BehindItABatchIsCut) {
  ExpectAlways(
      [] {
        WrittenDisk disk(3);
        disk.CutPower();
        disk.ZeroEntryOf(2);
        disk.ZeroEntryOf(3);
        disk.FlipIdRecordOf(3);
        return disk.Take();
      },
      "up to 2, faulty 2");
}

// No power cut came between batch and opening, but one may between two openings.
TEST(InterruptedOpeningTest, ItIsOfTheSameBoot) {
  ExpectAlways(
      [] {
        WrittenDisk disk(2);
        disk.ZeroEntryOf(2);
        return disk.Take();
      },
      "up to 2, faulty 2", "up to 2, maybe torn from 2");
}

TEST(InterruptedOpeningTest, ItMayBeTorn) {
  ExpectAlways(
      [] {
        WrittenDisk disk(2);
        disk.CutPower();
        disk.ZeroEntryOf(2);
        return disk.Take();
      },
      "up to 2, maybe torn from 2");
}

}  // namespace
}  // namespace cairn

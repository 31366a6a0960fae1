// What rots in a compressed block: it takes no more along than its frame, nothing silently, and is
// repaired as elsewhere.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/compressed/compressed_log.h"

namespace cairn {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Entry = std::pair<GroupId, Index>;

constexpr uint64_t kBlockBytes = 512 << 10;

class CompressedDamageTest : public testing::TestWithParam<CompressedKind> {
 protected:
  CompressedDamageTest() : options_(CompressedOptions(GetParam(), kBlockBytes)) {
    LogDriver driver(file_system_, options_);
    FillBlocks(driver, 4, 2000);
    EXPECT_EQ(CompressAll(driver), "");
    model_ = driver.model();
    header_ = HeaderOf(file_system_, 1);
    EXPECT_TRUE(header_.is_compressed());
  }

  // Where in the file stored plain text begins.
  uint64_t InFile(uint64_t stored) const {
    const uint64_t unit = header_.PlainGeometry().unit_bytes;
    return stored / unit * header_.geometry.unit_bytes + stored % unit +
           (header_.is_encrypted() ? 4 : 0);
  }
  void Flip(SimulatedFileSystem& file_system, uint64_t stored) const {
    file_system.FlipBits(BlockPath(1), InFile(stored), 0x10);
  }

  // Entries that cannot be read; all others are as the model has them.
  std::set<Entry> Unreadable(LogDriver& driver) const {
    std::set<Entry> bad;
    for (const auto& [group, log] : model_) {
      LogStore& store = driver.store(group);
      EXPECT_EQ(store.last(), log.last());
      for (Index index = log.first_index(); index <= log.last().index; ++index) {
        const auto runs = store.Read(index, index, 1);
        if (runs.ok()) {
          EXPECT_EQ(runs->front().bytes(), log.At(index)->bytes()) << index;
        } else {
          EXPECT_TRUE(absl::IsDataLoss(runs.status())) << runs.status();
          bad.insert({group, index});
        }
      }
    }
    return bad;
  }

  struct Round {
    std::set<Entry> damaged;
    std::vector<std::string> healed;
    std::vector<std::string> avoided;
  };
  static Round Scrub(LogDriver& driver) {
    Round round;
    ScrubPosition position;
    for (;;) {
      const ScrubStep step = driver.log().scrub()->Step(position, 64 << 10);
      for (const ScrubFinding& each : step.damaged) {
        round.damaged.insert({each.group, each.at.index});
      }
      round.healed.insert(round.healed.end(), step.healed.begin(), step.healed.end());
      round.avoided.insert(round.avoided.end(), step.avoided.begin(), step.avoided.end());
      if (step.round_ended) return round;
    }
  }

  const BlockLogOptions options_;
  SimulatedFileSystem file_system_;
  Model model_;
  BlockHeader header_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, CompressedDamageTest, testing::ValuesIn(kCompressedKinds),
                         CompressedKindName);

TEST_P(CompressedDamageTest, ABadFrameTakesItsEntriesAndNoOthers) {
  const CompressedLayout layout = header_.Layout();
  ASSERT_GE(layout.frames(), 4u);
  LogDriver driver(file_system_, options_);
  ASSERT_EQ(Unreadable(driver), std::set<Entry>());
  Flip(file_system_, layout.frames_at() + header_.compression.frames_bytes / 2);
  const std::set<Entry> bad = Unreadable(driver);
  EXPECT_GT(bad.size(), 5u);
  uint64_t bytes = 0;
  for (const auto& [group, index] : bad) bytes += model_.at(group).At(index)->byte_size();
  // Of encrypted ones a unit is bad, which may be in two frames.
  EXPECT_LE(bytes, (GetParam().encrypted ? 2 : 1) * kFrameBytes + 2 * 3000);

  // The scrub finds the same, and has the rest of the block moved away, for a batch has one id
  // record left where it had two.
  const Round round = Scrub(driver);
  EXPECT_EQ(round.damaged, bad);
  EXPECT_THAT(round.avoided, Contains(HasSubstr("with the frame it is in")));
  EXPECT_THAT(round.healed, IsEmpty());

  // Others have them.
  for (const auto& [group, index] : bad) {
    ASSERT_TRUE(driver.store(group).Repair({*model_.at(group).At(index)}).ok()) << index;
  }
  EXPECT_EQ(Unreadable(driver), std::set<Entry>());
  driver.set_model(model_);
  for (int i = 0; i < 200 && file_system_.Exists(BlockPath(1)).value(); ++i) {
    driver.Append(kGroupB, 1, {CompressibleText(7, 3000)});
    ASSERT_TRUE(driver.Sync().ok());
  }
  EXPECT_FALSE(file_system_.Exists(BlockPath(1)).value());
  model_ = driver.model();
  EXPECT_EQ(Unreadable(driver), std::set<Entry>());
  EXPECT_THAT(Scrub(driver).damaged, IsEmpty());
}

// All is known of the entries in it, at the next start too, which does not read them.
TEST_P(CompressedDamageTest, ABadFrameIsNoMatterForAStart) {
  Flip(file_system_, header_.Layout().frames_at() + 5000);
  LogDriver driver(file_system_, options_);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  for (const auto& [group, log] : model_) {
    EXPECT_EQ(driver.recovered(group).hard_state, log.hard_state);
    EXPECT_EQ(driver.recovered(group).runs.back().last_index, log.last().index);
  }
  EXPECT_THAT(Unreadable(driver), Not(IsEmpty()));
}

TEST_P(CompressedDamageTest, OneFrameTableServes) {
  const CompressedLayout layout = header_.Layout();
  for (int copy : {0, 1}) {
    for (bool while_open : {false, true}) {
      SCOPED_TRACE(absl::StrCat(copy, while_open));
      const std::unique_ptr<SimulatedFileSystem> disk = file_system_.CrashImage({});
      auto driver = std::make_unique<LogDriver>(*disk, options_);
      Flip(*disk, layout.table_at(copy) + 130);
      if (!while_open) {
        driver.reset();
        driver = std::make_unique<LogDriver>(*disk, options_);
        EXPECT_THAT(driver->log().notes(), Contains(HasSubstr("frame table")));
      }
      EXPECT_EQ(Unreadable(*driver), std::set<Entry>());
      const Round round = Scrub(*driver);
      EXPECT_EQ(round.healed.size(), while_open ? 1u : 0u);
      EXPECT_THAT(round.avoided, IsEmpty());
      driver.reset();
      // It is as good as the other one again.
      Flip(*disk, layout.table_at(1 - copy) + 130);
      LogDriver again(*disk, options_);
      EXPECT_EQ(Unreadable(again), std::set<Entry>());
    }
  }
}

TEST_P(CompressedDamageTest, WithoutAFrameTableTheEntriesAreBadAndKnown) {
  const CompressedLayout layout = header_.Layout();
  for (int copy : {0, 1}) Flip(file_system_, layout.table_at(copy) + 130);
  LogDriver driver(file_system_, options_);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  const std::set<Entry> bad = Unreadable(driver);
  EXPECT_GT(bad.size(), 100u);
  const Round round = Scrub(driver);
  EXPECT_EQ(round.damaged, bad);
  EXPECT_THAT(round.avoided, Contains(HasSubstr("frame table")));
  for (const auto& [group, index] : bad) {
    ASSERT_TRUE(driver.store(group).Repair({*model_.at(group).At(index)}).ok()) << index;
  }
  EXPECT_EQ(Unreadable(driver), std::set<Entry>());
}

// It is never taken for the end of the log.
TEST_P(CompressedDamageTest, WithoutASealItIsSealed) {
  const CompressedLayout layout = header_.Layout();
  const uint64_t unit = layout.geometry().unit_bytes;
  Flip(file_system_, unit + 9);
  Flip(file_system_, layout.stored_bytes() - 2 * unit + 9);
  const std::unique_ptr<SimulatedFileSystem> worse = file_system_.CrashImage({});
  {
    LogDriver driver(file_system_, options_);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    EXPECT_EQ(Unreadable(driver), std::set<Entry>());
    // The start has put them back.
    EXPECT_THAT(Scrub(driver).healed, IsEmpty());
  }
  for (int copy : {0, 1}) Flip(*worse, layout.table_at(copy) + 130);
  LogDriver driver(*worse, options_);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_THAT(driver.log().notes(), Contains(HasSubstr(BlockPath(1))));
  EXPECT_FALSE(driver.recovered(kGroupA).faulty.empty());
}

TEST_P(CompressedDamageTest, TheScrubPutsBackSealHeaderAndIdRecord) {
  const CompressedLayout layout = header_.Layout();
  const uint64_t unit = layout.geometry().unit_bytes;
  LogDriver driver(file_system_, options_);
  file_system_.FlipBits(BlockPath(1), 9, 1);
  Flip(file_system_, layout.stored_bytes() - 2 * unit + 9);
  Flip(file_system_, layout.stored_bytes() - 3 * unit);
  Round round = Scrub(driver);
  EXPECT_EQ(round.healed.size(), 3u);
  EXPECT_THAT(round.avoided, IsEmpty());
  EXPECT_THAT(round.damaged, IsEmpty());
  EXPECT_THAT(Scrub(driver).healed, IsEmpty());
}

// Bytes all over the block.
TEST_P(CompressedDamageTest, NoFlippedByteGoesUnnoticed) {
  const uint64_t size = ReadWholeFile(file_system_, BlockPath(1)).value().size();
  uint64_t tried = 0;
  uint64_t faulty = 0;
  for (uint64_t offset = 0; offset < size; offset += 1499) {
    SCOPED_TRACE(offset);
    const std::unique_ptr<SimulatedFileSystem> disk = file_system_.CrashImage({});
    disk->FlipBits(BlockPath(1), offset, static_cast<uint8_t>(1 << offset % 8));
    LogDriver driver(*disk, options_);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    ++tried;
    if (!Unreadable(driver).empty()) ++faulty;
    for (const auto& [group, log] : model_) {
      ASSERT_EQ(driver.recovered(group).hard_state, log.hard_state);
      ASSERT_FALSE(driver.recovered(group).hard_state_lost);
    }
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(tried, 50u);
  EXPECT_GT(faulty, 15u);
}

}  // namespace
}  // namespace cairn

// Flips bytes and zeroes sectors of an encrypted log, all of which was synced: whatever recovery
// says, nothing that was acknowledged is lost or changed without a word. flip_test.cc does the same
// to a plain log, and asks more.

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/faulty_indexes.h"

namespace cairn {
namespace {

struct Counts {
  uint64_t tried = 0;
  uint64_t intact = 0;
  uint64_t refused = 0;
  uint64_t faulty = 0;
  uint64_t torn = 0;
};

class EncryptedFlipTest : public testing::TestWithParam<uint64_t> {
 protected:
  EncryptedFlipTest() : options_(TestOptions()) {
    options_.keys = TestRing(Cipher::kAes256Gcm);
    options_.geometry = {.block_bytes = GetParam() == 512 ? uint64_t{16} << 10 : uint64_t{64} << 10,
                         .unit_bytes = GetParam()};
    LogDriver driver(file_system_, options_);
    driver.Vote(kGroupA, {.term = 1, .vote = static_cast<NodeId>(2)});
    for (int i = 0; i < 9; ++i) {
      driver.Append(kGroupA, 1, {absl::StrCat("entry ", i, std::string(900, 'e')), "short"});
      driver.Append(kGroupB, 1, {absl::StrCat("of b ", i)});
      EXPECT_TRUE(driver.Sync().ok());
    }
    driver.Truncate(kGroupA, 17, 2, {"other"});
    EXPECT_TRUE(driver.Sync().ok());
    model_ = driver.model();
  }

  // The blocks, with how long they are.
  std::vector<std::string> Blocks() {
    std::vector<std::string> paths;
    const std::vector<std::string> names = file_system_.List(kTestDirectory).value();
    for (const std::string& name : names) {
      if (ParseBlockFileName(name)) paths.push_back(JoinPath(kTestDirectory, name));
    }
    return paths;
  }

  // Opens the damaged log. `may_be_torn`: a sector of zeros after a reboot looks like a power cut.
  void Try(SimulatedFileSystem& damaged, const std::string& what, bool may_be_torn) {
    ++counts_.tried;
    LogDriver driver(damaged, options_);
    if (!driver.status().ok()) {
      ++counts_.refused;
      EXPECT_TRUE(absl::IsDataLoss(driver.status())) << what << ": " << driver.status();
      EXPECT_TRUE(absl::StrContains(driver.status().message(), ".block")) << driver.status();
      return;
    }
    bool intact = true;
    for (const auto& [group, log] : model_) {
      const RecoveredLog& found = driver.recovered(group);
      EXPECT_EQ(found.hard_state, log.hard_state) << what;
      EXPECT_FALSE(found.hard_state_lost) << what;
      EXPECT_EQ(driver.store(group).last(), log.last()) << what;
      EXPECT_TRUE(!found.torn_from || may_be_torn) << what;
      const std::set<Index> faulty = FaultyIndexes(found);
      for (Index index = log.first_index(); index <= log.last().index; ++index) {
        const auto runs = driver.store(group).Read(index, index, 1);
        if (runs.ok()) {
          EXPECT_EQ(runs->front().bytes(), log.At(index)->bytes()) << what << ": " << index;
          continue;
        }
        EXPECT_TRUE(absl::IsDataLoss(runs.status())) << what << ": " << runs.status();
        const bool torn = found.torn_from && index >= *found.torn_from;
        (torn ? counts_.torn : counts_.faulty) += 1;
        intact = false;
      }
    }
    if (intact) ++counts_.intact;
  }

  BlockLogOptions options_;
  SimulatedFileSystem file_system_;
  Model model_;
  Counts counts_;
};

INSTANTIATE_TEST_SUITE_P(Units, EncryptedFlipTest, testing::Values(512, 4096),
                         [](const testing::TestParamInfo<uint64_t>& each) {
                           return absl::StrCat("Units", each.param);
                         });

TEST_P(EncryptedFlipTest, NoFlippedByteGoesUnnoticed) {
  for (const std::string& path : Blocks()) {
    for (uint64_t offset = 0; offset < options_.geometry.block_bytes; offset += 37) {
      const std::unique_ptr<SimulatedFileSystem> damaged = file_system_.CrashImage({});
      damaged->FlipBits(path, offset, static_cast<uint8_t>(1 << offset % 8));
      Try(*damaged, absl::StrCat(path, " at ", offset), /*may_be_torn=*/false);
      ASSERT_FALSE(HasFailure());
    }
  }
  EXPECT_GT(counts_.faulty, 20u);
  EXPECT_GT(counts_.intact, counts_.tried / 2);
  // Only where the next batch would begin.
  EXPECT_LT(counts_.refused, 2 * options_.geometry.unit_bytes / 37 + 2);
}

TEST_P(EncryptedFlipTest, NoZeroedSectorGoesUnnoticed) {
  for (const std::string& path : Blocks()) {
    const std::string content = ReadWholeFile(file_system_, path).value();
    for (uint64_t offset = 0; offset < content.size(); offset += kSectorBytes) {
      if (content.substr(offset, kSectorBytes) == std::string(kSectorBytes, '\0')) continue;
      const std::unique_ptr<SimulatedFileSystem> damaged = file_system_.CrashImage({});
      damaged->ZeroSector(path, offset);
      Try(*damaged, absl::StrCat(path, " zero at ", offset), /*may_be_torn=*/true);
      ASSERT_FALSE(HasFailure());
    }
  }
  EXPECT_GT(counts_.faulty, 5u);
  EXPECT_EQ(counts_.refused, 0u);
}

}  // namespace
}  // namespace cairn

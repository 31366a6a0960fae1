// A log that is written at random, opened again in several ways: as it is, without any footer, with
// one of each two copies bad. All find what the process before had in memory, and go on from there.

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/block/block_walk.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

BlockLogOptions Options() {
  BlockLogOptions options = TestOptions();
  options.copy_distance = 2;
  return options;
}

// Changes to three groups, each as Raft makes them: truncations above what is committed, prefixes
// dropped up to there.
class Writer {
 public:
  Writer(LogDriver& driver, uint64_t seed) : driver_(driver), random_(seed) {}

  void Step() {
    const GroupId group = static_cast<GroupId>(1 + random_.Below(3));
    const ModelLog& log = driver_.model().at(group);
    const Term term = std::max<Term>(log.last().term, 1) + (random_.OneIn(8) ? 1 : 0);
    const Index first = log.first_index();
    const Index last = log.last().index;
    switch (random_.Below(10)) {
      case 0:
        driver_.Vote(group, {.term = term, .vote = static_cast<NodeId>(1 + random_.Below(3))});
        break;
      case 1:
        driver_.AppendConfiguration(group, term, absl::StrCat("members ", random_.Below(1000)));
        break;
      case 2:
        if (last >= first) driver_.Drop(group, first + random_.Below(last - first + 1));
        break;
      case 3:
        if (last > first) {
          driver_.Truncate(group, first + random_.Below(last - first + 1), term + 1, Payloads());
        }
        break;
      case 4:
        if (random_.OneIn(4)) driver_.Reset(group, {last + random_.Below(20), term + 1});
        break;
      default:
        // One group rests for long, so that it is copied forward.
        if (group != kGroupC || random_.OneIn(10)) driver_.Append(group, term, Payloads());
    }
    if (random_.OneIn(2)) {
      ASSERT_TRUE(driver_.Sync().ok());
    }
  }

 private:
  std::vector<std::string> Payloads() {
    std::vector<std::string> payloads;
    for (uint64_t i = 1 + random_.Below(4); i > 0; --i) {
      const size_t length = static_cast<size_t>(random_.Below(random_.OneIn(5) ? 3000 : 200));
      payloads.emplace_back(length, static_cast<char>(random_.Below(256)));
    }
    return payloads;
  }

  LogDriver& driver_;
  Random random_;
};

void ForEachBlock(SimulatedFileSystem& disk, const std::function<void(const BlockFile&)>& call) {
  const std::vector<std::string> names = disk.List(kTestDirectory).value();
  for (const std::string& name : names) {
    const std::optional<uint64_t> id = ParseBlockFileName(name);
    if (!id) continue;
    auto file = BlockFile::Open(disk, JoinPath(kTestDirectory, name), *id, std::nullopt, nullptr,
                                FileSystem::OpenMode::kRead);
    ASSERT_TRUE(file.ok()) << file.status();
    call(**file);
  }
}

// Ways a log is found. Each returns how much it changed.
using Way = std::function<int(SimulatedFileSystem&)>;

int AsItIs(SimulatedFileSystem&) { return 1; }

int WithoutFooters(SimulatedFileSystem& disk) {
  int footers = 0;
  ForEachBlock(disk, [&](const BlockFile& file) {
    const FoundSeal found = ReadSeal(file);
    if (!found.seal || found.seal->footer_begin == 0) return;
    disk.FlipBits(file.path(), found.seal->footer_begin + found.seal->footer_bytes / 2, 0x11);
    ++footers;
  });
  return footers;
}

// Nothing that stands twice is whole, and there is nothing to begin with but id records.
int WithOneOfTwo(SimulatedFileSystem& disk, int bad) {
  int changed = 0;
  disk.FlipBits(bad == 0 ? "/log/MANIFEST" : "/log/MANIFEST.copy", 30, 1);
  ForEachBlock(disk, [&](const BlockFile& file) {
    const FoundSeal found = ReadSeal(file);
    absl::StatusOr<BlockWalk> walk = WalkBlock(file, found.seal, 0);
    ASSERT_TRUE(walk.ok()) << walk.status();
    for (const FoundBatch& batch : walk->batches) {
      disk.FlipBits(file.path(), (bad == 0 ? batch.id.data_begin : batch.id.id_begin) + 40, 1);
      ++changed;
    }
    if (found.seal) disk.FlipBits(file.path(), file.geometry().seal_at(bad) + 20, 1);
    disk.FlipBits(file.path(), file.geometry().header_at(bad) + 20, 1);
  });
  return changed + WithoutFooters(disk);
}

const std::vector<std::pair<const char*, Way>>& Ways() {
  static const auto* const kWays = new std::vector<std::pair<const char*, Way>>{
      {"as it is", AsItIs},
      {"without footers", WithoutFooters},
      {"without first copies", [](SimulatedFileSystem& disk) { return WithOneOfTwo(disk, 0); }},
      {"without second copies", [](SimulatedFileSystem& disk) { return WithOneOfTwo(disk, 1); }},
  };
  return *kWays;
}

void ExpectHolds(LogDriver& driver, const Model& model) {
  for (const auto& [group, expected] : model) {
    EXPECT_EQ(Difference(driver.recovered(group), expected), "") << "group " << ToInteger(group);
    EXPECT_EQ(Difference(driver.store(group), expected), "") << "group " << ToInteger(group);
  }
}

TEST(RestartWaysTest, AllFindWhatTheProcessHad) {
  std::vector<int> changed(Ways().size(), 0);
  size_t most_blocks = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    SimulatedFileSystem disk({.seed = seed});
    Model model;
    {
      LogDriver driver(disk, Options());
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      for (GroupId group : {kGroupA, kGroupB, kGroupC}) driver.Append(group, 1, {"first"});
      Writer writer(driver, seed);
      for (uint64_t step = 0; step < 40 + seed * 4; ++step) writer.Step();
      ASSERT_TRUE(driver.Sync().ok());
      model = driver.synced();
      for (const auto& [group, expected] : model) {
        ASSERT_EQ(Difference(driver.store(group), expected), "");
      }
      most_blocks = std::max(most_blocks, driver.log().figures().blocks);
    }
    for (size_t i = 0; i < Ways().size(); ++i) {
      SCOPED_TRACE(Ways()[i].first);
      const auto image = disk.WorstCaseImage();
      changed[i] += Ways()[i].second(*image);
      {
        LogDriver driver(*image, Options());
        ASSERT_TRUE(driver.status().ok()) << driver.status();
        ASSERT_NO_FATAL_FAILURE(ExpectHolds(driver, model));
        driver.set_model(model);
        Writer writer(driver, seed + 1000);
        for (int step = 0; step < 30; ++step) writer.Step();
        ASSERT_TRUE(driver.Sync().ok());
        image->RestartProcess();
        LogDriver next(*image, Options());
        ASSERT_TRUE(next.status().ok()) << next.status();
        ExpectHolds(next, driver.synced());
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(most_blocks, 4u);
  for (size_t i = 0; i < Ways().size(); ++i) EXPECT_GT(changed[i], 30) << Ways()[i].first;
}

}  // namespace
}  // namespace cairn

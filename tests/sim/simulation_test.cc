// Runs fixed seeds, the same everywhere, and some fresh ones. CAIRN_SIM_SEEDS says how many in all.

#include "tests/sim/simulation.h"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "tests/sim/seed_runner.h"

namespace cairn::sim {
namespace {

constexpr uint64_t kSeeds = 400;
// Of the fixed seeds a process has to run before every interesting state must have come up.
constexpr uint64_t kEnoughForAllStates = 140;
constexpr int kMostFailures = 5;

// What the fixed seeds have to reach; without it they test less than it seems.
constexpr const char* kInterestingStates[] = {
    "leader elected",
    "leader elected with uncommitted entries",
    "entry of an older term committed by one of the leader's own",
    "log truncated",
    "log compacted",
    "log gave way to a snapshot",
    "snapshot offered",
    "snapshot piece sent",
    "snapshot taken up again",
    "state restored from a snapshot",
    "recovery: torn tail cut",
    "recovery: entries may be torn",
    "recovery: several blocks",
    "recovery: damaged entries found",
    "recovery: the end is lost",
    "entries may be torn on several nodes",
    "torn entries decided",
    "power cut at a disk access",
    "process killed",
    "process shut down",
    "proposals forwarded",
    "proposal answered: applied",
    "proposal answered: applied before",
    "proposal answered: unknown",
    "read answered by a follower",
    "session call retried",
    "session opened",
    "sync failed",
    "node fenced",
    "bit turned over",
    "scrub found bad entries",
    "entries found by the scrub were repaired",
    "network: envelope duplicated",
    "network: old envelope replayed",
    "network: envelope overtaken",
    "assertion checked by real recovery",
    "group rested",
    "group woken by a silent host",
    "seed run twice",
    "joint configuration committed",
    "several voters replaced at once",
    "configuration undone by truncation",
    "leader elected by a joint configuration",
    "change cancelled",
    "change answered: done",
    "change answered: unknown",
    "learner promoted",
    "voter became a learner",
    "address of a voter changed",
    "leader removed itself",
    "node started to join",
    "node learned that it was removed",
    "removed node came back",
    "removed node taken away",
    "transfer answered: done",
    "transfer answered: timeout",
    "transfer answered: bad target",
    "campaign answered: done",
    "leader stepped down when asked",
    "snapshot asked for: taken",
    "state found on the disk",
    "acknowledgement forgotten",
    "vote forgotten",
    "vote for a successor forgotten",
    "applying paused",
    "applying went on up to what was committed meanwhile",
    "pause refused",
    "snapshot replayed",
    "replay went back",
    "fenced command applied",
    "fenced command refused: another term",
    "observer voted",
    "paused member voted",
    "log compacted by its bytes",
    "entries given to a tail",
    "tail told that the log was compacted",
    "leader with a slow disk handed over",
    "messages per commit counted",
    "group closed",
    "group deleted",
    "deletion to be done again",
    "deleted group opened again",
    "half deleted group opened",
    "node left one group and stayed in another",
    "configuration forced by an unsafe recovery",
    "committed entries lost with a majority",
    "acknowledged command lost with a majority",
    "unsafe recovery refused: a majority is left",
    "member joined after an unsafe recovery",
    "lost member came back and was removed",
    "reset of a voter refused",
    "learner was reset and is a member again",
};
// Bazel's sharding, by seeds instead of by tests.
struct Shard {
  uint64_t index = 0;
  uint64_t count = 1;
};
Shard shard;
// Few seeds have a start that finds damaged entries, or entries torn on several nodes, or a learner
// that is reset. Run by each shard, so that all see these states.
constexpr uint64_t kRareStates[] = {321, 552, 50};
// Were red once, and no other of the fixed ones for the same reason: a busy sender of a snapshot
// was taken for a slow link; all pieces asked for were lost just before the faults ended.
constexpr uint64_t kOnceRed[] = {82000141, 50000207};
std::vector<uint64_t> fixed_seeds;
std::vector<uint64_t> fresh_seeds;

void RunSeeds(const std::vector<uint64_t>& seeds, SeedRunner& runner) {
  int failures = 0;
  for (uint64_t seed : seeds) {
    if (runner.Run(seed)) continue;
    ADD_FAILURE() << "seed " << seed;
    if (++failures == kMostFailures) break;
  }
  std::cout << runner.counters().ToString() << runner.Summary() << std::endl;
}

TEST(SimulationTest, FixedSeeds) {
  SeedRunner runner({.twice_one_in = 100});
  RunSeeds(fixed_seeds, runner);
  if (HasFailure() || fixed_seeds.size() < kEnoughForAllStates) return;
  const std::vector<std::string> states(std::begin(kInterestingStates),
                                        std::end(kInterestingStates));
  EXPECT_EQ(absl::StrJoin(runner.counters().Missing(states), "\n"), "")
      << "these states never came up";
}

TEST(SimulationTest, FreshSeeds) {
  // Where GoogleTest takes shards for its own, half of the seeds are run by nobody.
  const testing::UnitTest* all = testing::UnitTest::GetInstance();
  EXPECT_EQ(all->test_to_run_count(), all->total_test_count());
  std::cout << "fresh seeds: " << absl::StrJoin(fresh_seeds, " ") << std::endl;
  SeedRunner runner({});
  RunSeeds(fresh_seeds, runner);
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  uint64_t number = 0;
  const char* text = std::getenv(name);
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

void ReadShard() {
  shard.count = std::max<uint64_t>(FromEnvironment("TEST_TOTAL_SHARDS", 1), 1);
  shard.index = FromEnvironment("TEST_SHARD_INDEX", 0);
  // Says to Bazel that shards are understood; GoogleTest is not to divide the tests again.
  if (const char* path = std::getenv("TEST_SHARD_STATUS_FILE")) std::ofstream touch(path);
  for (const char* name : {"TOTAL_SHARDS", "SHARD_INDEX", "SHARD_STATUS_FILE"}) {
    unsetenv(absl::StrCat("TEST_", name).c_str());
    unsetenv(absl::StrCat("GTEST_", name).c_str());
  }
}

// Three quarters are 1, 2, …; the others are drawn from the clock.
void DrawSeeds() {
  uint64_t total = FromEnvironment("CAIRN_SIM_SEEDS", kSeeds);
  uint64_t fresh = total / 4;
  auto now = std::chrono::system_clock::now().time_since_epoch();
  uint64_t first =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  if (total >= shard.count * kEnoughForAllStates) {
    fixed_seeds.assign(std::begin(kRareStates), std::end(kRareStates));
  }
  if (shard.index == 0)
    fixed_seeds.insert(fixed_seeds.end(), std::begin(kOnceRed), std::end(kOnceRed));
  for (uint64_t i = 0; i < total; ++i) {
    if (i % shard.count != shard.index) continue;
    if (i < total - fresh) {
      fixed_seeds.push_back(i + 1);
    } else {
      fresh_seeds.push_back(first * 1000 + i);
    }
  }
}

}  // namespace
}  // namespace cairn::sim

int main(int argc, char** argv) {
  cairn::sim::ReadShard();
  cairn::sim::DrawSeeds();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

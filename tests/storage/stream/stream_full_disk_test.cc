// A StreamStore on a disk that is full for a while (fault catalogue D18).

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "storage/stream/stream_store.h"
#include "tests/storage/stream/stream_driver.h"
#include "tests/storage/stream/stream_twin.h"

namespace cairn {
namespace {

StreamTwin RandomTwin(uint64_t seed, size_t entries, size_t longest) {
  Random random(seed);
  StreamTwin twin;
  for (size_t i = 0; i < entries; ++i) twin.AddRandom(random, longest);
  return twin;
}

// The disk becomes full at any call and has room again later. Nothing fails, all that was appended
// is read back at any time, and becomes durable; a power cut leaves what was said to be durable.
TEST(StreamFullDiskTest, FullAtAnyCallItWaitsAndGoesOn) {
  const StreamTwin twin = RandomTwin(11, 120, 900);
  int waited = 0;
  bool reached_end = false;
  for (uint64_t nth = 1; !reached_end; nth += 3) {
    SCOPED_TRACE(absl::StrCat("full at call ", nth));
    SimulatedFileSystem disk;
    Random random(nth);
    uint64_t calls = 0;
    std::vector<bool> said;
    StreamStoreOptions options = SmallStreamStore();
    options.room = [&](bool has_room) { said.push_back(has_room); };
    Index durable = 0;
    {
      StreamDriver driver(disk, options);
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      disk.set_fault_hook([&](const FileAccess&) {
        if (++calls == nth) disk.set_capacity_bytes(0);
        return FileFault();
      });
      for (Index index = 1; index <= twin.last(); ++index) {
        twin.Apply(driver.store(), index - 1, index);
        if (index % 3 == 0) driver.RunBackground();
      }
      driver.RunFor(Seconds(10));
      reached_end = calls < nth;
      disk.set_fault_hook(nullptr);
      ASSERT_EQ(twin.Difference(driver.store(), twin.last(), random, 3), "");
      ASSERT_TRUE(driver.failure().ok()) << driver.failure();
      if (!said.empty()) {
        ++waited;
        EXPECT_FALSE(said.back());
      }
      disk.set_capacity_bytes(UINT64_MAX);
      driver.RunFor(Seconds(2));
      if (!said.empty()) {
        EXPECT_TRUE(said.back());
      }
      EXPECT_TRUE(driver.store().Checkpoint([&] { return StreamTwin::ArchiveAt(twin.last()); }));
      driver.RunBackground();
      ASSERT_TRUE(driver.failure().ok()) << driver.failure();
      EXPECT_EQ(driver.durable(), twin.last());
      ASSERT_EQ(twin.Difference(driver.store(), twin.last(), random, 3), "");
      durable = driver.durable();
    }
    EXPECT_EQ(disk.uses_after_failure(), 0u);
    disk.Crash(CrashPolicy::kRandomSubset, random);
    StreamDriver driver(disk, options);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    EXPECT_EQ(driver.recovered(), durable);
    ASSERT_EQ(twin.Difference(driver.store(), durable, random, 3), "");
    if (HasFailure()) return;
  }
  EXPECT_GT(waited, 5);
}

// The power goes while it waits: what was said to be durable is there.
TEST(StreamFullDiskTest, APowerCutWhileItWaitsLosesNothingDurable) {
  const StreamTwin twin = RandomTwin(12, 150, 900);
  for (uint64_t quota = 2000; quota < 60'000; quota += 1500) {
    SCOPED_TRACE(absl::StrCat("quota ", quota));
    SimulatedFileSystem disk;
    Random random(quota);
    std::optional<bool> said;
    StreamStoreOptions options = SmallStreamStore();
    options.room = [&](bool has_room) { said = has_room; };
    Index durable = 0;
    {
      StreamDriver driver(disk, options);
      disk.set_capacity_bytes(quota);
      for (Index index = 1; index <= twin.last(); ++index) {
        twin.Apply(driver.store(), index - 1, index);
        driver.RunBackground();
      }
      EXPECT_TRUE(driver.failure().ok()) << driver.failure();
      durable = driver.durable();
    }
    disk.Crash(CrashPolicy::kRandomSubset, random);
    disk.set_capacity_bytes(UINT64_MAX);
    StreamDriver driver(disk, options);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    // One copy of a checkpoint is enough, and there was perhaps no room for the other one.
    EXPECT_GE(driver.recovered(), durable);
    twin.Apply(driver.store(), driver.recovered(), twin.last());
    driver.RunFor(Seconds(2));
    ASSERT_EQ(twin.Difference(driver.store(), twin.last(), random, 3), "");
  }
}

}  // namespace
}  // namespace cairn

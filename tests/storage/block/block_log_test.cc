#include "storage/block/block_log.h"

#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

std::string Payload(size_t i, size_t length = 100) {
  std::string text = "entry " + std::to_string(i) + " ";
  text.resize(length, 'p');
  return text;
}

// Everything the driver knows is in its log, and in the log of a process that comes after it.
void ExpectAllThere(LogDriver& driver, FileSystem& file_system) {
  for (const auto& [group, expected] : driver.model()) {
    EXPECT_EQ(Difference(driver.store(group), expected), "") << "group " << ToInteger(group);
  }
  (void)file_system;
}

void ExpectRecovers(SimulatedFileSystem& file_system, const Model& model,
                    BlockLogOptions options = TestOptions()) {
  file_system.RestartProcess();
  LogDriver driver(file_system, options);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  for (const auto& [group, expected] : model) {
    EXPECT_EQ(Difference(driver.recovered(group), expected), "") << "group " << ToInteger(group);
    EXPECT_EQ(Difference(driver.store(group), expected), "") << "group " << ToInteger(group);
  }
}

TEST(BlockLogTest, NewLogIsEmpty) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_STREQ(driver.log().name(), "block");
  EXPECT_TRUE(driver.log().Groups().empty());
  EXPECT_EQ(Difference(driver.recovered(kGroupA), ModelLog()), "");
  EXPECT_EQ(driver.store(kGroupA).Read(1, 1, 1).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(driver.store(kGroupA).HashAt(0).value(), EntryHash());
  EXPECT_TRUE(driver.Sync().ok());
}

TEST(BlockLogTest, KeepsWhatWasSynced) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system);
  driver.Vote(kGroupA, {.term = 1, .vote = static_cast<NodeId>(3)});
  driver.Append(kGroupA, 1, {"a", "b"});
  driver.Append(kGroupB, 2, {"c"});
  ExpectAllThere(driver, file_system);
  ASSERT_TRUE(driver.Sync().ok());
  driver.AppendConfiguration(kGroupA, 3, "members");
  driver.Append(kGroupA, 4, {"d"});
  ASSERT_TRUE(driver.Sync().ok());
  ExpectAllThere(driver, file_system);
  EXPECT_EQ(driver.log().Groups(), (std::vector<GroupId>{kGroupA, kGroupB}));
  ExpectRecovers(file_system, driver.model());
}

TEST(BlockLogTest, GoesThroughManyBlocks) {
  SimulatedFileSystem file_system;
  LogDriver driver(file_system);
  for (size_t i = 0; i < 200; ++i) {
    driver.Append(i % 3 == 0 ? kGroupA : kGroupB, 1 + i / 50, {Payload(i), Payload(i, i)});
    ASSERT_TRUE(driver.Sync().ok());
  }
  EXPECT_GT(driver.log().figures().blocks, 10u);
  ExpectAllThere(driver, file_system);
  ExpectRecovers(file_system, driver.model());
}

}  // namespace
}  // namespace cairn

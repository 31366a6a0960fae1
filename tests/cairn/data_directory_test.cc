#include "cairn/data_directory.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

DataDirectoryOptions OptionsOf(const std::string& path, const std::string& log_store) {
  DataDirectoryOptions options;
  options.path = path;
  options.node = NodeId{1};
  options.initial_members.voters.push_back({NodeId{1}, Incarnation::kUnknown, "127.0.0.1:1"});
  options.log_store = log_store;
  return options;
}

// What machines keep on disk belongs to the log it was made of.
TEST(DataDirectoryTest, OnlyALogInMemoryForgetsWhatMachinesKeep) {
  for (const std::string log_store : {"block", "rocksdb", "memory"}) {
    SCOPED_TRACE(log_store);
    TestDirectory directory;
    const std::string machine = directory.path() + "/groups/1/machine";
    {
      auto opened = DataDirectory::Open(OptionsOf(directory.path(), log_store));
      ASSERT_TRUE(opened.ok()) << opened.status();
      FileSystem& file_system = (*opened)->file_system();
      ASSERT_TRUE(file_system.MakeDirectory(machine).ok());
      ASSERT_TRUE(WriteFileAtomically(file_system, machine + "/state", "as of 7").ok());
    }
    auto opened = DataDirectory::Open(OptionsOf(directory.path(), log_store));
    ASSERT_TRUE(opened.ok()) << opened.status();
    FileSystem& file_system = (*opened)->file_system();
    EXPECT_EQ(file_system.Exists(machine + "/state").value(), log_store != "memory");
    EXPECT_TRUE(file_system.Exists(machine).value());
  }
}

TEST(DataDirectoryTest, TheLogStoreIsFixedAtTheFirstStart) {
  const std::vector<std::string> stores = {"block", "rocksdb", "memory"};
  for (const std::string& made : stores) {
    TestDirectory directory;
    for (const std::string& asked : stores) {
      SCOPED_TRACE(made + " asked for as " + asked);
      {
        auto opened = DataDirectory::Open(OptionsOf(directory.path(), made));
        ASSERT_TRUE(opened.ok()) << opened.status();
        EXPECT_EQ((*opened)->log_disk().name(), made);
      }
      if (asked == made) continue;
      const absl::Status refused = DataDirectory::Open(OptionsOf(directory.path(), asked)).status();
      EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
      EXPECT_NE(refused.message().find("log store " + made), std::string::npos) << refused;
      EXPECT_NE(refused.message().find("log store " + asked), std::string::npos) << refused;
    }
  }
}

TEST(DataDirectoryTest, AnUnknownLogStoreMakesNothing) {
  TestDirectory directory;
  EXPECT_TRUE(
      absl::IsInvalidArgument(DataDirectory::Open(OptionsOf(directory.path(), "paper")).status()));
  auto opened = DataDirectory::Open(OptionsOf(directory.path(), "rocksdb"));
  EXPECT_TRUE(opened.ok()) << opened.status();
}

}  // namespace
}  // namespace cairn

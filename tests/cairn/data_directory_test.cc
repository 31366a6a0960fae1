#include "cairn/data_directory.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "raft/identity.h"
#include "storage/memory_log_store.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

DataDirectoryOptions OptionsOf(const std::string& path, const std::string& log_store) {
  DataDirectoryOptions options;
  options.path = path;
  options.node = NodeId{1};
  options.initial_members.voters.push_back({NodeId{1}, Incarnation::kUnknown, "127.0.0.1:1"});
  options.log_store = log_store;
  options.block_bytes = uint64_t{64} << 10;
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

TEST(DataDirectoryTest, AProgramBringsItsOwnLogStore) {
  TestDirectory directory;
  DataDirectoryOptions options = OptionsOf(directory.path(), "mine");
  LogDisk* made = nullptr;
  Incarnation incarnation = Incarnation::kUnknown;
  options.open_log = [&](const LogPlace& place) -> absl::StatusOr<std::unique_ptr<LogDisk>> {
    EXPECT_EQ(place.directory, directory.path() + "/log");
    EXPECT_TRUE(place.file_system.Exists(place.directory).value());
    incarnation = place.identity.incarnation;
    auto log = std::make_unique<MemoryLogDisk>();
    made = log.get();
    return log;
  };
  {
    auto opened = DataDirectory::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(&(*opened)->log_disk(), made);
    EXPECT_EQ((*opened)->identity().incarnation, incarnation);
    EXPECT_NE(incarnation, Incarnation::kUnknown);
  }
  // Nothing else opens it from now on, and its errors are those of the directory.
  auto other = DataDirectory::Open(OptionsOf(directory.path(), "block"));
  EXPECT_TRUE(absl::IsFailedPrecondition(other.status())) << other.status();
  options.open_log = [](const LogPlace&) { return absl::DataLossError("sector 7"); };
  EXPECT_EQ(DataDirectory::Open(options).status(), absl::DataLossError("sector 7"));
}

TEST(DataDirectoryTest, ALogStoreNobodyOpensIsRefused) {
  TestDirectory directory;
  auto opened = DataDirectory::Open(OptionsOf(directory.path(), "blok"));
  EXPECT_TRUE(absl::IsInvalidArgument(opened.status())) << opened.status();
  DataDirectoryOptions options = OptionsOf(directory.path(), "memory");
  options.open_log = [](const LogPlace&) { return absl::DataLossError("is not asked"); };
  opened = DataDirectory::Open(options);
  EXPECT_TRUE(absl::IsInvalidArgument(opened.status())) << opened.status();
  // Nothing was made.
  opened = DataDirectory::Open(OptionsOf(directory.path(), "block"));
  EXPECT_TRUE(opened.ok()) << opened.status();
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

// Opens the directory as a node that has taken part, or that joined.
absl::Status OpenFormed(DataDirectoryOptions options, bool joined) {
  if (joined) {
    options.initial_members.voters.clear();
    options.find_cluster = [] {
      FormedCluster cluster;
      cluster.id.bytes[0] = 7;
      cluster.members.voters.push_back({NodeId{2}, Incarnation{3}, "127.0.0.1:2"});
      return cluster;
    };
  }
  auto opened = DataDirectory::Open(options);
  if (!opened.ok() || joined) return opened.status();
  NodeIdentity identity = (*opened)->identity();
  identity.formed = true;
  identity.initial_members.voters[0].incarnation = identity.incarnation;
  return SaveIdentity((*opened)->file_system(), options.path, identity);
}

// It would vote under the incarnation the others know, and remember nothing.
TEST(DataDirectoryTest, ANodeWhoseLogIsGoneIsNoNewNode) {
  for (const std::string log_store : {"block", "rocksdb"}) {
    for (const bool joined : {false, true}) {
      SCOPED_TRACE(log_store + (joined ? ", joined" : ""));
      TestDirectory directory;
      const DataDirectoryOptions options = OptionsOf(directory.path(), log_store);
      ASSERT_EQ(OpenFormed(options, joined), absl::OkStatus());
      ASSERT_EQ(OpenFormed(options, joined), absl::OkStatus());
      const std::string log = directory.path() + "/log";
      std::filesystem::rename(log, directory.path() + "/elsewhere");
      absl::Status gone = OpenFormed(options, joined);
      EXPECT_TRUE(absl::IsDataLoss(gone)) << gone;
      EXPECT_NE(gone.message().find(log), std::string::npos) << gone;
      EXPECT_FALSE(std::filesystem::exists(log)) << "nothing was made";
      if (!joined) {
        std::filesystem::create_directory(log);
        EXPECT_TRUE(absl::IsDataLoss(OpenFormed(options, joined))) << "it is empty";
        std::filesystem::remove(log);
      }
      std::filesystem::rename(directory.path() + "/elsewhere", log);
      EXPECT_EQ(OpenFormed(options, joined), absl::OkStatus()) << "it came back";
    }
  }
}

// The power may go in the first start, between the identity and the log.
TEST(DataDirectoryTest, AFirstStartMayEndBeforeTheLogIsMade) {
  for (const bool joined : {false, true}) {
    TestDirectory directory;
    const DataDirectoryOptions options = OptionsOf(directory.path(), "block");
    if (joined) {
      ASSERT_EQ(OpenFormed(options, joined), absl::OkStatus());
    } else {
      ASSERT_TRUE(DataDirectory::Open(options).ok());
    }
    for (const auto& entry : std::filesystem::directory_iterator(directory.path() + "/log")) {
      std::filesystem::remove(entry.path());
    }
    EXPECT_EQ(OpenFormed(options, joined), absl::OkStatus());
  }
}

}  // namespace
}  // namespace cairn

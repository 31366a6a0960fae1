#include "cairn/data_directory.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "gtest/gtest.h"
#include "raft/identity.h"
#include "storage/block/block_log.h"
#include "storage/memory_log_store.h"
#include "storage/posix_file_system.h"
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

// What machines keep on disk, and snapshots, belong to the log they were made of.
TEST(DataDirectoryTest, OnlyALogInMemoryForgetsWhatWasMadeOfIt) {
  for (const std::string log_store : {"block", "rocksdb", "memory"}) {
    SCOPED_TRACE(log_store);
    TestDirectory directory;
    const std::string machine = directory.path() + "/groups/1/machine";
    const std::string snapshots = directory.path() + "/snapshots/2/chunks";
    {
      auto opened = DataDirectory::Open(OptionsOf(directory.path(), log_store));
      ASSERT_TRUE(opened.ok()) << opened.status();
      FileSystem& file_system = (*opened)->file_system();
      ASSERT_TRUE(file_system.MakeDirectory(machine).ok());
      ASSERT_TRUE(WriteFileAtomically(file_system, machine + "/state", "as of 7").ok());
      ASSERT_TRUE(file_system.MakeDirectory(snapshots).ok());
      ASSERT_TRUE(WriteFileAtomically(file_system, snapshots + "/1", "as of 7").ok());
    }
    auto opened = DataDirectory::Open(OptionsOf(directory.path(), log_store));
    ASSERT_TRUE(opened.ok()) << opened.status();
    FileSystem& file_system = (*opened)->file_system();
    EXPECT_EQ(file_system.Exists(machine + "/state").value(), log_store != "memory");
    EXPECT_EQ(file_system.Exists(snapshots + "/1").value(), log_store != "memory");
  }
}

TEST(DataDirectoryTest, ABlockLogIsReadBySeveralThreads) {
  const SystemClock clock;
  for (const std::string log_store : {"block", "memory"}) {
    SCOPED_TRACE(log_store);
    TestDirectory directory;
    DataDirectoryOptions options = OptionsOf(directory.path(), log_store);
    size_t made = 0;
    options.make_reader = [&] {
      ++made;
      return std::make_unique<ThreadExecutor>(clock, "reader");
    };
    for (int start = 1; start <= 2; ++start) {
      ASSERT_TRUE(DataDirectory::Open(options).ok());
      EXPECT_EQ(made, log_store == "block" ? start * BlockLogOptions().readers : 0);
    }
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

void MarkFormed(const std::string& path) {
  PosixFileSystem file_system;
  NodeIdentity identity = LoadIdentity(file_system, path).value();
  identity.formed = true;
  identity.initial_members.voters[0].incarnation = identity.incarnation;
  ASSERT_TRUE(SaveIdentity(file_system, path, identity).ok());
}

// It would vote again in terms in which it has voted.
TEST(DataDirectoryTest, ANodeOfAClusterDoesNotStartWithoutItsLog) {
  for (const std::string store : {"block", "rocksdb"}) {
    for (const bool empty : {false, true}) {
      SCOPED_TRACE(absl::StrCat(store, empty ? ", not mounted" : ", removed"));
      TestDirectory directory;
      const std::string log = directory.path() + "/log";
      const DataDirectoryOptions options = OptionsOf(directory.path(), store);
      ASSERT_TRUE(DataDirectory::Open(options).ok());
      std::filesystem::remove_all(log);
      ASSERT_TRUE(DataDirectory::Open(options).ok());  // it has not taken part yet
      MarkFormed(directory.path());
      ASSERT_TRUE(DataDirectory::Open(options).ok());
      std::filesystem::remove_all(log);
      if (empty) std::filesystem::create_directories(log + "/lost+found");
      for (int i = 0; i < 2; ++i) {
        const absl::Status status = DataDirectory::Open(options).status();
        EXPECT_TRUE(absl::IsDataLoss(status)) << status;
        EXPECT_NE(status.message().find(log), std::string::npos) << status;
      }
    }
  }
}

// It is formed from the start, but the disk does not say so before there is a log: a power cut in
// between leaves a node that may start, and not one that has lost its log.
TEST(DataDirectoryTest, ANodeThatJoinsTakesPartOnceItHasALog) {
  TestDirectory directory;
  PosixFileSystem file_system;
  DataDirectoryOptions options = OptionsOf(directory.path(), "block");
  FormedCluster cluster;
  cluster.members.voters.push_back({NodeId{8}, Incarnation{88}, "127.0.0.1:8"});
  options.initial_members.voters.clear();
  options.find_cluster = [&cluster]() -> absl::StatusOr<FormedCluster> { return cluster; };
  NodeIdentity identity;
  {
    auto opened = DataDirectory::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    identity = (*opened)->identity();
    EXPECT_TRUE(identity.formed);
    EXPECT_TRUE(identity.joined());
  }
  EXPECT_TRUE(LoadIdentity(file_system, directory.path())->formed);
  identity.formed = false;
  ASSERT_TRUE(SaveIdentity(file_system, directory.path(), identity).ok());
  std::filesystem::remove_all(directory.path() + "/log");
  {
    auto opened = DataDirectory::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_TRUE((*opened)->identity().formed);
    EXPECT_EQ((*opened)->identity().incarnation, identity.incarnation);
  }
  EXPECT_TRUE(LoadIdentity(file_system, directory.path())->formed);
  std::filesystem::remove_all(directory.path() + "/log");
  EXPECT_TRUE(absl::IsDataLoss(DataDirectory::Open(options).status()));
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

}  // namespace
}  // namespace cairn

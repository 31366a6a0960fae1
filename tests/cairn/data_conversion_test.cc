#include "cairn/data_conversion.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/block/block_log.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/offline/random_log.h"

namespace cairn {
namespace {

constexpr char kFrom[] = "/machines/old";
constexpr char kTo[] = "/machines/new";

NodeIdentity TestIdentity(const std::string& store) {
  NodeIdentity identity;
  identity.cluster.bytes.fill(0x42);
  identity.node = NodeId{2};
  identity.incarnation = Incarnation{0xfeed};
  identity.formed = true;
  for (uint64_t node = 1; node <= 3; ++node) {
    identity.initial_members.voters.push_back(
        {NodeId{node}, Incarnation{0xfeeb + node}, absl::StrCat("127.0.0.1:", node)});
  }
  identity.log_store = store;
  return identity;
}

absl::StatusOr<std::unique_ptr<LogDisk>> OpenLog(FileSystem& file_system,
                                                 const std::string& directory,
                                                 const std::string& store) {
  const NodeIdentity identity = TestIdentity(store);
  const LogIdentity whose = {identity.cluster, identity.node, identity.incarnation};
  if (store == "rocksdb") {
    RocksDbLogOptions options;
    options.directory = directory + "/log";
    options.identity = whose;
    return RocksDbLog::Open(file_system, options);
  }
  BlockLogOptions options;
  options.directory = directory + "/log";
  options.identity = whose;
  options.geometry = {.block_bytes = 64 << 10, .unit_bytes = 4096};
  return BlockLog::Open(file_system, options);
}

void Write(FileSystem& file_system, const std::string& path, const std::string& content) {
  ASSERT_TRUE(file_system.MakeDirectory(DirectoryOf(path)).ok());
  ASSERT_TRUE(WriteFileAtomically(file_system, path, content).ok());
}

// Every file below, by path.
void AddFiles(FileSystem& file_system, const std::string& root, const std::string& below,
              std::map<std::string, std::string>& files) {
  const absl::StatusOr<std::vector<std::string>> names = file_system.List(root + below);
  if (!names.ok()) {
    files[below] = ReadWholeFile(file_system, root + below).value();
    return;
  }
  for (const std::string& name : *names) {
    if (!absl::EndsWith(name, "LOCK")) AddFiles(file_system, root, below + "/" + name, files);
  }
}

std::map<std::string, std::string> FilesOf(FileSystem& file_system, const std::string& root) {
  std::map<std::string, std::string> files;
  AddFiles(file_system, root, "", files);
  return files;
}

// What a node has besides its log and its identity.
std::map<std::string, std::string> Others(std::map<std::string, std::string> files) {
  std::erase_if(files, [](const auto& file) {
    return absl::StartsWith(file.first, "/log/") || absl::StartsWith(file.first, "/identity");
  });
  return files;
}

class DataConversionTest : public testing::Test {
 protected:
  // The data directory of a node that was stopped. All of it is durable.
  void MakeNode(const std::string& store, int steps = 60, uint64_t seed = 1) {
    ASSERT_TRUE(file_system_.MakeDirectory(kFrom).ok());
    ASSERT_TRUE(SaveIdentity(file_system_, kFrom, TestIdentity(store)).ok());
    const auto log = OpenLog(file_system_, kFrom, store);
    ASSERT_TRUE(log.ok()) << log.status();
    Random random(seed);
    twins_ = FillByChance(**log, random, steps);
    const std::string from = kFrom;
    Write(file_system_, from + "/snapshots/1/00000000000000000004-1-saved.manifest", "manifest");
    Write(file_system_, from + "/snapshots/1/00000000000000000004-1-saved.0",
          std::string(300'000, 's'));
    Write(file_system_, from + "/groups/1/machine/CHECKPOINT", "checkpoint");
    Write(file_system_, from + "/groups/7/tombstone", "of a life before");
    Write(file_system_, from + "/groups/7/tombstone.copy", "of a life before");
    Write(file_system_, from + "/what-a-later-version-keeps", "something");
    Write(file_system_, from + "/lost+found/inode", "the disk's");
  }

  absl::StatusOr<DataConversion> Convert(const std::string& store, FileSystem* on = nullptr) {
    DataConversionOptions options;
    options.from = kFrom;
    options.to = kTo;
    options.log_store = store;
    options.block_bytes = 128 << 10;
    return ConvertDataDirectory(on != nullptr ? *on : file_system_, options);
  }

  // The same node starts there, and finds what the old one has.
  void ExpectConverted(FileSystem& file_system, const std::string& store) {
    auto others = Others(FilesOf(file_system, kFrom));
    others.erase("/lost+found/inode");
    EXPECT_EQ(Others(FilesOf(file_system, kTo)), others);
    const absl::StatusOr<NodeIdentity> identity = LoadIdentity(file_system, kTo);
    ASSERT_TRUE(identity.ok()) << identity.status();
    const NodeIdentity wanted = TestIdentity(store);
    EXPECT_TRUE(CheckIdentity(*identity, wanted).ok());
    EXPECT_EQ(identity->incarnation, wanted.incarnation);
    EXPECT_EQ(identity->formed, wanted.formed);
    EXPECT_EQ(identity->initial_members, wanted.initial_members);
    const auto log = OpenLog(file_system, kTo, store);
    ASSERT_TRUE(log.ok()) << log.status();
    EXPECT_EQ((*log)->name(), store);
    ASSERT_EQ((*log)->Groups().size(), twins_.size());
    for (const auto& [group, twin] : twins_) {
      auto opened = (*log)->OpenGroup(group);
      ASSERT_TRUE(opened.ok()) << opened.status();
      ExpectHolds(*opened, twin);
    }
  }

  // `refused` is an error of this kind that names this, and nothing is there.
  void ExpectRefused(const absl::Status& refused, absl::StatusCode code, const std::string& named) {
    EXPECT_EQ(refused.code(), code) << refused;
    EXPECT_TRUE(absl::StrContains(refused.message(), named)) << refused;
    EXPECT_FALSE(file_system_.Exists(kTo).value());
    EXPECT_FALSE(file_system_.Exists(UnfinishedConversion(kTo)).value());
  }

  SimulatedFileSystem file_system_;
  LogTwins twins_;
};

using Stores = std::pair<std::string, std::string>;
const Stores kAllStores[] = {
    {"block", "rocksdb"}, {"rocksdb", "block"}, {"block", "block"}, {"rocksdb", "rocksdb"}};

class EachDirection : public DataConversionTest, public testing::WithParamInterface<Stores> {};

TEST_P(EachDirection, TheNodeIsTheSameAndTheSourceIsAsItWas) {
  const auto& [from, to] = GetParam();
  MakeNode(from);
  const auto before = FilesOf(file_system_, kFrom);
  const absl::StatusOr<DataConversion> done = Convert(to);
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->from_store, from);
  EXPECT_EQ(done->identity.log_store, to);
  EXPECT_EQ(done->groups.size(), twins_.size());
  EXPECT_EQ(FilesOf(file_system_, kFrom), before);
  Random random(1);
  file_system_.Crash(CrashPolicy::kDropAll, random);
  ExpectConverted(file_system_, to);
  EXPECT_FALSE(file_system_.Exists(UnfinishedConversion(kTo)).value());
}

// The power goes at each call to the disk in turn: there is a whole node in the new place, or none,
// and the old one stays.
TEST_P(EachDirection, APowerCutLeavesAWholeDirectoryOrNone) {
  const auto& [from, to] = GetParam();
  MakeNode(from, 25, 3);
  const std::unique_ptr<SimulatedFileSystem> origin = file_system_.WorstCaseImage();
  const auto before = FilesOf(*origin, kFrom);
  int whole = 0;
  int none = 0;
  for (int cut = 1;; ++cut) {
    SCOPED_TRACE(absl::StrCat("call ", cut));
    const std::unique_ptr<SimulatedFileSystem> image = origin->WorstCaseImage();
    auto calls = std::make_shared<std::atomic<int>>(0);
    image->set_fault_hook([calls, cut](const FileAccess&) {
      FileFault fault;
      if (++*calls >= cut) fault.error = EIO;
      return fault;
    });
    const bool ended = Convert(to, image.get()).ok();
    image->set_fault_hook(nullptr);
    Random random(static_cast<uint64_t>(cut));
    const CrashPolicy policies[] = {CrashPolicy::kDropAll, CrashPolicy::kRandomSubset,
                                    CrashPolicy::kTornCall};
    image->Crash(policies[cut % 3], random);
    EXPECT_EQ(FilesOf(*image, kFrom), before);
    if (image->Exists(kTo).value()) {
      ++whole;
      ExpectConverted(*image, to);
    } else {
      ++none;
      EXPECT_FALSE(ended);
    }
    if (HasFailure()) return;
    if (ended) break;
  }
  EXPECT_GE(whole, 1);
  EXPECT_GT(none, 60);
}

INSTANTIATE_TEST_SUITE_P(Stores, EachDirection, testing::ValuesIn(kAllStores),
                         [](const auto& tested) {
                           return absl::StrCat(tested.param.first, "_", tested.param.second);
                         });

TEST_F(DataConversionTest, ThereAndBackIsTheSameNode) {
  MakeNode("block", 120, 9);
  ASSERT_TRUE(Convert("rocksdb").ok());
  DataConversionOptions back;
  back.from = kTo;
  back.to = "/machines/again/";
  back.log_store = "block";
  uint64_t told = 0;
  back.progress = [&told](absl::string_view, uint64_t done, uint64_t total) {
    EXPECT_LE(done, total);
    told = std::max(told, done);
  };
  const absl::StatusOr<DataConversion> done = ConvertDataDirectory(file_system_, back);
  ASSERT_TRUE(done.ok()) << done.status();
  uint64_t entries = 0;
  for (const auto& [group, each] : done->groups) entries += each.entries;
  EXPECT_EQ(told, entries);
  const auto log = OpenLog(file_system_, "/machines/again", "block");
  ASSERT_TRUE(log.ok()) << log.status();
  for (const auto& [group, twin] : twins_) ExpectHolds((*log)->OpenGroup(group).value(), twin);
}

TEST_F(DataConversionTest, BlocksThatCannotBeAreRefusedBeforeAnythingIsWritten) {
  MakeNode("block");
  DataConversionOptions options;
  options.from = kFrom;
  options.to = kTo;
  for (const uint64_t block_bytes : {uint64_t{100'000}, uint64_t{4096}, uint64_t{0}}) {
    options.block_bytes = block_bytes;
    options.log_store = "block";
    ExpectRefused(ConvertDataDirectory(file_system_, options).status(),
                  absl::StatusCode::kInvalidArgument, absl::StrCat(block_bytes));
  }
  options.log_store = "rocksdb";  // has none
  EXPECT_TRUE(ConvertDataDirectory(file_system_, options).ok());
}

TEST_F(DataConversionTest, ARunningNodeIsRefused) {
  MakeNode("block");
  {
    const auto lock = file_system_.Lock(absl::StrCat(kFrom, "/LOCK"));
    ASSERT_TRUE(lock.ok());
    ExpectRefused(Convert("rocksdb").status(), absl::StatusCode::kAlreadyExists, "LOCK");
  }
  {
    const auto log = OpenLog(file_system_, kFrom, "block");
    ASSERT_TRUE(log.ok());
    ExpectRefused(Convert("rocksdb").status(), absl::StatusCode::kAlreadyExists, "open");
  }
  EXPECT_TRUE(Convert("rocksdb").ok());
}

TEST_F(DataConversionTest, TheSourceIsLockedMeanwhile) {
  MakeNode("block");
  DataConversionOptions options;
  options.from = kFrom;
  options.to = kTo;
  options.log_store = "rocksdb";
  int told = 0;
  options.progress = [&](absl::string_view, uint64_t, uint64_t) {
    ++told;
    EXPECT_TRUE(file_system_.LockHolder(absl::StrCat(kFrom, "/LOCK")).value().has_value());
    EXPECT_TRUE(file_system_.LockHolder(UnfinishedConversion(kTo) + "/LOCK").value().has_value());
    EXPECT_TRUE(absl::IsNotFound(LoadIdentity(file_system_, UnfinishedConversion(kTo)).status()));
  };
  ASSERT_TRUE(ConvertDataDirectory(file_system_, options).ok());
  EXPECT_GT(told, 2);
}

TEST_F(DataConversionTest, WhatIsDamagedIsNamedAndNothingIsWritten) {
  for (const std::string store : {"block", "rocksdb"}) {
    SCOPED_TRACE(store);
    MakeNode(store);
    const LogTwin& twin = twins_.begin()->second;
    const std::string& record = twin.At(twin.last()).record;
    for (const auto& [path, content] : FilesOf(file_system_, kFrom)) {
      const size_t at = content.find(record);
      if (at != std::string::npos) file_system_.FlipBits(kFrom + path, at + 115, 1);
    }
    // RocksDB takes the bad record for the end of its write-ahead log: more is missing then.
    std::string named = absl::StrCat("group ", ToInteger(twin.group()), ", entry ");
    if (store == "block") absl::StrAppend(&named, twin.last(), ": ");
    ExpectRefused(Convert(store == "block" ? "rocksdb" : "block").status(),
                  absl::StatusCode::kDataLoss, named);
    file_system_.RestartProcess();
    ASSERT_TRUE(file_system_.Rename(kFrom, "/machines/damaged-" + store).ok());
  }
}

TEST_F(DataConversionTest, ADamagedIdentityIsNotHealedInTheSource) {
  MakeNode("block");
  ASSERT_TRUE(file_system_.Remove(absl::StrCat(kFrom, "/identity.copy")).ok());
  const auto before = FilesOf(file_system_, kFrom);
  ASSERT_TRUE(Convert("rocksdb").ok());
  EXPECT_EQ(FilesOf(file_system_, kFrom), before);
  EXPECT_TRUE(file_system_.Exists(absl::StrCat(kTo, "/identity.copy")).value());
}

TEST_F(DataConversionTest, NothingIsWrittenOver) {
  MakeNode("block");
  auto refused = [&](const std::string& named) {
    const absl::Status status = Convert("rocksdb").status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), named)) << status;
  };
  Write(file_system_, absl::StrCat(kTo, "/file"), "somebody's");
  refused("is not empty");
  ASSERT_TRUE(file_system_.Remove(absl::StrCat(kTo, "/file")).ok());
  Write(file_system_, UnfinishedConversion(kTo) + "/log", "of another conversion");
  refused("remove it");
  ASSERT_TRUE(file_system_.Remove(UnfinishedConversion(kTo) + "/log").ok());
  ASSERT_TRUE(file_system_.Remove(UnfinishedConversion(kTo)).ok());
  // An empty directory will do.
  EXPECT_TRUE(Convert("rocksdb").ok());
  ExpectConverted(file_system_, "rocksdb");
}

// What was salvaged of a log in RocksDB is a log in blocks.
TEST_F(DataConversionTest, TheLogMayBeOfAnotherStoreThanTheIdentitySays) {
  MakeNode("block");
  ASSERT_TRUE(SaveIdentity(file_system_, kFrom, TestIdentity("rocksdb")).ok());
  const absl::StatusOr<DataConversion> done = Convert("rocksdb");
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->from_store, "block");
  ExpectConverted(file_system_, "rocksdb");
}

TEST_F(DataConversionTest, WhatMakesNoSenseIsRefused) {
  ExpectRefused(Convert("block").status(), absl::StatusCode::kNotFound, "identity");
  MakeNode("block");
  ExpectRefused(Convert("memory").status(), absl::StatusCode::kInvalidArgument, "memory");
  DataConversionOptions inside;
  inside.from = kFrom;
  inside.to = absl::StrCat(kFrom, "/new");
  inside.log_store = "rocksdb";
  ExpectRefused(ConvertDataDirectory(file_system_, inside).status(),
                absl::StatusCode::kFailedPrecondition, "is in");
  NodeIdentity other = TestIdentity("memory");
  ASSERT_TRUE(SaveIdentity(file_system_, kFrom, other).ok());
  ExpectRefused(Convert("block").status(), absl::StatusCode::kFailedPrecondition, "memory");
  other = TestIdentity("block");
  other.incarnation = Incarnation{5};
  ASSERT_TRUE(SaveIdentity(file_system_, kFrom, other).ok());
  ExpectRefused(Convert("block").status(), absl::StatusCode::kFailedPrecondition, "incarnation");
}

}  // namespace
}  // namespace cairn

// Whose RocksDB's write-ahead log is (fault catalogue D15): a file of another node's is refused
// before anything is changed, whatever its number and however much it holds.

#include "storage/rocksdb/log_owner.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Each start begins a file of the write-ahead log.
void Write(RocksDbSubject& subject, int starts, int batches) {
  Term term = 0;
  for (int start = 0; start < starts; ++start) {
    ASSERT_EQ(subject.Open(), absl::OkStatus());
    for (int i = 0; i < batches; ++i) ASSERT_EQ(subject.AppendAndSync(++term), absl::OkStatus());
  }
  subject.store = nullptr;
  subject.disk = nullptr;
}

std::string NewestLog(SimulatedFileSystem& files) {
  std::string newest;
  const std::vector<std::string> names = files.List("/log/db").value();
  for (const std::string& name : names) {
    if (absl::EndsWith(name, ".log")) newest = std::max(newest, absl::StrCat("/log/db/", name));
  }
  return newest;
}

// All files of the log, to see that nothing changes.
std::vector<std::pair<std::string, std::string>> Content(SimulatedFileSystem& files) {
  std::vector<std::pair<std::string, std::string>> content;
  for (const std::string directory : {"/log", "/log/db"}) {
    const std::vector<std::string> names = files.List(directory).value();
    for (const std::string& name : names) {
      const std::string path = absl::StrCat(directory, "/", name);
      // The reserve is opened first, and the lock is nobody's.
      if (absl::StrContains(name, "reserve") || name == "LOCK") continue;
      if (const auto bytes = ReadWholeFile(files, path); bytes.ok()) {
        content.emplace_back(path, *bytes);
      }
    }
  }
  return content;
}

struct Other {
  const char* what;
  LogIdentity identity;
  const char* named;
};

TEST(LogOwnerTest, AnotherOnesFileIsRefusedHoweverMuchItHolds) {
  const LogIdentity own = TestOptions().identity;
  const Other others[] = {
      {"node", {own.cluster, NodeId{2}, own.incarnation}, "node 2"},
      {"cluster", {ClusterId{{9}}, own.node, own.incarnation}, "cluster 09"},
      {"incarnation", {own.cluster, own.node, Incarnation{8}}, "incarnation 8"},
  };
  for (const Other& other : others) {
    for (const int starts : {1, 2, 3}) {
      for (const int batches : {1, 3, 9}) {
        SCOPED_TRACE(absl::StrCat("another ", other.what, ", ", starts, " starts, ", batches));
        SimulatedFileSystem files;
        RocksDbSubject subject(files);
        Write(subject, /*starts=*/2, /*batches=*/3);
        SimulatedFileSystem foreign;
        RocksDbSubject stranger(foreign);
        stranger.options.identity = other.identity;
        Write(stranger, starts, batches);
        ASSERT_FALSE(testing::Test::HasFatalFailure());

        // Under the name of this node's file: RocksDB's manifest knows no other one.
        const std::string path = NewestLog(files);
        const std::string kept = ReadWholeFile(files, path).value();
        ASSERT_EQ(
            WriteFileAtomically(files, path, ReadWholeFile(foreign, NewestLog(foreign)).value()),
            absl::OkStatus());
        const auto before = Content(files);
        const absl::Status refused = subject.Open();
        EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
        EXPECT_THAT(refused.message(),
                    AllOf(HasSubstr(path), HasSubstr(other.named), HasSubstr("node 1")));
        EXPECT_TRUE(Content(files) == before);

        // With its own file it goes on as if nothing had been.
        ASSERT_EQ(WriteFileAtomically(files, path, kept), absl::OkStatus());
        ASSERT_EQ(subject.Open(), absl::OkStatus());
        EXPECT_TRUE(subject.recovered.faulty.empty());
        subject.ExpectNothingWrong();
      }
    }
  }
}

// Whatever was written first says so: each of the changes begins a file in turn.
TEST(LogOwnerTest, EachChangeThatBeginsAFileSaysWhoseItIs) {
  const LogIdentity own = TestOptions().identity;
  LogIdentity other = own;
  other.node = NodeId{2};
  const auto reset = [](RocksDbSubject& subject) {
    return subject.store->Reset({.index = 50, .term = 3}, EntryHash{});
  };
  const auto drop_prefix = [](RocksDbSubject& subject) { return subject.store->DropPrefix(2); };
  const auto append = [](RocksDbSubject& subject) { return subject.AppendAndSync(9); };
  const auto drop_group = [](RocksDbSubject& subject) {
    subject.store = nullptr;
    subject.disk->CloseGroup(kGroup);
    return subject.disk->DropGroup(kGroup);
  };
  const std::vector<std::function<absl::Status(RocksDbSubject&)>> changes = {append, drop_prefix,
                                                                             reset, drop_group};
  for (size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    SimulatedFileSystem files;
    RocksDbSubject subject(files);
    Write(subject, /*starts=*/1, /*batches=*/3);
    ASSERT_EQ(subject.Open(), absl::OkStatus());
    ASSERT_EQ(changes[i](subject), absl::OkStatus());
    ASSERT_EQ(SyncOf(*subject.disk), absl::OkStatus());
    subject.store = nullptr;
    subject.disk = nullptr;
    EXPECT_EQ(CheckLogOwner(files, "/log/db", own), absl::OkStatus());
    EXPECT_TRUE(absl::IsFailedPrecondition(CheckLogOwner(files, "/log/db", other)));
  }
}

// Programs before this one wrote no identity, and rot is for others to name.
TEST(LogOwnerTest, WhatDoesNotSayWhoseItIsPasses) {
  SimulatedFileSystem files;
  RocksDbSubject subject(files);
  Write(subject, /*starts=*/1, /*batches=*/2);
  const std::string path = NewestLog(files);
  const std::string whole = ReadWholeFile(files, path).value();
  LogIdentity other = TestOptions().identity;
  other.node = NodeId{2};
  ASSERT_TRUE(absl::IsFailedPrecondition(CheckLogOwner(files, "/log/db", other)));
  for (size_t length = 0; length < 80; ++length) {
    ASSERT_EQ(WriteFileAtomically(files, path, whole.substr(0, length)), absl::OkStatus());
    EXPECT_EQ(CheckLogOwner(files, "/log/db", TestOptions().identity), absl::OkStatus()) << length;
  }
  // From the batch's first record on; what stands before is RocksDB's.
  const size_t end = 21 + EncodeLogIdentity(TestOptions().identity).size();
  for (size_t at = 19; at < end; ++at) {
    std::string rotten = whole;
    rotten[at] = static_cast<char>(rotten[at] ^ 0x10);
    ASSERT_EQ(WriteFileAtomically(files, path, rotten), absl::OkStatus());
    EXPECT_EQ(CheckLogOwner(files, "/log/db", other), absl::OkStatus()) << at;
  }
  EXPECT_EQ(CheckLogOwner(files, "/nowhere", other), absl::OkStatus());

  // A database that was written without.
  DatabaseOptions options;
  options.directory = "/plain/db";
  options.may_create = true;
  ASSERT_EQ(files.MakeDirectory("/plain"), absl::OkStatus());
  {
    absl::StatusOr<Database> plain = OpenDatabase(files, options);
    ASSERT_TRUE(plain.ok()) << plain.status();
    ASSERT_TRUE(plain->db->Put(rocksdb::WriteOptions(), "key", std::string(300, 'v')).ok());
    ASSERT_TRUE(plain->db->FlushWAL(/*sync=*/true).ok());
  }
  EXPECT_EQ(CheckLogOwner(files, "/plain/db", other), absl::OkStatus());
}

}  // namespace
}  // namespace cairn

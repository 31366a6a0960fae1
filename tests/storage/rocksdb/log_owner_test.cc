// Whose RocksDB's write-ahead log is (fault catalogue D15): a file of another node's is refused
// before anything is changed, whatever its number and however much it holds.

#include "storage/rocksdb/log_owner.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "storage/log_scrub.h"
#include "storage/record.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/database_repair.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
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
  for (const std::string directory : {"/log", "/log/db", "/log/db/lost"}) {
    const std::vector<std::string> names =
        files.List(directory).value_or(std::vector<std::string>());
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

// Starts, and fails from this call on.
void OpenUntil(int cut, SimulatedFileSystem& files) {
  std::atomic<int> calls = 0;
  files.set_fault_hook([&calls, cut](const FileAccess&) {
    FileFault fault;
    if (++calls >= cut) fault.error = EIO;
    return fault;
  });
  EXPECT_FALSE(RocksDbSubject(files).Open().ok());
  files.set_fault_hook(nullptr);
}

// A repair takes back what an attempt that was cut short has moved away, and reads it.
TEST(LogOwnerTest, AnotherOnesFileIsNotTakenBackByARepair) {
  SimulatedFileSystem foreign;
  RocksDbSubject stranger(foreign);
  stranger.options.identity.node = NodeId{2};
  Write(stranger, /*starts=*/2, /*batches=*/9);
  const std::string other = ReadWholeFile(foreign, NewestLog(foreign)).value();
  SimulatedFileSystem files;
  RocksDbSubject subject(files);
  Write(subject, /*starts=*/2, /*batches=*/3);
  ASSERT_FALSE(testing::Test::HasFatalFailure());
  const std::string name = NewestLog(files).substr(std::string("/log/db/").size());
  ASSERT_EQ(files.Remove("/log/db/CURRENT"), absl::OkStatus());
  const std::string moved_to = absl::StrCat("/log/db/lost/", name);
  int cut = 1;
  while (!files.Exists(moved_to).value()) OpenUntil(++cut, files);
  ASSERT_TRUE(files.Exists("/log/repairing").value());
  ASSERT_FALSE(files.Exists(absl::StrCat("/log/db/", name)).value());

  const std::string kept = ReadWholeFile(files, moved_to).value();
  ASSERT_EQ(WriteFileAtomically(files, moved_to, other), absl::OkStatus());
  const auto before = Content(files);
  for (int i = 0; i < 2; ++i) {
    const absl::Status refused = subject.Open();
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(refused.message(), AllOf(HasSubstr(moved_to), HasSubstr("node 2")));
    EXPECT_TRUE(Content(files) == before);
  }
  // What it does not take back is nobody's business.
  ASSERT_EQ(WriteFileAtomically(files, moved_to, kept), absl::OkStatus());
  ASSERT_EQ(WriteFileAtomically(files, "/log/db/lost/000999.log", other), absl::OkStatus());
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(subject.Open(), absl::OkStatus());
    EXPECT_TRUE(subject.recovered.faulty.empty());
    subject.ExpectNothingWrong();
  }
}

// Such a file is as likely this node's as any: it is no reason to refuse, but is told.
TEST(LogOwnerTest, AFileThatCannotBeReadIsTold) {
  SimulatedFileSystem files;
  RocksDbSubject subject(files);
  Write(subject, /*starts=*/2, /*batches=*/3);
  const std::string path = NewestLog(files);
  const auto told = [&path](const RocksDbSubject& opened) {
    return testing::Value(opened.recovered.report.notes,
                          Contains(AllOf(HasSubstr(path), HasSubstr("whose it is"))));
  };
  for (const int failures : {1, 2, 3, 1000}) {
    SCOPED_TRACE(failures);
    const std::unique_ptr<SimulatedFileSystem> image = files.WorstCaseImage();
    std::atomic<int> reads = 0;
    image->set_fault_hook([&](const FileAccess& access) {
      FileFault fault;
      const bool of_it = access.path == path && access.operation == FileAccess::Operation::kRead;
      if (of_it && ++reads <= failures) fault.error = EIO;
      return fault;
    });
    RocksDbSubject later(*image);
    later.given = later.acknowledged = subject.acknowledged;
    ASSERT_EQ(later.Open(), absl::OkStatus());
    // It is tried twice, by RocksDB too, which takes it for rot then.
    EXPECT_EQ(told(later), failures >= 2);
    EXPECT_EQ(later.recovered.faulty.empty(), failures < 4);
    later.ExpectNothingWrong();
    image->set_fault_hook(nullptr);
    ASSERT_EQ(later.Open(), absl::OkStatus());
    EXPECT_FALSE(told(later));
    later.ExpectNothingWrong();
  }
}

// Fails what is read of tables in this way, until it is destroyed.
class UnreadableTables {
 public:
  UnreadableTables(SimulatedFileSystem& files, FileAccess::Operation read) : files_(files) {
    files_.set_fault_hook([read](const FileAccess& access) {
      FileFault fault;
      if (access.operation == read && absl::EndsWith(access.path, ".sst")) fault.error = EIO;
      return fault;
    });
  }
  ~UnreadableTables() { files_.set_fault_hook(nullptr); }

 private:
  SimulatedFileSystem& files_;
};

// A change of the log that is open and has written nothing since, or of one that is not.
struct Change {
  const char* what;
  std::function<absl::Status(SimulatedFileSystem& files, RocksDbSubject& subject)> make;
  bool is_open = true;
};

absl::Status RepairAnEntry(SimulatedFileSystem&, RocksDbSubject& subject) {
  const auto run = RecordRun::Parse(kGroup, Bytes::Copy(subject.given.At(3).record));
  return run.ok() ? subject.store->Repair({*run}) : run.status();
}

absl::Status DropTheGroup(SimulatedFileSystem&, RocksDbSubject& subject) {
  subject.store = nullptr;
  subject.disk->CloseGroup(kGroup);
  return subject.disk->DropGroup(kGroup);
}

absl::Status FindAnEntryUnreadable(SimulatedFileSystem& files, RocksDbSubject& subject) {
  const UnreadableTables unreadable(files, FileAccess::Operation::kRead);
  EXPECT_TRUE(absl::IsDataLoss(subject.store->Read(3, 3, kNoLimit).status()));
  return absl::OkStatus();
}

// One step from there on, which cannot read any table.
absl::Status ScrubFrom(ScrubPosition position, absl::string_view healed, SimulatedFileSystem& files,
                       RocksDbSubject& subject) {
  const UnreadableTables unreadable(files, FileAccess::Operation::kReadDirect);
  const ScrubStep step = subject.disk->scrub()->Step(position, 1);
  EXPECT_THAT(step.healed, Contains(HasSubstr(healed)));
  return absl::OkStatus();
}

absl::Status LeaveABadLog(SimulatedFileSystem& files, RocksDbSubject& subject) {
  if (absl::Status status = subject.AppendAndSync(9); !status.ok()) return status;
  const std::string file = NewestLog(files);
  files.FlipBits(file, 200, 1);
  ScrubPosition position = {.batch = 2};  // the write-ahead log
  EXPECT_THAT(subject.disk->scrub()->Step(position, 1 << 20).healed, Contains(HasSubstr(file)));
  absl::Status status = subject.AppendAndSync(10);
  EXPECT_NE(NewestLog(files), file);
  return status;
}

// A start that writes what the ledger knows and the database does not.
absl::Status RecoverWithout(const std::string& ending, SimulatedFileSystem& files,
                            RocksDbSubject& subject) {
  const std::vector<std::string> names = files.List("/log/db").value();
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ending)) continue;
    absl::Status removed = files.Remove(absl::StrCat("/log/db/", name));
    if (!removed.ok()) return removed;
  }
  absl::Status opened = subject.Open();
  EXPECT_FALSE(subject.recovered.faulty.empty());
  return opened;
}

std::vector<Change> Changes() {
  return {
      {"an append", [](auto&, auto& subject) { return subject.AppendAndSync(9); }},
      {"a dropped prefix", [](auto&, auto& subject) { return subject.store->DropPrefix(2); }},
      {"a reset",
       [](auto&, auto& subject) {
         return subject.store->Reset({.index = 50, .term = 3}, EntryHash{});
       }},
      {"a repair", RepairAnEntry},
      {"a dropped group", DropTheGroup},
      {"an entry that cannot be read", FindAnEntryUnreadable},
      {"a scrub that finds no identity",
       [](auto& files, auto& subject) { return ScrubFrom({}, "identity", files, subject); }},
      {"a scrub that finds no head",
       [](auto& files, auto& subject) {
         return ScrubFrom({.id_end = 1}, "the head of group", files, subject);
       }},
      {"a scrub that leaves a bad log", LeaveABadLog},
      {"a start without the last changes",
       [](auto& files, auto& subject) { return RecoverWithout(".log", files, subject); }, false},
      {"a start without a database",
       [](auto& files, auto& subject) { return RecoverWithout("", files, subject); }, false},
  };
}

void ExpectOwned(SimulatedFileSystem& files) {
  LogIdentity other = TestOptions().identity;
  other.node = NodeId{2};
  const std::vector<std::string> newest = {NewestLog(files)};
  EXPECT_EQ(CheckLogOwner(files, newest, TestOptions().identity).status(), absl::OkStatus());
  const absl::Status refused = CheckLogOwner(files, newest, other).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
}

// Whatever was written first says so: each of the changes begins a file in turn.
TEST(LogOwnerTest, EachChangeThatBeginsAFileSaysWhoseItIs) {
  for (const Change& change : Changes()) {
    SCOPED_TRACE(change.what);
    SimulatedFileSystem files;
    RocksDbSubject subject(files);
    Write(subject, /*starts=*/1, /*batches=*/3);
    if (change.is_open) {
      ASSERT_EQ(subject.Open(), absl::OkStatus());  // which writes a table
      ASSERT_EQ(ReadWholeFile(files, NewestLog(files)).value(), "");
    }
    ASSERT_EQ(change.make(files, subject), absl::OkStatus());
    ASSERT_EQ(SyncOf(*subject.disk), absl::OkStatus());
    subject.store = nullptr;
    subject.disk = nullptr;
    ExpectOwned(files);
  }
}

TEST(LogOwnerTest, ANewLogSaysWhoseItIs) {
  SimulatedFileSystem files;
  RocksDbSubject subject(files);
  Write(subject, /*starts=*/1, /*batches=*/0);
  ExpectOwned(files);
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
  ASSERT_TRUE(absl::IsFailedPrecondition(CheckLogOwner(files, {path}, other).status()));
  for (size_t length = 0; length < 80; ++length) {
    ASSERT_EQ(WriteFileAtomically(files, path, whole.substr(0, length)), absl::OkStatus());
    EXPECT_EQ(CheckLogOwner(files, {path}, TestOptions().identity).status(), absl::OkStatus())
        << length;
  }
  // From the batch's first record on; what stands before is RocksDB's.
  const size_t end = 21 + EncodeLogIdentity(TestOptions().identity).size();
  for (size_t at = 19; at < end; ++at) {
    std::string rotten = whole;
    rotten[at] = static_cast<char>(rotten[at] ^ 0x10);
    ASSERT_EQ(WriteFileAtomically(files, path, rotten), absl::OkStatus());
    EXPECT_EQ(CheckLogOwner(files, {path}, other).status(), absl::OkStatus()) << at;
  }

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
  std::vector<std::string> logs = DatabaseRepair(files, "/plain").WriteAheadLogs().value();
  ASSERT_THAT(logs, ElementsAre(HasSubstr("/plain/db/")));
  EXPECT_EQ(CheckLogOwner(files, logs, other).status(), absl::OkStatus());
}

}  // namespace
}  // namespace cairn

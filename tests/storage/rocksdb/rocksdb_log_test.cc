#include "storage/rocksdb/rocksdb_log.h"

#include <atomic>
#include <cerrno>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/faulty_indexes.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using Subject = RocksDbSubject;

// The files of the log whose names end so.
std::vector<std::string> FilesOf(SimulatedFileSystem& file_system, const std::string& directory,
                                 const std::string& part) {
  std::vector<std::string> files;
  const absl::StatusOr<std::vector<std::string>> names = file_system.List(directory);
  EXPECT_TRUE(names.ok()) << names.status();
  for (const std::string& name : *names) {
    if (absl::StrContains(name, part)) files.push_back(absl::StrCat(directory, "/", name));
  }
  return files;
}

// Turns over a bit in one place after the other, each time in a fresh copy of what is durable, and
// opens that. Returns how often damage was named.
int FlipEverywhere(const SimulatedFileSystem& origin, const Subject& written,
                   const std::string& directory, const std::string& part, uint64_t step) {
  int named = 0;
  const std::unique_ptr<SimulatedFileSystem> listed = origin.WorstCaseImage();
  for (const std::string& path : FilesOf(*listed, directory, part)) {
    const uint64_t size = ReadWholeFile(*listed, path).value().size();
    for (uint64_t at = 0; at < size; at += step) {
      SCOPED_TRACE(absl::StrCat(path, " at ", at));
      const std::unique_ptr<SimulatedFileSystem> image = origin.WorstCaseImage();
      image->FlipBits(path, at, static_cast<uint8_t>(1 << at % 8));
      Subject subject(*image);
      subject.given = written.given;
      subject.acknowledged = written.acknowledged;
      const absl::Status status = subject.Open();
      EXPECT_TRUE(status.ok()) << status;
      if (!status.ok()) return named;
      subject.ExpectNothingWrong();
      if (!subject.recovered.faulty.empty() || subject.recovered.torn_from) ++named;
      if (testing::Test::HasFailure()) return named;
    }
  }
  return named;
}

TEST(RocksDbLogTest, RotInTheWriteAheadLogIsNotTakenForItsEnd) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  for (Term term = 1; term <= 3; ++term) ASSERT_TRUE(subject.AppendAndSync(term).ok());
  EXPECT_GT(FlipEverywhere(file_system, subject, "/log/db", ".log", 37), 20);
}

TEST(RocksDbLogTest, RotInATableIsNoticed) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  for (Term term = 1; term <= 3; ++term) ASSERT_TRUE(subject.AppendAndSync(term).ok());
  ASSERT_TRUE(subject.Open().ok());  // which writes a table
  EXPECT_GT(FlipEverywhere(file_system, subject, "/log/db", ".sst", 61), 20);
}

// It is a second witness: the database alone is whole.
TEST(RocksDbLogTest, RotInTheLedgerHarmsNothing) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  for (Term term = 1; term <= 3; ++term) ASSERT_TRUE(subject.AppendAndSync(term).ok());
  EXPECT_EQ(FlipEverywhere(file_system, subject, "/log", "acks.", 131), 0);
}

// From now on syncs of the write-ahead log say OK and do nothing.
void LoseSyncs(SimulatedFileSystem& file_system) {
  file_system.set_fault_hook([](const FileAccess& access) {
    FileFault fault;
    fault.lost =
        access.operation == FileAccess::Operation::kSync && absl::EndsWith(access.path, ".log");
    return fault;
  });
}

// The power went in the last sync, for all the ledger can know.
TEST(RocksDbLogTest, AMissingLastSyncMayBeTorn) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  for (Term term = 1; term <= 2; ++term) ASSERT_TRUE(subject.AppendAndSync(term).ok());
  LoseSyncs(file_system);
  ASSERT_TRUE(subject.AppendAndSync(3).ok());
  Random random(1);
  file_system.Crash(CrashPolicy::kDropAll, random);
  file_system.set_fault_hook(nullptr);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(subject.Open().ok());
    EXPECT_EQ(subject.recovered.torn_from, 5u);
    EXPECT_TRUE(subject.recovered.faulty.empty());
    subject.ExpectNothingWrong();
  }
  // The cluster decides that they are gone.
  LogAppend append;
  append.truncate_from = 5;
  LogTwin next = subject.given;
  next.TruncateFrom(5);
  append.runs = {next.Add(4, "another 5")};
  ASSERT_TRUE(subject.store->Append(append).ok());
  ASSERT_TRUE(SyncOf(*subject.disk).ok());
  ASSERT_TRUE(subject.Open().ok());
  EXPECT_FALSE(subject.recovered.torn_from.has_value());
  EXPECT_EQ(subject.recovered.last_hash, next.HashAt(5));
  EXPECT_TRUE(subject.recovered.faulty.empty());
}

// Nothing of the group was ever acknowledged: what the database lost is not all that was.
TEST(RocksDbLogTest, AMissingFirstSyncMayBeTorn) {
  for (const bool dropped_before : {false, true}) {
    SCOPED_TRACE(dropped_before);
    SimulatedFileSystem file_system;
    Subject subject(file_system);
    ASSERT_TRUE(subject.Open().ok());
    if (dropped_before) {
      ASSERT_TRUE(subject.AppendAndSync(1).ok());
      subject.disk->CloseGroup(kGroup);
      ASSERT_TRUE(subject.disk->DropGroup(kGroup).ok());
      ASSERT_TRUE(SyncOf(*subject.disk).ok());
      subject.store = subject.disk->OpenGroup(kGroup)->store;
      subject.given = subject.acknowledged = LogTwin(kGroup);
    }
    LoseSyncs(file_system);
    ASSERT_TRUE(subject.AppendAndSync(2).ok());
    Random random(1);
    file_system.Crash(CrashPolicy::kDropAll, random);
    file_system.set_fault_hook(nullptr);
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(subject.Open().ok());
      EXPECT_EQ(subject.recovered.torn_from, 1u);
      EXPECT_TRUE(subject.recovered.faulty.empty());
      EXPECT_EQ(subject.recovered.hard_state, subject.given.hard_state);
      subject.ExpectNothingWrong();
    }
  }
}

// The other way round: the entries are there, and the ledger does not know of them yet.
TEST(RocksDbLogTest, AMissingLastSyncOfTheLedgerHarmsNothing) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  for (Term term = 1; term <= 2; ++term) ASSERT_TRUE(subject.AppendAndSync(term).ok());
  file_system.set_fault_hook([](const FileAccess& access) {
    FileFault fault;
    fault.lost =
        access.operation == FileAccess::Operation::kSync && absl::StrContains(access.path, "acks.");
    return fault;
  });
  ASSERT_TRUE(subject.AppendAndSync(3).ok());
  Random random(1);
  file_system.Crash(CrashPolicy::kDropAll, random);
  file_system.set_fault_hook(nullptr);
  ASSERT_TRUE(subject.Open().ok());
  EXPECT_FALSE(subject.recovered.torn_from.has_value());
  EXPECT_TRUE(subject.recovered.faulty.empty());
  EXPECT_EQ(subject.store->last().index, 6u);
  subject.ExpectNothingWrong();
}

// Lets nobody through until all it waits for have come.
class Meeting {
 public:
  bool Come(const std::string& who) {
    MutexLock lock(mutex_);
    come_.insert(who);
    changed_.NotifyAll();
    while (come_.size() < 2) {
      if (!changed_.WaitFor(mutex_, absl::Seconds(30))) return false;
    }
    return true;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::set<std::string> come_ CAIRN_GUARDED_BY(mutex_);
};

TEST(RocksDbLogTest, TheTwoSyncsRunBesideEachOther) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  Meeting meeting;
  std::atomic<bool> met = true;
  file_system.set_fault_hook([&](const FileAccess& access) {
    if (access.operation == FileAccess::Operation::kSync) {
      const std::string who = absl::EndsWith(access.path, ".log") ? "log" : "ledger";
      if (!meeting.Come(who)) met = false;
    }
    return FileFault();
  });
  EXPECT_TRUE(subject.AppendAndSync(1).ok());
  EXPECT_TRUE(met);
  file_system.set_fault_hook(nullptr);
}

// A sync that was followed by another one had come to its end.
TEST(RocksDbLogTest, WhatIsMissingOfEarlierSyncsIsFaulty) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  ASSERT_TRUE(subject.AppendAndSync(1).ok());
  LoseSyncs(file_system);
  ASSERT_TRUE(subject.AppendAndSync(2).ok());
  ASSERT_TRUE(subject.AppendAndSync(3).ok());
  Random random(1);
  file_system.Crash(CrashPolicy::kDropAll, random);
  file_system.set_fault_hook(nullptr);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(subject.Open().ok());
    EXPECT_FALSE(subject.recovered.torn_from.has_value());
    ASSERT_EQ(subject.recovered.faulty.size(), 2u) << "one range a term";
    EXPECT_EQ(subject.recovered.faulty.front().first, (LogPosition{3, 2}));
    EXPECT_EQ(FaultyIndexes(subject.recovered), (std::set<Index>{3, 4, 5, 6}));
    EXPECT_EQ(subject.recovered.hard_state, subject.given.hard_state);
    subject.ExpectNothingWrong();
  }
}

// RocksDB gives back an entry that was overwritten: whole, of this group and index, and wrong.
TEST(RocksDbLogTest, AnEntryThatWasOverwrittenIsNotTakenForTheNewOne) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  ASSERT_TRUE(subject.AppendAndSync(1).ok());
  ASSERT_TRUE(subject.AppendAndSync(2).ok());
  const std::string old = subject.given.At(3).record;
  LogAppend append;
  subject.given.TruncateFrom(3);
  append.runs = {subject.given.AddRun(3, {"3", "4", "5"})};
  ASSERT_TRUE(subject.store->Append(append).ok());
  ASSERT_TRUE(SyncOf(*subject.disk).ok());
  subject.acknowledged = subject.given;
  subject.store = nullptr;
  subject.disk = nullptr;
  {
    const absl::StatusOr<Database> database = OpenDatabase(file_system, {.directory = "/log/db"});
    ASSERT_TRUE(database.ok()) << database.status();
    rocksdb::WriteOptions options;
    ASSERT_TRUE(database->db->Put(options, EntryKey(kGroup, 3), old).ok());
    ASSERT_TRUE(database->db->FlushWAL(true).ok());
  }
  ASSERT_TRUE(subject.Open().ok());
  ASSERT_EQ(subject.recovered.faulty.size(), 1u);
  EXPECT_EQ(subject.recovered.faulty.front().first, (LogPosition{3, 3}));
  EXPECT_EQ(subject.recovered.faulty.front().size(), 1u);
  subject.ExpectNothingWrong();
  EXPECT_TRUE(absl::IsDataLoss(subject.store->Read(3, 5, kNoLimit).status()));
  // The next entry knows its hash.
  EXPECT_EQ(subject.store->HashAt(3).value(), subject.given.HashAt(3));
  // It may be written again.
  append.truncate_from = 3;
  ASSERT_TRUE(subject.store->Append(append).ok());
  ASSERT_TRUE(SyncOf(*subject.disk).ok());
  ASSERT_TRUE(subject.Open().ok());
  EXPECT_TRUE(subject.recovered.faulty.empty());
  EXPECT_EQ(subject.recovered.last_hash, subject.given.HashAt(5));
}

void RemoveLedger(SimulatedFileSystem& file_system) {
  for (const std::string& path : FilesOf(file_system, "/log", "acks.")) {
    ASSERT_TRUE(file_system.Remove(path).ok());
  }
}

// Without it a write-ahead log that lost its end would pass for a whole one.
TEST(RocksDbLogTest, ADatabaseWithoutItsLedgerIsUnsure) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  ASSERT_TRUE(subject.AppendAndSync(1).ok());
  LoseSyncs(file_system);
  ASSERT_TRUE(subject.AppendAndSync(2).ok());
  Random random(1);
  file_system.Crash(CrashPolicy::kDropAll, random);
  file_system.set_fault_hook(nullptr);
  const std::unique_ptr<SimulatedFileSystem> kept = file_system.WorstCaseImage();
  RemoveLedger(file_system);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(subject.Open().ok());
    EXPECT_TRUE(subject.recovered.hard_state_lost);
    EXPECT_EQ(subject.store->last().index, 2u);
  }
  // It is the ledger that knows of the vote and the entries.
  Subject with_ledger(*kept);
  ASSERT_TRUE(with_ledger.Open().ok());
  EXPECT_EQ(with_ledger.recovered.hard_state, subject.given.hard_state);
  EXPECT_EQ(with_ledger.recovered.torn_from, 3u);
}

TEST(RocksDbLogTest, ANewLogNeedsNoLedger) {
  SimulatedFileSystem file_system;
  ASSERT_TRUE(RocksDbLog::Open(file_system, TestOptions()).ok());
  RemoveLedger(file_system);  // as if the power had gone before it was written
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  ASSERT_TRUE(subject.AppendAndSync(1).ok());
}

// One bad place in the ledger is no reason to refuse the log, even where it has said all it has to
// say but once.
TEST(RocksDbLogTest, RotInALedgerThatWasJustBegunHarmsNothing) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  ASSERT_TRUE(subject.AppendAndSync(1).ok());
  ASSERT_TRUE(subject.Open().ok());
  ASSERT_TRUE(file_system.SyncDirectory("/log").ok());  // the ledger before is gone for good
  EXPECT_EQ(FlipEverywhere(file_system, subject, "/log", "acks.", 131), 0);
}

// Nothing is lost by it, and nobody must be told so.
TEST(RocksDbLogTest, AStartOnAFullDiskIsNoDataLoss) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  ASSERT_TRUE(subject.AppendAndSync(1).ok());
  subject.store = nullptr;
  subject.disk = nullptr;
  file_system.RestartProcess();
  file_system.set_capacity_bytes(0);
  const absl::Status full = subject.Open();
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  file_system.set_capacity_bytes(UINT64_MAX);
  ASSERT_TRUE(subject.Open().ok());
  EXPECT_TRUE(subject.recovered.faulty.empty());
  EXPECT_FALSE(subject.recovered.torn_from.has_value());
  subject.ExpectNothingWrong();
}

TEST(RocksDbLogTest, AnotherIdentityIsRefused) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  subject.store = nullptr;
  subject.disk = nullptr;
  RocksDbLogOptions options = TestOptions();
  options.identity.incarnation = Incarnation{8};
  const absl::Status status = RocksDbLog::Open(file_system, options).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST(RocksDbLogTest, AFailedSyncEndsAllWrites) {
  for (const char* part : {".log", "acks."}) {
    SCOPED_TRACE(part);
    SimulatedFileSystem file_system;
    Subject subject(file_system);
    ASSERT_TRUE(subject.Open().ok());
    ASSERT_TRUE(subject.AppendAndSync(1).ok());
    FileFault fault;
    fault.error = EIO;
    file_system.set_fault_hook(NthFault(FileAccess::Operation::kSync, part, 1, fault));
    const absl::Status failed = subject.AppendAndSync(2);
    EXPECT_FALSE(failed.ok());
    EXPECT_EQ(subject.AppendAndSync(3), failed);
    EXPECT_EQ(SyncOf(*subject.disk), failed);
    EXPECT_EQ(subject.store->DropPrefix(1), failed);
    EXPECT_EQ(subject.disk->DropGroup(GroupId{9}), failed);
    EXPECT_EQ(file_system.uses_after_failure(), 0u);
    EXPECT_TRUE(subject.store->Read(1, 2, kNoLimit).ok());
  }
}

TEST(RocksDbLogTest, AFailureInTheBackgroundEndsAllWrites) {
  SimulatedFileSystem file_system;
  Subject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  file_system.set_fault_hook([](const FileAccess& access) {
    FileFault fault;
    const bool table = absl::EndsWith(access.path, ".sst");
    if (table && access.operation == FileAccess::Operation::kWrite) fault.error = EIO;
    return fault;
  });
  // More than the buffers hold, so that the writer has to wait for a table at last.
  absl::Status failed;
  for (int i = 0; i < 200 && failed.ok(); ++i) {
    LogAppend append;
    append.runs = {subject.given.Add(1, std::string(size_t{100} << 10, static_cast<char>(i)))};
    failed = subject.store->Append(append);
  }
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(SyncOf(*subject.disk), failed);
  EXPECT_EQ(subject.store->DropPrefix(1), failed);
}

// A power cut at each call to the disk in turn. Acknowledged is what a sync said OK to.
TEST(RocksDbLogTest, APowerCutAtEachCallLosesNothingAcknowledged) {
  int cuts = 0;
  for (int cut = 1;; ++cut) {
    SCOPED_TRACE(absl::StrCat("call ", cut));
    SimulatedFileSystem file_system;
    Subject subject(file_system);
    std::atomic<int> calls = 0;
    file_system.set_fault_hook([&calls, cut](const FileAccess&) {
      FileFault fault;
      if (++calls >= cut) fault.error = EIO;
      return fault;
    });
    absl::Status status = subject.Open();
    for (Term term = 1; term <= 3 && status.ok(); ++term) status = subject.AppendAndSync(term);
    if (status.ok()) status = subject.Open();
    if (status.ok()) status = subject.AppendAndSync(4);
    const bool ended = status.ok() && calls < cut;
    Random random(static_cast<uint64_t>(cut));
    subject.store = nullptr;
    subject.disk = nullptr;
    file_system.Crash(cut % 2 == 0 ? CrashPolicy::kRandomSubset : CrashPolicy::kTornCall, random);
    file_system.set_fault_hook(nullptr);
    status = subject.Open();
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_TRUE(subject.recovered.faulty.empty());
    if (subject.recovered.torn_from) {
      EXPECT_GT(*subject.recovered.torn_from, subject.acknowledged.last());
    }
    ASSERT_NO_FATAL_FAILURE(subject.ExpectNothingWrong());
    if (HasFailure()) return;
    ++cuts;
    if (ended) break;
  }
  EXPECT_GT(cuts, 60);
}

}  // namespace
}  // namespace cairn

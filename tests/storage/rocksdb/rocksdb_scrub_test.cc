// What rots in a RocksDB log that is in use is found by the scrub alone, and can be healed.

#include "storage/rocksdb/rocksdb_scrub.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "storage/file_system.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Round {
  std::set<Index> damaged = {};
  std::vector<std::string> healed = {};
  std::vector<std::string> avoided = {};
  uint64_t bytes = 0;
  bool quiet() const { return damaged.empty() && healed.empty() && avoided.empty(); }
};

// What is left of a round.
Round Scrub(RocksDbLog& log, ScrubPosition position = {}, uint64_t max_bytes = 2048) {
  Round round;
  for (int i = 0; i < 10'000; ++i) {
    const ScrubStep step = log.scrub()->Step(position, max_bytes);
    for (const ScrubFinding& finding : step.damaged) {
      EXPECT_EQ(finding.group, kGroup);
      EXPECT_TRUE(absl::IsDataLoss(finding.why)) << finding.why;
      round.damaged.insert(finding.at.index);
    }
    round.healed.insert(round.healed.end(), step.healed.begin(), step.healed.end());
    round.avoided.insert(round.avoided.end(), step.avoided.begin(), step.avoided.end());
    round.bytes += step.bytes;
    if (!step.round_ended) continue;
    EXPECT_EQ(position, ScrubPosition());
    return round;
  }
  ADD_FAILURE() << "a round without end";
  return round;
}

std::vector<std::string> Tables(SimulatedFileSystem& file_system) {
  std::vector<std::string> tables;
  const absl::StatusOr<std::vector<std::string>> names = file_system.List("/log/db");
  for (const std::string& name : *names) {
    if (absl::EndsWith(name, ".sst")) tables.push_back(absl::StrCat("/log/db/", name));
  }
  return tables;
}

absl::Status AppendOne(RocksDbSubject& subject, Term term, size_t bytes) {
  LogAppend append;
  append.runs = {
      subject.given.Add(term, absl::StrCat(subject.given.last(), std::string(bytes, '.')))};
  absl::Status status = subject.store->Append(append);
  if (status.ok()) status = SyncOf(*subject.disk);
  if (status.ok()) subject.acknowledged = subject.given;
  return status;
}

// Entries in several blocks of a table; the log is open.
void Fill(RocksDbSubject& subject, int entries = 30, size_t bytes = 5000) {
  ASSERT_TRUE(subject.Open().ok());
  for (int i = 0; i < entries; ++i) ASSERT_TRUE(AppendOne(subject, 1, bytes).ok());
  ASSERT_TRUE(subject.Open().ok());  // which writes a table
}

RecordRun RunOf(const LogTwin& twin, Index index) {
  return RecordRun::Parse(kGroup, Bytes::Copy(twin.At(index).record)).value();
}

void Repair(RocksDbSubject& subject, const Round& round) {
  for (const Index index : round.damaged) {
    // Where its neighbours are bad too, what follows it is repaired before it.
    absl::Status status = subject.store->Repair({RunOf(subject.given, index)});
    if (status.ok()) continue;
    std::string rest;
    for (Index at = index; at <= *round.damaged.rbegin(); ++at) {
      if (!round.damaged.contains(at)) break;
      rest += subject.given.At(at).record;
    }
    const auto run = RecordRun::Parse(kGroup, Bytes::Copy(rest));
    ASSERT_TRUE(run.ok()) << run.status();
    status = subject.store->Repair({*run});
    ASSERT_TRUE(status.ok()) << status;
  }
  ASSERT_TRUE(SyncOf(*subject.disk).ok());
}

// What was bad is repaired; a table of which a block is bad is replaced, and then nothing is found.
void ExpectHeals(RocksDbSubject& subject) {
  for (int rounds = 0; rounds < 3; ++rounds) {
    const Round round = Scrub(*subject.disk);
    if (round.quiet()) return;
    EXPECT_THAT(round.damaged, IsEmpty());
    EXPECT_THAT(round.avoided, IsEmpty());
    EXPECT_THAT(round.healed, Each(HasSubstr(".sst: ")));
  }
  ADD_FAILURE() << "it finds something again and again";
}

void ExpectAllThere(const RocksDbSubject& subject) {
  for (Index index = 1; index <= subject.given.last(); ++index) {
    const auto run = subject.store->Read(index, index, kNoLimit);
    ASSERT_TRUE(run.ok()) << index << ": " << run.status();
    EXPECT_TRUE((*run)[0][0].bytes() == subject.given.At(index).record) << index;
  }
}

TEST(RocksDbScrubTest, AWholeLogIsReadPastThePageCacheAndNothingIsFound) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  Fill(subject);
  std::atomic<int> direct = 0;
  std::atomic<int> cached = 0;
  file_system.set_fault_hook([&](const FileAccess& access) {
    if (absl::EndsWith(access.path, ".sst")) {
      if (access.operation == FileAccess::Operation::kReadDirect) ++direct;
      if (access.operation == FileAccess::Operation::kRead) ++cached;
    }
    return FileFault();
  });
  const Round round = Scrub(*subject.disk);
  file_system.set_fault_hook(nullptr);
  EXPECT_TRUE(round.quiet());
  EXPECT_GT(round.bytes, 150'000u);
  EXPECT_GT(direct, 4);
  EXPECT_EQ(cached, 0);
}

// In steps, each of about as much as it may read.
TEST(RocksDbScrubTest, StepsAreShortAndAnyPositionWillDo) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  Fill(subject);
  const uint64_t table = ReadWholeFile(file_system, Tables(file_system)[0]).value().size();
  for (const bool first : {true, false}) {
    ScrubPosition position;
    int steps = 0;
    for (bool ended = false; !ended; ++steps) {
      const ScrubStep step = subject.disk->scrub()->Step(position, 8192);
      // The ledger is read at once, and so are tables in the first round of a process.
      EXPECT_LE(step.bytes, 8192u + 6000u + 8192u + (first ? table : 0));
      ended = step.round_ended;
    }
    EXPECT_GT(steps, 15);
  }
  Random random(5);
  for (int i = 0; i < 200; ++i) {
    auto number = [&] {
      return random.OneIn(3) ? random.Next() : random.OneIn(4) ? ~uint64_t{0} : random.Below(40);
    };
    EXPECT_TRUE(
        Scrub(*subject.disk, {number(), number(), number(), random.Below(3)}, 1 << 20).quiet());
  }
}

// A bit is turned over while the log is open, in one place of a table after the other: what cannot
// be read is told, what is told cannot be read, and once that is repaired a scrub and a start find
// nothing. (RocksDB waits a second after a merge that failed.)
TEST(RocksDbScrubTest, AFlipAnywhereInATableIsFoundAndHealed) {
  SimulatedFileSystem origin;
  RocksDbSubject written(origin);
  Fill(written);
  const std::vector<std::string> tables = Tables(origin);
  ASSERT_EQ(tables.size(), 1u);
  const uint64_t size = ReadWholeFile(origin, tables[0]).value().size();
  int damaged = 0;
  int moved = 0;
  const uint64_t tail = size - 1500;  // what the table says of itself
  for (uint64_t at = 0; at < size; at = at < tail ? std::min(at + 16'001, tail) : at + 67) {
    SCOPED_TRACE(absl::StrCat("at ", at));
    const std::unique_ptr<SimulatedFileSystem> image = origin.WorstCaseImage();
    RocksDbSubject subject(*image);
    subject.given = subject.acknowledged = written.given;
    ASSERT_TRUE(subject.Open().ok());
    image->FlipBits(tables[0], at, static_cast<uint8_t>(1 << at % 8));
    const Round found = Scrub(*subject.disk);
    for (Index index = 1; index <= subject.given.last(); ++index) {
      EXPECT_EQ(subject.store->Read(index, index, kNoLimit).ok(), !found.damaged.contains(index));
    }
    damaged += found.damaged.empty() ? 0 : 1;
    // Its footer or index; or a block of which nothing was needed that could not be read.
    moved += found.avoided.size() == 1 || found.healed.size() == 1 ? 1 : 0;
    ASSERT_NO_FATAL_FAILURE(Repair(subject, found));
    ASSERT_NO_FATAL_FAILURE(ExpectHeals(subject));
    // There are bytes of a table that nobody reads.
    EXPECT_EQ(image->Exists(tables[0]).value(), found.quiet());
    ASSERT_NO_FATAL_FAILURE(ExpectAllThere(subject));
    ASSERT_TRUE(subject.Open().ok());
    EXPECT_THAT(subject.recovered.faulty, IsEmpty());
    ASSERT_NO_FATAL_FAILURE(ExpectAllThere(subject));
    if (HasFailure()) return;
  }
  EXPECT_GT(damaged, 8);
  EXPECT_GT(moved, 2);
}

// Whole, of this group and index, and not the one that was written there.
TEST(RocksDbScrubTest, AnEntryThatWasOverwrittenIsFound) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  Fill(subject, 5, 100);
  const std::string old = subject.given.At(3).record;
  LogAppend append;
  subject.given.TruncateFrom(3);
  append.runs = {subject.given.AddRun(3, {"3", "4", "5"})};
  ASSERT_TRUE(subject.store->Append(append).ok());
  ASSERT_TRUE(SyncOf(*subject.disk).ok());
  subject.store = nullptr;
  subject.disk = nullptr;
  {
    const absl::StatusOr<Database> database = OpenDatabase(file_system, {.directory = "/log/db"});
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_TRUE(database->db->Put(rocksdb::WriteOptions(), EntryKey(kGroup, 3), old).ok());
    ASSERT_TRUE(database->db->FlushWAL(true).ok());
  }
  ASSERT_TRUE(subject.Open().ok());
  // Wherever a step begins.
  for (const uint64_t max_bytes : {1, 150, 1 << 20}) {
    EXPECT_EQ(Scrub(*subject.disk, {}, max_bytes).damaged, (std::set<Index>{3}));
  }
  ASSERT_NO_FATAL_FAILURE(Repair(subject, {.damaged = {3}}));
  EXPECT_TRUE(Scrub(*subject.disk).quiet());
}

TEST(RocksDbScrubTest, AReadThatFailsIsAsRot) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  Fill(subject);
  file_system.FailReads(Tables(file_system)[0], 60'000, 512);
  const Round found = Scrub(*subject.disk);
  EXPECT_FALSE(found.damaged.empty());
  EXPECT_LT(found.damaged.size(), 10u);
  ASSERT_NO_FATAL_FAILURE(Repair(subject, found));
  ASSERT_NO_FATAL_FAILURE(ExpectHeals(subject));
  ASSERT_NO_FATAL_FAILURE(ExpectAllThere(subject));
}

TEST(RocksDbScrubTest, ABadLedgerIsBegunAnew) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  Fill(subject, 5, 100);
  ASSERT_TRUE(AppendOne(subject, 1, 10).ok());
  std::string ledger;
  const std::vector<std::string> names = file_system.List("/log").value();
  for (const std::string& name : names) {
    if (absl::StartsWith(name, "acks.")) ledger = absl::StrCat("/log/", name);
  }
  file_system.FlipBits(ledger, 2 * 4096 + 50, 4);
  const Round found = Scrub(*subject.disk);
  ASSERT_EQ(found.healed.size(), 1u);
  EXPECT_THAT(found.healed[0], HasSubstr(ledger));
  ASSERT_TRUE(AppendOne(subject, 1, 10).ok());
  EXPECT_TRUE(Scrub(*subject.disk).quiet());
  EXPECT_FALSE(file_system.Exists(ledger).value());
  ASSERT_TRUE(subject.Open().ok());
  EXPECT_THAT(subject.disk->notes(), IsEmpty());
}

// Tables that cannot be read when they are merged end nothing but that, until they are replaced.
TEST(RocksDbScrubTest, ATableThatCannotBeMergedEndsNoWrites) {
  for (const bool unreadable : {false, true}) {
    SCOPED_TRACE(unreadable);
    SimulatedFileSystem file_system;
    RocksDbSubject subject(file_system);
    Fill(subject);
    const std::string table = Tables(file_system)[0];
    if (unreadable) {
      file_system.FailReads(table, 60'000, 512);
    } else {
      file_system.FlipBits(table, 60'000, 0x20);
    }
    EXPECT_THAT(subject.disk->Warnings(), IsEmpty());
    // Each start writes a table, and they are merged, or not.
    for (int i = 0; i < 4; ++i) {
      for (int entry = 0; entry < 3; ++entry) ASSERT_TRUE(AppendOne(subject, 1, 100).ok());
      ASSERT_TRUE(subject.Open().ok()) << i;
    }
    for (int i = 0; i < 200; ++i) {
      const absl::Status status = AppendOne(subject, 1, 50'000);
      ASSERT_TRUE(status.ok()) << status;
    }
    EXPECT_TRUE(ComesTrue([&] { return !subject.disk->Warnings().empty(); }));
    EXPECT_THAT(subject.disk->Warnings(), ElementsAre(HasSubstr("no tables are merged")));
    const Round found = Scrub(*subject.disk);
    EXPECT_FALSE(found.damaged.empty());
    ASSERT_NO_FATAL_FAILURE(Repair(subject, found));
    ASSERT_NO_FATAL_FAILURE(ExpectHeals(subject));
    EXPECT_THAT(subject.disk->Warnings(), IsEmpty());
    EXPECT_FALSE(file_system.Exists(table).value());
    // They are merged again, at eight.
    for (int i = 0; i < 250; ++i) ASSERT_TRUE(AppendOne(subject, 1, 50'000).ok());
    EXPECT_TRUE(ComesTrue([&] { return Tables(file_system).size() < 10; }));
    ASSERT_NO_FATAL_FAILURE(ExpectAllThere(subject));
    ASSERT_TRUE(subject.Open().ok());
    EXPECT_THAT(subject.recovered.faulty, IsEmpty());
    ASSERT_NO_FATAL_FAILURE(ExpectAllThere(subject));
  }
}

// Appends, truncations, dropped prefixes, repairs, groups that come and go; nothing is ever
// damaged.
TEST(RocksDbScrubTest, NothingThatIsBeingChangedIsTakenForDamage) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  std::atomic<bool> ended = false;
  std::thread scrub([&] {
    ScrubPosition position;
    while (!ended) {
      const ScrubStep step = subject.disk->scrub()->Step(position, 3000);
      EXPECT_THAT(step.healed, IsEmpty());
      EXPECT_THAT(step.avoided, IsEmpty());
      for (const ScrubFinding& finding : step.damaged) ADD_FAILURE() << finding.why;
    }
  });
  Random random(3);
  Term term = 1;
  for (int i = 0; i < 1500; ++i) {
    LogTwin& twin = subject.given;
    LogAppend append;
    if (random.OneIn(4) && twin.last() > twin.base) {
      append.truncate_from = twin.base + 1 + random.Below(twin.last() - twin.base);
      twin.TruncateFrom(*append.truncate_from);
      ++term;
    }
    append.runs = {twin.AddRun(term, {std::string(random.Below(3000), 'x'), "y"})};
    ASSERT_TRUE(subject.store->Append(append).ok());
    if (random.OneIn(3)) {
      ASSERT_TRUE(subject.store->Repair({RunOf(twin, twin.last())}).ok());
    }
    if (random.OneIn(10)) {
      twin.base = twin.last() - 1;
      ASSERT_TRUE(subject.store->DropPrefix(twin.base).ok());
    }
    if (random.OneIn(20)) {
      const GroupId other{2 + random.Below(3)};
      LogStore* store = subject.disk->OpenGroup(other)->store;
      LogTwin content(other);
      append.truncate_from.reset();
      append.runs = {content.AddRun(1, {"one", "two"})};
      ASSERT_TRUE(store->Append(append).ok());
      subject.disk->CloseGroup(other);
      ASSERT_TRUE(subject.disk->DropGroup(other).ok());
    }
    if (random.OneIn(5)) {
      ASSERT_TRUE(SyncOf(*subject.disk).ok());
    }
  }
  ended = true;
  scrub.join();
}

}  // namespace
}  // namespace cairn

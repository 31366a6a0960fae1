// A start of the RocksDB log reads the end of what it holds, and finds out all that reading the
// whole would tell.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/faulty_indexes.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr size_t kWalkedBytes = size_t{16} << 10;
constexpr size_t kEntryBytes = size_t{8} << 10;
constexpr Index kEntries = 100;
constexpr uint64_t kWholeBytes = kEntries * kEntryBytes;
// A start reads twice kWalkedBytes at most and a few entries more, each with the block around it.
constexpr uint64_t kLittle = kWholeBytes / 2;

RecordRun RunOf(const LogTwin& twin, Index index) {
  return RecordRun::Parse(kGroup, Bytes::Copy(twin.At(index).record)).value();
}

class RocksDbStartTest : public testing::Test {
 protected:
  RocksDbStartTest() {
    subject_.options.walked_bytes = kWalkedBytes;
    subject_.options.merges_tables = false;  // which reads tables, too
  }

  // One entry and its sync. Few are configurations.
  void Append(Term term) {
    const Index index = subject_.given.last() + 1;
    const bool configuration = index % 50 == 13;
    LogAppend append;
    append.runs = {
        subject_.given.Add(term, absl::StrCat("entry ", index, std::string(kEntryBytes, '.')),
                           configuration ? EntryType::kConfiguration : EntryType::kCommand)};
    ASSERT_TRUE(subject_.store->Append(append).ok());
    ASSERT_TRUE(SyncOf(*subject_.disk).ok());
    subject_.acknowledged = subject_.given;
  }

  // The log is open.
  void Fill() {
    ASSERT_TRUE(subject_.Open().ok());
    for (Index index = 1; index <= kEntries; ++index) Append(1 + index / 30);
  }

  void Close() {
    subject_.store = nullptr;
    subject_.disk = nullptr;
  }

  // Something else writes to the database.
  static void Edit(SimulatedFileSystem& file_system,
                   const std::function<void(rocksdb::DB&)>& edit) {
    const absl::StatusOr<Database> database =
        OpenDatabase(file_system, {.directory = "/log/db", .merges_tables = false});
    ASSERT_TRUE(database.ok()) << database.status();
    edit(*database->db);
    ASSERT_TRUE(database->db->FlushWAL(true).ok());
  }
  static void Put(rocksdb::DB& db, const std::string& key, const std::string& value) {
    ASSERT_TRUE(db.Put(rocksdb::WriteOptions(), key, value).ok());
  }
  static void Delete(rocksdb::DB& db, const std::string& key) {
    ASSERT_TRUE(db.Delete(rocksdb::WriteOptions(), key).ok());
  }
  static std::string Get(rocksdb::DB& db, const std::string& key) {
    std::string value;
    const rocksdb::Status status = db.Get(rocksdb::ReadOptions(), key, &value);
    return status.ok() ? value : "";
  }
  void Edit(const std::function<void(rocksdb::DB&)>& edit) {
    Close();
    Edit(file_system_, edit);
  }

  // The mark as it stands in the log, which is closed.
  std::optional<VerifiedMark> Mark() {
    std::optional<VerifiedMark> mark;
    Edit([&mark](rocksdb::DB& db) {
      const auto decoded = DecodeMark(kGroup, Get(db, MarkKey(kGroup)));
      if (decoded.ok()) mark = *decoded;
    });
    return mark;
  }

  // Opens the log, and gives what the group's start reads of tables.
  uint64_t BytesOfStart() {
    Close();
    absl::StatusOr<std::unique_ptr<RocksDbLog>> opened =
        RocksDbLog::Open(file_system_, subject_.options);
    EXPECT_TRUE(opened.ok()) << opened.status();
    subject_.disk = *std::move(opened);
    std::atomic<uint64_t> bytes = 0;
    file_system_.set_fault_hook([&bytes](const FileAccess& access) {
      const bool is_read = access.operation == FileAccess::Operation::kRead ||
                           access.operation == FileAccess::Operation::kReadDirect;
      if (is_read && absl::EndsWith(access.path, ".sst")) bytes += access.length;
      return FileFault();
    });
    absl::StatusOr<OpenedLog> group = subject_.disk->OpenGroup(kGroup);
    file_system_.set_fault_hook(nullptr);
    EXPECT_TRUE(group.ok()) << group.status();
    subject_.store = group->store;
    subject_.recovered = std::move(group->recovered);
    return bytes;
  }

  // What a start tells that reads the whole log.
  RecoveredLog WholeStart() {
    const std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
    Edit(*image, [](rocksdb::DB& db) { Delete(db, MarkKey(kGroup)); });
    RocksDbSubject whole(*image);
    whole.options = subject_.options;
    EXPECT_EQ(whole.Open(), absl::OkStatus());
    return whole.recovered;
  }

  // A start after an orderly end, or a power cut, finds out what a start would that reads it all.
  void ExpectRightStart(bool crash) {
    const RecoveredLog whole = WholeStart();
    Random random(1);
    if (crash) file_system_.Crash(CrashPolicy::kDropAll, random);
    ASSERT_EQ(subject_.Open(), absl::OkStatus());
    const RecoveredLog& found = subject_.recovered;
    EXPECT_EQ(found.hard_state, whole.hard_state);
    EXPECT_EQ(found.base, whole.base);
    EXPECT_EQ(found.base_hash, whole.base_hash);
    EXPECT_EQ(found.runs, whole.runs);
    EXPECT_EQ(found.last_hash, whole.last_hash);
    EXPECT_EQ(found.last_hash, subject_.given.HashAt(subject_.given.last()));
    EXPECT_EQ(found.known_commit, whole.known_commit);
    EXPECT_EQ(found.torn_from, whole.torn_from);
    EXPECT_EQ(found.report.entries, whole.report.entries);
    EXPECT_EQ(FaultyOf(found), FaultyOf(whole));
    ASSERT_EQ(found.configurations.size(), whole.configurations.size());
    for (size_t i = 0; i < found.configurations.size(); ++i) {
      EXPECT_EQ(found.configurations[i].at, whole.configurations[i].at);
      EXPECT_TRUE(found.configurations[i].body.view() == whole.configurations[i].body.view());
    }
  }

  static std::vector<Index> FaultyOf(const RecoveredLog& log) {
    const std::set<Index> faulty = FaultyIndexes(log);
    return {faulty.begin(), faulty.end()};
  }

  void ExpectAllThere() {
    for (Index index = subject_.given.base + 1; index <= subject_.given.last(); ++index) {
      const auto run = subject_.store->Read(index, index, kNoLimit);
      ASSERT_TRUE(run.ok()) << index << ": " << run.status();
      EXPECT_TRUE((*run)[0][0].bytes() == subject_.given.At(index).record) << index;
    }
  }

  // In the table that holds it.
  void Rot(Index index) {
    const std::string text = absl::StrCat("entry ", index, std::string(100, '.'));
    const absl::StatusOr<std::vector<std::string>> names = file_system_.List("/log/db");
    for (const std::string& name : *names) {
      if (!absl::EndsWith(name, ".sst")) continue;
      const std::string path = absl::StrCat("/log/db/", name);
      const size_t at = ReadWholeFile(file_system_, path).value().find(text);
      if (at != std::string::npos) file_system_.FlipBits(path, at + 50, 1);
    }
  }

  SimulatedFileSystem file_system_;
  RocksDbSubject subject_{file_system_};
};

TEST_F(RocksDbStartTest, AfterAnOrderlyEndTheEndOfTheLogIsRead) {
  Fill();
  ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/false));
  EXPECT_LT(BytesOfStart(), kLittle);
  EXPECT_EQ(subject_.recovered.configurations.size(), 2u);
  EXPECT_EQ(subject_.recovered.report.entries, kEntries);
  ExpectAllThere();
}

TEST_F(RocksDbStartTest, AfterAPowerCutTheEndOfTheLogIsRead) {
  Fill();
  ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/true));
  for (int i = 0; i < 2; ++i) {
    Append(9);
    Random random(1);
    file_system_.Crash(CrashPolicy::kDropAll, random);
    EXPECT_LT(BytesOfStart(), kLittle);
  }
  file_system_.RestartProcess();
  EXPECT_LT(BytesOfStart(), kLittle);
  ExpectAllThere();
}

// Nothing of the end is taken for granted.
TEST_F(RocksDbStartTest, TheEndIsVerified) {
  Fill();
  ASSERT_TRUE(subject_.Open().ok());  // all is in tables
  Close();
  for (const Index index : {kEntries - 3, kEntries}) Rot(index);
  ASSERT_TRUE(subject_.Open().ok());
  EXPECT_THAT(FaultyOf(subject_.recovered), testing::IsSupersetOf({kEntries - 3, kEntries}));
  subject_.ExpectNothingWrong();
}

// As written by a program that knew no marks.
TEST_F(RocksDbStartTest, ALogWithoutMarkIsReadOnceAndHasOneWithTheNextChange) {
  Fill();
  Edit([](rocksdb::DB& db) { Delete(db, MarkKey(kGroup)); });
  EXPECT_GT(BytesOfStart(), kWholeBytes);
  ASSERT_EQ(subject_.AppendAndSync(9), absl::OkStatus());
  EXPECT_LT(BytesOfStart(), kLittle);
  ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/false));
}

// A program that knows no marks leaves them, whatever it does to the log.
TEST_F(RocksDbStartTest, AMarkOfAnotherChangeIsNotBelieved) {
  Fill();
  Edit([](rocksdb::DB& db) {
    LogHead head = DecodeHead(kGroup, Get(db, HeadKey(kGroup))).value();
    ++head.change;
    Put(db, HeadKey(kGroup), EncodeHead(kGroup, head));
    Delete(db, EntryKey(kGroup, 7));
  });
  ASSERT_TRUE(subject_.Open().ok());
  EXPECT_THAT(FaultyOf(subject_.recovered), ElementsAre(7));
  subject_.ExpectNothingWrong();
}

// Its checksum holds, and it is newer than what the ledger knows: but a head and the entries it
// tells of are one write.
TEST_F(RocksDbStartTest, AHeadThatClaimsWhatNobodyWroteIsDamage) {
  Fill();
  Close();
  for (const Index claimed : {Index{1}, Index{1000}, Index{1} << 50}) {
    SCOPED_TRACE(claimed);
    const std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
    Edit(*image, [claimed](rocksdb::DB& db) {
      LogHead head = DecodeHead(kGroup, Get(db, HeadKey(kGroup))).value();
      head.change = UINT64_MAX;
      head.last.index += claimed;
      head.hard_state.term += 7;
      Put(db, HeadKey(kGroup), EncodeHead(kGroup, head));
    });
    RocksDbSubject subject(*image);
    subject.options = subject_.options;
    subject.given = subject_.given;
    subject.acknowledged = subject_.acknowledged;
    for (int start = 0; start < 2; ++start) {
      ASSERT_EQ(subject.Open(), absl::OkStatus());
      EXPECT_EQ(subject.store->last().index, kEntries);
      EXPECT_THAT(FaultyOf(subject.recovered), IsEmpty());
      subject.ExpectNothingWrong();
      const std::vector<std::string>& notes = subject.disk->notes();
      const bool told = std::any_of(notes.begin(), notes.end(), [](const std::string& note) {
        return absl::StrContains(note, "which nobody wrote");
      });
      EXPECT_EQ(told, start == 0);
    }
    ASSERT_EQ(subject.AppendAndSync(9), absl::OkStatus());
    ASSERT_EQ(subject.Open(), absl::OkStatus());
    subject.ExpectNothingWrong();
  }
}

// Of a group that the ledger does not know nothing is left to go by.
TEST_F(RocksDbStartTest, AHeadThatNobodyKnowsAndClaimsWhatNobodyWroteIsRefused) {
  Fill();
  constexpr GroupId kOther{77};
  Edit([](rocksdb::DB& db) {
    const LogHead head = DecodeHead(kGroup, Get(db, HeadKey(kGroup))).value();
    const auto starts = DecodeTerms(kGroup, Get(db, TermsKey(kGroup))).value();
    Put(db, HeadKey(kOther), EncodeHead(kOther, head));
    Put(db, TermsKey(kOther), EncodeTerms(kOther, starts));
  });
  ASSERT_EQ(subject_.Open(), absl::OkStatus());
  subject_.ExpectNothingWrong();
  const absl::Status refused = subject_.disk->OpenGroup(kOther).status();
  EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
  EXPECT_TRUE(absl::StrContains(refused.message(), "which nobody wrote")) << refused;
  EXPECT_EQ(subject_.disk->DropGroup(kOther), absl::OkStatus());
}

TEST_F(RocksDbStartTest, AMarkThatSaysAnythingElseIsNotBelieved) {
  Fill();
  const std::optional<VerifiedMark> mark = Mark();
  ASSERT_TRUE(mark.has_value());
  ASSERT_GE(mark->configurations.size(), 2u);
  const std::vector<std::function<void(VerifiedMark&)>> changes = {
      [](VerifiedMark& other) { ++other.change; },
      [](VerifiedMark& other) { --other.change; },
      [](VerifiedMark& other) { ++other.at.index; },
      [](VerifiedMark& other) { --other.at.index; },
      [](VerifiedMark& other) { other.at.index = kEntries + 1; },
      [](VerifiedMark& other) { other.at.index = 0; },
      [](VerifiedMark& other) { ++other.at.term; },
      [](VerifiedMark& other) { other.hash.low ^= 1; },
      [](VerifiedMark& other) { other.hash.high ^= 1; },
      [](VerifiedMark& other) { ++other.configurations[1]; },
      [](VerifiedMark& other) { other.configurations[0] = 0; },
      [](VerifiedMark& other) { other.configurations[1] = other.configurations[0]; },
      [](VerifiedMark& other) { other.configurations.push_back(other.at.index + 1); },
  };
  // With damage that nobody else would find.
  Edit([](rocksdb::DB& db) { Delete(db, EntryKey(kGroup, 7)); });
  ASSERT_TRUE(subject_.Open().ok());
  ASSERT_THAT(FaultyOf(subject_.recovered), IsEmpty());
  for (size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    VerifiedMark other = *mark;
    changes[i](other);
    Edit([&](rocksdb::DB& db) { Put(db, MarkKey(kGroup), EncodeMark(kGroup, other)); });
    ASSERT_TRUE(subject_.Open().ok());
    EXPECT_THAT(FaultyOf(subject_.recovered), ElementsAre(7));
  }
  // Rotten, cut, another group's, nothing.
  const std::string good = EncodeMark(kGroup, *mark);
  std::vector<std::string> values = {"", good.substr(1), good.substr(0, good.size() - 1),
                                     good + good, EncodeMark(GroupId{77}, *mark)};
  for (size_t at = 0; at < good.size(); at += 5) {
    values.push_back(good);
    values.back()[at] = static_cast<char>(values.back()[at] ^ 1 << at % 8);
  }
  for (const std::string& value : values) {
    Edit([&](rocksdb::DB& db) { Put(db, MarkKey(kGroup), value); });
    ASSERT_TRUE(subject_.Open().ok());
    EXPECT_THAT(FaultyOf(subject_.recovered), ElementsAre(7));
  }
  // It is the mark that was believed before.
  Edit([&](rocksdb::DB& db) { Put(db, MarkKey(kGroup), good); });
  ASSERT_TRUE(subject_.Open().ok());
  EXPECT_THAT(FaultyOf(subject_.recovered), IsEmpty());
}

TEST_F(RocksDbStartTest, AMarkWhoseEntriesCannotBeReadIsNotBelieved) {
  Fill();
  const std::optional<VerifiedMark> mark = Mark();
  ASSERT_TRUE(mark.has_value());
  for (const Index index : {mark->at.index, mark->configurations[1]}) {
    Edit([index](rocksdb::DB& db) { Delete(db, EntryKey(kGroup, index)); });
    ASSERT_TRUE(subject_.Open().ok());
    EXPECT_THAT(FaultyOf(subject_.recovered), ElementsAre(index));
    ASSERT_TRUE(subject_.store->Repair({RunOf(subject_.given, index)}).ok());
    ASSERT_TRUE(SyncOf(*subject_.disk).ok());
  }
  ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/false));
  EXPECT_THAT(FaultyOf(subject_.recovered), IsEmpty());
}

TEST_F(RocksDbStartTest, ATruncationLowersTheMark) {
  Fill();
  LogAppend append;
  append.truncate_from = 40;
  subject_.given.TruncateFrom(40);
  append.runs = {subject_.given.AddRun(50, {"another 40", "another 41"})};
  ASSERT_TRUE(subject_.store->Append(append).ok());
  ASSERT_TRUE(SyncOf(*subject_.disk).ok());
  for (const bool crash : {true, false}) {
    ASSERT_NO_FATAL_FAILURE(ExpectRightStart(crash));
    EXPECT_EQ(subject_.recovered.configurations.size(), 1u);
    EXPECT_LT(BytesOfStart(), kLittle);
    ExpectAllThere();
  }
  EXPECT_EQ(Mark()->at, (LogPosition{39, 2}));
}

TEST_F(RocksDbStartTest, ADroppedPrefixTakesTheMarkAlong) {
  Fill();
  for (const Index base : {Index{30}, kEntries - 1, kEntries}) {
    ASSERT_TRUE(subject_.store->DropPrefix(base).ok());
    ASSERT_TRUE(SyncOf(*subject_.disk).ok());
    subject_.given.base = base;
    ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/true));
    ExpectAllThere();
  }
  for (Index i = 0; i < kEntries; ++i) Append(60);
  ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/true));
  EXPECT_LT(BytesOfStart(), kLittle);
}

TEST_F(RocksDbStartTest, AResetTakesTheMarkAway) {
  Fill();
  LogTwin other(kGroup);
  for (Index i = 0; i < kEntries + 5; ++i) other.Add(70, "of another history");
  subject_.given = other;
  subject_.given.base = kEntries + 5;
  ASSERT_TRUE(
      subject_.store->Reset(other.PositionAt(kEntries + 5), other.HashAt(kEntries + 5)).ok());
  ASSERT_TRUE(SyncOf(*subject_.disk).ok());
  ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/true));
  EXPECT_THAT(subject_.recovered.configurations, IsEmpty());
  for (Index i = 0; i < kEntries; ++i) Append(70);
  ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/false));
  EXPECT_LT(BytesOfStart(), kLittle);
  ExpectAllThere();
}

// What a start found is found by each later one until it is repaired, however much is appended.
TEST_F(RocksDbStartTest, NoMarkPassesAFaultyEntry) {
  Fill();
  Edit([](rocksdb::DB& db) {
    Delete(db, MarkKey(kGroup));
    Delete(db, EntryKey(kGroup, 13));  // a configuration
  });
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(subject_.Open().ok());
    EXPECT_THAT(FaultyOf(subject_.recovered), ElementsAre(13));
    for (int more = 0; more < 30; ++more) Append(9);
  }
  ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/true));
  EXPECT_THAT(FaultyOf(subject_.recovered), ElementsAre(13));
  ASSERT_TRUE(subject_.store->Repair({RunOf(subject_.given, 13)}).ok());
  Append(9);
  ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/true));
  EXPECT_THAT(FaultyOf(subject_.recovered), IsEmpty());
  EXPECT_EQ(subject_.recovered.configurations.size(), 3u);
  Append(9);  // the walk went on, and now the mark is written
  // Each start has left a table, of which blocks are read.
  EXPECT_LT(BytesOfStart(), subject_.given.last() * kEntryBytes / 2);
  ExpectAllThere();
}

// Damage that no start reads is found by who reads it, and is not forgotten by the next start.
TEST_F(RocksDbStartTest, WhatIsFoundByReadingIsFoundByTheNextStart) {
  for (const bool append_more : {false, true}) {
    SCOPED_TRACE(append_more);
    if (subject_.given.last() == 0) Fill();
    const Index index = append_more ? 20 : 7;
    ASSERT_TRUE(subject_.Open().ok());  // which writes a table
    Rot(index);
    EXPECT_LT(BytesOfStart(), kLittle);
    EXPECT_THAT(FaultyOf(subject_.recovered), IsEmpty());
    EXPECT_TRUE(absl::IsDataLoss(subject_.store->Read(index, index, kNoLimit).status()));
    if (append_more) {
      for (int more = 0; more < 30; ++more) Append(9);
    }
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(subject_.Open().ok());
      EXPECT_THAT(FaultyOf(subject_.recovered), testing::Contains(index));
    }
    while (!subject_.recovered.faulty.empty()) {
      for (const Index bad : FaultyOf(subject_.recovered)) {
        ASSERT_TRUE(subject_.store->Repair({RunOf(subject_.given, bad)}).ok());
      }
      ASSERT_TRUE(SyncOf(*subject_.disk).ok());
      ASSERT_TRUE(subject_.Open().ok());
    }
    ExpectAllThere();
    Append(9);  // which writes the mark
    EXPECT_LT(BytesOfStart(), kLittle);
  }
}

TEST_F(RocksDbStartTest, WhatTheScrubFindsIsFoundByTheNextStart) {
  Fill();
  ASSERT_TRUE(subject_.Open().ok());  // which writes a table
  Rot(7);
  EXPECT_LT(BytesOfStart(), kLittle);
  EXPECT_THAT(FaultyOf(subject_.recovered), IsEmpty());
  ScrubPosition position;
  std::vector<Index> damaged;
  for (bool ended = false; !ended;) {
    const ScrubStep step = subject_.disk->scrub()->Step(position, size_t{1} << 20);
    for (const ScrubFinding& finding : step.damaged) damaged.push_back(finding.at.index);
    ended = step.round_ended;
  }
  EXPECT_THAT(damaged, testing::Contains(Index{7}));
  ASSERT_TRUE(subject_.Open().ok());
  EXPECT_EQ(FaultyOf(subject_.recovered), damaged);
}

// The ledger knows of changes that the database lost: its mark is of an older one.
TEST_F(RocksDbStartTest, WhatTheDatabaseLostIsFaultyBehindAMarkToo) {
  Fill();
  file_system_.set_fault_hook([](const FileAccess& access) {
    FileFault fault;
    fault.lost =
        access.operation == FileAccess::Operation::kSync && absl::EndsWith(access.path, ".log");
    return fault;
  });
  for (int i = 0; i < 3; ++i) Append(9);
  Random random(1);
  file_system_.Crash(CrashPolicy::kDropAll, random);
  file_system_.set_fault_hook(nullptr);
  for (int i = 0; i < 2; ++i) {
    ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/false));
    EXPECT_THAT(FaultyOf(subject_.recovered),
                ElementsAre(kEntries + 1, kEntries + 2, kEntries + 3));
    EXPECT_FALSE(subject_.recovered.torn_from.has_value());
  }
}

// The ledger's head is the very one beside which the mark was written. But something is rotten.
TEST_F(RocksDbStartTest, AMarkWhoseHeadRottedIsNotBelieved) {
  Fill();
  ASSERT_TRUE(subject_.Open().ok());  // which writes a table
  Rot(7);
  EXPECT_LT(BytesOfStart(), kLittle);
  EXPECT_THAT(FaultyOf(subject_.recovered), IsEmpty());
  Edit([](rocksdb::DB& db) { Put(db, HeadKey(kGroup), "rot"); });
  ASSERT_TRUE(subject_.Open().ok());
  EXPECT_THAT(FaultyOf(subject_.recovered), testing::Contains(Index{7}));
}

class RocksDbHistoryTest : public RocksDbStartTest, public testing::WithParamInterface<uint64_t> {
 protected:
  RocksDbHistoryTest() { subject_.options.walked_bytes = size_t{4} << 10; }

  // Up to four entries of 3000 bytes at most.
  void AppendSome(LogAppend append = {}) {
    if (random_.OneIn(5)) ++term_;
    for (uint64_t i = random_.Below(4) + 1; i > 0; --i) {
      const EntryType type = random_.OneIn(8) ? EntryType::kConfiguration : EntryType::kCommand;
      append.runs.push_back(subject_.given.Add(term_, std::string(random_.Below(3000), 'a'), type));
    }
    append.commit = random_.Below(subject_.given.last());
    ASSERT_TRUE(subject_.store->Append(append).ok());
  }

  void Change() {
    LogTwin& given = subject_.given;
    const uint64_t kind = random_.Below(40);
    if (kind < 3 && given.last() > given.base) {
      LogAppend append;
      append.truncate_from = given.base + 1 + random_.Below(given.last() - given.base);
      given.TruncateFrom(*append.truncate_from);
      ++term_;
      AppendSome(append);
    } else if (kind < 5) {
      given.base += random_.Below(given.last() - given.base + 1);
      ASSERT_TRUE(subject_.store->DropPrefix(given.base).ok());
    } else if (kind < 6) {
      given.Add(++term_, "of another history");
      given.base = given.last();
      ASSERT_TRUE(
          subject_.store->Reset(given.PositionAt(given.base), given.HashAt(given.base)).ok());
    } else {
      AppendSome();
    }
    ASSERT_TRUE(SyncOf(*subject_.disk).ok());
  }

  Random random_{GetParam()};
  Term term_ = 1;
};

// Whatever is done to the log, a start tells what one would that reads it all.
TEST_P(RocksDbHistoryTest, AStartTellsWhatTheWholeLogSays) {
  ASSERT_TRUE(subject_.Open().ok());
  for (int i = 0; i < 60; ++i) {
    ASSERT_NO_FATAL_FAILURE(Change());
    if (!random_.OneIn(6)) continue;
    ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/random_.OneIn(2)));
    ASSERT_NO_FATAL_FAILURE(ExpectAllThere());
    if (HasFailure()) return;
  }
  for (int i = 0; i < 20; ++i) AppendSome();
  ASSERT_TRUE(SyncOf(*subject_.disk).ok());
  ASSERT_NO_FATAL_FAILURE(ExpectRightStart(/*crash=*/true));
  EXPECT_TRUE(Mark().has_value());
}
INSTANTIATE_TEST_SUITE_P(Seeds, RocksDbHistoryTest, testing::Range<uint64_t>(1, 13));

}  // namespace
}  // namespace cairn

// A ledger that claims more entries than a disk can hold, and a database that has lost as many
// (fault catalogue D15, B34): what is told, and what it costs, goes with the number of ranges.

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "storage/file_system.h"
#include "storage/log_scrub.h"
#include "storage/log_store.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/rocksdb_inspector.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/ledger_claims.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

constexpr uint64_t kClaimed = uint64_t{1} << 40;
constexpr Index kWritten = 6;
constexpr Term kLastTerm = 3;

class RocksDbClaimsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(subject_.Open().ok());
    for (Term term = 1; term <= kLastTerm; ++term) {
      ASSERT_TRUE(subject_.AppendAndSync(term).ok());
    }
    Close();
    ClaimEntries(files_, "/log", kGroup, kClaimed);
  }
  void Close() {
    subject_.store = nullptr;
    subject_.disk = nullptr;
    Random random(1);
    files_.Crash(CrashPolicy::kDropAll, random);
  }
  void LoseDatabase() {
    const std::vector<std::string> names = files_.List("/log/db").value();
    for (const std::string& name : names) {
      ASSERT_TRUE(files_.Remove(absl::StrCat("/log/db/", name)).ok());
    }
    ASSERT_TRUE(files_.SyncDirectory("/log/db").ok());
  }
  // One range a term, of entries first.. to the last one that is claimed.
  void ExpectFaultyFrom(Index first) {
    const std::vector<FaultyEntries>& faulty = subject_.recovered.faulty;
    ASSERT_THAT(faulty, Not(IsEmpty()));
    EXPECT_LE(faulty.size(), kLastTerm + 1);
    EXPECT_EQ(faulty.front().first.index, first);
    EXPECT_EQ(faulty.back().last, kWritten + kClaimed);
    EXPECT_EQ(faulty.back().first, (LogPosition{kWritten + kClaimed / 2 + 1, kLastTerm + 1}));
    EXPECT_EQ(faulty.back().size(), kClaimed / 2);
    for (size_t i = 1; i < faulty.size(); ++i) {
      EXPECT_EQ(faulty[i].first.index, faulty[i - 1].last + 1);
      EXPECT_EQ(faulty[i].first.term, faulty[i - 1].first.term + 1);
    }
    for (const Index index : {first, kWritten + 1, kWritten + kClaimed / 2, kWritten + kClaimed}) {
      const absl::Status status = subject_.store->Read(index, index, kNoLimit).status();
      EXPECT_TRUE(absl::IsDataLoss(status)) << index << ": " << status;
    }
    EXPECT_TRUE(
        absl::IsOutOfRange(subject_.store->Read(kWritten + kClaimed + 1, kMaxIndex, 1).status()));
    // All of it is known at once, and nothing of what is there.
    EXPECT_EQ(subject_.store->UnreadableThrough(first, kMaxIndex), kWritten + kClaimed);
    EXPECT_EQ(subject_.store->UnreadableThrough(first, first + 5), first + 5);
    for (Index index = 1; index < first; ++index) {
      EXPECT_EQ(subject_.store->UnreadableThrough(index, kMaxIndex), index);
    }
  }

  SimulatedFileSystem files_;
  RocksDbSubject subject_{files_};
};

TEST_F(RocksDbClaimsTest, WhatNobodyWroteIsTwoRanges) {
  for (int start = 0; start < 2; ++start) {
    ASSERT_EQ(subject_.Open(), absl::OkStatus());
    EXPECT_THAT(subject_.recovered.faulty, SizeIs(2));
    ExpectFaultyFrom(kWritten + 1);
    for (Index index = 1; index <= kWritten; ++index) {
      EXPECT_TRUE(subject_.store->Read(index, index, kNoLimit).ok()) << index;
    }
  }
}

TEST_F(RocksDbClaimsTest, ALostDatabaseIsOneRangeATerm) {
  LoseDatabase();
  for (int start = 0; start < 2; ++start) {
    ASSERT_EQ(subject_.Open(), absl::OkStatus());
    ExpectFaultyFrom(1);
  }
}

// As a leader does whose log has other entries there.
TEST_F(RocksDbClaimsTest, TheLogGoesOnWhereALeaderTruncatesIt) {
  ASSERT_EQ(subject_.Open(), absl::OkStatus());
  ASSERT_EQ(subject_.AppendAndSync(kLastTerm + 2), absl::OkStatus());
  EXPECT_EQ(subject_.store->last().index, kWritten + 2);
  for (int start = 0; start < 2; ++start) {
    ASSERT_EQ(subject_.Open(), absl::OkStatus());
    EXPECT_THAT(subject_.recovered.faulty, IsEmpty());
    subject_.ExpectNothingWrong();
  }
}

TEST_F(RocksDbClaimsTest, ARoundOfTheScrubEnds) {
  ASSERT_EQ(subject_.Open(), absl::OkStatus());
  ScrubPosition position;
  size_t told = 0;
  int steps = 0;
  for (bool ended = false; !ended; ++steps) {
    ASSERT_LT(steps, 100);
    const ScrubStep step = subject_.disk->scrub()->Step(position, size_t{64} << 10);
    told += step.damaged.size();
    ended = step.round_ended;
    for (const ScrubFinding& finding : step.damaged) EXPECT_GT(finding.at.index, kWritten);
  }
  EXPECT_GE(told, 1u);
  EXPECT_LE(told, 1000u);
  ASSERT_EQ(subject_.Open(), absl::OkStatus());
  ExpectFaultyFrom(kWritten + 1);
}

TEST_F(RocksDbClaimsTest, WhoLooksAtItFromOutsideIsToldRangesToo) {
  ASSERT_EQ(subject_.Open(), absl::OkStatus());
  Close();
  const auto inspector = RocksDbInspector::Open(files_, "/log");
  ASSERT_TRUE(inspector.ok()) << inspector.status();
  const std::vector<VerifiedFile> files = (*inspector)->Verify();
  ASSERT_THAT(files, Not(IsEmpty()));
  ASSERT_THAT(files[0].faulty, SizeIs(1));
  EXPECT_EQ(files[0].faulty[0].entries, (IndexRange{kWritten + 1, kWritten + kClaimed}));
  std::vector<IndexRange> unreadable;
  (*inspector)
      ->Read(
          kGroup, 1, uint64_t{1} << 50, [](const RecordRun&) {},
          [&](const LogInspector::Unreadable& bad) { unreadable.push_back(bad.entries); });
  EXPECT_THAT(unreadable, testing::ElementsAre(IndexRange{kWritten + 1, kWritten + kClaimed}));
}

// Each field of what the database and the ledger say of a group, with values at all ends, in one of
// them or in both.
class RocksDbFieldsTest : public testing::Test {
 protected:
  using Change = std::function<void(LogHead&, std::vector<TermStart>&, uint64_t)>;
  enum class Where { kDatabase, kLedger, kBoth };

  static const std::vector<std::pair<std::string, Change>>& Changes() {
    using Starts = std::vector<TermStart>;
    static const auto* const kChanges = new std::vector<std::pair<std::string, Change>>{
        {"change", [](LogHead& head, Starts&, uint64_t by) { head.change += by; }},
        {"term", [](LogHead& head, Starts&, uint64_t by) { head.hard_state.term += by; }},
        {"vote", [](LogHead& head, Starts&, uint64_t by) { head.hard_state.vote = NodeId{by}; }},
        {"base", [](LogHead& head, Starts&, uint64_t by) { head.base.index += by; }},
        {"base term", [](LogHead& head, Starts&, uint64_t by) { head.base.term += by; }},
        {"base hash", [](LogHead& head, Starts&, uint64_t by) { head.base_hash.low += by; }},
        {"last", [](LogHead& head, Starts&, uint64_t by) { head.last.index += by; }},
        {"last term", [](LogHead& head, Starts&, uint64_t by) { head.last.term += by; }},
        {"last hash", [](LogHead& head, Starts&, uint64_t by) { head.last_hash.high += by; }},
        {"commit", [](LogHead& head, Starts&, uint64_t by) { head.known_commit += by; }},
        {"torn", [](LogHead& head, Starts&, uint64_t by) { head.torn_from += by; }},
        {"unsure", [](LogHead& head, Starts&, uint64_t) { head.unsure = true; }},
        {"start", [](LogHead&, Starts& starts, uint64_t by) { starts.front().first += by; }},
        {"start's term", [](LogHead&, Starts& starts, uint64_t by) { starts.front().term += by; }},
        {"last start", [](LogHead&, Starts& starts, uint64_t by) { starts.back().first += by; }},
        {"last start's term",
         [](LogHead&, Starts& starts, uint64_t by) { starts.back().term += by; }},
        {"no start", [](LogHead&, Starts& starts, uint64_t) { starts.clear(); }},
        {"one start more",
         [](LogHead& head, Starts& starts, uint64_t by) {
           starts.push_back({head.last.index + by, head.last.term + by});
         }},
    };
    return *kChanges;
  }

  void SetUp() override {
    RocksDbSubject subject(before_);
    ASSERT_TRUE(subject.Open().ok());
    for (Term term = 1; term <= kLastTerm; ++term) ASSERT_TRUE(subject.AppendAndSync(term).ok());
    given_ = subject.given;
  }

  static void Make(SimulatedFileSystem& files, const Change& change, uint64_t by, Where where) {
    if (where != Where::kLedger) {
      const absl::StatusOr<Database> database = OpenDatabase(files, {.directory = "/log/db"});
      ASSERT_TRUE(database.ok()) << database.status();
      rocksdb::DB& db = *database->db;
      std::string head_bytes;
      std::string terms_bytes;
      ASSERT_TRUE(db.Get(rocksdb::ReadOptions(), HeadKey(kGroup), &head_bytes).ok());
      ASSERT_TRUE(db.Get(rocksdb::ReadOptions(), TermsKey(kGroup), &terms_bytes).ok());
      LogHead head = DecodeHead(kGroup, head_bytes).value();
      std::vector<TermStart> starts = DecodeTerms(kGroup, terms_bytes).value();
      change(head, starts, by);
      ASSERT_TRUE(db.Put(rocksdb::WriteOptions(), HeadKey(kGroup), EncodeHead(kGroup, head)).ok());
      ASSERT_TRUE(
          db.Put(rocksdb::WriteOptions(), TermsKey(kGroup), EncodeTerms(kGroup, starts)).ok());
      ASSERT_TRUE(db.FlushWAL(true).ok());
    }
    if (where == Where::kDatabase) return;
    AddToLedger(files, "/log", kGroup,
                [&](LedgerRecord&, LedgerGroup& said) { change(said.head, said.starts, by); });
  }

  static bool IsTyped(const absl::Status& status) {
    return status.ok() || absl::IsDataLoss(status) || absl::IsFailedPrecondition(status);
  }

  // An answer or a typed error, and no entry that nobody gave.
  void Use(SimulatedFileSystem& files, bool appends) {
    RocksDbSubject subject(files);
    subject.given = given_;
    const absl::Status opened = subject.Open();
    EXPECT_TRUE(IsTyped(opened)) << opened;
    ++(opened.ok() ? opened_ : refused_);
    if (!opened.ok()) return;
    EXPECT_LE(subject.recovered.faulty.size(), 10u);
    LogStore& store = *subject.store;
    for (const Index index : {Index{1}, Index{3}, kWritten, kWritten + 1, store.base().index + 1,
                              store.last().index, store.last().index + 1}) {
      const auto runs = store.Read(index, index, kNoLimit);
      const bool is_typed = IsTyped(runs.status()) || absl::IsOutOfRange(runs.status());
      EXPECT_TRUE(is_typed) << runs.status();
      if (!runs.ok()) continue;
      ASSERT_LE(index, kWritten) << "nobody wrote it";
      EXPECT_TRUE(runs->front().bytes().view() == given_.At(index).record) << index;
    }
    if (appends) {
      const absl::Status status = subject.AppendAndSync(kMaxTerm);
      EXPECT_TRUE(IsTyped(status)) << status;
    }
  }

  SimulatedFileSystem before_;
  LogTwin given_{kGroup};
  int opened_ = 0;
  int refused_ = 0;
};

TEST_F(RocksDbFieldsTest, EachWithValuesAtAllEnds) {
  const std::vector<uint64_t> values = {
      1, 2, ~uint64_t{0}, 100, uint64_t{1} << 40, kMaxIndex - 7, uint64_t{1} << 63};
  for (const auto& [name, change] : Changes()) {
    for (const uint64_t by : values) {
      for (const Where where : {Where::kDatabase, Where::kLedger, Where::kBoth}) {
        SCOPED_TRACE(absl::StrCat(name, " and ", by, " at ", static_cast<int>(where)));
        const std::unique_ptr<SimulatedFileSystem> files = before_.WorstCaseImage();
        ASSERT_NO_FATAL_FAILURE(Make(*files, change, by, where));
        files->RestartProcess();
        ASSERT_NO_FATAL_FAILURE(Use(*files, /*appends=*/false));
        if (HasFailure()) return;
        files->RestartProcess();
        ASSERT_NO_FATAL_FAILURE(Use(*files, /*appends=*/true));
        if (HasFailure()) return;
      }
    }
  }
  std::printf("%d opened, %d refused\n", opened_, refused_);
  EXPECT_GT(opened_ + refused_, 700);
  EXPECT_GT(opened_, 100) << "of one that is refused nothing is read";
}

}  // namespace
}  // namespace cairn

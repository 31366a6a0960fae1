#include "storage/loss_report.h"

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/manual_executor.h"

namespace cairn {
namespace {

using Kind = LossEvent::Kind;
using Lines = std::vector<std::string>;

constexpr char kPath[] = "/lost-data.jsonl";
constexpr GroupId kGroup{1};

class FixedClock final : public Clock {
 public:
  Instant Now() const override { return {}; }
  WallTime WallNow() const override { return {1'700'000'000'000'000'000}; }
};

LossEvent Damaged(Index first, Index last) {
  return {.kind = Kind::kDamaged,
          .group = kGroup,
          .first = first,
          .last = last,
          .term = 2,
          .file = "/log/1.block",
          .offset = 4096,
          .text = "checksum"};
}

class LossReportTest : public testing::Test {
 protected:
  LossReport Open() { return LossReport(disk_, kPath, clock_, nullptr); }
  Lines Read() {
    return absl::StrSplit(ReadWholeFile(disk_, kPath).value(), '\n', absl::SkipEmpty());
  }

  SimulatedFileSystem disk_;
  FixedClock clock_;
};

TEST_F(LossReportTest, WritesWhatItIsToldAtOnce) {
  LossReport report = Open();
  EXPECT_FALSE(disk_.Exists(kPath).value()) << "nothing was lost";
  EXPECT_TRUE(report.Add(Damaged(5, 7)));
  LossEvent repaired = {.kind = Kind::kRepaired, .group = kGroup, .first = 5, .last = 6};
  repaired.from = NodeId{3};
  repaired.text = "node 3 had them";
  EXPECT_TRUE(report.Add(repaired));
  EXPECT_EQ(
      Read(),
      (Lines{R"({"format":1,"events":2,"forgotten":0,"damaged":3,"repaired":2,"covered":0,)"
             R"("dropped":0,"torn":0,"notes":0,"open":1})",
             R"({"time":"2023-11-14T22:13:20Z","kind":"damaged","group":1,"first":5,"last":7,)"
             R"("term":2,"file":"/log/1.block","offset":4096,"text":"checksum"})",
             R"({"time":"2023-11-14T22:13:20Z","kind":"repaired","group":1,"first":5,"last":6,)"
             R"("from":3,"text":"node 3 had them"})"}));
  EXPECT_TRUE(report.HasOpen(kGroup));
  EXPECT_FALSE(report.HasOpen(GroupId{2}));
  report.Close(kGroup, 100);
  EXPECT_FALSE(report.HasOpen(kGroup));
  EXPECT_EQ(report.counts().covered, 1u);
  EXPECT_EQ(report.counts().open, 0u);
}

// Each start finds the same damage, until it is repaired; damage that comes again is news.
TEST_F(LossReportTest, TheNextProcessGoesOnWithIt) {
  {
    LossReport report = Open();
    report.Add(Damaged(5, 9));
    report.Add({.kind = Kind::kNote, .text = "a copy was bad"});
    report.Add({.kind = Kind::kRepaired, .group = kGroup, .first = 6, .last = 7});
  }
  disk_.RestartProcess();
  LossReport report = Open();
  EXPECT_EQ(report.counts().open, 3u);
  EXPECT_EQ(report.counts().damaged, 5u);
  EXPECT_FALSE(report.Add(Damaged(5, 5)));
  EXPECT_FALSE(report.Add(Damaged(8, 9)));
  EXPECT_FALSE(report.Add({.kind = Kind::kNote, .text = "a copy was bad"}));
  EXPECT_EQ(Read().size(), 4u);
  EXPECT_TRUE(report.Add(Damaged(6, 6)));
  EXPECT_EQ(report.counts().open, 4u);
  EXPECT_EQ(Read().size(), 5u);
}

TEST_F(LossReportTest, AnyTextIsOneStringOfJson) {
  LossReport report = Open();
  report.Add({.kind = Kind::kNote,
              .file = "/log/a\"b",
              .text = "quote \" backslash \\ newline \n byte \xff \"first\":77 end"});
  const Lines lines = Read();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(absl::StrContains(lines[1], R"("file":"/log/a\"b")")) << lines[1];
  EXPECT_TRUE(absl::StrContains(
      lines[1], R"("text":"quote \" backslash \\ newline \u000a byte \u00ff \"first\":77 end"})"))
      << lines[1];
  // And no number that somebody else reads out of it.
  LossReport again = Open();
  EXPECT_FALSE(again.HasOpen(GroupId::kNone));
}

TEST_F(LossReportTest, TheOldestEventsAreForgottenAndCounted) {
  {
    LossReport report = Open();
    for (Index i = 1; i <= LossReport::kMaxEvents + 20; ++i) report.Add(Damaged(2 * i, 2 * i));
  }
  LossReport report = Open();
  const Lines lines = Read();
  EXPECT_EQ(lines.size(), LossReport::kMaxEvents + 1);
  EXPECT_TRUE(absl::StrContains(lines[0], R"("forgotten":20,"damaged":1020)")) << lines[0];
  EXPECT_TRUE(absl::StrContains(lines[1], R"("first":42)")) << lines[1];
  EXPECT_EQ(report.counts().damaged, LossReport::kMaxEvents + 20);
}

TEST_F(LossReportTest, WhatRecoveryFoundIsMergedAndToldOnce) {
  RecoveredLog recovered;
  for (const Index index : {4, 5, 6, 9}) {
    recovered.faulty.push_back({{index, 2}, index, "/log/1.block", 512 * index, "checksum"});
  }
  recovered.report.torn_bytes = 100;
  recovered.report.notes = {"/log/x: not a file of the log, left alone"};
  LossReport report = Open();
  EXPECT_EQ(report.AddRecovered(kGroup, recovered),
            (Lines{"the end of the log was torn by a power cut, 100 bytes",
                   "/log/x: not a file of the log, left alone"}));
  EXPECT_EQ(report.AddRecovered(GroupId{2}, recovered), Lines{}) << "another group, the same disk";
  EXPECT_EQ(report.counts().damaged, 8u);
  EXPECT_EQ(report.counts().torn, 1u);
  EXPECT_EQ(report.counts().notes, 1u);
  EXPECT_EQ(Read().size(), 7u) << "4 to 6 and 9, twice, torn, a note";
  LossReport next = Open();
  EXPECT_EQ(next.AddRecovered(kGroup, recovered).size(), 2u) << "each process says it";
  EXPECT_EQ(Read().size(), 7u);
}

// A disk that rots has a thousand events in a second; each write is one of the whole file, synced.
TEST_F(LossReportTest, ManyEventsAreFewWrites) {
  ManualWorld world;
  ManualExecutor background(&world);
  uint64_t renamed = 0;
  disk_.set_fault_hook([&](const FileAccess& access) {
    if (access.operation == FileAccess::Operation::kRename) ++renamed;
    return FileFault();
  });
  {
    LossReport report(disk_, kPath, world, &background);
    for (Index i = 1; i <= 900; ++i) {
      EXPECT_TRUE(report.Add(Damaged(2 * i, 2 * i)));
      world.RunReady();
      EXPECT_EQ(Read().size(), 2u) << "the first one at once";
    }
    EXPECT_EQ(renamed, 1u);
    world.RunFor(LossReport::kPause);
    EXPECT_EQ(renamed, 2u);
    EXPECT_EQ(Read().size(), 901u);
    world.RunFor(Seconds(60));
    EXPECT_EQ(renamed, 2u) << "nothing new";
    report.Add(Damaged(1, 1));
    world.RunReady();
    EXPECT_EQ(Read().size(), 902u) << "the first one in a while";
    report.Add(Damaged(3, 3));
  }
  EXPECT_EQ(Read().size(), 903u) << "the last one by the report's end";
  world.RunFor(Seconds(60));
  EXPECT_EQ(renamed, 4u);
}

// Scrub and reads find the entries of a gap one by one. The size is one that the square of which
// does not come to an end.
TEST_F(LossReportTest, AMillionEntriesOfOneGapToldOneByOne) {
  constexpr Index kMany = 1'000'000;
  ManualWorld world;
  ManualExecutor background(&world);
  LossReport report(disk_, kPath, world, &background);
  for (Index i = 1; i <= kMany; ++i) ASSERT_TRUE(report.Add(Damaged(i, i)));
  EXPECT_EQ(report.counts().damaged, kMany);
  EXPECT_EQ(report.counts().open, kMany);
  EXPECT_FALSE(report.Add(Damaged(1, kMany))) << "each of them was";
  for (Index i = 1; i <= kMany / 2; ++i) {
    report.Add({.kind = Kind::kRepaired, .group = kGroup, .first = 2 * i, .last = 2 * i});
  }
  EXPECT_EQ(report.counts().open, kMany / 2);
  report.Add({.kind = Kind::kRepaired, .group = kGroup, .first = 1, .last = kMany / 2});
  EXPECT_EQ(report.counts().open, kMany / 4);
  report.Close(kGroup, kMany);
  EXPECT_EQ(report.counts().covered, kMany / 4);
  EXPECT_EQ(report.counts().open, 0u);
  world.RunFor(LossReport::kPause);
  EXPECT_EQ(Read().size(), LossReport::kMaxEvents + 1);
}

// What is repaired is not to be told as open after a crash: that is hardly waited with.
TEST_F(LossReportTest, ThatNothingIsOpenAnyMoreIsWrittenSoon) {
  ManualWorld world;
  ManualExecutor background(&world);
  LossReport report(disk_, kPath, world, &background);
  report.Add(Damaged(1, 1));
  world.RunReady();
  report.Add(Damaged(2, 2));
  world.RunFor(Milliseconds(100));
  EXPECT_EQ(Read().size(), 2u);
  report.Add({.kind = Kind::kRepaired, .group = kGroup, .first = 1, .last = 1});
  world.RunFor(Milliseconds(100));
  EXPECT_EQ(Read().size(), 2u) << "one is";
  report.Add({.kind = Kind::kRepaired, .group = kGroup, .first = 2, .last = 2});
  world.RunReady();
  EXPECT_EQ(Read().size(), 5u);
  world.RunFor(Seconds(60));
  EXPECT_EQ(LossReport(disk_, kPath, world, nullptr).counts().open, 0u);
}

// A full disk, or a file that is no report, stops nobody.
TEST_F(LossReportTest, WhatCannotBeWrittenIsWrittenWithTheNextEvent) {
  LossReport report = Open();
  disk_.set_capacity_bytes(0);
  EXPECT_TRUE(report.Add(Damaged(1, 1)));
  EXPECT_FALSE(disk_.Exists(kPath).value());
  disk_.set_capacity_bytes(UINT64_MAX);
  EXPECT_TRUE(report.Add(Damaged(3, 3)));
  EXPECT_EQ(Read().size(), 3u);
  disk_.Overwrite(kPath, 0, "rotten");
  LossReport next = Open();
  EXPECT_EQ(next.counts().damaged, 0u);
  EXPECT_TRUE(next.Add(Damaged(1, 1)));
  EXPECT_EQ(Read().size(), 2u);
}

// Whenever the power goes, it is the old report or the new one.
TEST_F(LossReportTest, APowerCutLeavesAWholeReport) {
  for (uint64_t nth = 1; nth < 40; ++nth) {
    SimulatedFileSystem disk({.seed = nth});
    Random random(nth);
    uint64_t calls = 0;
    disk.set_fault_hook([&](const FileAccess&) {
      FileFault fault;
      if (++calls == nth) disk.Crash(CrashPolicy::kRandomSubset, random);
      if (calls >= nth) fault.error = EIO;
      return fault;
    });
    uint64_t added = 0;
    {
      LossReport report(disk, kPath, clock_, nullptr);
      for (Index i = 1; i < 6 && calls < nth; ++i) {
        report.Add(Damaged(2 * i, 2 * i));
        if (calls < nth) ++added;
      }
    }
    disk.set_fault_hook(nullptr);
    LossReport report(disk, kPath, clock_, nullptr);
    EXPECT_GE(report.counts().damaged, added) << nth;
    EXPECT_LE(report.counts().damaged, added + 1) << nth;
    EXPECT_EQ(report.counts().open, report.counts().damaged);
  }
}

}  // namespace
}  // namespace cairn

// A block log that has lost a batch in its middle, both copies of its id record, so that nothing
// names the entries it held: what the batches behind it tell is missing is known by index and term
// where nothing but one term can stand there, and is written again like any entry that cannot be
// read. Where they do not tell, nothing is made up: the log ends before it, and the group counts as
// one that may have forgotten what it promised.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_salvage.h"
#include "storage/block/log_verifier.h"
#include "storage/crash_choice.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/repair/lost_end.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/faulty_indexes.h"

namespace cairn {
namespace {

using Disk = std::unique_ptr<SimulatedFileSystem>;

constexpr NodeId kVotedFor{3};

BlockLogOptions OneBlock() {
  BlockLogOptions options = TestOptions();
  options.geometry.block_bytes = 256 << 10;
  return options;
}

// What is said to be unreadable is, and of what can be read nothing is said.
void ExpectSaysOnlyWhatIsSo(const LogStore& store) {
  for (Index first = store.base().index + 1; first <= store.last().index; ++first) {
    const Index through = store.UnreadableThrough(first, store.last().index);
    ASSERT_GE(through, first);
    ASSERT_LE(through, store.last().index);
    ASSERT_EQ(store.UnreadableThrough(first, first), first);
    for (Index index = first; index <= through && through > first; ++index) {
      ASSERT_TRUE(absl::IsDataLoss(store.Read(index, index, 1).status())) << index;
    }
  }
}

// What a start says of the group.
std::string Outcome(LogDriver& driver, GroupId group) {
  const absl::StatusOr<OpenedLog> opened = driver.log().OpenGroup(group);
  if (!opened.ok()) return std::string(absl::StatusCodeToString(opened.status().code()));
  std::string text = absl::StrCat("up to ", opened->store->last().index);
  ExpectSaysOnlyWhatIsSo(*opened->store);
  driver.log().CloseGroup(group);
  if (opened->recovered.hard_state_lost) absl::StrAppend(&text, ", lost");
  if (!opened->recovered.faulty.empty()) absl::StrAppend(&text, ", faulty");
  for (const FaultyEntries& each : opened->recovered.faulty) {
    for (Index index = each.first.index; index <= each.last; ++index) {
      absl::StrAppend(&text, " ", index, "@", each.first.term);
    }
  }
  return text;
}

struct Batch {
  std::function<void(LogDriver&)> write;
  // What groups A, B and C are when it is lost.
  const char* a;
  const char* b;
  const char* c;
};

constexpr char kA[] = "up to 7";
constexpr char kB[] = "up to 6";
constexpr char kC[] = "up to 5";

void Vote(LogDriver& log, GroupId group, Term term) {
  log.Vote(group, {.term = term, .vote = kVotedFor});
}

std::vector<Batch> Batches() {
  return {
      // The only checkpoint of the log.
      {[](LogDriver& log) {
         Vote(log, kGroupA, 1);
         log.Append(kGroupA, 1, {"a1"});
       },
       "up to 7, faulty 1@1", kB, kC},
      // No term comes before 1.
      {[](LogDriver& log) {
         Vote(log, kGroupB, 1);
         log.Append(kGroupB, 1, {"b1", "b2"});
       },
       kA, "up to 6, faulty 1@1 2@1", kC},
      {[](LogDriver& log) {
         log.Append(kGroupA, 1, {"a2", "a3"});
       },
       "up to 7, faulty 2@1 3@1", kB, kC},
      {[](LogDriver& log) {
         log.Append(kGroupA, 1, {"a4"});
         log.Append(kGroupB, 1, {"b3"});
       },
       "up to 7, faulty 4@1", "up to 6, faulty 3@1", kC},
      // 4 may be of term 1 or 2, or 3 may have been another one since.
      {[](LogDriver& log) {
         Vote(log, kGroupB, 2);
         log.Append(kGroupB, 1, {"b4"});
       },
       kA, "up to 3, lost", kC},
      // Of group A nothing is missing: what it had is cut off behind it.
      {[](LogDriver& log) {
         log.Append(kGroupA, 1, {"a5"});
         log.Append(kGroupB, 2, {"b5"});
       },
       kA, "up to 4, lost", kC},
      // Entry 5 stands there and was another one since, by the hash that 6 names.
      {[](LogDriver& log) {
         Vote(log, kGroupA, 2);
         log.Truncate(kGroupA, 5, 2, {"another a5"});
       },
       "up to 5, lost", kB, kC},
      // Behind it group B says its vote and nothing of its entries.
      {[](LogDriver& log) {
         log.Append(kGroupA, 2, {"a6"});
         log.Append(kGroupB, 2, {"b6"});
       },
       "up to 7, faulty 6@2", "up to 5, lost", kC},
      {[](LogDriver& log) {
         log.Append(kGroupA, 2, {"a7"});
         Vote(log, kGroupB, 3);
       },
       "up to 6, lost", "up to 6, lost", kC},
      // Nothing stands before the missing entries that would tell of which term they are.
      {[](LogDriver& log) {
         Vote(log, kGroupC, 2);
         log.Append(kGroupC, 2, {"c1"});
       },
       "up to 7, lost", "up to 6, lost", "up to 0, lost"},
      {[](LogDriver& log) {
         log.Append(kGroupC, 2, {"c2", "c3"});
       },
       "up to 7, lost", "up to 6, lost", "up to 5, faulty 2@2 3@2"},
      {[](LogDriver& log) { log.Append(kGroupC, 2, {"c4"}); }, "up to 7, lost", "up to 6, lost",
       "up to 5, faulty 4@2"},
      {[](LogDriver& log) { log.Append(kGroupC, 2, {"c5"}); }, "up to 7, lost", "up to 6, lost",
       "up to 4, lost"},
  };
}

class LostBatchTest : public testing::Test {
 protected:
  // Writes the batches, all of them synced, and ends the process.
  void Write(const std::vector<std::function<void(LogDriver&)>>& batches,
             const BlockLogOptions& options = OneBlock()) {
    written_ = std::make_unique<SimulatedFileSystem>();
    LogDriver driver(*written_, options);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    for (const auto& write : batches) {
      write(driver);
      ASSERT_TRUE(driver.Sync().ok());
    }
    model_ = driver.model();
  }
  Disk Without(uint64_t batch) {
    Disk disk = written_->WorstCaseImage();
    const absl::Status lost = LoseBatch(*disk, kTestDirectory, batch);
    EXPECT_TRUE(lost.ok()) << lost;
    return disk;
  }
  static std::string OutcomeOf(SimulatedFileSystem& disk, GroupId group) {
    disk.RestartProcess();
    LogDriver driver(disk, OneBlock());
    return driver.status().ok() ? Outcome(driver, group) : "no log";
  }

  Disk written_;
  Model model_;
};

TEST_F(LostBatchTest, EachBatchInTurn) {
  const std::vector<Batch> batches = Batches();
  std::vector<std::function<void(LogDriver&)>> writes;
  for (const Batch& batch : batches) writes.push_back(batch.write);
  Write(writes);
  for (uint64_t batch = 1; batch <= batches.size(); ++batch) {
    SCOPED_TRACE(absl::StrCat("without batch ", batch));
    const Disk disk = Without(batch);
    const Batch& expected = batches[batch - 1];
    for (int start : {1, 2, 3}) {
      SCOPED_TRACE(absl::StrCat("start ", start));
      EXPECT_EQ(OutcomeOf(*disk, kGroupA), expected.a);
      EXPECT_EQ(OutcomeOf(*disk, kGroupB), expected.b);
      EXPECT_EQ(OutcomeOf(*disk, kGroupC), expected.c);
    }
  }
}

// Entries 1 to 10 of term 1, and then `behind`, and `then`. Batch 2 is lost, and no other one.
class SeamTest : public LostBatchTest {
 protected:
  void WriteTen(
      const std::function<void(LogDriver&)>& lost, const std::function<void(LogDriver&)>& behind,
      const std::function<void(LogDriver&)>& then = [](LogDriver&) {}) {
    std::vector<std::string> ten;
    for (int i = 1; i <= 10; ++i) ten.push_back(absl::StrCat("entry ", i));
    Write({[ten](LogDriver& log) { log.Append(kGroupA, 1, ten); }, lost, behind, then});
    disk_ = Without(2);
  }
  // What each of some starts says, of which the second one leaves the block.
  void ExpectAlways(const std::string& outcome) {
    for (int start = 0; start < 4; ++start) {
      SCOPED_TRACE(absl::StrCat("start ", start));
      EXPECT_EQ(OutcomeOf(*disk_, kGroupA), outcome);
      if (start == 1) Roll();
    }
    // By its id records again, and what the checkpoint of the next block says.
    const LogInspector::Block block =
        LogInspector::Open(*disk_, kTestDirectory).value()->blocks().at(1);
    ASSERT_TRUE(block.seal.seal.has_value());
    disk_->FlipBits(block.path, block.seal.seal->footer_begin, 1);
    EXPECT_EQ(OutcomeOf(*disk_, kGroupA), outcome);
  }
  // A group that is new each time writes until the log goes on in another block.
  void Roll() {
    disk_->RestartProcess();
    LogDriver driver(*disk_, OneBlock());
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    const size_t blocks = driver.log().figures().blocks;
    const GroupId writer{++last_writer_};
    while (driver.log().figures().blocks == blocks) {
      driver.Append(writer, 5, {std::string(20'000, 'x')});
      ASSERT_TRUE(driver.Sync().ok());
    }
  }

  Disk disk_;
  uint64_t last_writer_ = 100;
};

TEST_F(SeamTest, EntriesAreMissing) {
  WriteTen(
      [](LogDriver& log) {
        log.Append(kGroupA, 1, {"11", "12", "13"});
      },
      [](LogDriver& log) { log.Append(kGroupA, 1, {"14"}); });
  ExpectAlways("up to 14, faulty 11@1 12@1 13@1");
}

TEST_F(SeamTest, EntriesThatMayBeOfTwoTermsAreMissing) {
  WriteTen(
      [](LogDriver& log) {
        log.Append(kGroupA, 1, {"11", "12", "13"});
      },
      [](LogDriver& log) { log.Append(kGroupA, 2, {"14"}); });
  ExpectAlways("up to 10, lost");
}

// 8 and 9 stand there, and are not the ones that were acknowledged: but they were its log once.
TEST_F(SeamTest, OtherEntriesStoodThere) {
  WriteTen(
      [](LogDriver& log) {
        log.Truncate(kGroupA, 8, 2, {"another 8", "another 9"});
      },
      [](LogDriver& log) { log.Append(kGroupA, 2, {"another 10"}); });
  ExpectAlways("up to 9, lost");
}

TEST_F(SeamTest, OtherEntriesStoodThereAsSaysATruncation) {
  WriteTen(
      [](LogDriver& log) {
        log.Truncate(kGroupA, 8, 2, {"another 8", "another 9"});
      },
      [](LogDriver& log) { log.Truncate(kGroupA, 9, 3, {"yet another 9"}); });
  ExpectAlways("up to 8, lost");
}

TEST_F(SeamTest, WhatWasCutOffIsNotThere) {
  WriteTen([](LogDriver& log) { log.Truncate(kGroupA, 9, 2, {}); },
           [](LogDriver& log) { log.Append(kGroupA, 2, {"another 9"}); });
  ExpectAlways("up to 9");
}

// Nothing but the next block's checkpoint tells.
TEST_F(SeamTest, TheLostBatchWasTheLastOfItsBlock) {
  for (const bool replaced : {false, true}) {
    SCOPED_TRACE(replaced);
    WriteTen(
        [&](LogDriver& log) {
          if (replaced) {
            log.Truncate(kGroupA, 9, 2, {"another 9", "another 10"});
          } else {
            log.Append(kGroupA, 1, {"11", "12"});
          }
        },
        [](LogDriver& log) { log.Append(kGroupB, 5, {std::string(250'000, 'x')}); });
    const LogInspector::Block block =
        LogInspector::Open(*disk_, kTestDirectory).value()->blocks().at(1);
    ASSERT_TRUE(block.seal.seal.has_value());
    disk_->FlipBits(block.path, block.seal.seal->footer_begin, 1);
    for (int start = 0; start < 3; ++start) {
      EXPECT_EQ(OutcomeOf(*disk_, kGroupA),
                replaced ? "up to 9, lost" : "up to 12, faulty 11@1 12@1");
    }
  }
}

TEST_F(SeamTest, NothingOfTheGroupIsLost) {
  WriteTen([](LogDriver& log) { log.Append(kGroupB, 2, {"1"}); },
           [](LogDriver& log) { log.Append(kGroupA, 2, {"11"}); });
  EXPECT_EQ(OutcomeOf(*disk_, kGroupA), "up to 11");
  // It begins with what was lost, as far as this disk knows.
  EXPECT_EQ(OutcomeOf(*disk_, kGroupB), "up to 0, lost");
}

TEST_F(SeamTest, ANewGroupSaysItsVoteOnly) {
  WriteTen([](LogDriver& log) { log.Append(kGroupB, 2, {"1"}); },
           [](LogDriver& log) { log.Vote(kGroupB, {.term = 3, .vote = kVotedFor}); });
  EXPECT_EQ(OutcomeOf(*disk_, kGroupB), "up to 0, lost");
}

TEST_F(SeamTest, ABaseIsBehindWhatIsMissing) {
  WriteTen(
      [](LogDriver& log) {
        log.Append(kGroupA, 1, {"11", "12", "13"});
      },
      [](LogDriver& log) {
        log.Append(kGroupA, 1, {"14"});
        log.Drop(kGroupA, 12);
      });
  ExpectAlways("up to 14, faulty 13@1");
}

// The base tells of which term they are, behind it.
TEST_F(SeamTest, ABaseIsOneOfWhatIsMissing) {
  WriteTen(
      [](LogDriver& log) {
        log.Append(kGroupA, 2, {"11", "12", "13"});
      },
      [](LogDriver& log) {
        log.Append(kGroupA, 2, {"14"});
        log.Drop(kGroupA, 12);
      });
  ExpectAlways("up to 14, faulty 13@2");
}

// What told of which term they are is cut off later.
TEST_F(SeamTest, ATruncationIsBehindWhatIsMissing) {
  WriteTen(
      [](LogDriver& log) {
        log.Append(kGroupA, 1, {"11", "12", "13"});
      },
      [](LogDriver& log) { log.Append(kGroupA, 1, {"14"}); },
      [](LogDriver& log) { log.Truncate(kGroupA, 13, 3, {"another 13"}); });
  ExpectAlways("up to 13, faulty 11@1 12@1");
}

TEST_F(SeamTest, TheLogWasReset) {
  WriteTen(
      [](LogDriver& log) {
        log.Append(kGroupA, 1, {"11", "12", "13"});
      },
      [](LogDriver& log) {
        log.Reset(kGroupA, {20, 1});
        log.Append(kGroupA, 1, {"21"});
      });
  ExpectAlways("up to 21");
}

// A log of which entries 11 to 13 are missing, and how it goes on.
class GapTest : public SeamTest {
 protected:
  void SetUp() override {
    WriteTen(
        [](LogDriver& log) {
          log.Append(kGroupA, 1, {"11", "12", "13"});
        },
        [](LogDriver& log) {
          log.Append(kGroupA, 1, {"14", "15"});
        });
  }
  void Start() {
    driver_.reset();
    disk_->RestartProcess();
    driver_ = std::make_unique<LogDriver>(*disk_, OneBlock());
    ASSERT_TRUE(driver_->status().ok()) << driver_->status();
    driver_->set_model(model_);
  }
  // And the log goes on in another block.
  void StartAgain() {
    model_ = driver_->model();
    driver_.reset();
    Roll();
    Start();
  }
  std::string Found() {
    const RecoveredLog& found = driver_->recovered(kGroupA);
    std::string text;
    for (const Index index : FaultyIndexes(found)) absl::StrAppend(&text, index, " ");
    return text;
  }
  LogStore& store() { return driver_->store(kGroupA); }
  const RecordRun& Entry(Index index) { return *model_.at(kGroupA).At(index); }
  RecordRun Entries(Index first, Index last) {
    RecordRunBuilder builder(kGroupA, {first - 1, 1}, Entry(first).previous_hash());
    for (Index index = first; index <= last; ++index) {
      builder.Add(PreparedEntry::Make(EntryType::kCommand, absl::StrCat(index)), 1,
                  WallTime{1'000'000'000});
    }
    return std::move(builder).Build();
  }

  std::unique_ptr<LogDriver> driver_;
};

TEST_F(GapTest, WhatStandsAroundItIsReadAndItIsNot) {
  for (int start = 0; start < 3; ++start) {
    Start();
    EXPECT_EQ(Found(), "11 12 13 ");
    for (Index index = 1; index <= 15; ++index) {
      const absl::StatusOr<std::vector<RecordRun>> read = store().Read(index, 15, SIZE_MAX);
      if (index >= 11 && index <= 13) {
        EXPECT_TRUE(absl::IsDataLoss(read.status())) << read.status();
        continue;
      }
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(read->front().At(index).bytes(), Entry(index).bytes().view());
    }
    EXPECT_EQ(store().HashAt(13).value(), Entry(13).last_hash());
    EXPECT_TRUE(absl::IsDataLoss(store().HashAt(12).status()));
    if (start == 1) StartAgain();
  }
}

// From either end, as pieces and as one.
TEST_F(GapTest, ItIsRepaired) {
  ASSERT_EQ(Entries(11, 13).last_hash(), Entry(13).last_hash());
  const std::vector<std::vector<RecordRun>> ways = {{Entries(11, 13)},
                                                    {Entry(11), Entry(12), Entry(13)},
                                                    {Entry(13), Entry(12), Entry(11)},
                                                    {Entries(12, 13), Entry(11)},
                                                    {Entry(11), Entries(12, 13)}};
  const Disk damaged = disk_->WorstCaseImage();
  for (size_t way = 0; way < ways.size(); ++way) {
    for (const bool rolled : {false, true}) {
      SCOPED_TRACE(absl::StrCat("way ", way, rolled ? ", in another block" : ""));
      driver_.reset();
      disk_ = damaged->WorstCaseImage();
      Start();
      if (rolled) StartAgain();
      for (const RecordRun& run : ways[way]) {
        const absl::Status status = store().Repair({run});
        ASSERT_TRUE(status.ok()) << status;
      }
      EXPECT_EQ(Difference(store(), model_.at(kGroupA)), "");
      for (int start = 0; start < 3; ++start) {
        Start();
        EXPECT_EQ(Found(), "");
        EXPECT_EQ(Difference(store(), model_.at(kGroupA)), "");
        if (start == 1) StartAgain();
      }
    }
  }
}

TEST_F(GapTest, OtherEntriesAreRefused) {
  Start();
  ModelLog ten = model_.at(kGroupA);
  while (ten.last().index > 10) ten.entries.pop_back();
  // Right in front, and not what 14 follows.
  RecordRun forged = MakeRun(kGroupA, ten, 1, {"11", "12", "another 13"});
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Repair({forged})));
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Repair({forged.Slice(13, 13)})));
  // Of another term.
  forged = MakeRun(kGroupA, ten, 2, {"11"});
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Repair({forged})));
  // Behind another entry.
  ten.entries.pop_back();
  ten.entries.push_back(MakeRun(kGroupA, ten, 1, {"another 10"}));
  forged = MakeRun(kGroupA, ten, 1, {"11", "12", "13"});
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Repair({forged})));
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Repair({forged.Slice(11, 12)})));
  // Right, and nothing here tells.
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Repair({Entry(12)})));
  ASSERT_TRUE(store().Repair({Entries(11, 13)}).ok());
}

TEST_F(GapTest, TheLogIsTruncatedInIt) {
  const Disk damaged = disk_->WorstCaseImage();
  for (const bool rolled : {false, true}) {
    SCOPED_TRACE(rolled);
    driver_.reset();
    disk_ = damaged->WorstCaseImage();
    Start();
    if (rolled) StartAgain();
    const Disk before = disk_->WorstCaseImage();
    for (Index from = 10; from <= 15; ++from) {
      SCOPED_TRACE(from);
      driver_.reset();
      disk_ = before->WorstCaseImage();
      Start();
      driver_->Truncate(kGroupA, from, 3, {"another"});
      ASSERT_TRUE(driver_->Sync().ok());
      const Model expected = driver_->model();
      Start();
      std::vector<RecordRun> missing;
      std::string faulty;
      for (Index index = 11; index < std::min(from, Index{14}); ++index) {
        absl::StrAppend(&faulty, index, " ");
        missing.push_back(Entry(index));
      }
      EXPECT_EQ(Found(), faulty);
      StartAgain();
      EXPECT_EQ(Found(), faulty) << "known by the footer";
      const absl::Status repaired = store().Repair(missing);
      ASSERT_TRUE(repaired.ok()) << repaired;
      Start();
      EXPECT_EQ(Difference(driver_->recovered(kGroupA), expected.at(kGroupA)), "");
      EXPECT_EQ(Difference(store(), expected.at(kGroupA)), "");
    }
  }
}

TEST_F(GapTest, APrefixIsDropped) {
  for (Index up_to = 9; up_to <= 15; ++up_to) {
    SCOPED_TRACE(up_to);
    const Disk before = disk_->WorstCaseImage();
    Start();
    const absl::Status dropped = store().DropPrefix(up_to);
    // Nobody knows the hash of the new base.
    EXPECT_EQ(absl::IsDataLoss(dropped), up_to == 11 || up_to == 12) << dropped;
    ASSERT_TRUE(driver_->Sync().ok());
    std::string faulty = "11 12 13 ";
    if (up_to > 12) faulty = "";
    for (int start = 0; start < 2; ++start) {
      Start();
      EXPECT_EQ(Found(), faulty);
      EXPECT_EQ(store().base().index, dropped.ok() ? up_to : 0);
      StartAgain();
    }
    driver_.reset();
    disk_ = before->WorstCaseImage();
  }
}

TEST_F(GapTest, AnOperatorIsTold) {
  for (const bool rolled : {false, true}) {
    SCOPED_TRACE(rolled);
    if (rolled) Roll();
    disk_->RestartProcess();
    const auto log = LogInspector::Open(*disk_, kTestDirectory);
    ASSERT_TRUE(log.ok()) << log.status();
    std::string faulty;
    for (const VerifiedFile& file : VerifyLog(**log)) {
      for (const LogFinding& each : file.faulty) {
        if (each.is_mark) continue;  // of a group that may have been in that batch
        absl::StrAppend(&faulty, each.path, ":", each.entries.first, "..", each.entries.last, " ");
      }
    }
    EXPECT_EQ(faulty, absl::StrCat(kTestDirectory, "/00000000000000000001.block:0..0 ",
                                   kTestDirectory, ":11..13 "));
    const BlockSummary block = (*log)->Summaries().front();
    EXPECT_EQ(block.groups.at(kGroupA), (std::vector<IndexRange>{{1, 10}, {14, 15}}));
    const SalvagePlan plan = PlanSalvage(**log);
    EXPECT_EQ(plan.groups.front().last.index, 10u);
    EXPECT_EQ(plan.groups.front().lost, (IndexRange{11, 15}));
  }
}

// A power cut at each write and sync of a repair: the entries are missing as before, or there.
TEST_F(GapTest, APowerCutAtEachStepOfARepair) {
  Random random(7);
  size_t repaired = 0;
  size_t images = 0;
  for (const bool rolled : {false, true}) {
    if (rolled) Roll();
    const Disk before = disk_->WorstCaseImage();
    std::vector<Disk> cuts;
    Start();
    disk_->set_fault_hook([&](const FileAccess&) {
      for (const CrashChoice& choice :
           EnumerateCrashes(disk_->Pending(), {.exhaustive = 5, .samples = 16}, random)) {
        cuts.push_back(disk_->CrashImage(choice));
      }
      return FileFault();
    });
    ASSERT_TRUE(store().Repair({Entry(11), Entries(12, 13)}).ok());
    disk_->set_fault_hook(nullptr);
    cuts.push_back(disk_->WorstCaseImage());
    for (Disk& cut : cuts) {
      driver_.reset();
      disk_ = std::move(cut);
      for (int start = 0; start < 2; ++start) {
        Start();
        const std::string found = Found();
        ASSERT_TRUE(found == "" || found == "11 12 13 ") << found;
        if (found != "") {
          ASSERT_TRUE(store().Repair({Entries(11, 13)}).ok());
        } else {
          repaired += start == 0 ? 1 : 0;
        }
        ASSERT_EQ(Difference(store(), model_.at(kGroupA)), "");
      }
      ++images;
    }
    driver_.reset();
    disk_ = before->WorstCaseImage();
  }
  EXPECT_GT(images, 40u);
  EXPECT_GT(repaired, 2u);
  EXPECT_GT(images, repaired);
}

}  // namespace
}  // namespace cairn

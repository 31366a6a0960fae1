#include "raft/log_writer.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "storage/memory_log_store.h"
#include "storage/no_room.h"
#include "tests/raft/fake_log_disk.h"
#include "tests/raft/manual_executor.h"
#include "tests/raft/records.h"

namespace cairn {
namespace {

constexpr GroupId kFirst{1};
constexpr GroupId kSecond{2};

class LogWriterTest : public ::testing::Test {
 protected:
  LogWriterTest() {
    first_ = Register(kFirst);
    second_ = Register(kSecond);
  }

  LogWriter::Client Register(GroupId group) {
    LogStore* store = disk_.OpenGroup(group).value().store;
    return writer_->Register(store, [this, group](const absl::Status& status, Ticket ticket) {
      heard_.push_back("group " + std::to_string(ToInteger(group)) + ": " +
                       (status.ok() ? std::to_string(ticket) : std::string(status.message())));
    });
  }

  // One entry of `group` behind what it has.
  LogWriter::Batch NextBatch(GroupId group, Ticket ticket) {
    RecordRun& last = last_[group];
    last = last.empty() ? MakeRun({}, {}, {1}, "x", group)
                        : MakeRun(last.last(), last.last_hash(), {1}, "x", group);
    LogWriter::Batch batch;
    batch.ticket = ticket;
    batch.append.runs = {last};
    return batch;
  }
  void Write(LogWriter::Client client, LogWriter::Batch batch) {
    std::vector<LogWriter::Batch> batches;
    batches.push_back(std::move(batch));
    writer_->Write(client, std::move(batches));
  }
  std::vector<std::string> Heard() { return std::exchange(heard_, {}); }

  ManualWorld world_;
  ManualExecutor executor_{&world_};
  FakeLogDisk disk_;
  std::unique_ptr<LogWriter> writer_ = std::make_unique<LogWriter>(&disk_, &executor_, &world_);
  std::map<GroupId, RecordRun> last_;
  std::vector<std::string> heard_;
  LogWriter::Client first_;
  LogWriter::Client second_;
};

using Strings = std::vector<std::string>;

TEST_F(LogWriterTest, OneSyncForAllThatWaits) {
  Write(first_, NextBatch(kFirst, 1));
  Write(second_, NextBatch(kSecond, 1));
  Write(first_, NextBatch(kFirst, 4));
  EXPECT_GT(writer_->queued_bytes(), 0u);
  EXPECT_EQ(world_.ready(), 1u);
  world_.RunReady();
  EXPECT_EQ(disk_.syncs(), 1u);
  EXPECT_EQ(Heard(), (Strings{"group 1: 4", "group 2: 1"}));
  EXPECT_EQ(disk_.store(kFirst).last(), (LogPosition{2, 1}));
  EXPECT_EQ(writer_->queued_bytes(), 0u);
}

TEST_F(LogWriterTest, WhatComesDuringASyncSharesTheNext) {
  disk_.HoldSyncs();
  Write(first_, NextBatch(kFirst, 1));
  world_.RunReady();
  for (Ticket ticket = 2; ticket <= 5; ++ticket) Write(first_, NextBatch(kFirst, ticket));
  Write(second_, NextBatch(kSecond, 9));
  world_.RunReady();
  EXPECT_EQ(disk_.store(kFirst).last().index, 1u);
  EXPECT_EQ(Heard(), Strings{});
  disk_.EndSync();
  EXPECT_EQ(Heard(), Strings{"group 1: 1"});
  world_.RunReady();
  EXPECT_EQ(disk_.syncs(), 2u);
  disk_.EndSync();
  EXPECT_EQ(Heard(), (Strings{"group 1: 5", "group 2: 9"}));
  world_.RunReady();
  EXPECT_EQ(disk_.syncs(), 2u);
}

TEST_F(LogWriterTest, WhoLeavesIsToldWhenItsWritesAreDurableAndHearsNoMore) {
  disk_.HoldSyncs();
  Write(first_, NextBatch(kFirst, 1));
  writer_->Leave(first_, [this](const absl::Status& status) {
    heard_.push_back(status.ok() ? "left" : "error");
  });
  Write(second_, NextBatch(kSecond, 1));
  world_.RunReady();
  EXPECT_EQ(Heard(), Strings{});
  disk_.EndSync();
  EXPECT_EQ(Heard(), (Strings{"group 1: 1", "group 2: 1", "left"}));
  // Its place is taken by the next one.
  const LogWriter::Client third = Register(kFirst);
  EXPECT_EQ(third, first_);
  Write(third, NextBatch(kFirst, 1));
  world_.RunReady();
  disk_.EndSync();
  EXPECT_EQ(Heard(), Strings{"group 1: 1"});
}

TEST_F(LogWriterTest, ErrandsAreDoneInTheOrderOfTheWritesAndFailWithTheDisk) {
  Write(first_, NextBatch(kFirst, 1));
  Index found = 0;
  auto look = [&] {
    found = disk_.store(kFirst).last().index;
    return absl::OkStatus();
  };
  auto told = [this](const absl::Status& status) {
    heard_.push_back(status.ok() ? "done" : std::string(status.message()));
  };
  writer_->Do(look, told);
  Write(first_, NextBatch(kFirst, 2));
  world_.RunReady();
  EXPECT_EQ(found, 1u);
  EXPECT_EQ(Heard(), (Strings{"group 1: 2", "done"}));
  writer_->Do([] { return absl::InternalError("broken"); }, told);
  writer_->Do(look, told);
  world_.RunReady();
  EXPECT_EQ(Heard(), (Strings{"group 1: broken", "group 2: broken", "broken", "broken"}));
  writer_->Leave(second_, told);
  world_.RunReady();
  EXPECT_EQ(Heard(), Strings{"broken"});
}

TEST_F(LogWriterTest, AFailedSyncIsFinalForEveryGroup) {
  disk_.HoldSyncs();
  Write(first_, NextBatch(kFirst, 1));
  world_.RunReady();
  Write(first_, NextBatch(kFirst, 2));
  disk_.EndSync(absl::InternalError("the disk is gone"));
  EXPECT_EQ(Heard(), (Strings{"group 1: the disk is gone", "group 2: the disk is gone"}));
  Write(second_, NextBatch(kSecond, 1));
  world_.RunReady();
  EXPECT_EQ(Heard(), Strings{});
  EXPECT_EQ(disk_.syncs(), 1u);
}

// What a full disk refuses waits, and what comes behind it; the disk is asked ever more rarely.
TEST_F(LogWriterTest, WhatIsRefusedForWantOfRoomIsWrittenWhenThereIsRoom) {
  Write(first_, NextBatch(kFirst, 1));
  world_.RunReady();
  EXPECT_EQ(Heard(), Strings{"group 1: 1"});
  disk_.SetRoom(/*has_room=*/false, /*refuses=*/true);
  EXPECT_FALSE(writer_->has_room());
  Write(first_, NextBatch(kFirst, 2));
  world_.RunReady();
  Write(second_, NextBatch(kSecond, 1));
  Write(first_, NextBatch(kFirst, 3));
  const size_t before = disk_.syncs();
  world_.RunFor(Seconds(60));
  const size_t asked = disk_.syncs() - before;
  EXPECT_GE(asked, 12u) << "every 5 seconds";
  EXPECT_LE(asked, 20u);
  EXPECT_EQ(Heard(), Strings{});
  EXPECT_EQ(disk_.store(kFirst).last().index, 2u) << "the third waits behind it";
  EXPECT_GT(writer_->queued_bytes(), 0u);
  disk_.SetRoom(true, false);
  world_.RunFor(Seconds(5));
  EXPECT_EQ(Heard(), (Strings{"group 1: 2", "group 2: 1", "group 1: 3"}));
  EXPECT_EQ(writer_->queued_bytes(), 0u);
  // Nobody asks a disk that has room.
  const size_t sought = disk_.sought();
  world_.RunFor(Seconds(60));
  EXPECT_EQ(disk_.sought(), sought);
}

// As long as the reserve lasts, writes go on.
TEST_F(LogWriterTest, ADiskThatIsOnlyShortOfRoomIsWrittenAndAskedSoonAfterAnErrand) {
  disk_.SetRoom(/*has_room=*/false, /*refuses=*/false);
  Write(first_, NextBatch(kFirst, 1));
  world_.RunReady();
  EXPECT_EQ(Heard(), Strings{"group 1: 1"});
  world_.RunFor(Seconds(60));
  const size_t sought = disk_.sought();
  EXPECT_GE(sought, 12u);
  EXPECT_LE(sought, 20u);
  // A group that is deleted, for one, gives its space back.
  writer_->Do([] { return absl::OkStatus(); },
              [this](const absl::Status&) { heard_.push_back("done"); });
  world_.RunFor(Milliseconds(200));
  EXPECT_GE(disk_.sought(), sought + 1);
  EXPECT_EQ(Heard(), Strings{"done"});
}

TEST_F(LogWriterTest, UpkeepIsDoneWhileNothingIsWritten) {
  disk_.MakeUpkeepDue(20);
  writer_->KeepUp();
  world_.RunFor(Milliseconds(100));
  EXPECT_GE(disk_.upkeeps(), 9u);
  EXPECT_LE(disk_.upkeeps(), 11u);  // not one behind the other
  EXPECT_EQ(writer_->metrics()->status().upkeep, disk_.upkeep());
  // Writes go first, and no sync runs beside it.
  disk_.HoldSyncs();
  Write(first_, NextBatch(kFirst, 1));
  world_.RunReady();
  const size_t before = disk_.upkeeps();
  world_.RunFor(Seconds(10));
  EXPECT_EQ(disk_.upkeeps(), before);
  disk_.EndSync();
  world_.RunFor(Seconds(2));
  EXPECT_EQ(disk_.upkeep().to_rewrite, 0u);
  EXPECT_EQ(writer_->metrics()->status().upkeep, disk_.upkeep());
  // Then it is asked now and then whether there is more.
  const size_t done = disk_.upkeeps();
  world_.RunFor(Seconds(10));
  EXPECT_GE(disk_.upkeeps(), done + 9);
  EXPECT_LE(disk_.upkeeps(), done + 11);
}

// How much is due is shown also while there is no time for it.
TEST_F(LogWriterTest, WhatIsDueIsShownWhileTheDiskIsBusy) {
  disk_.HoldSyncs();
  Write(first_, NextBatch(kFirst, 1));
  world_.RunReady();
  writer_->KeepUp();
  disk_.MakeUpkeepDue(20);
  world_.RunFor(Seconds(2));
  EXPECT_EQ(disk_.upkeeps(), 0u);
  EXPECT_EQ(writer_->metrics()->status().upkeep.to_rewrite, 20u);
}

// Nothing is let in while there is no room, so nothing is written that would tell.
TEST_F(LogWriterTest, RoomThatUpkeepTookIsLookedFor) {
  writer_->KeepUp();
  world_.RunFor(Seconds(2));
  EXPECT_EQ(disk_.sought(), 0u);
  disk_.SetRoom(false, false);
  world_.RunFor(Seconds(60));
  EXPECT_GE(disk_.sought(), 12u);
  disk_.SetRoom(true, false);
  world_.RunFor(Seconds(20));
  const size_t upkeeps = disk_.upkeeps();
  world_.RunFor(Seconds(10));
  EXPECT_GE(disk_.upkeeps(), upkeeps + 5);
}

TEST_F(LogWriterTest, AnErrorOfUpkeepIsFinalForEveryGroup) {
  disk_.MakeUpkeepDue(2, absl::InternalError("broken"));
  writer_->KeepUp();
  world_.RunFor(Seconds(2));
  EXPECT_EQ(Heard(), (Strings{"group 1: broken", "group 2: broken"}));
  EXPECT_EQ(writer_->failure(), absl::InternalError("broken"));
  Write(first_, NextBatch(kFirst, 1));
  const size_t asked = disk_.upkeeps();
  world_.RunFor(Seconds(10));
  EXPECT_EQ(disk_.syncs(), 0u);
  EXPECT_EQ(disk_.upkeeps(), asked);
}

TEST_F(LogWriterTest, UpkeepThatFindsNoRoomIsAskedForEverMoreRarely) {
  disk_.MakeUpkeepDue(1, NoRoomError("full"));
  writer_->KeepUp();
  world_.RunFor(Seconds(10));
  EXPECT_EQ(writer_->failure(), absl::OkStatus());
  const size_t asked = disk_.upkeeps();
  world_.RunFor(Seconds(600));
  EXPECT_GE(disk_.upkeeps(), asked + 5);
  EXPECT_LE(disk_.upkeeps(), asked + 25);
  disk_.MakeUpkeepDue(20);
  world_.RunFor(Seconds(70));
  EXPECT_EQ(disk_.upkeep().to_rewrite, 0u);
  Write(first_, NextBatch(kFirst, 1));
  world_.RunReady();
  EXPECT_EQ(Heard(), Strings{"group 1: 1"});
}

TEST_F(LogWriterTest, ADiskThatIsFullIsNotAskedForUpkeep) {
  disk_.SetRoom(false, true);
  writer_->KeepUp();
  Write(first_, NextBatch(kFirst, 1));
  world_.RunFor(Seconds(20));
  EXPECT_LE(disk_.upkeeps(), 1u);
  disk_.SetRoom(true, false);
  world_.RunFor(Seconds(20));
  EXPECT_GE(disk_.upkeeps(), 10u);
}

TEST_F(LogWriterTest, AFailedAppendIsFinalAndNotSynced) {
  disk_.store(kSecond).FailAppends(absl::UnavailableError("no space"));
  Write(first_, NextBatch(kFirst, 1));
  Write(second_, NextBatch(kSecond, 1));
  Write(first_, NextBatch(kFirst, 2));
  world_.RunReady();
  EXPECT_EQ(Heard(), (Strings{"group 1: no space", "group 2: no space"}));
  EXPECT_EQ(disk_.syncs(), 0u);
  EXPECT_EQ(disk_.store(kFirst).last().index, 1u);
}

TEST_F(LogWriterTest, ASyncThatEndsAfterTheWriterIsGoneIsIgnored) {
  disk_.HoldSyncs();
  Write(first_, NextBatch(kFirst, 1));
  world_.RunReady();
  writer_.reset();
  disk_.EndSync();
  EXPECT_EQ(Heard(), Strings{});
}

// A batch that resets the log and appends behind it, and one that drops the front of that.
TEST(LogWriterOrderTest, ResetsBeforeItAppendsAndDropsBehindIt) {
  ManualWorld world;
  ManualExecutor executor(&world);
  MemoryLogDisk disk;
  OpenedLog opened = disk.OpenGroup(kFirst).value();
  Ticket synced = 0;
  LogWriter writer(&disk, &executor, &world);
  LogWriter::Client client =
      writer.Register(opened.store, [&](const absl::Status& status, Ticket ticket) {
        EXPECT_TRUE(status.ok()) << status;
        synced = ticket;
      });
  RecordRun old = MakeRun({}, {}, {1, 1, 1}, "old", kFirst);
  LogWriter::Batch first = {.ticket = 1, .append = {}};
  first.append.runs = {old};
  // To an entry of another history, with its term.
  EntryHash hash = {.high = 4, .low = 20};
  LogWriter::Batch second = {.ticket = 2, .append = {}};
  second.append.hard_state = HardState{5, NodeId{2}};
  second.reset_to = LogReset{{20, 5}, hash};
  second.append.runs = {MakeRun({20, 5}, hash, {5, 5}, "new", kFirst)};
  LogWriter::Batch third = {.ticket = 3, .append = {}, .drop_to = 21};
  std::vector<LogWriter::Batch> batches;
  for (LogWriter::Batch* batch : {&first, &second, &third}) batches.push_back(std::move(*batch));
  writer.Write(client, std::move(batches));
  world.RunReady();
  EXPECT_EQ(synced, 3u);
  EXPECT_EQ(opened.store->base(), (LogPosition{21, 5}));
  EXPECT_EQ(opened.store->last(), (LogPosition{22, 5}));
}

}  // namespace
}  // namespace cairn

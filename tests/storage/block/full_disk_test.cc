// A BlockLog on a disk that is full for a while (fault catalogue D18): what it refuses, what it
// still writes from its reserve, and how it goes on.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/no_room.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

constexpr uint64_t kBlock = 16 << 10;
constexpr uint64_t kFull = 0;
constexpr uint64_t kEmpty = UINT64_MAX;

BlockLogOptions WithReserve(uint64_t bytes = kBlock) {
  BlockLogOptions options = TestOptions();
  options.reserve_bytes = bytes;
  return options;
}

std::string Payload(uint64_t i, size_t length) {
  std::string text = absl::StrCat("entry ", i, " ");
  text.resize(length, static_cast<char>('a' + i % 26));
  return text;
}

// What a node does, in steps: entries of two groups over several blocks, votes, a truncation and
// dropped prefixes. Each changes the model and is to be synced.
std::vector<std::function<void(LogDriver&)>> Steps() {
  std::vector<std::function<void(LogDriver&)>> steps;
  steps.push_back([](LogDriver& driver) {
    driver.Vote(kGroupA, {.term = 1, .vote = static_cast<NodeId>(3)});
    driver.Append(kGroupA, 1, {Payload(1, 100), Payload(2, 900)});
    driver.Append(kGroupB, 1, {Payload(3, 50)});
  });
  for (uint64_t i = 0; i < 8; ++i) {
    steps.push_back([i](LogDriver& driver) {
      driver.Append(kGroupA, 1, {Payload(i, 3000)});
      if (i % 2 == 1) driver.Append(kGroupB, 1, {Payload(i, 10)});
    });
  }
  steps.push_back([](LogDriver& driver) {
    driver.Vote(kGroupB, {.term = 2, .vote = static_cast<NodeId>(1)});
    driver.Truncate(kGroupA, driver.model().at(kGroupA).last().index, 2, {Payload(7, 200)});
  });
  steps.push_back([](LogDriver& driver) {
    driver.Drop(kGroupA, 5);
    driver.Drop(kGroupB, 1);
  });
  for (uint64_t i = 0; i < 6; ++i) {
    steps.push_back([i](LogDriver& driver) { driver.Append(kGroupA, 2, {Payload(i, 3000)}); });
  }
  steps.push_back([](LogDriver& driver) { driver.Drop(kGroupA, 12); });
  steps.push_back(
      [](LogDriver& driver) { driver.Vote(kGroupA, {.term = 9, .vote = NodeId::kNone}); });
  return steps;
}

std::string Lacks(LogDriver& driver, const Model& model) {
  for (const auto& [group, log] : model) {
    const std::string difference = Difference(driver.store(group), log);
    if (!difference.empty()) return absl::StrCat("group ", ToInteger(group), ": ", difference);
  }
  return "";
}

// Of what was acknowledged, and not taken back since, nothing is missing.
std::string Lost(LogDriver& driver, const Model& synced, const Model& issued) {
  for (const auto& [group, log] : synced) {
    if (driver.recovered(group).hard_state < log.hard_state) return "the vote";
    if (!driver.recovered(group).faulty.empty()) return driver.recovered(group).faulty[0].reason;
    LogStore& store = driver.store(group);
    for (const RecordRun& entry : log.entries) {
      const Index index = entry.last().index;
      const RecordRun* later = issued.at(group).At(index);
      if (later == nullptr || later->last() != entry.last() || index <= store.base().index)
        continue;
      const auto read = store.Read(index, index, 1);
      if (!read.ok()) return absl::StrCat("entry ", index, ": ", read.status().ToString());
      if ((*read)[0].bytes() != entry.bytes()) return absl::StrCat("entry ", index, " differs");
    }
  }
  return "";
}

// Appends until that is refused.
void Fill(LogDriver& driver, size_t bytes = 2000) {
  absl::Status status;
  for (uint64_t i = 1; status.ok(); ++i) {
    ASSERT_LT(i, 1000u);
    driver.Append(kGroupA, 1, {Payload(i, bytes)});
    status = driver.Sync();
  }
  ASSERT_TRUE(IsNoRoom(status)) << status;
}

TEST(FullDiskTest, TheReserveIsThereFromTheStart) {
  SimulatedFileSystem disk;
  LogDriver driver(disk, WithReserve(kBlock + 1));
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_TRUE(driver.log().has_room());
  int spares = 0;
  const std::vector<std::string> names = disk.List(kTestDirectory).value();
  for (const std::string& name : names) {
    if (ParseSpareFileName(name)) ++spares;
  }
  EXPECT_EQ(spares, 2) << "whole blocks";
}

TEST(FullDiskTest, EntriesAreRefusedAsAWholeAndStayReadable) {
  SimulatedFileSystem disk;
  LogDriver driver(disk, WithReserve());
  driver.Append(kGroupA, 1, {Payload(0, 100)});
  ASSERT_TRUE(driver.Sync().ok());
  disk.set_capacity_bytes(kFull);
  EXPECT_TRUE(driver.log().has_room()) << "the block has";
  ASSERT_NO_FATAL_FAILURE(Fill(driver));
  EXPECT_FALSE(driver.log().has_room());
  EXPECT_EQ(Lacks(driver, driver.model()), "") << "what was refused is in memory";
  EXPECT_TRUE(IsNoRoom(driver.Sync()));
  disk.set_capacity_bytes(kEmpty);
  ASSERT_TRUE(driver.Sync().ok()) << "without a start";
  driver.log().SeekRoom();
  EXPECT_TRUE(driver.log().has_room());
  const Model model = driver.synced();
  disk.RestartProcess();
  LogDriver later(disk, WithReserve());
  EXPECT_EQ(Lacks(later, model), "");
}

// On a disk where nothing more goes, term and vote, truncations and dropped prefixes still do.
TEST(FullDiskTest, WhatHasNoEntriesIsWrittenFromTheReserve) {
  SimulatedFileSystem disk;
  Model model;
  {
    LogDriver driver(disk, WithReserve());
    disk.set_capacity_bytes(kFull);
    uint64_t i = 0;
    while (driver.log().has_room()) {
      ASSERT_LT(++i, 100u);
      driver.Append(kGroupA, 1, {Payload(i, 2000)});
      ASSERT_TRUE(driver.Sync().ok()) << "what is under way goes to the reserve";
    }
    const Index last = driver.model().at(kGroupA).last().index;
    driver.Truncate(kGroupA, last, 1, {});
    ASSERT_TRUE(driver.Sync().ok());
    for (Term term = 2; term < 6; ++term) {
      driver.Vote(kGroupB, {.term = term, .vote = NodeId{1}});
      ASSERT_TRUE(driver.Sync().ok());
    }
    driver.Drop(kGroupA, 2);
    ASSERT_TRUE(driver.Sync().ok());
    EXPECT_FALSE(driver.log().has_room());
    model = driver.synced();
  }
  Random random(1);
  disk.Crash(CrashPolicy::kDropAll, random);
  LogDriver driver(disk, WithReserve());
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_FALSE(driver.log().has_room()) << "found at the start";
  EXPECT_EQ(Lacks(driver, model), "");
  EXPECT_EQ(driver.recovered(kGroupB).hard_state.term, 5u);
}

// How many votes a quarter of a block holds, whatever the entries were that came before.
TEST(FullDiskTest, EntriesLeaveAQuarterOfTheReserve) {
  for (size_t bytes : {100, 700, 2000, 3500}) {
    SCOPED_TRACE(bytes);
    SimulatedFileSystem disk;
    LogDriver driver(disk, WithReserve());
    disk.set_capacity_bytes(kFull);
    Index last = 0;
    while (driver.log().has_room()) {
      driver.Append(kGroupA, 1, {Payload(last, bytes)});
      ASSERT_TRUE(driver.Sync().ok());
      ++last;
    }
    absl::Status status;
    while (status.ok()) {
      driver.Append(kGroupA, 1, {Payload(last, bytes)});
      status = driver.Sync();
      ++last;
    }
    ASSERT_TRUE(IsNoRoom(status));
    driver.Truncate(kGroupA, last, 1, {});  // takes it back
    int votes = 0;
    for (Term term = 1; status = driver.Sync(), status.ok(); ++term) {
      ++votes;
      driver.Vote(kGroupB, {.term = term, .vote = NodeId{1}});
    }
    EXPECT_TRUE(IsNoRoom(status)) << status;
    EXPECT_GE(votes, 3);
    disk.set_capacity_bytes(kEmpty);
    EXPECT_TRUE(driver.Sync().ok());
    EXPECT_EQ(Lacks(driver, driver.model()), "");
  }
}

// However full copies make the last block: what makes them final still goes behind them.
TEST(FullDiskTest, BehindCopiesThereIsRoomForWhatEndsThem) {
  for (size_t length = 100; length < 4000; length += 100) {
    SCOPED_TRACE(length);
    SimulatedFileSystem disk;
    LogDriver driver(disk, WithReserve(0));
    for (uint64_t i = 0; i < 40; ++i) {
      driver.Append(kGroupA, 1, {Payload(i, i == 38 ? length : 2000)});
      ASSERT_TRUE(driver.Sync().ok());
    }
    driver.Drop(kGroupA, 35);
    ASSERT_TRUE(driver.Sync().ok());
    disk.set_capacity_bytes(kFull);
    const RecordRun copied = *driver.model().at(kGroupA).At(39);
    while (driver.store(kGroupA).Repair({copied}).ok()) continue;
    driver.Append(kGroupA, 1, {Payload(1, 6000)});
    ASSERT_TRUE(IsNoRoom(driver.Sync()));
    driver.log().SeekRoom();
    EXPECT_EQ(driver.Sync(), absl::OkStatus());
  }
}

// Compaction frees blocks, and one of them is the next reserve.
TEST(FullDiskTest, WhatIsDroppedGivesTheReserveBack) {
  SimulatedFileSystem disk;
  LogDriver driver(disk, WithReserve());
  for (uint64_t i = 0; i < 40; ++i) {
    driver.Append(kGroupA, 1, {Payload(i, 2000)});
    ASSERT_TRUE(driver.Sync().ok());
  }
  disk.set_capacity_bytes(kFull);
  while (driver.log().has_room()) {
    driver.Append(kGroupA, 1, {Payload(1, 2000)});
    ASSERT_TRUE(driver.Sync().ok());
  }
  driver.log().SeekRoom();
  EXPECT_FALSE(driver.log().has_room());
  driver.Drop(kGroupA, 35);
  ASSERT_TRUE(driver.Sync().ok());
  driver.log().SeekRoom();
  EXPECT_TRUE(driver.log().has_room());
  for (uint64_t i = 0; i < 8; ++i) {
    driver.Append(kGroupA, 1, {Payload(i, 2000)});
    ASSERT_TRUE(driver.Sync().ok());
  }
  EXPECT_EQ(Lacks(driver, driver.model()), "");
}

// Copies at the end of the log may be cut by a start, so nothing goes that they stand for; but on a
// full disk there may be no other room.
TEST(FullDiskTest, CopiesAtTheEndKeepNothing) {
  int refused = 0;
  for (int copies = 1; copies < 6; ++copies) {
    SCOPED_TRACE(copies);
    SimulatedFileSystem disk;
    LogDriver driver(disk, WithReserve(0));
    for (uint64_t i = 0; i < 40; ++i) {
      driver.Append(kGroupA, 1, {Payload(i, 2000)});
      ASSERT_TRUE(driver.Sync().ok());
    }
    driver.Drop(kGroupA, 35);
    ASSERT_TRUE(driver.Sync().ok());
    disk.set_capacity_bytes(kFull);
    for (int i = 0; i < copies; ++i) {
      // Until there is no room: how many there is room for is not the point.
      driver.store(kGroupA).Repair({*driver.model().at(kGroupA).At(38)}).IgnoreError();
    }
    driver.Append(kGroupA, 1, {Payload(1, 6000)});
    const absl::Status status = driver.Sync();
    if (!status.ok()) {
      ++refused;
      ASSERT_TRUE(IsNoRoom(status)) << status;
      driver.log().SeekRoom();
      EXPECT_EQ(driver.Sync(), absl::OkStatus());
    }
    EXPECT_EQ(Lacks(driver, driver.model()), "");
    const Model model = driver.model();
    Random random(1);
    disk.Crash(CrashPolicy::kDropAll, random);
    LogDriver later(disk, WithReserve(0));
    EXPECT_EQ(Lacks(later, model), "");
  }
  EXPECT_GT(refused, 0);
}

// A start that begins to make a reserve and ends is no reserve.
TEST(FullDiskTest, HalfASpareIsNone) {
  SimulatedFileSystem disk;
  { LogDriver driver(disk, WithReserve(0)); }
  disk.RestartProcess();
  {
    auto file = disk.Open(JoinPath(kTestDirectory, SpareFileName(7)),
                          {.mode = FileSystem::OpenMode::kCreate});
    ASSERT_TRUE(file.ok() && (*file)->Write(0, std::string(512, 'x')).ok());
  }
  disk.set_capacity_bytes(kFull);
  LogDriver driver(disk, WithReserve());
  ASSERT_TRUE(driver.status().ok());
  EXPECT_FALSE(driver.log().has_room());
  EXPECT_FALSE(disk.Exists(JoinPath(kTestDirectory, SpareFileName(7))).value());
}

// Every size the disk may have. What does not fit waits until the disk is larger, and all is there
// then, without a start; or the process or the machine ends before, and nothing that was
// acknowledged is gone.
TEST(FullDiskTest, WhateverTheQuotaNothingIsLostAndItGoesOn) {
  const auto steps = Steps();
  int refused = 0;
  for (const uint64_t reserve : {uint64_t{0}, kBlock, 2 * kBlock}) {
    for (uint64_t blocks = 2; blocks < 9; ++blocks) {
      for (const bool keeps_on : {true, false}) {
        const uint64_t quota = blocks * kBlock + 4096;
        SCOPED_TRACE(absl::StrCat("quota ", quota, " reserve ", reserve, " ", keeps_on));
        SimulatedFileSystem disk;
        disk.set_capacity_bytes(quota);
        Model synced;
        Model issued;
        bool was_refused = false;
        {
          LogDriver driver(disk, WithReserve(reserve));
          ASSERT_TRUE(driver.status().ok()) << driver.status();
          for (const auto& step : steps) {
            step(driver);
            const absl::Status status = driver.Sync();
            ASSERT_TRUE(status.ok() || IsNoRoom(status)) << status;
            was_refused |= !status.ok();
            EXPECT_EQ(Lacks(driver, driver.model()), "");
          }
          if (keeps_on) {
            disk.set_capacity_bytes(kEmpty);
            driver.log().SeekRoom();
            ASSERT_TRUE(driver.Sync().ok());
            EXPECT_TRUE(driver.log().has_room());
            EXPECT_EQ(Lacks(driver, driver.model()), "");
          }
          synced = driver.synced();
          issued = driver.issued();
        }
        refused += was_refused ? 1 : 0;
        Random random(quota);
        disk.Crash(CrashPolicy::kRandomSubset, random);
        EXPECT_EQ(disk.uses_after_failure(), 0u);
        disk.set_capacity_bytes(kEmpty);
        LogDriver driver(disk, WithReserve(reserve));
        ASSERT_TRUE(driver.status().ok()) << driver.status();
        EXPECT_EQ(Lost(driver, synced, issued), "");
        if (keeps_on) {
          EXPECT_EQ(Lacks(driver, synced), "");
        }
      }
    }
  }
  EXPECT_GT(refused, 10);
}

// The disk becomes full at any call, and has room again some calls later.
TEST(FullDiskTest, FullFromAnyCallOnToAnyOther) {
  const auto steps = Steps();
  int refused = 0;
  for (const uint64_t lasts : {1, 2, 5, 20, 60, 1000}) {
    bool reached_end = false;
    for (uint64_t nth = 1; !reached_end; ++nth) {
      SCOPED_TRACE(absl::StrCat("full at call ", nth, " for ", lasts));
      SimulatedFileSystem disk;
      uint64_t calls = 0;
      disk.set_fault_hook([&](const FileAccess&) {
        ++calls;
        if (calls == nth) disk.set_capacity_bytes(kFull);
        if (calls == nth + lasts) disk.set_capacity_bytes(kEmpty);
        return FileFault();
      });
      LogDriver driver(disk, WithReserve());
      if (!driver.status().ok()) {
        ASSERT_TRUE(absl::IsResourceExhausted(driver.status())) << driver.status();
        continue;
      }
      for (const auto& step : steps) {
        step(driver);
        const absl::Status status = driver.Sync();
        ASSERT_TRUE(status.ok() || IsNoRoom(status)) << status;
        refused += status.ok() ? 0 : 1;
        driver.log().SeekRoom();
      }
      reached_end = calls < nth;
      disk.set_capacity_bytes(kEmpty);
      disk.set_fault_hook(nullptr);
      ASSERT_TRUE(driver.Sync().ok());
      driver.log().SeekRoom();
      EXPECT_TRUE(driver.log().has_room());
      ASSERT_EQ(Lacks(driver, driver.model()), "");
      EXPECT_EQ(disk.uses_after_failure(), 0u);
    }
  }
  EXPECT_GT(refused, 100);
}

// The power goes at any call while the disk is full. It is opened as it is, if it can be; with room
// it can be, and nothing that was acknowledged is gone.
TEST(FullDiskTest, APowerCutAtAnyCallOfAFullDisk) {
  const auto steps = Steps();
  int opened_full = 0;
  for (const CrashPolicy policy : {CrashPolicy::kDropAll, CrashPolicy::kRandomSubset}) {
    bool reached_end = false;
    for (uint64_t nth = 1; !reached_end; ++nth) {
      SCOPED_TRACE(absl::StrCat("power cut at call ", nth));
      SimulatedFileSystem disk({.seed = nth});
      Model synced;
      Model issued;
      uint64_t calls = 0;
      {
        LogDriver driver(disk, WithReserve());
        driver.Append(kGroupA, 1, {Payload(0, 9000)});
        ASSERT_TRUE(driver.Sync().ok());
        disk.set_capacity_bytes(kFull);
        Random random(nth);
        disk.set_fault_hook([&](const FileAccess&) {
          if (++calls == nth) disk.Crash(policy, random);
          FileFault fault;
          if (calls >= nth) fault.error = EIO;
          return fault;
        });
        for (size_t i = 0; i < steps.size() && calls < nth; ++i) {
          steps[i](driver);
          if (!driver.Sync().ok() && calls < nth) driver.log().SeekRoom();
        }
        reached_end = calls < nth;
        synced = driver.synced();
        issued = driver.issued();
        disk.set_fault_hook(nullptr);
      }
      if (reached_end) disk.RestartProcess();
      {
        LogDriver driver(disk, WithReserve());
        if (driver.status().ok()) {
          ++opened_full;
          EXPECT_EQ(Lost(driver, synced, issued), "");
        } else {
          EXPECT_TRUE(absl::IsResourceExhausted(driver.status())) << driver.status();
        }
      }
      disk.RestartProcess();
      disk.set_capacity_bytes(kEmpty);
      LogDriver driver(disk, WithReserve());
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      ASSERT_EQ(Lost(driver, synced, issued), "");
    }
  }
  EXPECT_GT(opened_full, 20);
}

}  // namespace
}  // namespace cairn

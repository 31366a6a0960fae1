// A BlockLog on a disk that fails now and then: calls that give errors, writes that never reach the
// disk, reads that fail (fault catalogue D5, D7, D11, D13, D18).

#include <cerrno>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/no_room.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"

namespace cairn {
namespace {

std::string Payload(uint64_t i, size_t length) {
  std::string text = absl::StrCat("entry ", i, " ");
  text.resize(length, static_cast<char>('a' + i % 26));
  return text;
}

// Two groups, over several blocks, with a vote, a truncation and dropped prefixes. Ends at the
// first sync that fails, with its error.
absl::Status Write(LogDriver& driver) {
  absl::Status status;
  auto sync = [&] { return (status = driver.Sync()).ok(); };
  driver.Vote(kGroupA, {.term = 1, .vote = static_cast<NodeId>(3)});
  driver.Append(kGroupA, 1, {Payload(1, 100), Payload(2, 900)});
  driver.Append(kGroupB, 1, {Payload(3, 50)});
  if (!sync()) return status;
  for (uint64_t i = 0; i < 6; ++i) {
    driver.Append(kGroupA, 1, {Payload(i, 3000)});
    if (i % 2 == 1) driver.Append(kGroupB, 1, {Payload(i, 10)});
    if (!sync()) return status;
  }
  driver.Vote(kGroupB, {.term = 2, .vote = static_cast<NodeId>(1)});
  driver.Truncate(kGroupA, driver.model().at(kGroupA).last().index, 2, {Payload(7, 200)});
  if (!sync()) return status;
  driver.Drop(kGroupA, 5);
  if (!sync()) return status;
  for (uint64_t i = 0; i < 4; ++i) {
    driver.Append(kGroupA, 2, {Payload(i, 3000)});
    if (!sync()) return status;
  }
  return status;
}

// What one group had been told is durable, and what may be.
struct Told {
  ModelLog synced;
  ModelLog issued;
};

// Nothing that was acknowledged is missing without a word.
std::string Missing(LogDriver& driver, GroupId group, const Told& told, bool may_be_faulty) {
  const RecoveredLog& found = driver.recovered(group);
  LogStore& store = driver.store(group);
  if (!found.hard_state_lost && found.hard_state < told.synced.hard_state) return "the vote";
  if (found.hard_state_lost && !may_be_faulty) return "the vote is said to be lost";
  if (!found.faulty.empty() && !may_be_faulty) return found.faulty[0].reason;
  // Acknowledged, and neither dropped nor truncated by what came after it.
  for (const RecordRun& entry : told.synced.entries) {
    const Index index = entry.last().index;
    const RecordRun* later = told.issued.At(index);
    if (later == nullptr || later->last() != entry.last()) continue;
    if (index <= store.base().index) continue;
    if (index > store.last().index) return absl::StrCat("entry ", index);
    const auto read = store.Read(index, index, 1);
    if (read.ok() && (*read)[0].bytes() == entry.bytes()) continue;
    if (read.ok()) return absl::StrCat("entry ", index, " is another one");
    if (!may_be_faulty) return absl::StrCat("entry ", index, ": ", read.status().message());
    // When the log is opened, or of a sealed block when the entry is read.
    const bool is_torn = found.torn_from && index >= *found.torn_from;
    const bool names_file = absl::StrContains(read.status().message(), ".block");
    if (!absl::IsDataLoss(read.status()) || !(is_torn || names_file)) {
      return absl::StrCat("entry ", index, " is not named: ", read.status().ToString());
    }
  }
  return "";
}

// Each call to the disk in turn gives an error, once; then the process ends, or the machine. What
// was acknowledged is there, and a file that failed was not used again.
TEST(BlockLogFaultTest, AnErrorAtAnyCallLosesNothingAcknowledged) {
  struct Kind {
    int error;
    FileFault::Reached reached;
  };
  int refused_writes = 0;
  int without_room = 0;
  for (const Kind& kind : {Kind{EIO, FileFault::Reached::kNothing},
                           {EIO, FileFault::Reached::kSome},
                           {ENOSPC, FileFault::Reached::kSome}}) {
    bool reached_end = false;
    for (uint64_t nth = 1; !reached_end; ++nth) {
      SCOPED_TRACE(absl::StrCat("call ", nth, " error ", kind.error));
      SimulatedFileSystem disk({.seed = nth});
      uint64_t calls = 0;
      disk.set_fault_hook([&](const FileAccess&) {
        FileFault fault;
        if (++calls == nth) fault = {.error = kind.error, .reached = kind.reached};
        return fault;
      });
      Model synced;
      Model issued;
      {
        LogDriver driver(disk);
        if (driver.status().ok()) {
          const absl::Status written = Write(driver);
          if (IsNoRoom(written)) {
            // Nothing was written, and nothing is wrong.
            ++without_room;
            EXPECT_EQ(kind.error, ENOSPC);
            EXPECT_TRUE(driver.Sync().ok());
          }
          synced = driver.synced();
          issued = driver.issued();
          if (!written.ok() && !IsNoRoom(written)) {
            // It takes nothing more, and says so.
            ++refused_writes;
            const absl::Status status = driver.Sync();
            EXPECT_FALSE(status.ok());
            LogAppend append;
            append.hard_state = HardState{.term = 99};
            EXPECT_EQ(driver.store(kGroupA).Append(append), status);
          }
        }
        reached_end = calls < nth;
        disk.set_fault_hook(nullptr);
      }
      EXPECT_EQ(disk.uses_after_failure(), 0u);
      if (nth % 2 == 0) {
        disk.RestartProcess();
      } else {
        Random random(nth);
        disk.Crash(CrashPolicy::kRandomSubset, random);
      }
      LogDriver driver(disk);
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      for (const auto& [group, log] : synced) {
        EXPECT_EQ(Missing(driver, group, {log, issued[group]}, false), "")
            << "group " << ToInteger(group);
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(refused_writes, 60);
  EXPECT_GT(without_room, 5);
}

// One write that the disk forgets, with the power gone later: the entries it held are named.
TEST(BlockLogFaultTest, ALostWriteHidesNothing) {
  int named = 0;
  bool reached_end = false;
  for (uint64_t nth = 1; !reached_end; ++nth) {
    SCOPED_TRACE(absl::StrCat("write ", nth));
    SimulatedFileSystem disk({.seed = nth});
    uint64_t writes = 0;
    disk.set_fault_hook([&](const FileAccess& access) {
      FileFault fault;
      if (access.operation == FileAccess::Operation::kWrite && ++writes == nth) fault.lost = true;
      return fault;
    });
    Model synced;
    {
      LogDriver driver(disk);
      ASSERT_TRUE(driver.status().ok()) << driver.status();
      ASSERT_TRUE(Write(driver).ok());
      synced = driver.synced();
      reached_end = writes < nth;
      disk.set_fault_hook(nullptr);
    }
    Random random(nth);
    disk.Crash(CrashPolicy::kDropAll, random);
    LogDriver driver(disk);
    if (!driver.status().ok()) {
      EXPECT_TRUE(absl::IsDataLoss(driver.status())) << driver.status();
      ++named;
      continue;
    }
    for (const auto& [group, log] : synced) {
      EXPECT_EQ(Missing(driver, group, {log, log}, true), "") << "group " << ToInteger(group);
      named += Difference(driver.store(group), log).empty() ? 0 : 1;
    }
  }
  EXPECT_GT(named, 5);
}

// A read that fails is that reader's, and nobody else's.
TEST(BlockLogFaultTest, AFailedReadEndsNothing) {
  SimulatedFileSystem disk;
  LogDriver driver(disk);
  for (uint64_t i = 1; i <= 12; ++i) {
    driver.Append(kGroupA, 1, {Payload(i, 2000)});
    driver.Append(kGroupB, 1, {Payload(i, 20)});
    ASSERT_TRUE(driver.Sync().ok());
  }
  for (const auto operation : {FileAccess::Operation::kRead, FileAccess::Operation::kReadDirect}) {
    disk.set_fault_hook([&](const FileAccess& access) {
      FileFault fault;
      if (access.operation == operation) fault.error = EIO;
      return fault;
    });
    const auto read = driver.store(kGroupA).Read(2, 2, 1);
    if (operation == FileAccess::Operation::kRead) {
      EXPECT_TRUE(absl::IsDataLoss(read.status())) << read.status();
    }
    // Writes go on while reads fail.
    driver.Append(kGroupB, 1, {"meanwhile"});
    ASSERT_TRUE(driver.Sync().ok());
    disk.set_fault_hook(nullptr);
    EXPECT_TRUE(driver.store(kGroupA).Read(2, 2, 1).ok());
    driver.Append(kGroupA, 1, {"and behind it"});
    ASSERT_TRUE(driver.Sync().ok());
  }
  // One sector that is never read again.
  const std::string first = JoinPath(kTestDirectory, BlockFileName(1));
  const std::string bytes = ReadWholeFile(disk, first).value();
  const size_t place = bytes.find(Payload(2, 2000));
  ASSERT_NE(place, std::string::npos);
  disk.FailReads(first, place + 512, 512);
  EXPECT_TRUE(absl::IsDataLoss(driver.store(kGroupA).Read(2, 2, 1).status()));
  driver.Append(kGroupA, 2, {"the last"});
  ASSERT_TRUE(driver.Sync().ok());
  const Model model = driver.synced();
  EXPECT_EQ(Difference(driver.store(kGroupB), model.at(kGroupB)), "");
  for (Index index = 3; index <= model.at(kGroupA).last().index; ++index) {
    const auto read = driver.store(kGroupA).Read(index, index, 1);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE((*read)[0].bytes() == model.at(kGroupA).At(index)->bytes());
  }
}

// No room for the next block: nothing of what is there suffers, reads go on, and a start with room
// again goes on.
TEST(BlockLogFaultTest, AFullDiskLosesNothingAndAStartWithRoomGoesOn) {
  SimulatedFileSystem disk;
  Model synced;
  Model issued;
  {
    LogDriver driver(disk);
    driver.Append(kGroupA, 1, {Payload(0, 100)});
    ASSERT_TRUE(driver.Sync().ok());
    disk.set_capacity_bytes(uint64_t{40} << 10);
    absl::Status full;
    for (uint64_t i = 1; full.ok(); ++i) {
      ASSERT_LT(i, 100u);
      driver.Append(kGroupA, 1, {Payload(i, 2000)});
      full = driver.Sync();
    }
    EXPECT_TRUE(absl::IsResourceExhausted(full) && IsNoRoom(full)) << full;
    EXPECT_TRUE(IsNoRoom(driver.Sync())) << "it stays so";
    synced = driver.synced();
    issued = driver.issued();
    for (const RecordRun& entry : synced.at(kGroupA).entries) {
      const Index index = entry.last().index;
      const auto read = driver.store(kGroupA).Read(index, index, 1);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_TRUE((*read)[0].bytes() == entry.bytes());
    }
  }
  // Still full: the log is opened, for it needs no room for that.
  disk.RestartProcess();
  {
    LogDriver driver(disk);
    ASSERT_TRUE(driver.status().ok()) << driver.status();
    EXPECT_EQ(Missing(driver, kGroupA, {synced[kGroupA], issued[kGroupA]}, false), "");
  }
  disk.RestartProcess();
  disk.set_capacity_bytes(UINT64_MAX);
  LogDriver driver(disk);
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  EXPECT_EQ(Missing(driver, kGroupA, {synced[kGroupA], issued[kGroupA]}, false), "");
  driver.set_model(synced);
  for (uint64_t i = 0; i < 20; ++i) {
    driver.Append(kGroupB, 1, {Payload(i, 2000)});
    ASSERT_TRUE(driver.Sync().ok());
  }
}

// What opening a log reads: of a sealed block what says what it holds, not what it holds.
TEST(BlockLogFaultTest, OpeningReadsLittleOfSealedBlocks) {
  auto bytes_read = [](size_t blocks) {
    BlockLogOptions options = TestOptions();
    options.geometry = {.block_bytes = 64 << 10, .unit_bytes = 512};
    SimulatedFileSystem disk;
    {
      LogDriver driver(disk, options);
      for (uint64_t i = 0; driver.log().figures().blocks < blocks; ++i) {
        driver.Append(i % 2 == 0 ? kGroupA : kGroupB, 1, {Payload(i, 26'000)});
        EXPECT_TRUE(driver.Sync().ok());
      }
    }
    disk.RestartProcess();
    uint64_t bytes = 0;
    disk.set_fault_hook([&](const FileAccess& access) {
      if (access.operation == FileAccess::Operation::kRead ||
          access.operation == FileAccess::Operation::kReadDirect) {
        bytes += access.length;
      }
      return FileFault();
    });
    EXPECT_TRUE(BlockLog::Open(disk, options).ok());
    return bytes;
  };
  const uint64_t few = bytes_read(100);
  const uint64_t many = bytes_read(1100);
  std::printf("%llu bytes for 100 blocks, %llu for 1100\n", static_cast<unsigned long long>(few),
              static_cast<unsigned long long>(many));
  // Two headers, two seals and a footer, a page each.
  EXPECT_LE((many - few) / 1000, uint64_t{6} * 4096);
}

}  // namespace
}  // namespace cairn

// A RocksDB log on a disk that is full for a while (fault catalogue D18): what it refuses, what it
// still writes from its reserve, and how it goes on.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/no_room.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

constexpr uint64_t kReserve = uint64_t{512} << 10;
constexpr uint64_t kEmpty = UINT64_MAX;

uint64_t BytesOf(SimulatedFileSystem& disk) {
  uint64_t bytes = 0;
  for (const char* directory : {"/log", "/log/db"}) {
    const auto names = disk.List(directory);
    if (!names.ok()) continue;
    for (const std::string& name : *names) {
      const auto file = disk.Open(absl::StrCat(directory, "/", name), {});
      if (file.ok()) bytes += (*file)->Size().value_or(0);
    }
  }
  return bytes;
}

class RocksDbFullDiskTest : public testing::Test {
 protected:
  RocksDbFullDiskTest() { Prepare(subject_); }
  static void Prepare(RocksDbSubject& subject) {
    subject.options.reserve_bytes = kReserve;
    subject.options.write_buffer_bytes = size_t{256} << 10;
  }

  void SetFull(uint64_t bytes_free = 0) { disk_.set_capacity_bytes(BytesOf(disk_) + bytes_free); }
  absl::Status Sync(RocksDbSubject& subject) {
    absl::Status status = SyncOf(*subject.disk);
    if (status.ok()) subject.acknowledged = subject.given;
    return status;
  }
  // The append is OK whether there is room or not.
  absl::Status AddEntry(RocksDbSubject& subject, size_t bytes) {
    LogAppend append;
    append.runs = {subject.given.Add(
        term_, absl::StrCat("entry ", subject.given.last() + 1, " ", std::string(bytes, 'x')))};
    return subject.store->Append(append);
  }
  absl::Status Vote(RocksDbSubject& subject) {
    LogAppend append;
    append.hard_state = subject.given.hard_state = HardState{++term_, NodeId{1}};
    return subject.store->Append(append);
  }
  absl::Status Truncate(RocksDbSubject& subject, Index from) {
    LogAppend append;
    append.truncate_from = from;
    subject.given.TruncateFrom(from);
    return subject.store->Append(append);
  }
  absl::Status Drop(RocksDbSubject& subject, Index up_to) {
    subject.given.base = up_to;
    return subject.store->DropPrefix(up_to);
  }

  // What is given can be read, and nothing else.
  static void ExpectGiven(RocksDbSubject& subject) {
    EXPECT_EQ(subject.store->base(), subject.given.PositionAt(subject.given.base));
    ASSERT_EQ(subject.store->last(), subject.given.PositionAt(subject.given.last()));
    for (Index index = subject.given.base + 1; index <= subject.given.last(); ++index) {
      const auto run = subject.store->Read(index, index, kNoLimit);
      ASSERT_TRUE(run.ok()) << index << ": " << run.status();
      ASSERT_TRUE((*run)[0][0].bytes() == subject.given.At(index).record) << index;
    }
  }

  // Of what was acknowledged, and not taken back since, nothing is missing.
  static void ExpectNothingLost(SimulatedFileSystem& disk, const RocksDbSubject& before) {
    RocksDbSubject later(disk);
    Prepare(later);
    ASSERT_EQ(later.Open(), absl::OkStatus());
    ExpectNothingLost(later, before);
  }
  static void ExpectNothingLost(const RocksDbSubject& later, const RocksDbSubject& before) {
    const LogTwin& acknowledged = before.acknowledged;
    EXPECT_GE(later.recovered.hard_state, acknowledged.hard_state);
    EXPECT_TRUE(later.recovered.faulty.empty());
    for (Index index = 1; index <= acknowledged.last(); ++index) {
      if (index > before.given.last() ||
          before.given.PositionAt(index) != acknowledged.PositionAt(index) ||
          index <= later.store->base().index) {
        continue;
      }
      const auto run = later.store->Read(index, index, kNoLimit);
      ASSERT_TRUE(run.ok()) << index << ": " << run.status();
      ASSERT_TRUE((*run)[0][0].bytes() == acknowledged.At(index).record) << index;
    }
  }

  // As the writer of a node's logs does it, until there is room.
  static bool GetsRoom(RocksDbSubject& subject) {
    return ComesTrue([&] {
      subject.disk->SeekRoom();
      return subject.disk->has_room();
    });
  }

  Term term_ = 1;
  SimulatedFileSystem disk_;
  RocksDbSubject subject_{disk_};
};

TEST_F(RocksDbFullDiskTest, TheReserveIsThereFromTheStart) {
  ASSERT_TRUE(subject_.Open().ok());
  EXPECT_TRUE(subject_.disk->has_room());
  EXPECT_EQ((*disk_.Open("/log/reserve", {}))->Size().value(), kReserve);
}

TEST_F(RocksDbFullDiskTest, EntriesAreRefusedAsAWholeAndStayReadable) {
  ASSERT_TRUE(subject_.Open().ok());
  ASSERT_TRUE(AddEntry(subject_, 100).ok() && Sync(subject_).ok());
  SetFull();
  EXPECT_TRUE(subject_.disk->has_room()) << "nobody has asked";
  absl::Status status;
  int more = 0;
  while (status.ok()) {
    ASSERT_LT(++more, 100);
    ASSERT_TRUE(AddEntry(subject_, 20'000).ok());
    status = Sync(subject_);
    EXPECT_FALSE(subject_.disk->has_room());
  }
  ASSERT_TRUE(IsNoRoom(status)) << status;
  EXPECT_GT(more, 5) << "what is under way goes to the reserve";
  ExpectGiven(subject_);
  EXPECT_TRUE(IsNoRoom(Sync(subject_)));
  subject_.disk->SeekRoom();
  EXPECT_FALSE(subject_.disk->has_room());
  // What was refused is not there after a power cut, and what was acknowledged is.
  const std::unique_ptr<SimulatedFileSystem> image = disk_.WorstCaseImage();
  image->set_capacity_bytes(kEmpty);
  ExpectNothingLost(*image, subject_);

  disk_.set_capacity_bytes(kEmpty);
  ASSERT_TRUE(Sync(subject_).ok()) << "without a start";
  EXPECT_TRUE(GetsRoom(subject_));
  ASSERT_TRUE(AddEntry(subject_, 20'000).ok() && Sync(subject_).ok());
  Random random(1);
  disk_.Crash(CrashPolicy::kDropAll, random);
  ASSERT_TRUE(subject_.Open().ok());
  ExpectGiven(subject_);
}

// On a disk where nothing more goes, term and vote, truncations and dropped prefixes still do.
TEST_F(RocksDbFullDiskTest, WhatHasNoEntriesIsWrittenFromTheReserve) {
  ASSERT_TRUE(subject_.Open().ok());
  ASSERT_TRUE(AddEntry(subject_, 20'000).ok() && Sync(subject_).ok());
  SetFull();
  while (subject_.disk->has_room()) {
    ASSERT_TRUE(AddEntry(subject_, 2'000).ok());
    ASSERT_EQ(Sync(subject_), absl::OkStatus());
  }
  ASSERT_TRUE(Truncate(subject_, subject_.given.last()).ok());
  ASSERT_EQ(Sync(subject_), absl::OkStatus());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Vote(subject_).ok());
    ASSERT_EQ(Sync(subject_), absl::OkStatus()) << i;
  }
  ASSERT_TRUE(Drop(subject_, 1).ok());
  ASSERT_EQ(Sync(subject_), absl::OkStatus());
  EXPECT_FALSE(subject_.disk->has_room());
  Random random(1);
  disk_.Crash(CrashPolicy::kDropAll, random);
  ASSERT_EQ(subject_.Open(), absl::OkStatus()) << "a start takes the reserve, too";
  EXPECT_EQ(subject_.recovered.hard_state, subject_.given.hard_state);
  ExpectGiven(subject_);
}

// Entries leave some of the reserve to what has none.
TEST_F(RocksDbFullDiskTest, EntriesLeaveAQuarterOfTheReserve) {
  for (const size_t bytes : {100, 5'000, 60'000}) {
    SCOPED_TRACE(bytes);
    SimulatedFileSystem disk;
    RocksDbSubject subject(disk);
    Prepare(subject);
    ASSERT_TRUE(subject.Open().ok());
    disk.set_capacity_bytes(BytesOf(disk));
    absl::Status status;
    while (status.ok()) {
      ASSERT_TRUE(AddEntry(subject, bytes).ok());
      status = Sync(subject);
    }
    ASSERT_TRUE(IsNoRoom(status)) << status;
    EXPECT_GE((*disk.Open("/log/reserve", {}))->Size().value(), kReserve / 16);
    const std::unique_ptr<SimulatedFileSystem> image = disk.WorstCaseImage();
    image->set_capacity_bytes(kEmpty);  // a start writes all of it to a table
    ExpectNothingLost(*image, subject);
  }
}

// A table that is written from memory waits; memory and write-ahead log have what is in it.
TEST_F(RocksDbFullDiskTest, ATableWaitsForRoom) {
  ASSERT_TRUE(subject_.Open().ok());
  // The log itself has room; no table has.
  std::atomic<bool> full = true;
  disk_.set_fault_hook([&](const FileAccess& access) {
    FileFault fault;
    if (full && access.operation == FileAccess::Operation::kWrite &&
        absl::EndsWith(access.path, ".sst")) {
      fault.error = ENOSPC;
    }
    return fault;
  });
  while (subject_.disk->has_room()) {
    ASSERT_LT(subject_.given.last(), 100u);
    ASSERT_TRUE(AddEntry(subject_, 20'000).ok());
    ASSERT_EQ(Sync(subject_), absl::OkStatus());
    if (subject_.given.last() == 20) {
      ASSERT_TRUE(ComesTrue([&] { return !subject_.disk->has_room(); }));
    }
  }
  subject_.disk->SeekRoom();
  EXPECT_FALSE(subject_.disk->has_room()) << "the table still waits";
  ASSERT_TRUE(AddEntry(subject_, 20'000).ok() && Vote(subject_).ok());
  ASSERT_EQ(Sync(subject_), absl::OkStatus());
  ExpectGiven(subject_);
  const std::unique_ptr<SimulatedFileSystem> image = disk_.WorstCaseImage();
  ExpectNothingLost(*image, subject_);
  full = false;
  EXPECT_TRUE(GetsRoom(subject_));
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(AddEntry(subject_, 20'000).ok());
    ASSERT_EQ(Sync(subject_), absl::OkStatus());
  }
  // And a log is closed while a table waits.
  full = true;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(AddEntry(subject_, 20'000).ok());
    ASSERT_EQ(Sync(subject_), absl::OkStatus());
  }
  EXPECT_TRUE(ComesTrue([&] { return !subject_.disk->has_room(); }));
  subject_.disk = nullptr;
  full = false;
  ASSERT_TRUE(subject_.Open().ok());
  ExpectGiven(subject_);
}

// However many wait: RocksDB would keep writes waiting for them, or refuse them.
TEST_F(RocksDbFullDiskTest, NoWriteWaitsForTablesThatWait) {
  subject_.options.write_buffer_bytes = size_t{64} << 10;
  ASSERT_TRUE(subject_.Open().ok());
  for (int round = 0; round < 2; ++round) {
    SCOPED_TRACE(round);
    std::atomic<bool> full = true;
    disk_.set_fault_hook([&](const FileAccess& access) {
      const bool is_table =
          access.operation == FileAccess::Operation::kWrite && absl::EndsWith(access.path, ".sst");
      return FileFault{.error = full && is_table ? ENOSPC : 0};
    });
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(AddEntry(subject_, 20'000), absl::OkStatus()) << i;
      ASSERT_EQ(Sync(subject_), absl::OkStatus()) << i;
    }
    EXPECT_FALSE(subject_.disk->has_room());
    ASSERT_EQ(Drop(subject_, subject_.given.last() - 50), absl::OkStatus());
    ASSERT_EQ(Vote(subject_), absl::OkStatus());
    ASSERT_EQ(Sync(subject_), absl::OkStatus());
    ExpectGiven(subject_);
    const std::unique_ptr<SimulatedFileSystem> image = disk_.WorstCaseImage();
    ExpectNothingLost(*image, subject_);
    full = false;
    EXPECT_TRUE(GetsRoom(subject_));
    disk_.set_fault_hook(nullptr);
  }
  for (int i = 0; i < 30; ++i) ASSERT_EQ(AddEntry(subject_, 20'000), absl::OkStatus());
  ASSERT_EQ(Sync(subject_), absl::OkStatus());
  ExpectGiven(subject_);
}

// Where there is room a writer that is faster than the tables waits for them, and no longer.
TEST_F(RocksDbFullDiskTest, AWriteWaitsForATableThatIsBeingWritten) {
  subject_.options.write_buffer_bytes = size_t{64} << 10;
  ASSERT_TRUE(subject_.Open().ok());
  std::atomic<int> written = 0;
  disk_.set_fault_hook([&](const FileAccess& access) {
    // The first table takes until the writer must have come to the end of its buffers.
    if (access.operation == FileAccess::Operation::kWrite && absl::EndsWith(access.path, ".sst")) {
      EXPECT_TRUE(ComesTrue([&] { return written >= 5; }));
    }
    return FileFault();
  });
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(AddEntry(subject_, 20'000), absl::OkStatus());
    ++written;
  }
  ASSERT_EQ(Sync(subject_), absl::OkStatus());
  disk_.set_fault_hook(nullptr);
  ExpectGiven(subject_);
  EXPECT_TRUE(ComesTrue([&] { return subject_.disk->has_room(); }));
}

// Tables that cannot be merged stay as they are, and are many for a while. A merge may begin while
// the log is still being opened, whose own writes take from the reserve: a merge does not.
TEST_F(RocksDbFullDiskTest, AMergeWithoutRoomEndsNothing) {
  const std::thread::id opener = std::this_thread::get_id();
  std::atomic<int> refused = 0;
  std::atomic<bool> is_last = false;
  disk_.set_fault_hook([&](const FileAccess& access) {
    FileFault fault;
    const bool is_write = access.operation == FileAccess::Operation::kWrite;
    if (is_last && is_write && std::this_thread::get_id() == opener &&
        absl::StrContains(access.path, "/acks.")) {
      is_last = false;
      EXPECT_TRUE(ComesTrue([&] { return refused > 0; })) << "a merge during the start";
    }
    // A table that is larger than what a start writes, or is written from memory, is a merged one.
    if (is_write && absl::EndsWith(access.path, ".sst") &&
        access.offset + access.length > 750'000) {
      fault.error = ENOSPC;
      ++refused;
    }
    return fault;
  });
  for (int i = 0; i < 9; ++i) {
    is_last = i == 8;
    ASSERT_EQ(subject_.Open(), absl::OkStatus());
    for (int entry = 0; entry < 10; ++entry) ASSERT_TRUE(AddEntry(subject_, 10'000).ok());
    ASSERT_EQ(Sync(subject_), absl::OkStatus());
  }
  const auto is_told = [&] {
    const std::vector<std::string> warnings = subject_.disk->Warnings();
    return warnings.size() == 1 && absl::StrContains(warnings[0], "no room to merge tables");
  };
  EXPECT_TRUE(ComesTrue(is_told));
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(AddEntry(subject_, 10'000).ok());
    ASSERT_EQ(Sync(subject_), absl::OkStatus());
  }
  EXPECT_TRUE(subject_.disk->has_room());
  EXPECT_EQ(refused, 1) << "it takes nothing, and is not tried again at once";
  ExpectGiven(subject_);
  disk_.set_fault_hook(nullptr);
  ASSERT_TRUE(subject_.Open().ok());
  EXPECT_TRUE(subject_.disk->Warnings().empty());
  ExpectGiven(subject_);
}

// What a node does: while there is no room it appends what was under way, and no more.
class RocksDbQuotaTest : public RocksDbFullDiskTest {
 protected:
  // Gives false once the log has failed.
  bool Step(RocksDbSubject& subject, Random& random) {
    LogTwin& given = subject.given;
    absl::Status status;
    if (const uint64_t kind = random.Below(20); kind == 0 && given.last() > given.base) {
      status = Truncate(subject, given.last());
      if (status.ok()) status = Vote(subject);
    } else if (kind == 1 && given.last() > given.base + 4) {
      status = Drop(subject, given.last() - 3);
    } else if (kind < 4) {
      status = Vote(subject);
    } else if (subject.disk->has_room() || random.OneIn(10)) {
      status = AddEntry(subject, random.Below(25'000));
    }
    if (status.ok()) status = Sync(subject);
    if (IsNoRoom(status)) ++refused_;
    if (!status.ok() && !IsNoRoom(status)) failure_ = status;
    if (random.OneIn(3)) subject.disk->SeekRoom();
    return failure_.ok();
  }

  int refused_ = 0;
  absl::Status failure_;
};

// Every size the disk may have. What does not fit waits until the disk is larger, and all is there
// then, without a start; or the process or the machine ends before, and nothing that was
// acknowledged is gone.
TEST_F(RocksDbQuotaTest, WhateverTheQuotaNothingIsLostAndItGoesOn) {
  int went_on = 0;
  for (const uint64_t reserve : {uint64_t{128} << 10, kReserve}) {
    for (uint64_t quota = 40'000; quota < 2'500'000; quota += 230'003) {
      for (const bool keeps_on : {true, false}) {
        SCOPED_TRACE(absl::StrCat("reserve ", reserve, " quota ", quota, " ", keeps_on));
        SimulatedFileSystem disk;
        RocksDbSubject subject(disk);
        Prepare(subject);
        subject.options.reserve_bytes = reserve;
        term_ = 1;
        Random random(quota);
        disk.set_capacity_bytes(quota);
        const absl::Status opened = subject.Open();
        ASSERT_TRUE(opened.ok() || absl::IsResourceExhausted(opened)) << opened;
        if (!opened.ok()) continue;
        const bool refused_before = refused_ > 0;
        for (int i = 0; i < 120; ++i) ASSERT_TRUE(Step(subject, random)) << failure_;
        ASSERT_NO_FATAL_FAILURE(ExpectGiven(subject));
        if (keeps_on) {
          disk.set_capacity_bytes(kEmpty);
          ASSERT_EQ(Sync(subject), absl::OkStatus());
          ASSERT_TRUE(GetsRoom(subject));
          ASSERT_TRUE(AddEntry(subject, 30'000).ok());
          ASSERT_EQ(Sync(subject), absl::OkStatus());
          ASSERT_NO_FATAL_FAILURE(ExpectGiven(subject));
          went_on += refused_before ? 1 : 0;
        }
        disk.Crash(CrashPolicy::kRandomSubset, random);
        EXPECT_EQ(disk.uses_after_failure(), 0u);
        subject.disk = nullptr;
        disk.set_capacity_bytes(kEmpty);
        ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(disk, subject));
      }
    }
  }
  EXPECT_GT(refused_, 10);
  EXPECT_GT(went_on, 3);
}

// The disk becomes full at some call, wholly: what the reserve gives up others take. It has room
// again some calls later. Where RocksDB's own records find no room the log fails, and loses
// nothing.
TEST_F(RocksDbQuotaTest, FullFromAnyCallOnToAnyOther) {
  int ended = 0;
  int failed = 0;
  for (const uint64_t lasts : {1, 5, 60, 1000}) {
    for (uint64_t nth = 20; nth < 500; nth += 17) {
      SCOPED_TRACE(absl::StrCat("full at call ", nth, " for ", lasts));
      SimulatedFileSystem disk;
      // Calls come from threads of RocksDB, too. One that is held up for long must not fill the
      // disk when there is room for good.
      Mutex mutex;
      uint64_t calls = 0;
      bool over = false;
      disk.set_fault_hook([&](const FileAccess&) {
        MutexLock lock(mutex);
        ++calls;
        if (!over && calls == nth) disk.set_capacity_bytes(0);
        if (!over && calls == nth + lasts) disk.set_capacity_bytes(kEmpty);
        return FileFault();
      });
      RocksDbSubject subject(disk);
      Prepare(subject);
      term_ = 1;
      failure_ = absl::OkStatus();
      Random random(nth);
      const absl::Status opened = subject.Open();
      if (opened.ok()) {
        for (int i = 0; i < 60 && Step(subject, random); ++i) {
        }
      } else {
        EXPECT_TRUE(absl::IsResourceExhausted(opened)) << opened;
      }
      {
        MutexLock lock(mutex);
        over = true;
        disk.set_capacity_bytes(kEmpty);
      }
      disk.set_fault_hook(nullptr);
      // A thread of RocksDB may have begun its records on the full disk, and end them only now.
      const auto goes_on = [&] { return failure_.ok() && Sync(subject).ok(); };
      const auto gets_room = [&] {
        subject.disk->SeekRoom();
        return subject.disk->has_room() || !goes_on();
      };
      if (opened.ok() && failure_.ok()) {
        EXPECT_TRUE(ComesTrue(gets_room));
      }
      if (opened.ok() && goes_on()) {
        ++ended;
        ASSERT_NO_FATAL_FAILURE(ExpectGiven(subject));
      } else {
        ++failed;
      }
      subject.store = nullptr;
      subject.disk = nullptr;
      disk.Crash(CrashPolicy::kRandomSubset, random);
      EXPECT_EQ(disk.uses_after_failure(), 0u);
      ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(disk, subject));
    }
  }
  EXPECT_GT(refused_, 20);
  EXPECT_GT(ended, 2 * failed);
}

// The power goes at some call while the disk is full. With room the log can be opened, and nothing
// that was acknowledged is gone; without, it can if the reserve was enough.
TEST_F(RocksDbQuotaTest, APowerCutOfAFullDisk) {
  int opened_full = 0;
  for (const CrashPolicy policy : {CrashPolicy::kDropAll, CrashPolicy::kRandomSubset}) {
    for (uint64_t nth = 1; nth < 300; nth += 7) {
      SCOPED_TRACE(absl::StrCat("power cut at call ", nth));
      SimulatedFileSystem disk({.seed = nth});
      RocksDbSubject subject(disk);
      Prepare(subject);
      term_ = 1;
      failure_ = absl::OkStatus();
      Random random(nth);
      ASSERT_TRUE(subject.Open().ok());
      ASSERT_TRUE(AddEntry(subject, 90'000).ok());
      ASSERT_TRUE(Sync(subject).ok());
      disk.set_capacity_bytes(BytesOf(disk));
      std::atomic<uint64_t> calls = 0;
      disk.set_fault_hook([&, cut = Random(nth)](const FileAccess&) mutable {
        const uint64_t call = ++calls;
        if (call == nth) disk.Crash(policy, cut);
        FileFault fault;
        if (call >= nth) fault.error = EIO;
        return fault;
      });
      for (int i = 0; i < 200 && calls < nth && Step(subject, random); ++i) {
      }
      disk.set_fault_hook(nullptr);
      subject.store = nullptr;
      subject.disk = nullptr;
      disk.RestartProcess();
      {
        RocksDbSubject later(disk);
        Prepare(later);
        const absl::Status opened = later.Open();
        if (opened.ok()) {
          ++opened_full;
          ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(later, subject));
        } else {
          EXPECT_TRUE(absl::IsResourceExhausted(opened)) << opened;
        }
      }
      disk.RestartProcess();
      disk.set_capacity_bytes(kEmpty);
      ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(disk, subject));
    }
  }
  EXPECT_GT(opened_full, 20);
}

}  // namespace
}  // namespace cairn

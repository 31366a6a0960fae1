// What rots in the write-ahead log of a RocksDB log that is in use (fault catalogue D8, D11) is
// found by the scrub, and healed from memory: no other member is asked.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/mutex.h"
#include "base/types.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "storage/log_scrub.h"
#include "storage/log_store.h"
#include "storage/no_room.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/faulty_indexes.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Gt;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

struct Round {
  size_t damaged = 0;
  std::vector<std::string> healed = {};
  std::vector<std::string> avoided = {};
};

Round Scrub(RocksDbLog& log, uint64_t max_bytes = 1 << 20) {
  Round round;
  ScrubPosition position;
  for (int i = 0; i < 10'000; ++i) {
    const ScrubStep step = log.scrub()->Step(position, max_bytes);
    round.damaged += step.damaged.size();
    round.healed.insert(round.healed.end(), step.healed.begin(), step.healed.end());
    round.avoided.insert(round.avoided.end(), step.avoided.begin(), step.avoided.end());
    if (step.round_ended) return round;
  }
  ADD_FAILURE() << "a round without end";
  return round;
}

void ExpectQuiet(const Round& round) {
  EXPECT_EQ(round.damaged, 0u);
  EXPECT_THAT(round.healed, IsEmpty());
  EXPECT_THAT(round.avoided, IsEmpty());
}

// The file that is written to.
std::string LogFile(SimulatedFileSystem& file_system) {
  std::string last;
  const std::vector<std::string> names = file_system.List("/log/db").value();
  for (const std::string& name : names) {
    if (absl::EndsWith(name, ".log")) last = std::max(last, absl::StrCat("/log/db/", name));
  }
  return last;
}

uint64_t SizeOf(SimulatedFileSystem& file_system, const std::string& path) {
  return ReadWholeFile(file_system, path).value().size();
}

// The log is open, and its write-ahead log not empty.
void Fill(RocksDbSubject& subject, Term terms) {
  ASSERT_TRUE(subject.Open().ok());
  for (Term term = 1; term <= terms; ++term) ASSERT_TRUE(subject.AppendAndSync(term).ok());
}

// After a power cut everything that was acknowledged is there, and nobody is asked for it.
void ExpectNothingLost(SimulatedFileSystem& file_system, const RocksDbSubject& before) {
  const std::unique_ptr<SimulatedFileSystem> image = file_system.WorstCaseImage();
  RocksDbSubject later(*image);
  later.given = later.acknowledged = before.acknowledged;
  const absl::Status opened = later.Open();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_THAT(later.recovered.faulty, IsEmpty());
  EXPECT_FALSE(later.recovered.torn_from.has_value());
  ASSERT_NO_FATAL_FAILURE(later.ExpectNothingWrong());
  EXPECT_EQ(later.store->last(), before.store->last());
}

TEST(RocksDbLogScrubTest, AWholeLogIsReadPastThePageCacheAndNothingIsFound) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  ASSERT_NO_FATAL_FAILURE(Fill(subject, 150));  // several blocks of the format
  const std::string file = LogFile(file_system);
  ASSERT_GT(SizeOf(file_system, file), 2u * (32 << 10));
  std::atomic<uint64_t> direct = 0;
  std::atomic<int> cached = 0;
  file_system.set_fault_hook([&](const FileAccess& access) {
    if (access.path == file) {
      if (access.operation == FileAccess::Operation::kReadDirect) direct += access.length;
      if (access.operation == FileAccess::Operation::kRead) ++cached;
    }
    return FileFault();
  });
  for (const uint64_t max_bytes : {1, 40'000, 1 << 20}) {
    ExpectQuiet(Scrub(*subject.disk, max_bytes));
  }
  file_system.set_fault_hook(nullptr);
  EXPECT_GE(direct, 3 * SizeOf(file_system, file));
  EXPECT_EQ(cached, 0);
  EXPECT_EQ(LogFile(file_system), file);  // nothing was written for it
}

// Not synced.
void Append(RocksDbSubject& subject, Term term, size_t bytes) {
  LogAppend append;
  append.runs = {subject.given.AddRun(term, {std::string(bytes, 'x')})};
  ASSERT_TRUE(subject.store->Append(append).ok());
}

// Whether it ends within a piece.
bool IsCut(SimulatedFileSystem& file_system, const std::string& path) {
  constexpr size_t kHead = 7;
  constexpr size_t kBlock = 32 << 10;
  const std::string file = ReadWholeFile(file_system, path).value();
  size_t at = 0;
  while (at < file.size()) {
    const size_t left = kBlock - at % kBlock;
    if (left < kHead) {
      at += left;
      continue;
    }
    if (at + kHead > file.size()) return true;
    at += kHead + LoadLittleEndian<uint16_t>(file.data() + at + 4);
  }
  return at > file.size();
}

// What was appended and is not synced is no damage, wherever a block of the format ends.
TEST(RocksDbLogScrubTest, WhatIsBeingWrittenIsNotTakenForDamage) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  ASSERT_NO_FATAL_FAILURE(Fill(subject, 3));
  const std::string file = LogFile(file_system);
  // Of one term, so that batches differ by what is in them only.
  const auto append = [&](size_t bytes) {
    const size_t before = SizeOf(file_system, file);
    ASSERT_NO_FATAL_FAILURE(Append(subject, 4, bytes));
    ExpectQuiet(Scrub(*subject.disk));
    ASSERT_GT(SizeOf(file_system, file), before) << "which writes out what was appended";
  };
  const auto left = [&] { return (32 << 10) - SizeOf(file_system, file) % (32 << 10); };
  ASSERT_NO_FATAL_FAILURE(append(1000));
  const size_t before = SizeOf(file_system, file);
  ASSERT_NO_FATAL_FAILURE(append(1000));
  const size_t around = SizeOf(file_system, file) - before - 1000;
  // A piece of nothing, and zeros instead of a head, are among them.
  for (size_t wanted = 1; wanted <= 16; ++wanted) {
    while (left() < 2'000 || left() > 4'000) ASSERT_NO_FATAL_FAILURE(append(800));
    ASSERT_NO_FATAL_FAILURE(append(left() - around - wanted));
    ASSERT_EQ(left(), wanted);
    ASSERT_NO_FATAL_FAILURE(append(800));
    if (wanted % 4 == 0) {
      ASSERT_TRUE(SyncOf(*subject.disk).ok());
    }
  }
}

// RocksDB writes what it has no memory for, wherever that ends.
TEST(RocksDbLogScrubTest, WhatIsHalfWrittenIsNotTakenForDamage) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  subject.options.write_buffer_bytes = size_t{64} << 20;
  ASSERT_NO_FATAL_FAILURE(Fill(subject, 1));
  int cut = 0;
  for (Term term = 2; term < 600; ++term) {
    ASSERT_NO_FATAL_FAILURE(Append(subject, term, 5'000 + term * 7 % 1000));
    if (!IsCut(file_system, LogFile(file_system))) continue;
    ++cut;
    ExpectQuiet(Scrub(*subject.disk));
    EXPECT_FALSE(IsCut(file_system, LogFile(file_system)));
  }
  EXPECT_GT(cut, 1);
}

// Nor is what found no room, and is in memory from there on.
TEST(RocksDbLogScrubTest, WhatFoundNoRoomIsNotTakenForDamage) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  ASSERT_NO_FATAL_FAILURE(Fill(subject, 3));
  const std::string file = LogFile(file_system);
  file_system.set_fault_hook([&file](const FileAccess& access) {
    const bool of_it = access.path == file && access.operation == FileAccess::Operation::kWrite;
    if (!of_it) return FileFault();
    return FileFault{.error = ENOSPC, .reached = FileFault::Reached::kSome};
  });
  int cut = 0;
  for (Term term = 4; term < 20; ++term) {
    ASSERT_NO_FATAL_FAILURE(Append(subject, term, 5'000));
    ExpectQuiet(Scrub(*subject.disk));
    if (IsCut(file_system, file)) ++cut;
  }
  EXPECT_GT(cut, 1);
  file_system.set_fault_hook(nullptr);
  ASSERT_TRUE(SyncOf(*subject.disk).ok());
  subject.acknowledged = subject.given;
  ExpectQuiet(Scrub(*subject.disk));
  ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(file_system, subject));
}

TEST(RocksDbLogScrubTest, AFlipOfEachByteIsFoundAndHealedFromMemory) {
  uint64_t size = 1;
  for (uint64_t at = 0; at < size; ++at) {
    SCOPED_TRACE(absl::StrCat("at ", at));
    SimulatedFileSystem file_system;
    RocksDbSubject subject(file_system);
    ASSERT_NO_FATAL_FAILURE(Fill(subject, 2));
    const std::string file = LogFile(file_system);
    size = SizeOf(file_system, file);
    file_system.FlipBits(file, at, static_cast<uint8_t>(1 << at % 8));
    const Round found = Scrub(*subject.disk);
    EXPECT_EQ(found.damaged, 0u);
    EXPECT_THAT(found.avoided, IsEmpty());
    EXPECT_THAT(found.healed, ElementsAre(HasSubstr(file)));
    ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(file_system, subject));
    ExpectQuiet(Scrub(*subject.disk));
    EXPECT_TRUE(ComesTrue([&] { return !file_system.Exists(file).value(); }));
    // It goes on in another file.
    ASSERT_TRUE(subject.AppendAndSync(3).ok());
    ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(file_system, subject));
    if (HasFailure()) return;
  }
  EXPECT_GT(size, 500u);
}

TEST(RocksDbLogScrubTest, AFlipInALaterBlockIsFoundToo) {
  for (const uint64_t from_end : {1, 5'000, 33'000, 60'000}) {
    SimulatedFileSystem file_system;
    RocksDbSubject subject(file_system);
    ASSERT_NO_FATAL_FAILURE(Fill(subject, 150));
    const std::string file = LogFile(file_system);
    file_system.FlipBits(file, SizeOf(file_system, file) - from_end, 0x10);
    EXPECT_THAT(Scrub(*subject.disk, 4096).healed, ElementsAre(HasSubstr(file)));
    ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(file_system, subject));
  }
}

TEST(RocksDbLogScrubTest, AReadThatFailsIsAsRot) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  ASSERT_NO_FATAL_FAILURE(Fill(subject, 150));
  const std::string file = LogFile(file_system);
  file_system.FailReads(file, 40'000, 512);
  const Round found = Scrub(*subject.disk);
  EXPECT_THAT(found.healed, ElementsAre(HasSubstr("cannot be read")));
  EXPECT_EQ(found.damaged, 0u);
  ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(file_system, subject));
  ExpectQuiet(Scrub(*subject.disk));
}

// Where each batch begins in a file of which each is one piece.
std::vector<size_t> BatchesOf(const std::string& file) {
  std::vector<size_t> batches;
  for (size_t at = 0; at + 7 <= file.size();) {
    if (file[at + 6] != 1) return {};
    batches.push_back(at);
    at += 7 + LoadLittleEndian<uint16_t>(file.data() + at + 4);
  }
  return batches;
}

// It is valid, and as long, and says whose it is.
TEST(RocksDbLogScrubTest, ABatchOfAnotherNodeIsAsRot) {
  SimulatedFileSystem others;
  RocksDbSubject other(others);
  other.options.identity.node = NodeId{2};
  ASSERT_NO_FATAL_FAILURE(Fill(other, 5));
  const std::string foreign = ReadWholeFile(others, LogFile(others)).value();
  const std::vector<size_t> batches = BatchesOf(foreign);
  ASSERT_GE(batches.size(), 5u);
  for (size_t i = 0; i < batches.size(); ++i) {
    SCOPED_TRACE(absl::StrCat("batch ", i));
    SimulatedFileSystem file_system;
    RocksDbSubject subject(file_system);
    ASSERT_NO_FATAL_FAILURE(Fill(subject, 5));
    const std::string path = LogFile(file_system);
    ASSERT_EQ(BatchesOf(ReadWholeFile(file_system, path).value()), batches);
    const size_t end = i + 1 < batches.size() ? batches[i + 1] : foreign.size();
    {
      const auto file = file_system.Open(path, {.mode = FileSystem::OpenMode::kReadWrite});
      ASSERT_TRUE(file.ok());
      const std::string batch = foreign.substr(batches[i], end - batches[i]);
      ASSERT_TRUE((*file)->Write(batches[i], batch).ok());
      ASSERT_TRUE(file_system.SyncNow(**file).ok());
    }
    EXPECT_THAT(Scrub(*subject.disk).healed,
                ElementsAre(AllOf(HasSubstr(path), HasSubstr(absl::StrCat("at ", batches[i])))));
    // While it is there a start refuses it, if its first batch is the other's.
    EXPECT_TRUE(ComesTrue([&] { return !file_system.Exists(path).value(); }));
    ASSERT_TRUE(file_system.SyncDirectory("/log/db").ok());
    ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(file_system, subject));
    ExpectQuiet(Scrub(*subject.disk));
  }
}

// As ever, a start names what it lacks, which is what stands from the rot on, until the healing is
// done; then it lacks nothing.
TEST(RocksDbLogScrubTest, APowerCutAtEachCallOfTheHealing) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  ASSERT_NO_FATAL_FAILURE(Fill(subject, 5));
  const std::string file = LogFile(file_system);
  file_system.FlipBits(file, SizeOf(file_system, file) / 2, 1);
  Mutex mutex;
  std::vector<std::unique_ptr<SimulatedFileSystem>> images;
  file_system.set_fault_hook([&](const FileAccess&) {
    MutexLock lock(mutex);
    images.push_back(file_system.WorstCaseImage());
    return FileFault();
  });
  EXPECT_EQ(Scrub(*subject.disk).healed.size(), 1u);
  file_system.set_fault_hook(nullptr);
  ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(file_system, subject));
  size_t named = 0;
  std::set<Index> lost;
  MutexLock lock(mutex);
  images.push_back(file_system.WorstCaseImage());  // the last calls are another thread's
  for (const auto& image : images) {
    RocksDbSubject later(*image);
    later.given = later.acknowledged = subject.acknowledged;
    const absl::Status opened = later.Open();
    ASSERT_TRUE(opened.ok()) << opened;
    ASSERT_NO_FATAL_FAILURE(later.ExpectNothingWrong());
    if (image == images.front()) lost = FaultyIndexes(later.recovered);
    if (later.recovered.faulty.empty()) continue;
    EXPECT_EQ(FaultyIndexes(later.recovered), lost);
    EXPECT_EQ(image, images[named++]) << "it was healed before";
  }
  EXPECT_GT(named, 5u);
  EXPECT_LT(named, images.size());
  EXPECT_THAT(lost, AllOf(SizeIs(Gt(2u)), Not(Contains(Index{1}))));
}

// The table alone finds none: until it is written nothing is healed.
TEST(RocksDbLogScrubTest, ATableThatWaitsForRoomHasHealedNothing) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  ASSERT_NO_FATAL_FAILURE(Fill(subject, 5));
  const std::string file = LogFile(file_system);
  file_system.FlipBits(file, 900, 1);
  file_system.set_fault_hook([](const FileAccess& access) {
    const bool is_table = absl::EndsWith(access.path, ".sst");
    FileFault fault;
    if (is_table && access.operation == FileAccess::Operation::kWrite) fault.error = ENOSPC;
    return fault;
  });
  const Round found = Scrub(*subject.disk);
  EXPECT_THAT(found.healed, IsEmpty());
  EXPECT_THAT(found.avoided, ElementsAre(HasSubstr("is being written to a table")));
  file_system.set_fault_hook(nullptr);
  EXPECT_TRUE(ComesTrue([&] {
    subject.disk->SeekRoom();
    return !file_system.Exists(file).value();
  }));
  ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(file_system, subject));
}

// It is told, costs nothing of the reserve, and is done when there is room.
TEST(RocksDbLogScrubTest, OnAFullDiskItWaitsForRoom) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  subject.options.reserve_bytes = uint64_t{512} << 10;
  ASSERT_NO_FATAL_FAILURE(Fill(subject, 5));
  uint64_t used = 0;
  for (const std::string directory : {"/log", "/log/db"}) {
    const std::vector<std::string> names = file_system.List(directory).value();
    for (const std::string& name : names) {
      const auto file = file_system.Open(absl::StrCat(directory, "/", name), {});
      if (file.ok()) used += (*file)->Size().value_or(0);
    }
  }
  file_system.set_capacity_bytes(used);
  absl::Status status;
  for (Term term = 6; status.ok() && term < 2000; ++term) status = subject.AppendAndSync(term);
  ASSERT_TRUE(IsNoRoom(status)) << status;
  ASSERT_FALSE(subject.disk->has_room());
  const std::string file = LogFile(file_system);
  file_system.FlipBits(file, 900, 1);
  const Round found = Scrub(*subject.disk);
  EXPECT_THAT(found.healed, IsEmpty());
  EXPECT_THAT(found.avoided, ElementsAre(HasSubstr("waits for room")));
  EXPECT_EQ(LogFile(file_system), file);
  file_system.set_capacity_bytes(UINT64_MAX);
  EXPECT_TRUE(ComesTrue([&] {
    subject.disk->SeekRoom();
    return SyncOf(*subject.disk).ok() && subject.disk->has_room();
  }));
  subject.acknowledged = subject.given;
  EXPECT_TRUE(ComesTrue([&] {
    subject.disk->SeekRoom();
    return !file_system.Exists(file).value();
  }));
  ASSERT_NO_FATAL_FAILURE(ExpectNothingLost(file_system, subject));
  ExpectQuiet(Scrub(*subject.disk));
}

}  // namespace
}  // namespace cairn

// The RocksDB log on a disk that fails, forgets and loses files (fault catalogue D5 to D7, D10 to
// D12, D15, D23).

#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

// Three batches; the last is in the write-ahead log, those before in a table.
void WriteSome(RocksDbSubject& subject) {
  ASSERT_TRUE(subject.Open().ok());
  for (Term term = 1; term <= 2; ++term) ASSERT_TRUE(subject.AppendAndSync(term).ok());
  ASSERT_TRUE(subject.Open().ok());  // which writes a table
  ASSERT_TRUE(subject.AppendAndSync(3).ok());
}

std::vector<std::string> FilesIn(SimulatedFileSystem& file_system, const std::string& directory) {
  std::vector<std::string> files;
  const absl::StatusOr<std::vector<std::string>> names = file_system.List(directory);
  EXPECT_TRUE(names.ok()) << names.status();
  for (const std::string& name : *names) files.push_back(absl::StrCat(directory, "/", name));
  return files;
}

enum class Finding { kIntact, kNamed, kWrong };

// Opens a disk that was damaged in one file: everything acknowledged is there, or what is not is
// named, and no hand is needed.
Finding Judge(SimulatedFileSystem& file_system, const RocksDbSubject& written) {
  RocksDbSubject subject(file_system);
  subject.given = written.given;
  subject.acknowledged = written.acknowledged;
  const absl::Status status = subject.Open();
  if (!status.ok()) {
    ADD_FAILURE() << status;
    return Finding::kWrong;
  }
  if (subject.recovered.hard_state_lost) {
    // Until the member is sure again.
    EXPECT_TRUE(subject.Open().ok());
    EXPECT_TRUE(subject.recovered.hard_state_lost);
    return Finding::kNamed;
  }
  subject.ExpectNothingWrong();
  if (testing::Test::HasFailure()) return Finding::kWrong;
  const bool named = !subject.recovered.faulty.empty() || subject.recovered.torn_from.has_value() ||
                     !subject.disk->notes().empty();
  return named ? Finding::kNamed : Finding::kIntact;
}

// Does something to each file of the log in turn, in a fresh copy of what is durable. How often
// damage was named.
int DamageEachFile(const std::function<void(SimulatedFileSystem&, const std::string&)>& damage) {
  SimulatedFileSystem file_system;
  RocksDbSubject written(file_system);
  WriteSome(written);
  int named = 0;
  const std::unique_ptr<SimulatedFileSystem> listed = file_system.WorstCaseImage();
  for (const std::string directory : {"/log", "/log/db"}) {
    for (const std::string& path : FilesIn(*listed, directory)) {
      if (path == "/log/db" || absl::EndsWith(path, "LOCK")) continue;
      SCOPED_TRACE(path);
      const std::unique_ptr<SimulatedFileSystem> image = file_system.WorstCaseImage();
      damage(*image, path);
      if (Judge(*image, written) == Finding::kNamed) ++named;
    }
  }
  return named;
}

TEST(RocksDbFaultTest, AMissingFileIsNamedOrNotNeeded) {
  EXPECT_GT(DamageEachFile([](SimulatedFileSystem& image, const std::string& path) {
              ASSERT_TRUE(image.Remove(path).ok());
            }),
            2);
}

TEST(RocksDbFaultTest, AFileThatIsCutIsNamedOrNotNeeded) {
  for (const int part : {0, 1, 2, 3}) {
    SCOPED_TRACE(absl::StrCat(part, " quarters"));
    EXPECT_GT(DamageEachFile([&](SimulatedFileSystem& image, const std::string& path) {
                auto file = image.Open(path, {.mode = FileSystem::OpenMode::kReadWrite});
                ASSERT_TRUE(file.ok()) << file.status();
                const uint64_t size = (*file)->Size().value();
                ASSERT_TRUE((*file)->Resize(size * static_cast<uint64_t>(part) / 4).ok());
                ASSERT_TRUE(image.SyncNow(**file).ok());
              }),
              1);
  }
}

TEST(RocksDbFaultTest, ZeroSectorsAreNamedOrNotNeeded) {
  SimulatedFileSystem file_system;
  RocksDbSubject written(file_system);
  WriteSome(written);
  int named = 0;
  const std::unique_ptr<SimulatedFileSystem> listed = file_system.WorstCaseImage();
  for (const std::string directory : {"/log", "/log/db"}) {
    for (const std::string& path : FilesIn(*listed, directory)) {
      if (path == "/log/db") continue;
      const uint64_t size = ReadWholeFile(*listed, path).value().size();
      for (uint64_t at = 0; at < size && at < (size_t{64} << 10); at += kSectorBytes) {
        SCOPED_TRACE(absl::StrCat(path, " at ", at));
        const std::unique_ptr<SimulatedFileSystem> image = file_system.WorstCaseImage();
        image->ZeroSector(path, at);
        if (Judge(*image, written) == Finding::kNamed) ++named;
      }
    }
  }
  EXPECT_GT(named, 5);
}

// What RocksDB knows of its own files.
TEST(RocksDbFaultTest, RotInManifestAndCurrentIsNamedOrNotNeeded) {
  SimulatedFileSystem file_system;
  RocksDbSubject written(file_system);
  WriteSome(written);
  int named = 0;
  const std::unique_ptr<SimulatedFileSystem> listed = file_system.WorstCaseImage();
  for (const std::string& path : FilesIn(*listed, "/log/db")) {
    const bool is_current = absl::EndsWith(path, "CURRENT");
    if (!is_current && !absl::StrContains(path, "MANIFEST")) continue;
    const uint64_t size = ReadWholeFile(*listed, path).value().size();
    for (uint64_t at = 0; at < size; at += is_current ? 1 : 7) {
      SCOPED_TRACE(absl::StrCat(path, " at ", at));
      const std::unique_ptr<SimulatedFileSystem> image = file_system.WorstCaseImage();
      image->FlipBits(path, at, static_cast<uint8_t>(1 << at % 8));
      if (Judge(*image, written) == Finding::kNamed) ++named;
    }
  }
  EXPECT_GT(named, 10);
}

// The first call that fails, once; then the process or the machine ends. Nothing acknowledged is
// lost, and no file that failed is used again.
TEST(RocksDbFaultTest, AnErrorAtAnyCallLosesNothingAcknowledged) {
  struct Kind {
    int error;
    FileFault::Reached reached;
  };
  for (const Kind& kind :
       {Kind{EIO, FileFault::Reached::kSome}, Kind{ENOSPC, FileFault::Reached::kNothing}}) {
    bool reached_end = false;
    for (int nth = 1; !reached_end; ++nth) {
      SCOPED_TRACE(absl::StrCat("call ", nth, ", error ", kind.error));
      SimulatedFileSystem file_system({.seed = static_cast<uint64_t>(nth)});
      std::atomic<int> calls = 0;
      file_system.set_fault_hook([&](const FileAccess&) {
        FileFault fault;
        if (++calls == nth) fault = {.error = kind.error, .reached = kind.reached};
        return fault;
      });
      RocksDbSubject subject(file_system);
      absl::Status status = subject.Open();
      for (Term term = 1; term <= 3 && status.ok(); ++term) status = subject.AppendAndSync(term);
      if (status.ok()) status = subject.Open();
      if (status.ok()) status = subject.AppendAndSync(4);
      reached_end = calls < nth;
      subject.store = nullptr;
      subject.disk = nullptr;
      file_system.set_fault_hook(nullptr);
      EXPECT_EQ(file_system.uses_after_failure(), 0u);
      if (nth % 2 == 0) {
        file_system.RestartProcess();
      } else {
        Random random(static_cast<uint64_t>(nth));
        file_system.Crash(CrashPolicy::kRandomSubset, random);
      }
      status = subject.Open();
      ASSERT_TRUE(status.ok()) << status;
      EXPECT_TRUE(subject.recovered.faulty.empty());
      if (subject.recovered.torn_from) {
        EXPECT_GT(*subject.recovered.torn_from, subject.acknowledged.last());
      }
      ASSERT_NO_FATAL_FAILURE(subject.ExpectNothingWrong());
      if (HasFailure()) return;
    }
  }
}

// Changes that take things away, each in a sync of its own: a truncation with other entries in the
// place, a dropped prefix, a truncation alone, a reset.
std::vector<LogTwin> Shrink(RocksDbSubject& subject, absl::Status& status) {
  std::vector<LogTwin> states = {subject.given};
  auto sync = [&] {
    if (status.ok()) status = SyncOf(*subject.disk);
    if (status.ok()) subject.acknowledged = subject.given;
  };
  auto append = [&](const LogAppend& change) {
    states.push_back(subject.given);
    if (status.ok()) status = subject.store->Append(change);
    sync();
  };
  LogAppend change;
  subject.given.TruncateFrom(4);
  change.truncate_from = 4;
  change.runs = {subject.given.AddRun(7, {"another 4", "another 5"})};
  append(change);
  if (status.ok()) status = subject.store->DropPrefix(2);
  subject.given.base = 2;
  states.push_back(subject.given);
  sync();
  change = LogAppend();
  subject.given.TruncateFrom(5);
  change.truncate_from = 5;
  append(change);
  subject.given.Add(8, "of another history");
  subject.given.base = subject.given.last();
  if (status.ok()) {
    status = subject.store->Reset(subject.given.PositionAt(subject.given.base),
                                  subject.given.HashAt(subject.given.base));
  }
  states.push_back(subject.given);
  sync();
  return states;
}

bool IsState(const RecoveredLog& found, const LogTwin& state) {
  return found.base == state.PositionAt(state.base) &&
         found.base_hash == state.HashAt(state.base) &&
         found.runs == state.TermRunsAbove(state.base) &&
         found.last_hash == state.HashAt(state.last());
}

// A power cut at each call in turn: each change is done or not, and none before what was
// acknowledged comes back (fault catalogue D24).
TEST(RocksDbFaultTest, APowerCutInAChangeThatTakesAwayLeavesTheOldOrTheNew) {
  bool reached_end = false;
  int cuts = 0;
  for (int cut = 1; !reached_end; ++cut) {
    SCOPED_TRACE(absl::StrCat("call ", cut));
    SimulatedFileSystem file_system({.seed = static_cast<uint64_t>(cut)});
    RocksDbSubject subject(file_system);
    WriteSome(subject);
    std::atomic<int> calls = 0;
    file_system.set_fault_hook([&calls, cut](const FileAccess&) {
      FileFault fault;
      if (++calls >= cut) fault.error = EIO;
      return fault;
    });
    absl::Status status;
    const std::vector<LogTwin> states = Shrink(subject, status);
    reached_end = status.ok() && calls < cut;
    subject.store = nullptr;
    subject.disk = nullptr;
    Random random(static_cast<uint64_t>(cut));
    file_system.Crash(cut % 2 == 0 ? CrashPolicy::kRandomSubset : CrashPolicy::kTornCall, random);
    file_system.set_fault_hook(nullptr);
    ASSERT_TRUE(subject.Open().ok());
    EXPECT_TRUE(subject.recovered.faulty.empty());
    // What only the ledger has of a sync that never returned may be torn: its members decide. It is
    // one of the states all the same.
    bool found = false;
    bool reached_acknowledged = false;
    for (const LogTwin& state : states) {
      reached_acknowledged |=
          state.base == subject.acknowledged.base &&
          state.HashAt(state.last()) == subject.acknowledged.HashAt(subject.acknowledged.last());
      found |= reached_acknowledged && IsState(subject.recovered, state);
    }
    EXPECT_TRUE(found);
    if (HasFailure()) return;
    ++cuts;
  }
  EXPECT_GT(cuts, 8);
}

// The pages look written to the process that comes next, and are not: what it reports must outlive
// the power all the same (fault catalogue D6).
TEST(RocksDbFaultTest, WhatAFailedSyncLeftInTheCacheIsWrittenAnew) {
  int reported = 0;
  for (const char* part : {".log", "acks."}) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      SCOPED_TRACE(absl::StrCat(part, " seed ", seed));
      SimulatedFileSystem file_system({.seed = seed});
      RocksDbSubject subject(file_system);
      ASSERT_TRUE(subject.Open().ok());
      ASSERT_TRUE(subject.AppendAndSync(1).ok());
      file_system.set_fault_hook(NthFault(FileAccess::Operation::kSync, part, 1,
                                          {.error = EIO, .reached = FileFault::Reached::kSome}));
      ASSERT_FALSE(subject.AppendAndSync(2).ok());
      file_system.set_fault_hook(nullptr);
      subject.store = nullptr;
      subject.disk = nullptr;
      file_system.RestartProcess();
      ASSERT_TRUE(subject.Open().ok());
      subject.ExpectNothingWrong();
      const Index end = subject.recovered.torn_from.value_or(subject.store->last().index + 1) - 1;
      const HardState hard_state = subject.recovered.hard_state;
      if (end > subject.acknowledged.last()) ++reported;
      subject.store = nullptr;
      subject.disk = nullptr;
      Random random(seed);
      file_system.Crash(CrashPolicy::kDropAll, random);
      ASSERT_TRUE(subject.Open().ok());
      subject.ExpectNothingWrong();
      EXPECT_GE(subject.store->last().index, end);
      EXPECT_GE(subject.recovered.hard_state, hard_state);
      EXPECT_TRUE(subject.recovered.faulty.empty());
      EXPECT_GT(subject.recovered.torn_from.value_or(end + 1), end);
    }
  }
  EXPECT_GT(reported, 0);
}

// A read that fails is that reader's, and nobody else's. (As for a merge of tables, see
// rocksdb_scrub_test.)
TEST(RocksDbFaultTest, AFailedReadEndsNothing) {
  SimulatedFileSystem file_system;
  RocksDbSubject subject(file_system);
  ASSERT_TRUE(subject.Open().ok());
  LogAppend append;
  for (int i = 0; i < 8; ++i) {
    append.runs = {subject.given.Add(1, std::string(size_t{100} << 10, static_cast<char>(i)))};
    ASSERT_TRUE(subject.store->Append(append).ok());
  }
  ASSERT_TRUE(SyncOf(*subject.disk).ok());
  subject.acknowledged = subject.given;
  ASSERT_TRUE(subject.Open().ok());  // the entries are in tables
  file_system.set_fault_hook([](const FileAccess& access) {
    FileFault fault;
    const bool is_read = access.operation == FileAccess::Operation::kRead ||
                         access.operation == FileAccess::Operation::kReadDirect;
    if (is_read && absl::EndsWith(access.path, ".sst")) fault.error = EIO;
    return fault;
  });
  int failed = 0;
  for (Index index = 1; index <= 8; ++index) {
    const auto read = subject.store->Read(index, index, kNoLimit);
    if (read.ok()) continue;  // from memory
    EXPECT_TRUE(absl::IsDataLoss(read.status())) << read.status();
    ++failed;
  }
  EXPECT_GT(failed, 0);
  ASSERT_TRUE(subject.AppendAndSync(2).ok()) << "writes go on while reads fail";
  file_system.set_fault_hook(nullptr);
  for (Index index = 1; index <= 10; ++index) {
    const auto read = subject.store->Read(index, index, kNoLimit);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE((*read)[0][0].bytes() == subject.given.At(index).record);
  }
  ASSERT_EQ(subject.AppendAndSync(3), absl::OkStatus());
  ASSERT_TRUE(subject.Open().ok());
  subject.ExpectNothingWrong();
}

}  // namespace
}  // namespace cairn

// Memory that changes between the checksum and the write (fault catalogue D21): a bit of an entry
// that a log store is given, or of what a log store gives to the disk. What is read back is as it
// was made, or refused and then repaired; it is never given out as good.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/mutex.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/block/block_log.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "storage/record.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/log_twin.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};
constexpr size_t kNoLimit = size_t{1} << 40;

using Disk = std::unique_ptr<LogDisk>;

struct StoreKind {
  const char* name;
  std::function<absl::StatusOr<Disk>(FileSystem&)> open;
};

// A bit of what one write is given.
struct Flip {
  uint64_t write = 0;  // which, from 1; 0: none
  uint64_t bit = 0;    // of the write's, counted round
};

class FlippingFile final : public File {
 public:
  using Change = std::function<std::optional<std::string>(absl::string_view)>;
  FlippingFile(std::unique_ptr<File> real, Change change)
      : real_(std::move(real)), change_(std::move(change)) {}
  File& real() { return *real_; }

  const std::string& path() const override { return real_->path(); }
  absl::StatusOr<uint64_t> Size() const override { return real_->Size(); }
  absl::StatusOr<size_t> Read(uint64_t offset, size_t length, char* to) const override {
    return real_->Read(offset, length, to);
  }
  absl::StatusOr<size_t> ReadDirect(uint64_t offset, size_t length, char* to) const override {
    return real_->ReadDirect(offset, length, to);
  }
  bool IsCached(uint64_t offset) const override { return real_->IsCached(offset); }
  absl::Status Write(uint64_t offset, absl::string_view data) override {
    const std::optional<std::string> changed = change_(data);
    return real_->Write(offset, changed ? absl::string_view(*changed) : data);
  }
  void StartWriteback(uint64_t offset, uint64_t length) override {
    real_->StartWriteback(offset, length);
  }
  void DropCached(uint64_t offset, uint64_t length) const override {
    real_->DropCached(offset, length);
  }
  absl::Status Resize(uint64_t length) override { return real_->Resize(length); }

 private:
  const std::unique_ptr<File> real_;
  const Change change_;
};

class FlippingFileSystem final : public FileSystem {
 public:
  FlippingFileSystem(SimulatedFileSystem& real, Flip flip) : real_(real), flip_(flip) {}
  uint64_t writes() const {
    MutexLock lock(mutex_);
    return writes_;
  }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                             OpenOptions options) override {
    options.direct = false;  // the changed bytes stand elsewhere in memory
    absl::StatusOr<std::unique_ptr<File>> file = real_.Open(path, options);
    if (!file.ok()) return file.status();
    return std::make_unique<FlippingFile>(*std::move(file),
                                          [this](absl::string_view data) { return Change(data); });
  }
  absl::Status Preallocate(File& file, uint64_t length) override {
    return real_.Preallocate(RealOf(file), length);
  }
  absl::Status ReserveZeroes(File& file, uint64_t length) override {
    return real_.ReserveZeroes(RealOf(file), length);
  }
  void Sync(File& file, SyncDone done) override { real_.Sync(RealOf(file), std::move(done)); }
  absl::Status SyncNow(File& file) override { return real_.SyncNow(RealOf(file)); }
  absl::Status SyncDirectory(const std::string& path) override { return real_.SyncDirectory(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return real_.Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override { return real_.Remove(path); }
  absl::Status MakeDirectory(const std::string& path) override { return real_.MakeDirectory(path); }
  absl::StatusOr<bool> Exists(const std::string& path) override { return real_.Exists(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    return real_.List(directory);
  }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    return real_.Lock(path);
  }
  absl::StatusOr<std::optional<std::string>> LockHolder(const std::string& path) override {
    return real_.LockHolder(path);
  }
  absl::StatusOr<std::string> BootId() override { return real_.BootId(); }

 private:
  static File& RealOf(File& file) { return static_cast<FlippingFile&>(file).real(); }
  std::optional<std::string> Change(absl::string_view data) {
    MutexLock lock(mutex_);
    if (++writes_ != flip_.write || data.empty()) return std::nullopt;
    std::string changed(data);
    const uint64_t bit = flip_.bit % (8 * changed.size());
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    return changed;
  }

  SimulatedFileSystem& real_;
  const Flip flip_;
  mutable Mutex mutex_;
  uint64_t writes_ CAIRN_GUARDED_BY(mutex_) = 0;
};

absl::Status SyncOf(LogDisk& disk) {
  absl::Status result = absl::UnknownError("not called");
  disk.Sync([&result](absl::Status status) { result = std::move(status); });
  return result;
}

RecordRun RunOf(const LogTwin& twin, Index index) {
  return RecordRun::Parse(kGroup, Bytes::Copy(twin.At(index).record)).value();
}

class MemoryFlipTest : public testing::TestWithParam<StoreKind> {
 protected:
  // Some batches, with a new process between them. Ends where something fails: what was
  // acknowledged before stands in `twin`, of what came last nobody was told.
  void Live(FileSystem& files, LogTwin& twin) const {
    LogTwin given(kGroup);
    for (Term term = 1; term <= 2; ++term) {
      absl::StatusOr<Disk> disk = GetParam().open(files);
      if (!disk.ok()) return;
      absl::StatusOr<OpenedLog> opened = (*disk)->OpenGroup(kGroup);
      if (!opened.ok() || opened->store->last().index != given.last()) return;
      for (int batch = 0; batch < 2; ++batch) {
        LogAppend append;
        append.hard_state = given.hard_state = HardState{term, NodeId{1}};
        append.runs = {given.AddRun(term, {absl::StrCat("a", term), std::string(700, 'b'), "c"})};
        if (!opened->store->Append(append).ok() || !SyncOf(**disk).ok()) return;
        twin = given;
      }
    }
  }

  // What is wrong with what a new process finds; repairs what it cannot read.
  std::string Judge(SimulatedFileSystem& files, const LogTwin& twin) {
    absl::StatusOr<Disk> disk = GetParam().open(files);
    if (!disk.ok()) {
      ++counts_.refused;
      return absl::IsDataLoss(disk.status()) ? "" : disk.status().ToString();
    }
    absl::StatusOr<OpenedLog> opened = (*disk)->OpenGroup(kGroup);
    if (!opened.ok()) {
      ++counts_.refused;
      return absl::IsDataLoss(opened.status()) ? "" : opened.status().ToString();
    }
    const RecoveredLog& found = opened->recovered;
    if (found.hard_state != twin.hard_state && !found.hard_state_lost) return "another vote";
    LogStore& store = *opened->store;
    if (store.last().index < twin.last() && !found.hard_state_lost) return "an end is lost";
    const Index last = std::min(store.last().index, twin.last());
    if (found.torn_from && *found.torn_from <= last) return "called torn, and no power was cut";
    for (Index index = 1; index <= last; ++index) {
      if (std::string wrong = Read(store, twin, index); !wrong.empty()) return wrong;
    }
    return "";
  }

  // An entry is as it was made, or is refused and then repaired.
  std::string Read(LogStore& store, const LogTwin& twin, Index index) {
    const std::string name = absl::StrCat("entry ", index, ": ");
    for (int attempt = 0; attempt < 2; ++attempt) {
      const auto runs = store.Read(index, index, kNoLimit);
      if (runs.ok()) {
        const bool same = runs->front().bytes().view() == twin.At(index).record;
        return same ? "" : name + "another one is given out as good";
      }
      if (!absl::IsDataLoss(runs.status()) || attempt > 0) return name + runs.status().ToString();
      ++counts_.damaged;
      if (absl::Status status = store.Repair({RunOf(twin, index)}); !status.ok()) {
        return name + status.ToString();
      }
    }
    return "";
  }

  struct Counts {
    int refused = 0;  // logs
    int damaged = 0;  // entries
  };
  Counts counts_;
};

// Each bit in turn of the eight of a byte, for each byte of an entry that a store is given.
TEST_P(MemoryFlipTest, OfAnEntryAtTheDoor) {
  SimulatedFileSystem before;
  LogTwin twin(kGroup);
  Live(before, twin);
  const LogTwin acknowledged = twin;
  ASSERT_EQ(acknowledged.last(), 12u);
  twin.AddRun(2, {"first", std::string(40, 'm') + "iddle", "last"});
  std::string batch;
  std::vector<size_t> in_record;  // of each byte, where it stands in its entry
  for (Index index = acknowledged.last() + 1; index <= twin.last(); ++index) {
    const std::string& record = twin.At(index).record;
    for (size_t at = 0; at < record.size(); ++at) in_record.push_back(at);
    batch += record;
  }
  size_t refused = 0;
  for (size_t at = 0; at < batch.size(); ++at) {
    SCOPED_TRACE(absl::StrCat("byte ", at, ", ", in_record[at], " of its entry"));
    const std::unique_ptr<SimulatedFileSystem> files = before.WorstCaseImage();
    const auto memory = std::make_shared<std::string>(batch);
    LogAppend append;
    append.runs = {RecordRun::Parse(kGroup, Bytes(memory, *memory)).value()};
    (*memory)[at] = static_cast<char>((*memory)[at] ^ (1 << at % 8));
    bool taken = false;
    {
      absl::StatusOr<Disk> disk = GetParam().open(*files);
      ASSERT_TRUE(disk.ok()) << disk.status();
      absl::StatusOr<OpenedLog> opened = (*disk)->OpenGroup(kGroup);
      ASSERT_TRUE(opened.ok()) << opened.status();
      const absl::Status status = opened->store->Append(append);
      taken = status.ok() && SyncOf(**disk).ok();
      EXPECT_TRUE(taken || absl::IsFailedPrecondition(status)) << status;
      // Of a header that has changed nothing can be believed, and all of it costs little to check.
      EXPECT_EQ(taken, in_record[at] >= kRecordHeaderBytes) << status;
    }
    refused += taken ? 0 : 1;
    files->RestartProcess();
    const int damaged = counts_.damaged;
    ASSERT_EQ(Judge(*files, taken ? twin : acknowledged), "");
    EXPECT_EQ(counts_.damaged - damaged, taken ? 1 : 0);
  }
  EXPECT_EQ(refused, 3 * kRecordHeaderBytes);
  EXPECT_EQ(counts_.refused, 0);
}

// Nor is one believed that comes in place of what has rotted.
TEST_P(MemoryFlipTest, OfTheHeadersInARepair) {
  SimulatedFileSystem files;
  LogTwin twin(kGroup);
  Live(files, twin);
  constexpr Index kFirst = 4;
  std::string records;
  for (Index index = kFirst; index < kFirst + 3; ++index) records += twin.At(index).record;
  const size_t second = twin.At(kFirst).record.size();
  {
    absl::StatusOr<Disk> disk = GetParam().open(files);
    ASSERT_TRUE(disk.ok()) << disk.status();
    absl::StatusOr<OpenedLog> opened = (*disk)->OpenGroup(kGroup);
    ASSERT_TRUE(opened.ok()) << opened.status();
    for (size_t at = 0; at < kRecordHeaderBytes; ++at) {
      SCOPED_TRACE(absl::StrCat("byte ", at));
      const auto memory = std::make_shared<std::string>(records);
      const RecordRun run = RecordRun::Parse(kGroup, Bytes(memory, *memory)).value();
      (*memory)[second + at] = static_cast<char>((*memory)[second + at] ^ (1 << at % 8));
      EXPECT_TRUE(absl::IsFailedPrecondition(opened->store->Repair({run})));
    }
  }
  files.RestartProcess();
  EXPECT_EQ(Judge(files, twin), "");
}

// Some bits of each write there is.
TEST_P(MemoryFlipTest, OfWhatTheDiskIsGiven) {
  LogTwin whole(kGroup);
  uint64_t writes = 0;
  {
    SimulatedFileSystem real;
    FlippingFileSystem files(real, {});
    Live(files, whole);
    writes = files.writes();
    real.RestartProcess();
    ASSERT_EQ(Judge(real, whole), "");
    ASSERT_EQ(counts_.damaged, 0);
  }
  ASSERT_EQ(whole.last(), 12u);
  ASSERT_GT(writes, 10u);
  Random random(1);
  for (uint64_t write = 1; write <= writes; ++write) {
    for (int i = 0; i < 12; ++i) {
      const Flip flip = {write, random.Below(uint64_t{1} << 40)};
      SCOPED_TRACE(absl::StrCat("write ", flip.write, " of ", writes, ", bit ", flip.bit));
      SimulatedFileSystem real;
      LogTwin twin(kGroup);
      {
        FlippingFileSystem files(real, flip);
        Live(files, twin);
      }
      real.RestartProcess();
      ASSERT_EQ(Judge(real, twin), "");
    }
  }
  EXPECT_GT(counts_.damaged, 3) << "flips of entries";
}

absl::StatusOr<Disk> OpenBlock(FileSystem& files) {
  absl::StatusOr<std::unique_ptr<BlockLog>> log = BlockLog::Open(files, TestOptions());
  if (!log.ok()) return log.status();
  return Disk(*std::move(log));
}

absl::StatusOr<Disk> OpenRocksDb(FileSystem& files) {
  RocksDbLogOptions options;
  options.directory = "/log";
  options.identity = {{}, NodeId{1}, Incarnation{7}};
  options.write_buffer_bytes = size_t{1} << 20;
  absl::StatusOr<std::unique_ptr<RocksDbLog>> log = RocksDbLog::Open(files, options);
  if (!log.ok()) return log.status();
  return Disk(*std::move(log));
}

INSTANTIATE_TEST_SUITE_P(Stores, MemoryFlipTest,
                         testing::Values(StoreKind{"Block", OpenBlock},
                                         StoreKind{"RocksDb", OpenRocksDb}),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace cairn

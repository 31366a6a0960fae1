#include "storage/rocksdb/rocksdb_inspector.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/faulty_indexes.h"
#include "tests/storage/log_twin.h"

namespace cairn {
namespace {

constexpr GroupId kOne{1};
constexpr GroupId kTwo{2};
constexpr char kDirectory[] = "/data/log";

RocksDbLogOptions TestOptions() {
  RocksDbLogOptions options;
  options.directory = kDirectory;
  options.identity = {{}, NodeId{1}, Incarnation{7}};
  options.write_buffer_bytes = size_t{1} << 20;
  return options;
}

// Writes two groups; of the first the beginning is dropped.
class RocksDbInspectorTest : public testing::Test {
 protected:
  void OpenLog() {
    disk_ = nullptr;
    absl::StatusOr<std::unique_ptr<RocksDbLog>> opened =
        RocksDbLog::Open(file_system_, TestOptions());
    ASSERT_TRUE(opened.ok()) << opened.status();
    disk_ = *std::move(opened);
    for (auto& [group, twin] : twins_) {
      absl::StatusOr<OpenedLog> log = disk_->OpenGroup(group);
      ASSERT_TRUE(log.ok()) << log.status();
      stores_[group] = log->store;
    }
  }

  void AppendAndSync(GroupId group, Term term) {
    LogTwin& twin = twins_.at(group);
    LogAppend append;
    append.hard_state = twin.hard_state = HardState{term, NodeId{term % 3 + 1}};
    append.runs = {twin.AddRun(term, {absl::StrCat("a of ", term), std::string(300, 'b')})};
    append.commit = twin.last() - 2;
    ASSERT_TRUE(stores_[group]->Append(append).ok());
    Sync();
  }

  void Sync() {
    absl::Status result = absl::UnknownError("not called");
    disk_->Sync([&result](absl::Status status) { result = std::move(status); });
    ASSERT_TRUE(result.ok()) << result;
  }

  void WriteLog() {
    OpenLog();
    for (Term term = 1; term <= 3; ++term) {
      AppendAndSync(kOne, term);
      AppendAndSync(kTwo, term);
    }
    ASSERT_TRUE(stores_[kOne]->DropPrefix(2).ok());
    Sync();
    OpenLog();  // writes a table
    AppendAndSync(kOne, 4);
    AppendAndSync(kTwo, 4);
    disk_ = nullptr;
  }

  static std::unique_ptr<RocksDbInspector> Inspect(FileSystem& file_system,
                                                   const std::string& directory = "/data") {
    absl::StatusOr<std::unique_ptr<RocksDbInspector>> log =
        RocksDbInspector::Open(file_system, directory);
    EXPECT_TRUE(log.ok()) << log.status();
    return log.ok() ? *std::move(log) : nullptr;
  }

  SimulatedFileSystem file_system_;
  std::map<GroupId, LogTwin> twins_ = {{kOne, LogTwin(kOne)}, {kTwo, LogTwin(kTwo)}};
  std::map<GroupId, LogStore*> stores_;
  std::unique_ptr<RocksDbLog> disk_;
};

TEST_F(RocksDbInspectorTest, ShowsWhatIsThereAndWritesNothing) {
  WriteLog();
  std::vector<std::string> writes;
  file_system_.set_fault_hook([&writes](const FileAccess& access) {
    using Operation = FileAccess::Operation;
    const std::set<Operation> reads = {Operation::kOpen, Operation::kRead, Operation::kReadDirect,
                                       Operation::kList};
    if (!reads.contains(access.operation)) writes.push_back(access.path);
    return FileFault();
  });
  for (const char* directory : {"/data", kDirectory}) {
    const std::unique_ptr<RocksDbInspector> log = Inspect(file_system_, directory);
    EXPECT_EQ(log->directory(), kDirectory);
    EXPECT_EQ(log->identity(), TestOptions().identity);
    EXPECT_FALSE(log->writer().has_value());
    EXPECT_TRUE(log->notes().empty());
    ASSERT_EQ(log->groups().size(), 2u);
    for (const auto& [group, twin] : twins_) {
      const LogHead& head = log->groups().at(group).head();
      EXPECT_EQ(head.hard_state, twin.hard_state);
      EXPECT_EQ(head.base.index, group == kOne ? 2u : 0u);
      EXPECT_EQ(head.last, twin.PositionAt(8));
      EXPECT_EQ(head.last_hash, twin.HashAt(8));
      EXPECT_EQ(log->LedgerOf(group)->head, head);
    }
    const std::vector<VerifiedFile> files = log->Verify();
    ASSERT_EQ(files.size(), 1u);
    EXPECT_EQ(files[0].path, "/data/log/db");
    EXPECT_EQ(files[0].ok.at(kOne), std::vector<IndexRange>({{3, 8}}));
    EXPECT_EQ(files[0].ok.at(kTwo), std::vector<IndexRange>({{1, 8}}));
    EXPECT_TRUE(files[0].faulty.empty());
    EXPECT_TRUE(files[0].torn.empty());
  }
  EXPECT_TRUE(writes.empty()) << writes.front();
}

TEST_F(RocksDbInspectorTest, ReadsEntries) {
  WriteLog();
  const std::unique_ptr<RocksDbInspector> log = Inspect(file_system_);
  auto read = [&](Index from, uint64_t count) {
    std::vector<RecordRun> runs;
    log->Read(
        kOne, from, count, [&runs](const RecordRun& run) { runs.push_back(run); },
        [](const LogInspector::Unreadable& bad) { ADD_FAILURE() << bad.reason; });
    return RecordsOf(runs);
  };
  auto wanted = [&](Index first, Index last) {
    std::string records;
    for (Index index = first; index <= last; ++index) records += twins_.at(kOne).At(index).record;
    return records;
  };
  EXPECT_EQ(read(0, UINT64_MAX), wanted(3, 8));
  EXPECT_EQ(read(5, 2), wanted(5, 6));
  EXPECT_EQ(read(8, 1), wanted(8, 8));
  EXPECT_EQ(read(7, 0), "");
  EXPECT_EQ(read(9, UINT64_MAX), "");
}

TEST_F(RocksDbInspectorTest, SaysWhoHasItOpen) {
  OpenLog();
  AppendAndSync(kOne, 1);
  const std::unique_ptr<RocksDbInspector> log = Inspect(file_system_);
  EXPECT_TRUE(log->writer().has_value());
}

std::set<Index> FaultyOf(const std::vector<VerifiedFile>& files, GroupId group) {
  std::set<Index> faulty;
  for (const VerifiedFile& file : files) {
    for (const LogFinding& finding : file.faulty) {
      if (finding.group != group) continue;
      for (Index i = finding.entries.first; i <= finding.entries.last; ++i) faulty.insert(i);
    }
  }
  return faulty;
}

// What it says of an image of the disk is what a start then finds there.
void ExpectTheSame(SimulatedFileSystem& image, int* named) {
  auto inspected = RocksDbInspector::Open(image, "/data");
  std::vector<VerifiedFile> files;
  if (inspected.ok()) files = (*inspected)->Verify();
  absl::StatusOr<std::unique_ptr<RocksDbLog>> disk = RocksDbLog::Open(image, TestOptions());
  ASSERT_TRUE(disk.ok()) << disk.status();
  if (!inspected.ok()) {
    // A start repairs the database first.
    ++*named;
    EXPECT_TRUE(absl::IsDataLoss(inspected.status())) << inspected.status();
    EXPECT_TRUE(absl::StrContains(inspected.status().message(), "a start of the node repairs it"))
        << inspected.status();
    EXPECT_FALSE((*disk)->notes().empty());
    return;
  }
  for (const GroupId group : (*disk)->Groups()) {
    SCOPED_TRACE(absl::StrCat("group ", ToInteger(group)));
    absl::StatusOr<OpenedLog> opened = (*disk)->OpenGroup(group);
    ASSERT_TRUE(opened.ok()) << opened.status();
    const RecoveredLog& recovered = opened->recovered;
    const LogHead& head = (*inspected)->groups().at(group).head();
    EXPECT_EQ(head.hard_state, recovered.hard_state);
    EXPECT_EQ(head.base, recovered.base);
    EXPECT_EQ(head.last, opened->store->last());
    EXPECT_EQ(head.last_hash, recovered.last_hash);
    EXPECT_EQ(head.known_commit, recovered.known_commit);
    EXPECT_EQ(head.torn_from, recovered.torn_from.value_or(0));
    const std::set<Index> faulty = FaultyIndexes(recovered);
    EXPECT_EQ(FaultyOf(files, group), faulty);
    if (!faulty.empty() || recovered.torn_from) ++*named;
  }
}

TEST_F(RocksDbInspectorTest, WhatIsDamagedIsWhatAStartFindsDamaged) {
  WriteLog();
  const std::unique_ptr<SimulatedFileSystem> durable = file_system_.WorstCaseImage();
  int named = 0;
  for (const std::string& directory : {std::string("/data/log"), std::string("/data/log/db")}) {
    const std::vector<std::string> names = durable->List(directory).value();
    for (const std::string& name : names) {
      const std::string path = absl::StrCat(directory, "/", name);
      const auto content = ReadWholeFile(*durable, path);
      if (!content.ok() || absl::EndsWith(name, "LOCK")) continue;
      const uint64_t step = absl::StrContains(name, "acks.") ? 509 : 67;
      for (uint64_t at = 0; at < content->size(); at += step) {
        SCOPED_TRACE(absl::StrCat(path, " at ", at));
        const std::unique_ptr<SimulatedFileSystem> image = durable->WorstCaseImage();
        image->FlipBits(path, at, static_cast<uint8_t>(1 << at % 8));
        ASSERT_NO_FATAL_FAILURE(ExpectTheSame(*image, &named));
        if (HasFailure()) return;
      }
    }
  }
  EXPECT_GT(named, 40);
}

// The last syncs of the write-ahead log said OK and did nothing; then the power went.
class LostSyncs : public RocksDbInspectorTest {
 protected:
  std::vector<VerifiedFile> VerifyAfterLosing(int syncs) {
    WriteLog();
    OpenLog();
    file_system_.set_fault_hook([](const FileAccess& access) {
      FileFault fault;
      fault.lost =
          access.operation == FileAccess::Operation::kSync && absl::EndsWith(access.path, ".log");
      return fault;
    });
    for (int i = 0; i < syncs; ++i) AppendAndSync(kOne, 5 + static_cast<Term>(i));
    disk_ = nullptr;
    Random random(1);
    file_system_.Crash(CrashPolicy::kDropAll, random);
    file_system_.set_fault_hook(nullptr);
    std::vector<VerifiedFile> files = Inspect(file_system_)->Verify();
    EXPECT_EQ(files.size(), 2u);
    EXPECT_EQ(files[0].ok.at(kOne), std::vector<IndexRange>({{3, 8}}));
    EXPECT_EQ(files[1].notes.size(), 1u);
    EXPECT_TRUE(absl::StartsWith(files[1].notes[0], "group 1: the ledger knows change"));
    return files;
  }
};

TEST_F(LostSyncs, TheLastOneMayBeTorn) {
  const std::vector<VerifiedFile> files = VerifyAfterLosing(1);
  EXPECT_TRUE(files[0].faulty.empty());
  ASSERT_EQ(files[0].torn.size(), 1u);
  EXPECT_EQ(files[0].torn[0].entries, (IndexRange{9, 10}));
}

TEST_F(LostSyncs, MoreThanOneAreFaulty) {
  const std::vector<VerifiedFile> files = VerifyAfterLosing(2);
  EXPECT_TRUE(files[0].torn.empty());
  ASSERT_EQ(files[0].faulty.size(), 1u);
  EXPECT_EQ(files[0].faulty[0].entries, (IndexRange{9, 12}));
}

TEST_F(RocksDbInspectorTest, AMissingLedgerOrDatabaseIsNamed) {
  WriteLog();
  const std::unique_ptr<SimulatedFileSystem> image = file_system_.WorstCaseImage();
  const std::vector<std::string> names = file_system_.List(kDirectory).value();
  for (const std::string& name : names) {
    if (absl::StartsWith(name, "acks.")) {
      ASSERT_TRUE(file_system_.Remove(absl::StrCat(kDirectory, "/", name)).ok());
    }
  }
  const std::unique_ptr<RocksDbInspector> log = Inspect(file_system_);
  const std::vector<VerifiedFile> files = log->Verify();
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[1].path, kDirectory);
  ASSERT_EQ(files[1].faulty.size(), 1u);
  EXPECT_TRUE(absl::StrContains(files[1].faulty[0].reason, "no ledger"));

  ASSERT_TRUE(image->Remove("/data/log/db/CURRENT").ok());
  const absl::Status gone = RocksDbInspector::Open(*image, "/data").status();
  EXPECT_TRUE(absl::IsDataLoss(gone)) << gone;

  SimulatedFileSystem empty;
  ASSERT_TRUE(empty.MakeDirectory("/data/log").ok());
  EXPECT_TRUE(absl::IsNotFound(RocksDbInspector::Open(empty, "/data").status()));
}

}  // namespace
}  // namespace cairn

// A RocksDB log of which the database, the ledger or both are lost (fault catalogue D8, D10, D15,
// D23). One of them is enough to go on with: what it cannot tell is said to be lost.

#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/checksum.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/faulty_indexes.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class RocksDbRebuildTest : public testing::Test {
 protected:
  // Three batches; the last is in the write-ahead log, those before in a table.
  void WriteSome() {
    ASSERT_TRUE(subject_.Open().ok());
    for (Term term = 1; term <= 2; ++term) ASSERT_TRUE(subject_.AppendAndSync(term).ok());
    ASSERT_TRUE(subject_.Open().ok());  // which writes a table
    ASSERT_TRUE(subject_.AppendAndSync(3).ok());
    Close();
  }
  void Close() {
    subject_.store = nullptr;
    subject_.disk = nullptr;
    // The machine is started anew: nothing is in memory any more.
    Random random(1);
    files_.Crash(CrashPolicy::kDropAll, random);
  }

  // The files of the log in `directory` whose names contain `part`.
  std::vector<std::string> Files(const std::string& directory, const std::string& part) {
    std::vector<std::string> paths;
    const std::vector<std::string> names = files_.List(directory).value();
    for (const std::string& name : names) {
      const std::string path = absl::StrCat(directory, "/", name);
      if (absl::StrContains(name, part) && !files_.List(path).ok()) paths.push_back(path);
    }
    return paths;
  }
  void RemoveAll(const std::string& directory, const std::string& part) {
    for (const std::string& path : Files(directory, part)) ASSERT_TRUE(files_.Remove(path).ok());
    ASSERT_TRUE(files_.SyncDirectory(directory).ok());
  }
  void LoseDatabase() { RemoveAll("/log/db", ""); }
  void LoseLedger() { RemoveAll("/log", "acks."); }
  // The newest file of the ledger; the power cut has brought back the one before.
  std::string OnlyLedger() {
    const std::vector<std::string> files = Files("/log", "acks.");
    for (const std::string& path : files) {
      if (path == files.back()) continue;
      EXPECT_TRUE(files_.Remove(path).ok());
    }
    EXPECT_TRUE(files_.SyncDirectory("/log").ok());
    return files.back();
  }
  // Bits of each record from `first` on, in the newest file of the ledger. Two records begin it.
  void RotLedger(uint64_t first) {
    const std::string path = OnlyLedger();
    const uint64_t size = ReadWholeFile(files_, path).value().size();
    ASSERT_LT(first * 4096, size);
    for (uint64_t at = first * 4096 + 30; at < size; at += 4096) files_.FlipBits(path, at, 4);
  }
  void RotManifest() {
    const std::string path = Files("/log/db", "MANIFEST").front();
    files_.FlipBits(path, 12, 4);
  }

  // Starts on `image`, whose power goes at this call of the start; true if it had ended by then.
  bool OpensBefore(int cut, CrashPolicy policy, SimulatedFileSystem& image,
                   RocksDbSubject& subject) const {
    std::atomic<int> calls = 0;
    image.set_fault_hook([&calls, cut](const FileAccess&) {
      FileFault fault;
      if (++calls >= cut) fault.error = EIO;
      return fault;
    });
    subject.given = subject_.given;
    subject.acknowledged = subject_.acknowledged;
    const bool ended = subject.Open().ok() && calls < cut;
    subject.store = nullptr;
    subject.disk = nullptr;
    Random random(static_cast<uint64_t>(cut));
    image.Crash(policy, random);
    image.set_fault_hook(nullptr);
    return ended;
  }

  void ExpectUnsure() {
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(subject_.Open(), absl::OkStatus());
      EXPECT_TRUE(subject_.recovered.hard_state_lost);
      Close();
    }
  }

  SimulatedFileSystem files_;
  RocksDbSubject subject_{files_};
};

// RocksDB finds its tables and write-ahead logs without it.
TEST_F(RocksDbRebuildTest, ALostManifestLosesNoEntry) {
  for (const bool is_current : {false, true}) {
    SCOPED_TRACE(is_current);
    WriteSome();
    ASSERT_FALSE(HasFatalFailure());
    if (is_current) {
      RemoveAll("/log/db", "CURRENT");
    } else {
      RotManifest();
    }
    ASSERT_EQ(subject_.Open(), absl::OkStatus());
    EXPECT_THAT(subject_.disk->notes(), Contains(HasSubstr("could not be opened")));
    EXPECT_THAT(subject_.recovered.faulty, IsEmpty());
    EXPECT_FALSE(subject_.recovered.torn_from.has_value());
    subject_.ExpectNothingWrong();
    EXPECT_FALSE(files_.Exists("/log/repairing").value());
    ASSERT_TRUE(subject_.AppendAndSync(4).ok());
    Close();
    // As if nothing had been.
    ASSERT_EQ(subject_.Open(), absl::OkStatus());
    EXPECT_THAT(subject_.disk->notes(), IsEmpty());
    EXPECT_THAT(subject_.recovered.faulty, IsEmpty());
    subject_.ExpectNothingWrong();
    subject_.given = subject_.acknowledged = LogTwin(kGroup);
    Close();
    RemoveAll("/log/db/lost", "");
    LoseDatabase();
    LoseLedger();
  }
}

// All entries are claimed, the vote is known, and none of them is called torn: also not where the
// ledger speaks of one sync only, since more than a sync is gone.
TEST_F(RocksDbRebuildTest, ALostDatabaseLosesNoClaim) {
  for (const int syncs : {1, 3}) {
    SCOPED_TRACE(syncs);
    ASSERT_TRUE(subject_.Open().ok());
    for (int i = 1; i <= syncs; ++i) {
      ASSERT_TRUE(subject_.AppendAndSync(static_cast<Term>(i)).ok());
    }
    Close();
    LoseDatabase();
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(subject_.Open(), absl::OkStatus());
      EXPECT_THAT(FaultyIndexes(subject_.recovered), SizeIs(2 * syncs));
      EXPECT_FALSE(subject_.recovered.torn_from.has_value());
      EXPECT_EQ(subject_.recovered.hard_state, subject_.given.hard_state);
      subject_.ExpectNothingWrong();
      Close();
    }
    // Another member has them.
    ASSERT_TRUE(subject_.Open().ok());
    for (Index index = 1; index <= subject_.given.last(); ++index) {
      const auto run = RecordRun::Parse(kGroup, Bytes::Copy(subject_.given.At(index).record));
      ASSERT_EQ(subject_.store->Repair({*run}), absl::OkStatus());
    }
    ASSERT_TRUE(SyncOf(*subject_.disk).ok());
    Close();
    ASSERT_TRUE(subject_.Open().ok());
    EXPECT_THAT(subject_.recovered.faulty, IsEmpty());
    subject_.ExpectNothingWrong();
    subject_.given = subject_.acknowledged = LogTwin(kGroup);
    Close();
    LoseDatabase();
    LoseLedger();
  }
}

// The database may have lost its end as well, and looks whole without it.
TEST_F(RocksDbRebuildTest, WithoutALedgerItIsUnsure) {
  WriteSome();
  LoseLedger();
  ExpectUnsure();
  ASSERT_TRUE(subject_.Open().ok());
  EXPECT_EQ(subject_.store->last().index, 6u);
  EXPECT_THAT(subject_.recovered.faulty, IsEmpty());
  // What is written meanwhile does not change that.
  ASSERT_TRUE(subject_.AppendAndSync(4).ok());
  Close();
  ExpectUnsure();
  ASSERT_TRUE(subject_.Open().ok());
  LogAppend sure;
  sure.hard_state = subject_.given.hard_state;
  sure.sure = true;
  ASSERT_TRUE(subject_.store->Append(sure).ok());
  ASSERT_TRUE(SyncOf(*subject_.disk).ok());
  Close();
  ASSERT_TRUE(subject_.Open().ok());
  EXPECT_FALSE(subject_.recovered.hard_state_lost);
  subject_.ExpectNothingWrong();
}

TEST_F(RocksDbRebuildTest, ASyncThatWasLostDoesNotMakeItSure) {
  WriteSome();
  LoseLedger();
  ASSERT_TRUE(subject_.Open().ok());
  LogAppend sure;
  sure.hard_state = subject_.given.hard_state;
  sure.sure = true;
  ASSERT_TRUE(subject_.store->Append(sure).ok());
  Close();
  ExpectUnsure();
}

TEST_F(RocksDbRebuildTest, BothLostIsDataLoss) {
  WriteSome();
  LoseLedger();
  RotManifest();
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = subject_.Open();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  }
  EXPECT_FALSE(files_.Exists("/log/repairing").value());
}

// Not a new log, either, where something is left of a ledger that nobody can read.
TEST_F(RocksDbRebuildTest, ALedgerThatCannotBeReadIsNoNewLog) {
  WriteSome();
  RotLedger(0);
  LoseDatabase();
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(RocksDbLog::IsThere(files_, "/log").value());
    const absl::Status status = subject_.Open();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  }
}

// Two faults: what the last sync brought is in neither.
TEST_F(RocksDbRebuildTest, ALedgerWithoutItsEndVouchesForNothing) {
  WriteSome();
  ASSERT_TRUE(subject_.Open().ok());
  ASSERT_TRUE(subject_.AppendAndSync(4).ok());
  Close();
  const std::string ledger = Files("/log", "acks.").back();
  const std::unique_ptr<SimulatedFileSystem> kept = files_.WorstCaseImage();
  RotLedger(2);
  {
    // The database alone knows it.
    ASSERT_TRUE(subject_.Open().ok());
    EXPECT_FALSE(subject_.recovered.hard_state_lost);
    EXPECT_THAT(subject_.recovered.faulty, IsEmpty());
    subject_.ExpectNothingWrong();
    subject_.store = nullptr;
    subject_.disk = nullptr;
  }
  for (const bool manifest : {false, true}) {
    SCOPED_TRACE(manifest);
    const std::unique_ptr<SimulatedFileSystem> image = kept->WorstCaseImage();
    image->FlipBits(ledger, 2 * 4096 + 30, 4);
    RocksDbSubject subject(*image);
    const std::vector<std::string> in_database = image->List("/log/db").value();
    for (const std::string& name : in_database) {
      if (absl::EndsWith(name, manifest ? "CURRENT" : ".log")) {
        image->FlipBits("/log/db/" + name, 0, 4);
      }
    }
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(subject.Open(), absl::OkStatus());
      EXPECT_TRUE(subject.recovered.hard_state_lost);
    }
  }
}

// An answer has a run for each term. Behind the first one each is known by the one before it alone,
// which is not in the database yet.
TEST_F(RocksDbRebuildTest, EntriesInARowAreRepairedAtOnce) {
  WriteSome();
  LoseDatabase();
  ASSERT_EQ(subject_.Open(), absl::OkStatus());
  ASSERT_THAT(FaultyIndexes(subject_.recovered), SizeIs(6));
  std::vector<RecordRun> runs;
  for (Index index = 1; index <= 6; ++index) {
    const Bytes record = Bytes::Copy(subject_.given.At(index).record);
    runs.push_back(RecordRun::Parse(kGroup, record).value());
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(subject_.store->Repair({runs[1]})));
  ASSERT_EQ(subject_.store->Repair(runs), absl::OkStatus());
  ASSERT_TRUE(SyncOf(*subject_.disk).ok());
  Close();
  ASSERT_EQ(subject_.Open(), absl::OkStatus());
  EXPECT_THAT(subject_.recovered.faulty, IsEmpty());
  subject_.ExpectNothingWrong();
}

// The power goes at each call of a start that repairs; what it finds afterwards is what it would
// have found, and no file of RocksDB's is thrown away.
TEST_F(RocksDbRebuildTest, APowerCutAtEachCallOfARepair) {
  WriteSome();
  RemoveAll("/log/db", "CURRENT");
  const std::unique_ptr<SimulatedFileSystem> damaged = files_.WorstCaseImage();
  int cuts = 0;
  for (int cut = 1;; ++cut) {
    SCOPED_TRACE(absl::StrCat("call ", cut));
    const std::unique_ptr<SimulatedFileSystem> image = damaged->WorstCaseImage();
    const CrashPolicy policies[] = {CrashPolicy::kDropAll, CrashPolicy::kRandomSubset,
                                    CrashPolicy::kTornCall, CrashPolicy::kKeepAll};
    RocksDbSubject subject(*image);
    const bool ended = OpensBefore(cut, policies[cut % 4], *image, subject);
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(subject.Open(), absl::OkStatus());
      EXPECT_THAT(subject.recovered.faulty, IsEmpty());
      EXPECT_FALSE(subject.recovered.torn_from.has_value());
      ASSERT_NO_FATAL_FAILURE(subject.ExpectNothingWrong());
    }
    if (HasFailure()) return;
    ++cuts;
    if (ended) break;
  }
  EXPECT_GT(cuts, 60);
}

// The same where nothing is left to repair.
TEST_F(RocksDbRebuildTest, APowerCutAtEachCallOfARebuild) {
  WriteSome();
  LoseDatabase();
  const std::unique_ptr<SimulatedFileSystem> damaged = files_.WorstCaseImage();
  int cuts = 0;
  for (int cut = 1;; ++cut) {
    SCOPED_TRACE(absl::StrCat("call ", cut));
    const std::unique_ptr<SimulatedFileSystem> image = damaged->WorstCaseImage();
    const CrashPolicy policy = cut % 2 == 0 ? CrashPolicy::kRandomSubset : CrashPolicy::kTornCall;
    RocksDbSubject subject(*image);
    const bool ended = OpensBefore(cut, policy, *image, subject);
    ASSERT_EQ(subject.Open(), absl::OkStatus());
    EXPECT_THAT(FaultyIndexes(subject.recovered), SizeIs(6));
    EXPECT_FALSE(subject.recovered.torn_from.has_value());
    ASSERT_NO_FATAL_FAILURE(subject.ExpectNothingWrong());
    if (HasFailure()) return;
    ++cuts;
    if (ended) break;
  }
  EXPECT_GT(cuts, 60);
}

// What a repair brings back is no group again.
TEST_F(RocksDbRebuildTest, ADroppedGroupStaysDropped) {
  ASSERT_TRUE(subject_.Open().ok());
  ASSERT_TRUE(subject_.AppendAndSync(1).ok());
  OpenedLog other = subject_.disk->OpenGroup(GroupId{9}).value();
  LogTwin twin(GroupId{9});
  LogAppend append;
  append.hard_state = HardState{5, NodeId{2}};
  append.runs = {twin.AddRun(5, {"of another group"})};
  ASSERT_TRUE(other.store->Append(append).ok());
  ASSERT_TRUE(SyncOf(*subject_.disk).ok());
  Close();
  const std::unique_ptr<SimulatedFileSystem> before = files_.WorstCaseImage();
  ASSERT_TRUE(subject_.Open().ok());
  ASSERT_TRUE(subject_.disk->DropGroup(GroupId{9}).ok());
  ASSERT_TRUE(SyncOf(*subject_.disk).ok());
  Close();
  ASSERT_TRUE(subject_.Open().ok());  // the ledger speaks of it no more
  Close();
  // The database as it was before it was dropped.
  LoseDatabase();
  const std::vector<std::string> names = before->List("/log/db").value();
  for (const std::string& name : names) {
    if (absl::EndsWith(name, "CURRENT")) continue;
    const std::string path = "/log/db/" + name;
    const std::string content = ReadWholeFile(*before, path).value();
    ASSERT_TRUE(WriteFileAtomically(files_, path, content).ok());
  }
  ASSERT_EQ(subject_.Open(), absl::OkStatus());
  EXPECT_EQ(subject_.disk->Groups(), std::vector<GroupId>{kGroup});
  subject_.ExpectNothingWrong();
}

// Nobody's damage: it is another node's.
TEST_F(RocksDbRebuildTest, ALedgerOfAnotherNodeIsRefused) {
  WriteSome();
  SimulatedFileSystem others;
  RocksDbSubject other(others);
  other.options.identity.node = NodeId{2};
  ASSERT_TRUE(other.Open().ok());
  ASSERT_TRUE(other.AppendAndSync(1).ok());
  other.store = nullptr;
  other.disk = nullptr;
  LoseLedger();
  const std::string name = "/log/acks.00000000000000000001";
  ASSERT_TRUE(WriteFileAtomically(files_, name, ReadWholeFile(others, name).value()).ok());
  for (const bool database_too : {false, true}) {
    if (database_too) RotManifest();
    const absl::Status status = subject_.Open();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(status.ToString(), HasSubstr("node 2"));
    EXPECT_FALSE(files_.Exists("/log/repairing").value());
  }
}

// Each file in turn is another node's, which wrote as much: it is refused, or what was
// acknowledged is there or named. One of the write-ahead log is refused by its name, or not used.
TEST_F(RocksDbRebuildTest, AFileOfAnotherNodesDatabaseHarmsNothing) {
  WriteSome();
  SimulatedFileSystem others;
  RocksDbSubject other(others);
  other.options.identity.node = NodeId{2};
  ASSERT_TRUE(other.Open().ok());
  for (Term term = 4; term <= 6; ++term) {
    ASSERT_TRUE(other.AppendAndSync(term).ok());
    if (term == 5) {
      ASSERT_TRUE(other.Open().ok());
    }
  }
  other.store = nullptr;
  other.disk = nullptr;
  int named = 0;
  int logs = 0;
  for (const std::string& path : Files("/log/db", "")) {
    SCOPED_TRACE(path);
    const auto content = ReadWholeFile(others, path);
    if (!content.ok() || absl::EndsWith(path, "LOCK")) continue;
    const std::unique_ptr<SimulatedFileSystem> image = files_.WorstCaseImage();
    ASSERT_TRUE(WriteFileAtomically(*image, path, *content).ok());
    RocksDbSubject subject(*image);
    subject.given = subject_.given;
    subject.acknowledged = subject_.acknowledged;
    const bool is_log = absl::EndsWith(path, ".log");
    const absl::Status status = subject.Open();
    if (status.ok()) {
      EXPECT_FALSE(subject.recovered.torn_from.has_value());
      subject.ExpectNothingWrong();
      const bool is_whole = subject.recovered.faulty.empty() && subject.disk->notes().empty();
      EXPECT_TRUE(is_whole || !is_log);
      if (!is_whole) ++named;
    } else {
      EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
      if (is_log) {
        EXPECT_THAT(status.message(), AllOf(HasSubstr(path), HasSubstr("node 2")));
      }
      ++named;
    }
    if (is_log) ++logs;
  }
  EXPECT_GE(named, 2);
  EXPECT_GE(logs, 1);
}

// The records of `bytes`, with another version and the checksum that belongs to it.
std::string OfVersion(uint8_t version, const std::string& bytes) {
  constexpr size_t kFixed = 9;
  constexpr size_t kIdentity = 1 + 4 + 1 + 32 + 8;  // whether of all, and whose
  std::string changed;
  for (size_t at = 0; at < bytes.size(); at += 4096) {
    const auto length = LoadLittleEndian<uint32_t>(bytes.data() + at + 5);
    std::string body = bytes.substr(at + kFixed, length);
    if (version == 1) body.erase(16, kIdentity);
    std::string record = bytes.substr(at, 4);
    AppendLittleEndian(&record, version);
    AppendLittleEndian(&record, static_cast<uint32_t>(body.size()));
    record += body;
    AppendLittleEndian(&record, Checksum(version == 1 ? body : record));
    record.resize(4096, '\0');
    changed += record;
  }
  return changed;
}

TEST_F(RocksDbRebuildTest, ALedgerOfTheFormatBeforeIsRead) {
  WriteSome();
  const std::string path = OnlyLedger();
  const std::string old = OfVersion(1, ReadWholeFile(files_, path).value());
  ASSERT_TRUE(WriteFileAtomically(files_, path, old).ok());
  const std::unique_ptr<SimulatedFileSystem> kept = files_.WorstCaseImage();
  ASSERT_EQ(subject_.Open(), absl::OkStatus());
  EXPECT_FALSE(subject_.recovered.hard_state_lost);
  EXPECT_THAT(subject_.disk->notes(), IsEmpty());
  subject_.ExpectNothingWrong();
  // It does not say whose it is.
  ASSERT_TRUE(kept->Remove("/log/db/CURRENT").ok());
  EXPECT_TRUE(absl::IsDataLoss(RocksDbLog::Open(*kept, TestOptions()).status()));
}

TEST_F(RocksDbRebuildTest, ALedgerOfANewerFormatIsRefused) {
  WriteSome();
  const std::string path = OnlyLedger();
  const std::string newer = OfVersion(3, ReadWholeFile(files_, path).value());
  ASSERT_TRUE(WriteFileAtomically(files_, path, newer).ok());
  const absl::Status status = subject_.Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("format 3"));
}

// A disk that refuses is no damage: nothing is repaired.
TEST_F(RocksDbRebuildTest, AWriteThatFailsIsNoDamage) {
  WriteSome();
  files_.set_fault_hook([](const FileAccess& access) {
    FileFault fault;
    const bool writes = access.operation == FileAccess::Operation::kWrite;
    if (writes && absl::StartsWith(access.path, "/log/db/")) fault.error = EIO;
    return fault;
  });
  EXPECT_FALSE(subject_.Open().ok());
  EXPECT_FALSE(files_.Exists("/log/repairing").value());
  files_.set_fault_hook(nullptr);
  Close();
  ASSERT_EQ(subject_.Open(), absl::OkStatus());
  EXPECT_THAT(subject_.recovered.faulty, IsEmpty());
  subject_.ExpectNothingWrong();
}

}  // namespace
}  // namespace cairn

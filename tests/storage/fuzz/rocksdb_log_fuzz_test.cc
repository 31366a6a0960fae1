// Logs in RocksDB made by hand, with checksums that fit (fault catalogue 5.2, row 34): values of
// the database, keys that are gone or new, records of the ledger, whole files of it. Everything
// that reads such a log reads it, writes to it, and reads it again. Each gives an answer or a typed
// error.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "storage/block/log_salvage.h"
#include "storage/checksum.h"
#include "storage/log_scrub.h"
#include "storage/offline/rocksdb_salvage.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/ledger_record.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/rocksdb_inspector.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/fuzz/attempt.h"
#include "tests/storage/fuzz/mutation.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

constexpr size_t kPayloadChecksumAt = 64;
constexpr size_t kRecordHashAt = 104;
constexpr char kEntryKind = 'z';

RocksDbLogOptions FuzzOptions() {
  RocksDbLogOptions options = TestOptions();
  options.write_buffer_bytes = size_t{64} << 10;
  options.walked_bytes = 600;  // so that there are marks, and they count
  return options;
}

// Three groups, one of which is dropped again, one with a truncation and another base.
const SimulatedFileSystem& TheSubject() {
  static const SimulatedFileSystem* const kSubject = [] {
    auto* disk = new SimulatedFileSystem();
    auto log = RocksDbLog::Open(*disk, FuzzOptions()).value();
    for (uint64_t id : {1, 2, 3}) {
      const GroupId group{id};
      LogStore* store = log->OpenGroup(group)->store;
      LogTwin twin(group);
      LogAppend append;
      append.hard_state = HardState{1, NodeId{id}};
      append.runs = {twin.AddRun(1, {"a", std::string(300, 'b'), std::string(900, '\0')})};
      EXPECT_TRUE(store->Append(append).ok());
      LogAppend configuration;
      configuration.runs = {twin.Add(2, "members", EntryType::kConfiguration)};
      EXPECT_TRUE(store->Append(configuration).ok());
      EXPECT_TRUE(SyncOf(*log).ok());
      LogAppend more;
      more.truncate_from = 4;
      twin.TruncateFrom(4);
      more.runs = {twin.AddRun(3, {"another", std::string(700, 'c'), std::string(800, 'd')})};
      more.commit = 3;
      EXPECT_TRUE(store->Append(more).ok());
      if (id == 2) {
        EXPECT_TRUE(store->DropPrefix(2).ok());
      }
      EXPECT_TRUE(SyncOf(*log).ok());
    }
    log->CloseGroup(GroupId{3});
    EXPECT_TRUE(log->DropGroup(GroupId{3}).ok());
    EXPECT_TRUE(SyncOf(*log).ok());
    return disk;
  }();
  return *kSubject;
}

// With the checksum that `key` asks for.
void FitValue(const std::string& key, std::string& value) {
  if (key.size() > 9 && key[9] == kEntryKind) {
    if (value.size() < kRecordHeaderBytes) return;
    StoreLittleEndian(value.data() + kPayloadChecksumAt,
                      Checksum(absl::string_view(value).substr(kRecordHeaderBytes)));
    StoreLittleEndian(value.data() + kRecordHashAt,
                      Hash128(absl::string_view(value).substr(0, kRecordHashAt)).low);
    return;
  }
  if (value.size() < sizeof(uint64_t)) return;
  value.resize(value.size() - sizeof(uint64_t));
  AppendLittleEndian(&value, Checksum(key + value));
}

using Values = std::vector<std::pair<std::string, std::string>>;

// Entries are many; the others are what decides.
const std::pair<std::string, std::string>& Draw(Random& random, const Values& values) {
  const auto& first = values[random.Below(values.size())];
  const bool is_entry = first.first.size() > 9 && first.first[9] == kEntryKind;
  return is_entry ? values[random.Below(values.size())] : first;
}

std::string ChangeDatabase(Random& random, SimulatedFileSystem& disk) {
  auto database =
      OpenDatabase(disk, {.directory = "/log/db", .write_buffer_bytes = size_t{64} << 10});
  EXPECT_TRUE(database.ok()) << database.status();
  Values values;
  {
    std::unique_ptr<rocksdb::Iterator> at(database->db->NewIterator(rocksdb::ReadOptions()));
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
      values.emplace_back(at->key().ToString(), at->value().ToString());
    }
  }
  std::string said;
  for (uint64_t times = 1 + random.Below(2); times > 0; --times) {
    auto [key, value] = Draw(random, values);
    const std::string other = Draw(random, values).second;
    std::string how;
    if (random.OneIn(8)) {
      EXPECT_TRUE(database->db->Delete(rocksdb::WriteOptions(), key).ok());
      how = "is gone";
    } else {
      if (random.OneIn(4)) {
        absl::StrAppend(&how, "as key: ", Mutate(random, values[0].first, key), ", ");
      }
      const bool same_length = random.Chance(2, 3);
      absl::StrAppend(
          &how, same_length ? Mutate(random, other, value) : MutateLength(random, other, value));
      FitValue(key, value);
      EXPECT_TRUE(database->db->Put(rocksdb::WriteOptions(), key, value).ok());
    }
    absl::StrAppend(&said, "key ", absl::BytesToHexString(key), ": ", how, "; ");
  }
  EXPECT_TRUE(database->db->SyncWAL().ok());
  return said;
}

// A head or a list of terms, of which others believe that it is intact.
void ChangeGroup(Random& random, LedgerRecord& record) {
  if (record.groups.empty()) return;
  auto at = record.groups.begin();
  std::advance(at, random.Below(record.groups.size()));
  auto& [id, group] = *at;
  std::string head = EncodeHead(id, group.head);
  Mutate(random, head, head);
  FitValue(HeadKey(id), head);
  const auto decoded_head = DecodeHead(id, head);
  if (decoded_head.ok()) group.head = *decoded_head;
  std::string terms = EncodeTerms(id, group.starts);
  if (random.OneIn(2)) MutateLength(random, head, terms);
  FitValue(TermsKey(id), terms);
  if (auto decoded = DecodeTerms(id, terms); decoded.ok()) group.starts = *decoded;
  if (random.OneIn(4)) group.dropped = !group.dropped;
  if (random.OneIn(4)) group.durable_change = random.Next() >> random.Below(64);
  if (random.OneIn(8)) {
    LedgerGroup copy = group;
    record.groups[GroupId{random.Below(5)}] = std::move(copy);
  }
}

std::string ChangeLedger(Random& random, SimulatedFileSystem& disk) {
  std::vector<std::string> names = disk.List("/log").value();
  std::erase_if(names, [](const std::string& name) { return !absl::StartsWith(name, "acks."); });
  const std::string path = absl::StrCat("/log/", names[random.Below(names.size())]);
  const std::string bytes = ReadWholeFile(disk, path).value();
  std::string changed;
  std::string said = path;
  const uint64_t from = random.Below(bytes.size() / LedgerRecord::kUnit);
  for (size_t at = 0; at < bytes.size();) {
    const absl::string_view rest = absl::string_view(bytes).substr(at);
    auto record = DecodeLedgerRecord(rest);
    if (!record.ok()) break;
    std::string piece(rest.substr(0, record->size));
    if (at / LedgerRecord::kUnit >= from) {
      if (random.OneIn(2)) {
        ChangeGroup(random, record->record);
        if (random.OneIn(4)) record->record.number = random.Next() >> random.Below(64);
        piece = EncodeLedgerRecord(record->record);
        absl::StrAppend(&said, " a group at ", at);
      } else {
        const size_t length = LoadLittleEndian<uint32_t>(piece.data() + 5);
        std::string body = piece.substr(0, 9 + length);
        absl::StrAppend(&said, " at ", at, ": ", MutateLength(random, bytes, body));
        if (body.size() >= 9 && random.OneIn(2)) {
          StoreLittleEndian(body.data() + 5, static_cast<uint32_t>(body.size() - 9));
        }
        AppendLittleEndian(&body, Checksum(body));
        body.resize((body.size() + LedgerRecord::kUnit - 1) / LedgerRecord::kUnit *
                    LedgerRecord::kUnit);
        piece = body;
      }
    }
    changed += piece;
    at += record->size;
  }
  EXPECT_TRUE(WriteFileAtomically(disk, path, changed).ok());
  return said;
}

// Files beside the database: one too many, one that is cut, a repair that was under way.
std::string ChangeFiles(Random& random, SimulatedFileSystem& disk) {
  std::vector<std::string> names = disk.List("/log").value();
  std::erase_if(names, [](const std::string& name) { return !absl::StartsWith(name, "acks."); });
  std::string bytes = ReadWholeFile(disk, absl::StrCat("/log/", names.back())).value();
  if (random.OneIn(2)) {
    const uint64_t number = random.OneIn(2) ? random.Below(9) : random.Next() >> 1;
    const std::string path = absl::StrCat("/log/acks.", absl::Dec(number, absl::kZeroPad20));
    const std::string how = MutateLength(random, bytes, bytes);
    EXPECT_TRUE(WriteFileAtomically(disk, path, bytes).ok());
    return absl::StrCat(path, ": ", how);
  }
  std::string mark = "000008.sst\n000009.log\n../../log/LOCK\n\n/\nMANIFEST-000001\n";
  const std::string how = MutateLength(random, bytes, mark);
  AppendLittleEndian(&mark, Checksum(mark));
  EXPECT_TRUE(WriteFileAtomically(disk, "/log/repairing", mark).ok());
  return absl::StrCat("repairing: ", how);
}

bool IsTyped(const absl::Status& status) {
  return status.ok() || absl::IsDataLoss(status) || absl::IsFailedPrecondition(status);
}

void InspectAll(SimulatedFileSystem& disk) {
  auto log = RocksDbInspector::Open(disk, "/log");
  EXPECT_TRUE(IsTyped(log.status())) << log.status();
  if (!log.ok()) return;
  (*log)->Verify();
  const SalvagePlan plan = PlanSalvage(**log);
  const absl::Status salvaged = Salvage(**log, plan, plan.acknowledgement, disk, "/salvaged");
  EXPECT_TRUE(IsTyped(salvaged)) << salvaged;
}

void UseGroup(GroupId group, const OpenedLog& opened) {
  LogStore& store = *opened.store;
  const LogPosition base = store.base();
  const LogPosition last = store.last();
  for (Index index : {base.index, base.index + 1, last.index - 1, last.index, last.index + 1}) {
    for (const absl::Status& status :
         {store.Read(index, last.index, 10'000).status(), store.HashAt(index).status()}) {
      EXPECT_TRUE(IsTyped(status) || absl::IsOutOfRange(status)) << status;
    }
  }
  const auto hash = store.HashAt(last.index);
  if (!hash.ok() || last.index >= kMaxIndex || last.term >= kMaxTerm) return;
  if (opened.recovered.torn_from || !opened.recovered.faulty.empty()) return;
  RecordRunBuilder builder(group, last, *hash);
  builder.Add(PreparedEntry::Make(EntryType::kCommand, "behind it"), last.term + 1, WallTime{1});
  LogAppend append;
  append.runs = {std::move(builder).Build()};
  const absl::Status status = store.Append(append);
  EXPECT_TRUE(IsTyped(status) || absl::IsInvalidArgument(status)) << status;
}

void UseLog(SimulatedFileSystem& disk) {
  auto log = RocksDbLog::Open(disk, FuzzOptions());
  EXPECT_TRUE(IsTyped(log.status())) << log.status();
  if (!log.ok()) return;
  for (const GroupId group : (*log)->Groups()) {
    absl::StatusOr<OpenedLog> opened = (*log)->OpenGroup(group);
    EXPECT_TRUE(IsTyped(opened.status())) << opened.status();
    if (opened.ok()) UseGroup(group, *opened);
  }
  ScrubPosition position;
  for (int step = 0; step < 100; ++step) {
    if ((*log)->scrub()->Step(position, 1 << 20).round_ended) break;
  }
  const absl::Status status = SyncOf(**log);
  EXPECT_TRUE(IsTyped(status)) << status;
}

void Try(uint64_t seed) {
  Random random(seed);
  const auto disk = TheSubject().WorstCaseImage();
  std::string what;
  if (const uint64_t draw = random.Below(8); draw < 4) {
    what = ChangeDatabase(random, *disk);
  } else if (draw < 7) {
    what = ChangeLedger(random, *disk);
  } else {
    what = ChangeFiles(random, *disk);
  }
  Trying(absl::StrCat("rocksdb seed ", seed, ": ", what));
  InspectAll(*disk);
  UseLog(*disk);
  // And what that has made of it.
  UseLog(*disk);
}

TEST(RocksDbLogFuzzTest, ChecksumsThatFit) {
  TheSubject();
  ForEachSeed("rocksdb", 150, uint64_t{1} << 30, Try);
}

}  // namespace
}  // namespace cairn

// Tables with bad blocks are replaced by the scrub, whatever stood in them, and whatever is done to
// the log meanwhile: nothing is lost, and nothing comes back.

#include "storage/rocksdb/table_replacement.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "storage/file_system.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kGroups = 3;

// What stands under each key, but for marks, and the number of its change in a head, which a repair
// changes.
using Content = std::map<std::string, std::string>;

void Note(const std::string& key, std::string value, Content& content) {
  const std::optional<GroupId> group = GroupOfKey(key);
  if (group && key == MarkKey(*group)) return;
  if (group && key == HeadKey(*group)) {
    LogHead head = DecodeHead(*group, value).value();
    head.change = 0;
    value = EncodeHead(*group, head);
  }
  content[key] = std::move(value);
}

// Some groups' logs in one database, and their twins.
class Logs {
 public:
  Logs(SimulatedFileSystem& files, uint64_t seed) : files_(files), random_(seed) {
    options_.merges_tables = false;  // on its own: tables stay where a test has put them
  }

  RocksDbLogOptions& options() { return options_; }
  RocksDbLog& disk() { return *disk_; }
  std::map<GroupId, LogTwin>& twins() { return twins_; }
  LogStore& store(GroupId group) { return *stores_.at(group); }

  // Which writes a table of what was in memory, at level 0.
  void Reopen() {
    Close();
    disk_ = RocksDbLog::Open(files_, options_).value();
    EXPECT_THAT(disk_->notes(), IsEmpty());
    for (uint64_t id = 1; id <= kGroups; ++id) Open(GroupId{id});
  }
  void Close() {
    stores_.clear();
    disk_ = nullptr;
  }
  // All tables become some at level 1.
  void MergeAll() {
    Close();
    const Database database = OpenDatabase(files_, {.directory = "/log/db"}).value();
    rocksdb::CompactRangeOptions all;
    all.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    // Into some tables, of several blocks each.
    ASSERT_TRUE(database.db->SetOptions({{"target_file_size_base", "100000"}}).ok());
    ASSERT_TRUE(database.db->CompactRange(all, nullptr, nullptr).ok());
  }
  Content Dump() {
    Close();
    const DatabaseOptions options = {.directory = "/log/db", .merges_tables = false};
    const Database database = OpenDatabase(files_, options).value();
    const std::unique_ptr<rocksdb::Iterator> at(database.db->NewIterator(rocksdb::ReadOptions()));
    Content content;
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
      Note(at->key().ToString(), at->value().ToString(), content);
    }
    EXPECT_TRUE(at->status().ok()) << at->status().ToString();
    return content;
  }

  void Append(GroupId group, std::optional<Index> truncate_from) {
    LogTwin& twin = twins_.at(group);
    if (truncate_from) {
      twin.TruncateFrom(*truncate_from);
      ++term_;
    }
    LogAppend append;
    append.truncate_from = truncate_from;
    append.runs = {twin.AddRun(term_, {std::string(random_.Below(3000), 'x'), "y"})};
    const absl::Status status = store(group).Append(append);
    ASSERT_TRUE(status.ok()) << status;
  }
  void TruncateSomewhere() {
    const GroupId group{1 + random_.Below(kGroups)};
    const LogTwin& twin = twins_.at(group);
    const Index from = twin.base + 1 + random_.Below(twin.last() - twin.base + 1);
    Append(group, from > twin.last() ? std::nullopt : std::optional(from));
  }
  // Anything that changes a log.
  void ChangeSomething() {
    const GroupId group{1 + random_.Below(kGroups)};
    LogTwin& twin = twins_.at(group);
    switch (random_.Below(12)) {
      case 0:
        if (twin.last() == twin.base) break;
        return Append(group, twin.base + 1 + random_.Below(twin.last() - twin.base));
      case 1:
        if (twin.last() == twin.base) break;
        twin.base += random_.Below(twin.last() - twin.base + 1);
        ASSERT_TRUE(store(group).DropPrefix(twin.base).ok());
        return;
      case 2:
        if (!random_.OneIn(4)) break;
        disk_->CloseGroup(group);
        ASSERT_TRUE(disk_->DropGroup(group).ok());
        twins_.erase(group);
        Open(group);
        return;
      case 3:
        if (!random_.OneIn(4)) break;
        Append(group, std::nullopt);
        twin.base = twin.last();
        ASSERT_TRUE(store(group).Reset(twin.PositionAt(twin.base), twin.HashAt(twin.base)).ok());
        return;
      case 4:
        if (twin.last() == twin.base) break;
        ASSERT_TRUE(store(group).Repair({RunOf(group, twin.last())}).ok());
        return;
      case 5:
        ASSERT_TRUE(SyncOf(*disk_).ok());
        return;
      default:
        break;
    }
    Append(group, std::nullopt);
  }
  RecordRun RunOf(GroupId group, Index index) {
    return RecordRun::Parse(group, Bytes::Copy(twins_.at(group).At(index).record)).value();
  }

  void ExpectAsTwins() {
    for (const auto& [group, twin] : twins_) {
      SCOPED_TRACE(absl::StrCat("group ", ToInteger(group)));
      ASSERT_EQ(store(group).last(), twin.PositionAt(twin.last()));
      ASSERT_EQ(store(group).base().index, twin.base);
      for (Index index = twin.base + 1; index <= twin.last(); ++index) {
        const auto run = store(group).Read(index, index, kNoLimit);
        ASSERT_TRUE(run.ok()) << index << ": " << run.status();
        ASSERT_TRUE((*run)[0][0].bytes() == twin.At(index).record) << index;
      }
    }
  }

  // Nor anything else of them.
  void ExpectOnlyTwins(const Content& content) {
    Content entries;
    for (const auto& [key, value] : content) {
      if (IsEntryKey(key)) entries[key] = value;
    }
    Content expected;
    for (const auto& [group, twin] : twins_) {
      for (Index index = twin.base + 1; index <= twin.last(); ++index) {
        expected[EntryKey(group, index)] = twin.At(index).record;
      }
    }
    EXPECT_TRUE(entries == expected) << entries.size() << " and not " << expected.size();
  }

  struct Round {
    std::vector<std::string> healed = {};
    std::vector<std::string> avoided = {};
    size_t damaged = 0;
    bool quiet() const { return healed.empty() && avoided.empty() && damaged == 0; }
  };
  // Repairs what it finds at once unless somebody wants to know it, and may do something between
  // two steps.
  template <typename Between>
  Round Scrub(uint64_t max_bytes, Between between, ScrubPosition position = {},
              std::vector<ScrubFinding>* damaged = nullptr) {
    Round round;
    for (int i = 0; i < 100'000; ++i) {
      const ScrubStep step = disk_->scrub()->Step(position, max_bytes);
      for (const ScrubFinding& finding : step.damaged) {
        if (damaged == nullptr) {
          Repair(finding);
        } else {
          damaged->push_back(finding);
        }
      }
      round.damaged += step.damaged.size();
      round.healed.insert(round.healed.end(), step.healed.begin(), step.healed.end());
      round.avoided.insert(round.avoided.end(), step.avoided.begin(), step.avoided.end());
      if (step.round_ended) return round;
      between();
    }
    ADD_FAILURE() << "a round without end";
    return round;
  }
  Round Scrub() {
    return Scrub(4096, [] {});
  }
  void Repair(const ScrubFinding& finding) {
    const auto twin = twins_.find(finding.group);
    if (twin == twins_.end() || finding.at.index > twin->second.last()) return;
    if (twin->second.PositionAt(finding.at.index) != finding.at) return;
    // One whose neighbours are bad is proven by those up to the next good one.
    std::string rest;
    for (Index index = finding.at.index; index <= twin->second.last(); ++index) {
      rest += twin->second.At(index).record;
      const auto run = RecordRun::Parse(finding.group, Bytes::Copy(rest));
      if (store(finding.group).Repair({run.value()}).ok()) return;
    }
  }

  std::vector<std::string> Tables() {
    std::vector<std::string> tables;
    const std::vector<std::string> names = files_.List("/log/db").value();
    for (const std::string& name : names) {
      if (absl::EndsWith(name, ".sst")) tables.push_back(absl::StrCat("/log/db/", name));
    }
    return tables;
  }
  // In the part of the table where its data is.
  void FlipIn(const std::string& table) {
    const uint64_t size = ReadWholeFile(files_, table).value().size();
    const uint64_t at = random_.Below(size > 3000 ? size - 1500 : size / 2);
    files_.FlipBits(table, at, static_cast<uint8_t>(1 << random_.Below(8)));
  }
  Random& random() { return random_; }

 private:
  void Open(GroupId group) {
    twins_.try_emplace(group, group);
    stores_[group] = disk_->OpenGroup(group)->store;
  }
  SimulatedFileSystem& files_;
  RocksDbLogOptions options_ = TestOptions();
  Random random_;
  Term term_ = 1;
  std::map<GroupId, LogTwin> twins_;
  std::unique_ptr<RocksDbLog> disk_;
  std::map<GroupId, LogStore*> stores_;
};

// Tables at both levels, with values that were overwritten and deleted since; open.
void Fill(Logs& logs) {
  for (int table = 0; table < 6; ++table) {
    logs.Reopen();
    for (int i = 0; i < 40; ++i) ASSERT_NO_FATAL_FAILURE(logs.ChangeSomething());
    ASSERT_TRUE(SyncOf(logs.disk()).ok());
    if (table != 2) continue;
    ASSERT_NO_FATAL_FAILURE(logs.MergeAll());
  }
  logs.Reopen();
}

// All that a scrub of one round after the other makes of it: entries may be bad in the first one,
// and then none, as none is lost.
void ScrubUntilQuiet(Logs& logs, uint64_t* healed, bool finds_entries = false) {
  for (int rounds = 0; rounds < 6; ++rounds) {
    const Logs::Round round = logs.Scrub();
    *healed += round.healed.size();
    EXPECT_TRUE(round.damaged == 0 || (finds_entries && rounds == 0)) << round.damaged;
    if (round.quiet()) return;
  }
  ADD_FAILURE() << "it finds something again and again";
}

void ExpectAllTablesAreGood(SimulatedFileSystem& files) {
  const DatabaseOptions options = {.directory = "/log/db", .merges_tables = false};
  const Database database = OpenDatabase(files, options).value();
  const rocksdb::Status status = database.db->VerifyChecksum();
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// Each table in turn, of which one block is bad: afterwards all keys and values are as they were,
// no more and no less, also when everything is merged, in which older values would come to light.
TEST(TableReplacementTest, EachTableInTurn) {
  uint64_t healed = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SimulatedFileSystem origin;
    Logs written(origin, seed);
    ASSERT_NO_FATAL_FAILURE(Fill(written));
    const Content before = written.Dump();
    const std::vector<std::string> tables = written.Tables();
    ASSERT_GE(tables.size(), 4u);
    for (const std::string& table : tables) {
      SCOPED_TRACE(absl::StrCat("seed ", seed, ", ", table));
      const std::unique_ptr<SimulatedFileSystem> image = origin.WorstCaseImage();
      Logs logs(*image, seed);
      logs.twins() = written.twins();
      logs.Reopen();
      logs.FlipIn(table);
      ASSERT_NO_FATAL_FAILURE(ScrubUntilQuiet(logs, &healed, /*finds_entries=*/true));
      EXPECT_FALSE(image->Exists(table).value());
      ASSERT_NO_FATAL_FAILURE(logs.ExpectAsTwins());
      EXPECT_TRUE(logs.Dump() == before) << "without what a start would take from the ledger";
      logs.Reopen();
      ASSERT_NO_FATAL_FAILURE(logs.ExpectAsTwins());
      EXPECT_TRUE(logs.Dump() == before);
      ExpectAllTablesAreGood(*image);
      ASSERT_NO_FATAL_FAILURE(logs.MergeAll());
      EXPECT_TRUE(logs.Dump() == before);
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GE(healed, 24u);
}

// Between two steps, and between a read of a piece and its write, anything may be done to the log.
TEST(TableReplacementTest, WhateverIsDoneMeanwhile) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    SimulatedFileSystem files;
    Logs logs(files, seed);
    ASSERT_NO_FATAL_FAILURE(Fill(logs));
    const std::vector<std::string> tables = logs.Tables();
    logs.FlipIn(tables[logs.random().Below(tables.size())]);
    ScrubPosition position;
    while (position.batch == 0) {
      for (const ScrubFinding& finding : logs.disk().scrub()->Step(position, 3000).damaged) {
        logs.Repair(finding);
      }
    }
    bool changing = false;
    const std::thread::id scrub = std::this_thread::get_id();
    files.set_fault_hook([&](const FileAccess& access) {
      const bool of_a_table =
          access.operation == FileAccess::Operation::kRead && absl::EndsWith(access.path, ".sst");
      if (!of_a_table || std::this_thread::get_id() != scrub || changing) return FileFault();
      changing = true;  // what this reads changes nothing
      // RocksDB is not entered twice by one thread.
      if (logs.random().OneIn(3)) {
        std::thread([&] {
          logs.ChangeSomething();
          logs.TruncateSomewhere();
        }).join();
      }
      changing = false;
      return FileFault();
    });
    const Logs::Round round = logs.Scrub(
        seed % 2 == 0 ? 3000 : 100'000,
        [&] {
          changing = true;
          logs.ChangeSomething();
          changing = false;
        },
        position);
    files.set_fault_hook(nullptr);
    ASSERT_FALSE(testing::Test::HasFailure());
    uint64_t healed = round.healed.size();
    ASSERT_NO_FATAL_FAILURE(ScrubUntilQuiet(logs, &healed));
    ASSERT_NO_FATAL_FAILURE(logs.ExpectAsTwins());
    ASSERT_TRUE(SyncOf(logs.disk()).ok());
    logs.Reopen();
    ASSERT_NO_FATAL_FAILURE(logs.ExpectAsTwins());
    const Content content = logs.Dump();
    ASSERT_NO_FATAL_FAILURE(logs.ExpectOnlyTwins(content));
    ExpectAllTablesAreGood(files);
    ASSERT_NO_FATAL_FAILURE(logs.MergeAll());
    EXPECT_TRUE(logs.Dump() == content);
    if (testing::Test::HasFailure()) return;
  }
}

// Of what nobody has repaired nothing is given up: the table stays, is named in each round, and
// goes when that was done.
TEST(TableReplacementTest, WhatIsNeededAndCannotBeReadIsNotDropped) {
  for (const bool merged : {false, true}) {
    SCOPED_TRACE(merged);
    SimulatedFileSystem files;
    Logs logs(files, 7);
    logs.Reopen();
    for (int i = 0; i < 700; ++i) ASSERT_NO_FATAL_FAILURE(logs.Append(GroupId{2}, std::nullopt));
    ASSERT_TRUE(SyncOf(logs.disk()).ok());
    if (merged) {
      ASSERT_NO_FATAL_FAILURE(logs.MergeAll());
    }
    logs.Reopen();
    // Of those of level 1 one that has entries and nothing else.
    ASSERT_GE(logs.Tables().size(), merged ? 8u : 1u);
    const std::string table = logs.Tables()[merged ? 4 : 0];
    const std::string content = ReadWholeFile(files, table).value();
    files.FlipBits(table, content.size() / 2, 1);
    std::vector<ScrubFinding> damaged;
    for (int rounds = 0; rounds < 3; ++rounds) {
      damaged.clear();
      const Logs::Round round = logs.Scrub(
          4096, [] {}, {}, &damaged);
      EXPECT_FALSE(damaged.empty());
      EXPECT_THAT(round.healed, IsEmpty());
      ASSERT_THAT(round.avoided,
                  ElementsAre(AllOf(HasSubstr(table), HasSubstr("which is needed"))));
      files.FlipBits(table, content.size() / 2, 1);
      EXPECT_TRUE(ReadWholeFile(files, table).value() == content) << "as it was";
      ASSERT_NO_FATAL_FAILURE(logs.ExpectAsTwins());
      files.FlipBits(table, content.size() / 2, 1);
    }
    for (const ScrubFinding& finding : damaged) logs.Repair(finding);
    uint64_t healed = 0;
    ASSERT_NO_FATAL_FAILURE(ScrubUntilQuiet(logs, &healed));
    EXPECT_EQ(healed, 1u);
    EXPECT_FALSE(files.Exists(table).value());
    ASSERT_NO_FATAL_FAILURE(logs.ExpectAsTwins());
  }
}

// At any call: it has what was there before, in the one place or the other.
TEST(TableReplacementTest, APowerCutAtEachCall) {
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    SimulatedFileSystem files;
    Logs logs(files, seed);
    ASSERT_NO_FATAL_FAILURE(Fill(logs));
    const std::vector<std::string> tables = logs.Tables();
    for (const std::string& table : {tables.front(), tables.back()}) {
      SCOPED_TRACE(absl::StrCat("seed ", seed, ", ", table));
      logs.FlipIn(table);
      ScrubPosition position;
      while (position.batch == 0) {
        for (const ScrubFinding& finding : logs.disk().scrub()->Step(position, 3000).damaged) {
          logs.Repair(finding);
        }
      }
      ASSERT_TRUE(SyncOf(logs.disk()).ok());
      Mutex mutex;
      std::vector<std::unique_ptr<SimulatedFileSystem>> images;
      files.set_fault_hook([&](const FileAccess& access) {
        if (access.operation == FileAccess::Operation::kRead) return FileFault();
        if (access.operation == FileAccess::Operation::kReadDirect) return FileFault();
        MutexLock lock(mutex);
        images.push_back(files.WorstCaseImage());
        return FileFault();
      });
      EXPECT_EQ(logs.Scrub(
                        3000, [] {}, position)
                    .healed.size(),
                1u);
      files.set_fault_hook(nullptr);
      MutexLock lock(mutex);
      images.push_back(files.WorstCaseImage());
      size_t without = 0;
      for (const auto& image : images) {
        Logs later(*image, seed);
        later.twins() = logs.twins();
        later.Reopen();
        ASSERT_NO_FATAL_FAILURE(later.ExpectAsTwins());
        if (!image->Exists(table).value()) ++without;
        if (testing::Test::HasFailure()) return;
      }
      EXPECT_GE(without, 1u);
      EXPECT_LT(without, images.size() / 2) << "nothing goes before it is written anew";
    }
  }
}

uint64_t BytesOf(SimulatedFileSystem& files) {
  uint64_t bytes = 0;
  for (const std::string directory : {"/log", "/log/db"}) {
    const std::vector<std::string> names = files.List(directory).value();
    for (const std::string& name : names) {
      bytes += ReadWholeFile(files, absl::StrCat(directory, "/", name)).value_or("").size();
    }
  }
  return bytes;
}

// It is not begun where the disk would be full of it, and is done when there is room.
TEST(TableReplacementTest, WithoutRoomNothingIsBegun) {
  SimulatedFileSystem files;
  Logs logs(files, 3);
  logs.options().write_buffer_bytes = 64 << 10;
  ASSERT_NO_FATAL_FAILURE(Fill(logs));
  logs.FlipIn(logs.Tables().back());
  ScrubPosition position;
  while (position.batch == 0) {
    for (const ScrubFinding& finding : logs.disk().scrub()->Step(position, 3000).damaged) {
      logs.Repair(finding);
    }
  }
  ASSERT_TRUE(SyncOf(logs.disk()).ok());
  const uint64_t used = BytesOf(files);
  files.set_capacity_bytes(used + (512 << 10));
  const std::vector<std::string> tables = logs.Tables();
  const Logs::Round round = logs.Scrub(
      3000, [] {}, position);
  EXPECT_THAT(round.healed, IsEmpty());
  EXPECT_THAT(round.avoided, ElementsAre(HasSubstr("when there is room for")));
  EXPECT_EQ(logs.Tables(), tables);
  EXPECT_LE(BytesOf(files), used + (8 << 10)) << "what was taken to see is given back";
  EXPECT_TRUE(logs.disk().has_room());
  ASSERT_NO_FATAL_FAILURE(logs.ExpectAsTwins());
  files.set_capacity_bytes(used + (64 << 20));
  uint64_t healed = 0;
  ASSERT_NO_FATAL_FAILURE(ScrubUntilQuiet(logs, &healed));
  EXPECT_EQ(healed, 1u);
  ASSERT_NO_FATAL_FAILURE(logs.ExpectAsTwins());
}

// What is written anew is many tables, of which none is merged meanwhile: nobody waits until they
// are, although each write would at so many.
TEST(TableReplacementTest, NoWriteWaitsForWhatHasPiledUp) {
  SimulatedFileSystem files;
  Logs logs(files, 5);
  logs.options().write_buffer_bytes = 64 << 10;
  logs.Reopen();
  for (int i = 0; i < 2000; ++i) ASSERT_NO_FATAL_FAILURE(logs.Append(GroupId{1}, std::nullopt));
  ASSERT_TRUE(SyncOf(logs.disk()).ok());
  logs.Close();
  logs.options().merges_tables = true;
  logs.Reopen();
  ASSERT_TRUE(ComesTrue([&] { return logs.Tables().size() < 20; }));
  // The smallest one, which is at level 0.
  ASSERT_NO_FATAL_FAILURE(logs.Append(GroupId{2}, std::nullopt));
  logs.Reopen();
  const std::vector<std::string> tables = logs.Tables();
  const auto size_of = [&files](const std::string& table) {
    return ReadWholeFile(files, table).value().size();
  };
  logs.FlipIn(*std::min_element(tables.begin(), tables.end(),
                                [&](const std::string& one, const std::string& other) {
                                  return size_of(one) < size_of(other);
                                }));
  // From when the old tables go none is begun, so none is merged.
  Mutex mutex;
  CondVar changed;
  bool held = false;
  files.set_fault_hook([&](const FileAccess& access) {
    if (!absl::EndsWith(access.path, ".sst")) return FileFault();
    const bool begun =
        access.operation == FileAccess::Operation::kOpen && !files.Exists(access.path).value();
    MutexLock lock(mutex);
    if (access.operation == FileAccess::Operation::kRemove) held = true;
    while (begun && held) changed.Wait(mutex);
    return FileFault();
  });
  uint64_t healed = 0;
  size_t most = 0;
  ScrubPosition position;
  for (bool ended = false; !ended;) {
    const ScrubStep step = logs.disk().scrub()->Step(position, 64 << 10);
    for (const ScrubFinding& finding : step.damaged) logs.Repair(finding);
    for (const std::string& what : step.healed) healed += absl::StrContains(what, ".sst") ? 1 : 0;
    most = std::max(most, logs.Tables().size());
    ended = step.round_ended;
  }
  for (int i = 0; i < 10; ++i) {
    ASSERT_NO_FATAL_FAILURE(logs.Append(GroupId{2}, std::nullopt));
    ASSERT_TRUE(SyncOf(logs.disk()).ok());
  }
  {
    MutexLock lock(mutex);
    EXPECT_TRUE(held);
    held = false;
    changed.NotifyAll();
  }
  EXPECT_TRUE(ComesTrue([&] { return logs.Tables().size() < 20; })) << logs.Tables().size();
  files.set_fault_hook(nullptr);
  EXPECT_EQ(healed, 1u);
  EXPECT_GT(most, 40u);
  ASSERT_NO_FATAL_FAILURE(logs.ExpectAsTwins());
}

}  // namespace
}  // namespace cairn

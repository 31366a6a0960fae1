#include "storage/offline/log_copy.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/block/block_log.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/offline/random_log.h"

namespace cairn {
namespace {

const LogIdentity kIdentity = {{}, NodeId{3}, Incarnation{77}};

std::unique_ptr<LogDisk> Open(FileSystem& file_system, const std::string& store,
                              const std::string& directory) {
  if (store == "rocksdb") {
    RocksDbLogOptions options;
    options.directory = directory;
    options.identity = kIdentity;
    auto log = RocksDbLog::Open(file_system, options);
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }
  BlockLogOptions options;
  options.directory = directory;
  options.identity = kIdentity;
  options.geometry = {.block_bytes = 64 << 10, .unit_bytes = 4096};
  auto log = BlockLog::Open(file_system, options);
  EXPECT_TRUE(log.ok()) << log.status();
  return *std::move(log);
}

std::unique_ptr<LogView> View(FileSystem& file_system, const std::string& directory) {
  auto view = OpenLogView(file_system, directory);
  EXPECT_TRUE(view.ok()) << view.status();
  return *std::move(view);
}

void Sync(LogDisk& disk) {
  disk.Sync([](absl::Status status) { ASSERT_TRUE(status.ok()) << status; });
}

const CopyProgress kSilent = [](uint64_t) {};

class LogCopyTest : public testing::TestWithParam<std::pair<std::string, std::string>> {
 protected:
  // Fills a log of the first store, copies it to one of the second.
  CopiedGroups Copy(uint64_t seed, int steps = 60) {
    Random random(seed);
    twins_ = FillByChance(*Open(file_system_, GetParam().first, "/from"), random, steps);
    const std::unique_ptr<LogView> from = View(file_system_, "/from");
    EXPECT_EQ(from->store(), GetParam().first);
    const absl::Status whole = CheckWhole(*from);
    EXPECT_TRUE(whole.ok()) << whole;
    const std::unique_ptr<LogDisk> to = Open(file_system_, GetParam().second, "/to");
    auto copied = CopyLog(*from, *to, kSilent);
    EXPECT_TRUE(copied.ok()) << copied.status();
    return copied.ok() ? *std::move(copied) : CopiedGroups();
  }

  SimulatedFileSystem file_system_;
  LogTwins twins_;
};

TEST_P(LogCopyTest, AllOfAllGroupsIsThereAfterAPowerCut) {
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(seed);
    SimulatedFileSystem fresh;
    Random random(seed);
    LogTwins twins;
    std::map<GroupId, Index> known;
    {
      const auto from = Open(fresh, GetParam().first, "/from");
      twins = FillByChance(*from, random, 60);
    }
    const auto from = View(fresh, "/from");
    ASSERT_TRUE(CheckWhole(*from).ok());
    {
      const auto to = Open(fresh, GetParam().second, "/to");
      const auto copied = CopyLog(*from, *to, kSilent);
      ASSERT_TRUE(copied.ok()) << copied.status();
      const absl::Status same = CheckCopy(*copied, *View(fresh, "/to"), kSilent);
      ASSERT_TRUE(same.ok()) << same;
      ASSERT_EQ(copied->size(), twins.size());
      for (const auto& [group, each] : *copied) {
        EXPECT_EQ(each.entries, twins.at(group).last() - twins.at(group).base);
        known[group] = each.group.known_commit;
      }
    }
    Random cut(seed);
    fresh.Crash(CrashPolicy::kDropAll, cut);
    const auto to = Open(fresh, GetParam().second, "/to");
    ASSERT_EQ(to->Groups().size(), twins.size());
    for (const auto& [group, twin] : twins) {
      auto opened = to->OpenGroup(group);
      ASSERT_TRUE(opened.ok()) << opened.status();
      ExpectHolds(*opened, twin);
      EXPECT_EQ(opened->recovered.known_commit, known[group]);
    }
    if (HasFailure()) return;
  }
}

TEST_P(LogCopyTest, ACopyThatIsAnotherOneIsFound) {
  const CopiedGroups copied = Copy(5);
  ASSERT_FALSE(copied.empty());
  EXPECT_TRUE(CheckCopy(copied, *View(file_system_, "/to"), kSilent).ok());
  auto differs = [&](const CopiedGroups& other, const std::string& what) {
    const absl::Status status = CheckCopy(other, *View(file_system_, "/to"), kSilent);
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
  };
  const GroupId id = copied.begin()->first;
  CopiedGroups other = copied;
  other.erase(id);
  differs(other, "groups");
  other = copied;
  ++other[id].digest;
  differs(other, "an entry");
  other = copied;
  ++other[id].group.hard_state.term;
  differs(other, "term and vote");
  other = copied;
  ++other[id].group.known_commit;
  differs(other, "known commit");
  other = copied;
  ++other[id].group.base_hash.low;
  differs(other, "the base");
  // A vote more.
  {
    const auto to = Open(file_system_, GetParam().second, "/to");
    LogAppend append;
    append.hard_state = HardState{1'000'000, NodeId{1}};
    ASSERT_TRUE(to->OpenGroup(id)->store->Append(append).ok());
    Sync(*to);
  }
  differs(copied, "term and vote");
}

TEST_P(LogCopyTest, AnEntryThatRottedIsNamed) {
  Random random(3);
  LogTwins twins = FillByChance(*Open(file_system_, GetParam().first, "/from"), random, 60);
  // One whose record stands somewhere in the files.
  const LogTwin& twin = twins.begin()->second;
  ASSERT_GT(twin.last(), twin.base);
  const std::string& record = twin.At(twin.base + 1).record;
  const std::string directory = GetParam().first == "block" ? "/from" : "/from/db";
  const std::vector<std::string> names = file_system_.List(directory).value();
  int flipped = 0;
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(directory, "/", name);
    const auto content = ReadWholeFile(file_system_, path);
    if (!content.ok()) continue;
    const size_t at = content->find(record);
    if (at == std::string::npos) continue;
    file_system_.FlipBits(path, at + record.size() - 1, 0x10);
    ++flipped;
  }
  ASSERT_GT(flipped, 0);
  const absl::Status status = CheckWhole(*View(file_system_, "/from"));
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_TRUE(absl::StrContains(
      status.message(), absl::StrCat("group ", ToInteger(twin.group()), ", entry ", twin.base + 1)))
      << status;
}

INSTANTIATE_TEST_SUITE_P(Stores, LogCopyTest,
                         testing::Values(std::pair("block", "rocksdb"),
                                         std::pair("rocksdb", "block"), std::pair("block", "block"),
                                         std::pair("rocksdb", "rocksdb")),
                         [](const auto& tested) {
                           return absl::StrCat(tested.param.first, "_", tested.param.second);
                         });

// A sync that lied, and the power cut behind it: whether the last entries were acknowledged is for
// the cluster to say, not for a copy.
// That a group may have forgotten promises is said by the copy, too.
TEST(LostLogCopyTest, WhatIsLostGoesAlong) {
  SimulatedFileSystem file_system;
  BlockLogOptions options;
  options.identity = kIdentity;
  options.geometry = {.block_bytes = 64 << 10, .unit_bytes = 4096};
  options.new_groups_are_lost = true;
  options.directory = "/from";
  LogTwin lost(GroupId{1});
  LogTwin sure(GroupId{2});
  {
    const auto disk = BlockLog::Open(file_system, options).value();
    for (LogTwin* twin : {&lost, &sure}) {
      LogAppend append;
      append.hard_state = twin->hard_state = HardState{3, NodeId{2}};
      append.runs = {twin->AddRun(3, {"x"})};
      append.sure = twin == &sure;
      ASSERT_TRUE(disk->OpenGroup(twin->group())->store->Append(append).ok());
    }
    Sync(*disk);
  }
  const std::unique_ptr<LogView> from = View(file_system, "/from");
  EXPECT_EQ(CheckWhole(*from), absl::OkStatus());
  EXPECT_TRUE(Forgets(*from));
  options.directory = "/to";
  CopiedGroups copied;
  {
    const auto disk = BlockLog::Open(file_system, options).value();
    copied = CopyLog(*from, *disk, kSilent).value();
  }
  const std::unique_ptr<LogView> copy = View(file_system, "/to");
  EXPECT_EQ(CheckCopy(copied, *copy, kSilent), absl::OkStatus());
  EXPECT_TRUE(copy->Groups().at(GroupId{1}).hard_state_lost);
  EXPECT_FALSE(copy->Groups().at(GroupId{2}).hard_state_lost);
  copied[GroupId{2}].group.hard_state_lost = true;
  EXPECT_FALSE(CheckCopy(copied, *copy, kSilent).ok());
}

TEST(CheckWholeTest, AnUndecidedEndIsRefused) {
  for (const std::string store : {"rocksdb", "block"}) {
    SCOPED_TRACE(store);
    SimulatedFileSystem file_system;
    LogTwin twin(GroupId{1});
    auto disk = Open(file_system, store, "/from");
    LogStore& log = *disk->OpenGroup(GroupId{1})->store;
    for (Term term = 1; term <= 2; ++term) {
      if (term == 2) {
        file_system.set_fault_hook([&](const FileAccess& access) {
          FileFault fault;
          const bool data = access.operation == FileAccess::Operation::kWrite &&
                            absl::EndsWith(access.path, ".block") && access.length > 8192;
          const bool sync = access.operation == FileAccess::Operation::kSync &&
                            absl::EndsWith(access.path, ".log");
          fault.lost = data || sync;
          return fault;
        });
      }
      LogAppend append;
      append.hard_state = HardState{term, NodeId{2}};
      append.runs = {twin.AddRun(term, {std::string(20'000, 'x'), std::string(900, 'y')})};
      ASSERT_TRUE(log.Append(append).ok());
      Sync(*disk);
    }
    disk = nullptr;
    Random random(1);
    file_system.Crash(CrashPolicy::kDropAll, random);
    file_system.set_fault_hook(nullptr);
    const absl::Status status = CheckWhole(*View(file_system, "/from"));
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "group 1, entry 3")) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "start the node")) << status;
  }
}

}  // namespace
}  // namespace cairn

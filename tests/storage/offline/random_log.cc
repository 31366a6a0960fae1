#include "tests/storage/offline/random_log.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr GroupId kGroups[] = {GroupId{1}, GroupId{2}, GroupId{7}, GroupId{1000}};

void SyncNow(LogDisk& disk) {
  absl::Status result = absl::UnknownError("not called");
  disk.Sync([&result](absl::Status status) { result = std::move(status); });
  CAIRN_CHECK(result.ok()) << result;
}

class Life {
 public:
  Life(LogDisk& disk, Random& random) : disk_(disk), random_(random) {}

  void Step() {
    const GroupId id = kGroups[random_.Below(std::size(kGroups))];
    Open(id);
    switch (random_.Below(16)) {
      case 0:
        Drop(id);
        break;
      case 1:
        Reset(id);
        break;
      case 2:
        if (random_.OneIn(3)) Forget(id);
        break;
      default:
        Append(id);
    }
    if (!random_.OneIn(3)) SyncNow(disk_);
  }

  LogTwins Finish() {
    SyncNow(disk_);
    for (const auto& [id, store] : stores_) disk_.CloseGroup(id);
    return std::move(twins_);
  }

 private:
  void Open(GroupId id) {
    if (twins_.contains(id)) return;
    absl::StatusOr<OpenedLog> opened = disk_.OpenGroup(id);
    CAIRN_CHECK(opened.ok()) << opened.status();
    stores_[id] = opened->store;
    LogTwin& twin = twins_.emplace(id, LogTwin(id)).first->second;
    twin.hard_state = {++term_, NodeId{1 + random_.Below(3)}};
    LogAppend append;
    append.hard_state = twin.hard_state;
    CAIRN_CHECK(opened->store->Append(append).ok());
  }

  std::string Payload() {
    std::string payload(random_.Below(random_.OneIn(8) ? 9000 : 60), '\0');
    if (random_.OneIn(5)) return payload;  // masked on disk
    for (char& each : payload) each = static_cast<char>(random_.Below(256));
    return payload;
  }

  void Append(GroupId id) {
    LogTwin& twin = twins_.at(id);
    Index& committed = committed_[id];
    committed = std::max(committed, twin.base);
    LogAppend append;
    append.commit = committed;
    if (random_.OneIn(3)) {
      twin.hard_state = {++term_, NodeId{random_.Below(4)}};
      append.hard_state = twin.hard_state;
    }
    if (random_.OneIn(4) && twin.last() > committed) {
      append.truncate_from = committed + 1 + random_.Below(twin.last() - committed);
      twin.TruncateFrom(*append.truncate_from);
    }
    const Term term = twin.hard_state.term;
    for (uint64_t runs = random_.Below(3); runs > 0; --runs) {
      if (random_.OneIn(6)) {
        append.runs.push_back(twin.Add(term, "members", EntryType::kConfiguration));
        continue;
      }
      std::vector<std::string> payloads(1 + random_.Below(4));
      for (std::string& payload : payloads) payload = Payload();
      append.runs.push_back(twin.AddRun(term, payloads));
    }
    CAIRN_CHECK(stores_.at(id)->Append(append).ok());
    committed += random_.Below(twin.last() - committed + 1);
  }

  void Drop(GroupId id) {
    LogTwin& twin = twins_.at(id);
    const Index committed = std::max(committed_[id], twin.base);
    twin.base += random_.Below(committed - twin.base + 1);
    CAIRN_CHECK(stores_.at(id)->DropPrefix(twin.base).ok());
  }

  // To entries that the store has never seen.
  void Reset(GroupId id) {
    LogTwin& twin = twins_.at(id);
    for (uint64_t unseen = 1 + random_.Below(5); unseen > 0; --unseen) {
      twin.Add(twin.hard_state.term, "of a snapshot");
    }
    twin.base = committed_[id] = twin.last();
    const absl::Status done =
        stores_.at(id)->Reset(twin.PositionAt(twin.base), twin.HashAt(twin.base));
    CAIRN_CHECK(done.ok()) << done;
  }

  void Forget(GroupId id) {
    SyncNow(disk_);
    disk_.CloseGroup(id);
    CAIRN_CHECK(disk_.DropGroup(id).ok());
    twins_.erase(id);
    stores_.erase(id);
    committed_.erase(id);
  }

  LogDisk& disk_;
  Random& random_;
  Term term_ = 0;
  LogTwins twins_;
  std::map<GroupId, LogStore*> stores_;
  std::map<GroupId, Index> committed_;
};

}  // namespace

LogTwins FillByChance(LogDisk& disk, Random& random, int steps) {
  Life life(disk, random);
  for (int i = 0; i < steps; ++i) life.Step();
  return life.Finish();
}

void ExpectHolds(const OpenedLog& opened, const LogTwin& twin) {
  SCOPED_TRACE(absl::StrCat("group ", ToInteger(twin.group())));
  const RecoveredLog& found = opened.recovered;
  EXPECT_EQ(found.hard_state, twin.hard_state);
  EXPECT_FALSE(found.hard_state_lost);
  EXPECT_EQ(found.base, twin.PositionAt(twin.base));
  EXPECT_EQ(found.base_hash, twin.HashAt(twin.base));
  EXPECT_EQ(found.runs, twin.TermRunsAbove(twin.base));
  EXPECT_EQ(found.last_hash, twin.HashAt(twin.last()));
  EXPECT_TRUE(found.faulty.empty());
  EXPECT_FALSE(found.torn_from.has_value());
  std::vector<LogPosition> configurations;
  for (const RawConfiguration& each : found.configurations) configurations.push_back(each.at);
  std::vector<LogPosition> wanted;
  std::string records;
  for (Index index = twin.base + 1; index <= twin.last(); ++index) {
    if (twin.At(index).type == EntryType::kConfiguration) wanted.push_back(twin.PositionAt(index));
    records += twin.At(index).record;
  }
  EXPECT_EQ(configurations, wanted);
  std::string read;
  for (Index next = twin.base + 1; next <= twin.last();) {
    const auto runs = opened.store->Read(next, twin.last(), size_t{1} << 20);
    ASSERT_TRUE(runs.ok()) << runs.status();
    read += RecordsOf(*runs);
    next = runs->back().last().index + 1;
  }
  EXPECT_TRUE(read == records);
}

}  // namespace cairn

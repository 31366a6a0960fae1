#include "tests/storage/log_store_contract.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/mutex.h"

namespace cairn {
namespace {

constexpr size_t kNoLimit = size_t{1} << 40;

// Where the end of a sync is waited for: it may come on another thread.
struct SyncResult {
  Mutex mutex;
  CondVar changed;
  std::optional<absl::Status> status CAIRN_GUARDED_BY(mutex);
};

// Ranges in order, in the log, each of the one term that the log has there, and none torn.
void ExpectFaultyFits(const RecoveredLog& found) {
  Index behind = found.base.index;
  for (const FaultyEntries& range : found.faulty) {
    ASSERT_GT(range.first.index, behind);
    ASSERT_LE(range.first.index, range.last);
    behind = range.last;
    const auto run = std::find_if(found.runs.begin(), found.runs.end(), [&](const TermRun& each) {
      return each.last_index >= range.first.index;
    });
    ASSERT_TRUE(run != found.runs.end()) << "behind the log";
    ASSERT_LE(range.last, run->last_index);
    ASSERT_TRUE(range.first.term == 0 || range.first.term == run->term);
    ASSERT_TRUE(!found.torn_from || range.last < *found.torn_from);
  }
}

}  // namespace

LogStoreContract::LogStoreContract() : random_(42), fixture_(GetParam().make()) {}

void LogStoreContract::StartOver(uint64_t seed) {
  Reopen();
  random_ = Random(seed);
  fixture_ = GetParam().make();
}

LogDisk& LogStoreContract::disk() {
  if (disk_ == nullptr) {
    auto disk = fixture_->Open();
    EXPECT_TRUE(disk.ok()) << disk.status();
    disk_ = std::move(disk).value();
  }
  return *disk_;
}

LogStoreContract::Opened& LogStoreContract::Open(GroupId group) {
  const auto known = opened_.find(group);
  if (known != opened_.end()) return known->second;
  auto opened = disk().OpenGroup(group);
  EXPECT_TRUE(opened.ok()) << opened.status();
  ExpectFaultyFits(opened->recovered);
  return opened_.emplace(group, Opened{opened->store, std::move(opened->recovered)}).first->second;
}

LogStore& LogStoreContract::store(GroupId group) { return *Open(group).store; }

const RecoveredLog& LogStoreContract::recovered(GroupId group) { return Open(group).recovered; }

void LogStoreContract::Append(const LogAppend& append, GroupId group) {
  const absl::Status status = store(group).Append(append);
  EXPECT_TRUE(status.ok()) << status;
}

void LogStoreContract::Append(std::vector<RecordRun> runs, GroupId group) {
  LogAppend append;
  append.runs = std::move(runs);
  Append(append, group);
}

absl::Status LogStoreContract::TrySync() {
  auto result = std::make_shared<SyncResult>();
  disk().Sync([result](absl::Status status) {
    MutexLock lock(result->mutex);
    result->status = std::move(status);
    result->changed.NotifyAll();
  });
  MutexLock lock(result->mutex);
  while (!result->status) result->changed.Wait(result->mutex);
  return *result->status;
}

void LogStoreContract::Sync() {
  const absl::Status status = TrySync();
  EXPECT_TRUE(status.ok()) << status;
}

void LogStoreContract::CloseGroup(GroupId group) {
  opened_.erase(group);
  disk().CloseGroup(group);
}

void LogStoreContract::Reopen() {
  opened_.clear();
  disk_ = nullptr;
}

void LogStoreContract::PowerCut() {
  fixture_->PowerCut(random_);
  Reopen();
}

void LogStoreContract::ExpectHolds(const LogTwin& twin) {
  LogStore& log = store(twin.group());
  ASSERT_EQ(log.base(), twin.PositionAt(twin.base));
  ASSERT_EQ(log.last(), twin.PositionAt(twin.last()));
  for (Index i = twin.base; i <= twin.last(); ++i) {
    const auto hash = log.HashAt(i);
    ASSERT_TRUE(hash.ok()) << hash.status();
    ASSERT_EQ(*hash, twin.HashAt(i)) << "index " << i;
  }
  if (twin.last() == twin.base) return;
  const auto runs = log.Read(twin.base + 1, twin.last(), kNoLimit);
  ASSERT_TRUE(runs.ok()) << runs.status();
  Index index = twin.base;
  for (const RecordRun& run : *runs) {
    for (size_t i = 0; i < run.size(); ++i) {
      ++index;
      ASSERT_LE(index, twin.last());
      ASSERT_EQ(run[i].position(), twin.PositionAt(index));
      ASSERT_EQ(run[i].group(), twin.group());
      ASSERT_TRUE(run[i].bytes() == twin.At(index).record) << "index " << index;
    }
  }
  ASSERT_EQ(index, twin.last());
}

void LogStoreContract::ExpectRecovered(const LogTwin& twin) {
  const RecoveredLog& found = recovered(twin.group());
  EXPECT_EQ(found.hard_state, twin.hard_state);
  EXPECT_FALSE(found.hard_state_lost);
  EXPECT_EQ(found.base, twin.PositionAt(twin.base));
  EXPECT_EQ(found.base_hash, twin.HashAt(twin.base));
  EXPECT_EQ(found.runs, twin.TermRunsAbove(twin.base));
  EXPECT_EQ(found.last_hash, twin.HashAt(twin.last()));
  EXPECT_LE(found.known_commit, twin.last());
  EXPECT_FALSE(found.torn_from.has_value());
  EXPECT_TRUE(found.faulty.empty());
  size_t configurations = 0;
  for (Index i = twin.base + 1; i <= twin.last(); ++i) {
    if (twin.At(i).type != EntryType::kConfiguration) continue;
    ASSERT_LT(configurations, found.configurations.size());
    const RawConfiguration& configuration = found.configurations[configurations++];
    EXPECT_EQ(configuration.at, twin.PositionAt(i));
    EXPECT_EQ(configuration.body.view(), twin.At(i).payload);
  }
  EXPECT_EQ(configurations, found.configurations.size());
  ExpectHolds(twin);
}

}  // namespace cairn

// RocksDbSubject: a RocksDB log on a disk in memory, and the twin of what was acknowledged.

#ifndef TESTS_STORAGE_ROCKSDB_ROCKSDB_SUBJECT_H_
#define TESTS_STORAGE_ROCKSDB_ROCKSDB_SUBJECT_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/system_clock.h"
#include "base/time.h"
#include "gtest/gtest.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/log_twin.h"

namespace cairn {

inline constexpr GroupId kGroup = GroupId::kDefault;
inline constexpr size_t kNoLimit = size_t{1} << 40;

inline RocksDbLogOptions TestOptions() {
  RocksDbLogOptions options;
  options.directory = "/log";
  options.identity = {{}, NodeId{1}, Incarnation{7}};
  options.write_buffer_bytes = size_t{1} << 20;
  return options;
}

inline absl::Status SyncOf(LogDisk& disk) {
  absl::Status result = absl::UnknownError("not called");
  disk.Sync([&result](absl::Status status) { result = std::move(status); });
  return result;
}

// RocksDB has threads of its own, which may be at work for a moment.
inline bool ComesTrue(const std::function<bool()>& condition) {
  const SystemClock clock;
  const Instant until = clock.Now() + Seconds(60);
  Mutex mutex;
  CondVar never;  // nobody tells, so it is asked again and again
  while (!condition()) {
    if (clock.Now() > until) return false;
    MutexLock lock(mutex);
    never.WaitFor(mutex, absl::Milliseconds(2));
  }
  return true;
}

class RocksDbSubject {
 public:
  explicit RocksDbSubject(FileSystem& file_system) : file_system_(file_system) {}

  absl::Status Open() {
    store = nullptr;
    disk = nullptr;
    absl::StatusOr<std::unique_ptr<RocksDbLog>> opened = RocksDbLog::Open(file_system_, options);
    if (!opened.ok()) return opened.status();
    disk = *std::move(opened);
    absl::StatusOr<OpenedLog> log = disk->OpenGroup(kGroup);
    if (!log.ok()) return log.status();
    store = log->store;
    recovered = std::move(log->recovered);
    return absl::OkStatus();
  }

  // A batch of two entries, and a vote.
  absl::Status AppendAndSync(Term term) {
    LogAppend append;
    append.hard_state = HardState{term, NodeId{term % 3 + 1}};
    given.hard_state = *append.hard_state;
    append.runs = {given.AddRun(term, {absl::StrCat("a of ", term), std::string(300, 'b')})};
    append.commit = given.last() - 2;
    absl::Status status = store->Append(append);
    if (status.ok()) status = SyncOf(*disk);
    if (status.ok()) acknowledged = given;
    return status;
  }

  // All that is not named faulty or torn is there and is right.
  void ExpectNothingWrong() {
    EXPECT_GE(recovered.hard_state, acknowledged.hard_state);
    EXPECT_FALSE(recovered.hard_state_lost);
    ASSERT_GE(store->last().index, acknowledged.last());
    ASSERT_LE(store->last().index, given.last());
    EXPECT_EQ(recovered.runs.empty() ? 0 : recovered.runs.back().last_index, store->last().index);
    EXPECT_LE(recovered.known_commit, given.last());
    for (Index index = 1; index <= store->last().index; ++index) {
      const auto run = store->Read(index, index, kNoLimit);
      if (run.ok()) {
        EXPECT_TRUE((*run)[0][0].bytes() == given.At(index).record) << index;
      } else {
        EXPECT_TRUE(absl::IsDataLoss(run.status())) << run.status();
        EXPECT_TRUE(IsNamed(index)) << index << " " << run.status();
      }
    }
    std::string expected;
    for (const TwinEntry& entry : given.entries) expected += entry.record;
    const auto all = store->Read(1, given.last(), kNoLimit);
    if (all.ok()) {
      EXPECT_TRUE(absl::StartsWith(expected, RecordsOf(*all)));
    }
  }

  bool IsNamed(Index index) const {
    if (recovered.torn_from && index >= *recovered.torn_from) return true;
    for (const FaultyEntries& range : recovered.faulty) {
      if (index < range.first.index || index > range.last) continue;
      return range.first.term == given.PositionAt(index).term;
    }
    return false;
  }

  RocksDbLogOptions options = TestOptions();
  LogTwin given{kGroup};
  LogTwin acknowledged{kGroup};
  std::unique_ptr<RocksDbLog> disk;
  LogStore* store = nullptr;
  RecoveredLog recovered;

 private:
  FileSystem& file_system_;
};

}  // namespace cairn

#endif  // TESTS_STORAGE_ROCKSDB_ROCKSDB_SUBJECT_H_

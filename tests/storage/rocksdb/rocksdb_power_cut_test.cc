// The power goes at each call to the disk of a short life of a RocksDB log (fault catalogue D1 to
// D4, D24). RocksDB has threads, so no two lives are the same: the disk is copied at each call of
// one life, as a power cut there would leave it. Of a longer life some copies are drawn, and looked
// at afterwards; in a short one time stands still at each call until each way to lose what is not
// synced has been looked at.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/crash_choice.h"
#include "storage/encrypted/encrypted_file_system.h"
#include "storage/log_store.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/rocksdb/rocksdb_subject.h"

namespace cairn {
namespace {

using testing::IsEmpty;

// A disk as a power cut left it.
struct Image {
  std::unique_ptr<SimulatedFileSystem> disk;
  std::string where;
  size_t acknowledged = 0;  // the last state that was, then
  size_t issued = 0;        // and the last one that was on its way
};

RocksDbLogOptions SmallOptions() {
  RocksDbLogOptions options = TestOptions();
  options.write_buffer_bytes = size_t{64} << 10;  // the least RocksDB takes: tables are written
  return options;
}

bool IsState(const RecoveredLog& found, const LogTwin& state) {
  return found.base == state.PositionAt(state.base) &&
         found.base_hash == state.HashAt(state.base) &&
         found.runs == state.TermRunsAbove(state.base) &&
         found.last_hash == state.HashAt(state.last()) && found.hard_state == state.hard_state;
}

// What the log opened as, against what it was given: empty if nothing is wrong.
std::string WrongIn(const RecoveredLog& found, const LogStore& store, const LogTwin& acknowledged,
                    const LogTwin& state) {
  for (Index index = state.base + 1; index <= state.last(); ++index) {
    if (found.torn_from && index >= *found.torn_from) {
      const bool was_acknowledged =
          index <= acknowledged.last() && acknowledged.HashAt(index) == state.HashAt(index);
      if (was_acknowledged) return absl::StrCat("entry ", index, " is called torn");
      continue;
    }
    const auto read = store.Read(index, index, kNoLimit);
    if (!read.ok()) return absl::StrCat("entry ", index, ": ", read.status().ToString());
    if ((*read)[0].bytes().view() != state.At(index).record) {
      return absl::StrCat("entry ", index, " is another one");
    }
  }
  return "";
}

using Keys = std::shared_ptr<const KeyRing>;

// Of what was acknowledged nothing is lost, and what is there was given.
void ExpectRight(Image& image, const std::vector<LogTwin>& states, const Keys& keys) {
  SCOPED_TRACE(image.where);
  EncryptedFileSystem files(*image.disk, keys, {SmallOptions().directory});
  const auto log = RocksDbLog::Open(files, SmallOptions());
  ASSERT_TRUE(log.ok()) << log.status();
  const auto opened = (*log)->OpenGroup(kGroup);
  ASSERT_TRUE(opened.ok()) << opened.status();
  const RecoveredLog& found = opened->recovered;
  EXPECT_THAT(found.faulty, IsEmpty());
  EXPECT_FALSE(found.hard_state_lost);
  for (size_t i = image.acknowledged; i <= image.issued; ++i) {
    if (!IsState(found, states[i])) continue;
    EXPECT_EQ(WrongIn(found, *opened->store, states[image.acknowledged], states[i]), "");
    return;
  }
  ADD_FAILURE() << "neither of the states " << image.acknowledged << " to " << image.issued
                << ": it ends at " << found.last_hash.low;
}

// One life of a log, one change a sync.
class RecordedLife {
 public:
  enum class Cuts { kDrawn, kEnumerated };
  // With keys what is written is encrypted.
  explicit RecordedLife(Keys keys, Cuts cuts = Cuts::kDrawn)
      : keys_(std::move(keys)), cuts_(cuts), files_(disk_, keys_, {SmallOptions().directory}) {
    disk_.set_fault_hook([this](const FileAccess& access) {
      Record(access);
      return FileFault();
    });
  }

  void Open() {
    store_ = nullptr;
    log_ = nullptr;
    log_ = RocksDbLog::Open(files_, SmallOptions()).value();
    store_ = log_->OpenGroup(kGroup)->store;
  }
  void Append(Term term, const std::vector<std::string>& payloads, Index truncate_from = 0) {
    LogAppend append;
    if (truncate_from != 0) {
      append.truncate_from = truncate_from;
      given_.TruncateFrom(truncate_from);
    }
    given_.hard_state = {term, NodeId{1}};
    append.hard_state = given_.hard_state;
    if (!payloads.empty()) append.runs = {given_.AddRun(term, payloads)};
    Change([&] { return store_->Append(append); });
  }
  void Drop(Index up_to) {
    given_.base = up_to;
    Change([&] { return store_->DropPrefix(up_to); });
  }
  void Repair(Index index) {
    const auto run = RecordRun::Parse(kGroup, Bytes::Copy(given_.At(index).record));
    Change([&] { return store_->Repair({*run}); });
  }
  void Reset() {
    given_.Add(9, "of another history");
    given_.base = given_.last();
    Change(
        [&] { return store_->Reset(given_.PositionAt(given_.base), given_.HashAt(given_.base)); });
  }
  // The end of it.
  std::vector<Image> End() {
    store_ = nullptr;
    log_ = nullptr;
    Record(
        {.operation = FileAccess::Operation::kList, .path = "the end", .offset = 0, .length = 0});
    disk_.set_fault_hook(nullptr);
    return std::move(images_);
  }
  const std::vector<LogTwin>& states() const { return states_; }

  struct Counts {
    int moments = 0;  // with something new to lose
    int disks = 0;    // that were looked at
    size_t most_pending = 0;
  };
  Counts counts() const {
    MutexLock lock(mutex_);
    return counts_;
  }

 private:
  void Change(const std::function<absl::Status()>& change) {
    {
      MutexLock lock(mutex_);
      states_.push_back(given_);
    }
    ++issued_;
    ASSERT_TRUE(change().ok());
    ASSERT_TRUE(SyncOf(*log_).ok());
    acknowledged_ = issued_.load();
  }

  // Before each call, by any thread.
  void Record(const FileAccess& access) {
    const bool reads = access.operation == FileAccess::Operation::kRead ||
                       access.operation == FileAccess::Operation::kReadDirect ||
                       access.operation == FileAccess::Operation::kOpen;
    if (reads) return;
    MutexLock lock(mutex_);
    ++calls_;
    const std::string where = absl::StrCat("call ", calls_, " on ", access.path);
    const size_t acknowledged = acknowledged_;
    // Between the list and the copies others may write: what they add is lost.
    const std::vector<PendingOperation> pending = disk_.Pending();
    if (cuts_ == Cuts::kEnumerated) return Enumerate(pending, where, acknowledged);
    for (const CrashPolicy policy :
         {CrashPolicy::kDropAll, CrashPolicy::kKeepAll, CrashPolicy::kKeepPrefix,
          CrashPolicy::kTornCall, CrashPolicy::kTornCall, CrashPolicy::kTornCall,
          CrashPolicy::kRandomSubset, CrashPolicy::kRandomSubset}) {
      if (pending.empty() && policy != CrashPolicy::kDropAll) continue;
      images_.push_back({disk_.CrashImage(ChooseCrash(policy, pending, random_)),
                         absl::StrCat(where, ", ", static_cast<int>(policy)), acknowledged, 0});
      images_.back().issued = issued_;
    }
  }

  // Whoever else calls the disk waits meanwhile.
  void Enumerate(const std::vector<PendingOperation>& pending, const std::string& where,
                 size_t acknowledged) CAIRN_REQUIRES(mutex_) {
    std::vector<OperationId> ids;
    for (const PendingOperation& each : pending) ids.push_back(each.id);
    if (testing::Test::HasFailure() || (ids == last_pending_ && acknowledged == last_acknowledged_))
      return;
    last_pending_ = std::move(ids);
    last_acknowledged_ = acknowledged;
    ++counts_.moments;
    counts_.most_pending = std::max(counts_.most_pending, pending.size());
    // Encrypting takes its time, and the ways are the same.
    CrashEnumeration ways = {.exhaustive = 6, .samples = 16};
    if (keys_ != nullptr) ways = {.exhaustive = 3, .samples = 2};
    for (const CrashChoice& choice : EnumerateCrashes(pending, ways, random_)) {
      Image image = {disk_.CrashImage(choice),
                     absl::StrCat(where, ", ", choice.kept.size(), " of ", pending.size(), " kept"),
                     acknowledged, issued_};
      ++counts_.disks;
      ExpectRight(image, states_, keys_);
      if (testing::Test::HasFailure()) return;
    }
  }

  const Keys keys_;
  const Cuts cuts_;
  SimulatedFileSystem disk_;
  EncryptedFileSystem files_;
  std::unique_ptr<RocksDbLog> log_;
  LogStore* store_ = nullptr;
  LogTwin given_{kGroup};
  std::vector<LogTwin> states_ = {LogTwin(kGroup)};  // changed under mutex_
  std::atomic<size_t> issued_ = 0;
  std::atomic<size_t> acknowledged_ = 0;
  mutable Mutex mutex_;
  std::vector<OperationId> last_pending_ CAIRN_GUARDED_BY(mutex_);
  size_t last_acknowledged_ CAIRN_GUARDED_BY(mutex_) = ~size_t{0};
  Counts counts_ CAIRN_GUARDED_BY(mutex_);
  Random random_ CAIRN_GUARDED_BY(mutex_){11};
  std::vector<Image> images_ CAIRN_GUARDED_BY(mutex_);
  int calls_ CAIRN_GUARDED_BY(mutex_) = 0;
};

class RocksDbPowerCutTest : public testing::TestWithParam<bool> {
 protected:
  const Keys keys_ = GetParam() ? TestRing(Cipher::kAes256Gcm) : nullptr;
};

INSTANTIATE_TEST_SUITE_P(Written, RocksDbPowerCutTest, testing::Bool(), [](const auto& tested) {
  return std::string(tested.param ? "Encrypted" : "Plain");
});

TEST_P(RocksDbPowerCutTest, AtEachCallOfALife) {
  RecordedLife life(keys_);
  life.Open();
  life.Append(1, {"one", "two"});
  life.Append(1, {std::string(5000, 'a'), "four"});
  life.Append(2, {"another four", "five"}, 4);
  life.Repair(2);
  life.Drop(2);
  // Tables are written meanwhile.
  for (int i = 0; i < 6; ++i) life.Append(2, {std::string(20'000, static_cast<char>('b' + i))});
  life.Append(3, {}, 8);
  life.Open();  // after an end in order
  life.Append(3, {"and on"});
  life.Drop(6);
  life.Append(4, {});
  life.Reset();
  life.Append(9, {"the last"});
  std::vector<Image> images = life.End();
  RecordProperty("images", static_cast<int>(images.size()));
  EXPECT_GT(images.size(), 250u);
  for (Image& image : images) {
    ASSERT_NO_FATAL_FAILURE(ExpectRight(image, life.states(), keys_));
    if (HasFailure()) return;
    image.disk = nullptr;
  }
}

// Each subset where little is not synced; elsewhere none, all, each prefix, all but one, one alone,
// each call torn at each sector, and some subsets that are drawn.
TEST_P(RocksDbPowerCutTest, InEachWayAtEachCallOfAShortLife) {
  RecordedLife life(keys_, RecordedLife::Cuts::kEnumerated);
  life.Open();
  life.Append(1, {"one", std::string(1500, 'a')});
  life.Append(2, {"another two"}, 2);
  life.Repair(1);
  life.Open();  // which writes a table
  life.Append(2, {"three"});
  life.Drop(1);
  life.Reset();
  life.Append(9, {"the last"});
  life.End();
  const RecordedLife::Counts counts = life.counts();
  RecordProperty("moments", counts.moments);
  RecordProperty("disks", counts.disks);
  RecordProperty("most_pending", static_cast<int>(counts.most_pending));
  std::printf("%d moments, %d disks, at most %zu operations that were not synced\n", counts.moments,
              counts.disks, counts.most_pending);
  EXPECT_GT(counts.moments, 40);
  EXPECT_GT(counts.disks, keys_ == nullptr ? 1000 : 500);
}

}  // namespace
}  // namespace cairn

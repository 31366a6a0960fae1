// FakeLogDisk: a LogDisk in memory whose syncs end, fail and lose power when the test says so.

#ifndef TESTS_RAFT_FAKE_LOG_DISK_H_
#define TESTS_RAFT_FAKE_LOG_DISK_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/types.h"
#include "storage/log_store.h"
#include "storage/record.h"

namespace cairn {

// A group's log; it reads one run an entry, unless told otherwise.
class FakeLogStore final : public LogStore {
 public:
  absl::Status Append(const LogAppend& append) override;
  absl::Status Repair(const std::vector<RecordRun>& runs) override;
  absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last,
                                              size_t max_bytes) const override;
  Index UnreadableThrough(Index first, Index last) const override;
  absl::StatusOr<EntryHash> HashAt(Index index) const override;
  LogPosition base() const override { return {}; }
  LogPosition last() const override;
  absl::Status DropPrefix(Index up_to) override;
  absl::Status Reset(LogPosition base, EntryHash hash) override;

  void FailAppends(absl::Status status);
  // Reads of this entry give DATA_LOSS until it is repaired; recovery says so, unless it is only
  // found later.
  void Damage(Index index, bool found_later = false);
  // From now on Repair gives UNIMPLEMENTED.
  void RefuseRepairs();
  // From now on a read gives all it finds in one run, of however many terms.
  void ReadWholeRuns();
  // From now on it knows, of an entry that is damaged, which of the next ones are.
  void KnowGaps();
  // From now on each read that gives DATA_LOSS calls this, under the store's lock.
  void OnBadRead(std::function<void()> on_bad_read);
  std::set<Index> damaged() const;
  size_t repaired() const;  // entries
  // The same from here on, and the store finds out when it is opened: recovery calls them torn.
  void Tear(Index from);
  // Recovery says that what was synced last is lost, until LogAppend::sure is durable.
  void LoseHardState();
  size_t appends() const;
  HardState hard_state() const;

 private:
  friend class FakeLogDisk;
  struct Content {
    HardState hard_state;
    bool hard_state_lost = false;
    std::vector<RecordRun> entries;
    Index commit = 0;
  };

  RecoveredLog Recover() const;

  mutable Mutex mutex_;
  Content content_ CAIRN_GUARDED_BY(mutex_);
  Content durable_ CAIRN_GUARDED_BY(mutex_);
  absl::Status append_status_ CAIRN_GUARDED_BY(mutex_);
  std::map<Index, bool> damaged_ CAIRN_GUARDED_BY(mutex_);  // to whether it is found later
  bool repairs_ CAIRN_GUARDED_BY(mutex_) = true;
  bool whole_runs_ CAIRN_GUARDED_BY(mutex_) = false;
  bool knows_gaps_ CAIRN_GUARDED_BY(mutex_) = false;
  std::function<void()> on_bad_read_ CAIRN_GUARDED_BY(mutex_);
  size_t repaired_ CAIRN_GUARDED_BY(mutex_) = 0;
  std::optional<Index> torn_from_ CAIRN_GUARDED_BY(mutex_);
  size_t appends_ CAIRN_GUARDED_BY(mutex_) = 0;
};

// Threads: the test's own calls (FailSyncs, …) from any; PowerCut while nobody uses the disk.
class FakeLogDisk final : public LogDisk {
 public:
  absl::StatusOr<OpenedLog> OpenGroup(GroupId group) override;
  void CloseGroup(GroupId) override {}
  absl::Status DropGroup(GroupId group) override;
  std::vector<GroupId> Groups() const override;
  void Sync(absl::AnyInvocable<void(absl::Status)> done) override;
  bool has_room() const override { return has_room_; }
  void SeekRoom() override { ++sought_; }
  absl::StatusOr<bool> Upkeep() override;
  LogUpkeep upkeep() const override { return {.blocks = 9, .to_rewrite = upkeep_.pieces}; }
  const char* name() const override { return "fake"; }

  FakeLogStore& store(GroupId group) { return *stores_.at(group); }
  // From now on syncs wait for EndSync.
  void HoldSyncs() { held_ = true; }
  void ReleaseSyncs();
  bool sync_waits() const { return waiting_.has_value(); }
  // Ends the sync under way.
  void EndSync(absl::Status status = absl::OkStatus());
  void FailSyncs(absl::Status status);
  size_t syncs() const { return syncs_; }
  // Whether the disk says that it has room, and whether it refuses syncs for want of it.
  void SetRoom(bool has_room, bool refuses) {
    has_room_ = has_room;
    refuses_ = refuses;
  }
  size_t sought() const { return sought_; }
  // There is so much of it to do; then it gives the error, if it is one.
  void MakeUpkeepDue(size_t pieces, absl::Status then = absl::OkStatus());
  size_t upkeeps() const { return upkeep_.asked; }

  // What is not synced is gone, and so is a sync under way; groups can be opened again.
  void PowerCut();

 private:
  using Captured = std::map<GroupId, FakeLogStore::Content>;

  void Finish(Captured captured, absl::AnyInvocable<void(absl::Status)> done,
              const absl::Status& status);

  std::map<GroupId, std::unique_ptr<FakeLogStore>> stores_;
  bool held_ = false;
  std::optional<std::pair<Captured, absl::AnyInvocable<void(absl::Status)>>> waiting_;
  size_t syncs_ = 0;
  std::atomic<bool> has_room_ = true;
  std::atomic<bool> refuses_ = false;
  size_t sought_ = 0;
  struct UpkeepDue {
    size_t pieces = 0;
    absl::Status then;
    size_t asked = 0;
  };
  UpkeepDue upkeep_;
  Mutex mutex_;
  absl::Status sync_status_ CAIRN_GUARDED_BY(mutex_);
};

}  // namespace cairn

#endif  // TESTS_RAFT_FAKE_LOG_DISK_H_

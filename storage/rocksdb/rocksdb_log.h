// RocksDbLog: the log of all groups of a host in one RocksDB, with a ledger of what was synced
// beside it. FORMAT.md describes both.

#ifndef STORAGE_ROCKSDB_ROCKSDB_LOG_H_
#define STORAGE_ROCKSDB_ROCKSDB_LOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/types.h"
#include "rocksdb/db.h"
#include "rocksdb/write_batch.h"
#include "storage/block/block_header.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "storage/rocksdb/ack_ledger.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/database_room.h"
#include "storage/rocksdb/group_log.h"
#include "storage/rocksdb/group_view.h"
#include "storage/rocksdb/log_recovery.h"
#include "storage/rocksdb/rocksdb_scrub.h"
#include "storage/rocksdb/side_task.h"
#include "storage/rocksdb/table_replacement.h"
#include "storage/rocksdb/unreadable_entries.h"
#include "storage/rocksdb/write_stalls.h"

namespace cairn {

struct RocksDbLogOptions {
  std::string directory;
  LogIdentity identity;
  size_t write_buffer_bytes = size_t{64} << 20;
  // False: tables stay as they were written, for tests that damage them; they only get more.
  bool merges_tables = true;
  // A start reads the end of each group's log and verifies it: so much at least, and less than
  // twice that unless entries cannot be read.
  size_t walked_bytes = size_t{4} << 20;
  // Kept for a full disk, in the file `reserve`.
  uint64_t reserve_bytes = 0;
  // Groups that are new to this disk may have promised what nobody here knows
  // (RecoveredLog::hard_state_lost), each until LogAppend::sure: for writing a log from what is
  // left of another one.
  bool new_groups_are_lost = false;
};

// The contract is LogDisk's and LogStore's. In addition:
//
// An append is one write batch of RocksDB: after a power cut all of it is there or nothing. Any
// error of RocksDB, also of what it does in the background, ends all writes. But not a table that
// cannot be read when it is to be merged: then no tables are merged until the scrub has replaced it
// (TableReplacement). And not a full disk:
// DatabaseRoom says what becomes of RocksDB's writes then, and a Sync that is refused leaves what
// it was to write in memory.
//
// Threads: as LogDisk. A Sync ends before it returns; one of its two syncs runs on a thread of the
// log. RocksDB has threads of its own, too, which is why this store is not in the simulator.
class RocksDbLog final : public LogDisk {
 public:
  // Makes the log if the directory has none. Of database and ledger one may be lost: then the other
  // one tells what was there, and groups of which it cannot tell all are unsure
  // (RecoveredLog::hard_state_lost). FAILED_PRECONDITION for another identity or a newer format,
  // DATA_LOSS if both are lost, RESOURCE_EXHAUSTED if there is no room for what a start writes.
  // `file_system` outlives the log.
  static absl::StatusOr<std::unique_ptr<RocksDbLog>> Open(FileSystem& file_system,
                                                          RocksDbLogOptions options);
  ~RocksDbLog() override;

  // Whether a log has been begun there, of which the database or the ledger is left.
  static absl::StatusOr<bool> IsThere(FileSystem& file_system, const std::string& directory);

  absl::StatusOr<OpenedLog> OpenGroup(GroupId group) override;
  void CloseGroup(GroupId group) override;
  absl::Status DropGroup(GroupId group) override;
  std::vector<GroupId> Groups() const override;
  void Sync(absl::AnyInvocable<void(absl::Status)> done) override;
  bool has_room() const override;
  void SeekRoom() override;
  std::vector<std::string> Warnings() const override;
  LogScrub* scrub() override { return &scrub_; }
  const char* name() const override { return "rocksdb"; }

  // What recovery found, for people.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  class Store;

  // What it is made of, opened.
  struct Parts {
    std::unique_ptr<DatabaseRoom> room;
    std::unique_ptr<AckLedger> ledger;
    Database database;
    bool repaired = false;
    std::vector<std::string> notes;
  };

  RocksDbLog(FileSystem& file_system, RocksDbLogOptions options, Parts parts);
  static absl::StatusOr<Parts> OpenParts(FileSystem& file_system, const RocksDbLogOptions& options);
  struct Lost {
    bool repaired = false;  // as FindGroups has it
    bool identity = false;
  };
  absl::StatusOr<Lost> CheckIdentity();
  absl::Status Recover(const Lost& lost);
  absl::Status SyncNow();
  LedgerGroups TakeChanged();
  absl::Status WriteChanged(const LedgerGroups& changed);
  bool TablesPileUp() const;

  // For the scrub.
  RocksDbScrub::Parts ScrubParts(FileSystem& file_system);
  std::vector<GroupId> WholeGroups() const;
  std::optional<GroupView> ViewOf(GroupId group) const;
  absl::Status RestoreGroup(GroupId group);
  bool WriteOutLog();
  absl::Status LeaveLog(uint64_t number);
  void LeaveLogIfWanted();
  TableReplacement::Parts ReplacementParts();
  absl::Status WriteAnew(TableReplacement::Parts::Fill fill);
  absl::Status CheckRoom(uint64_t bytes);
  absl::Status ResumeMerging(bool whole);

  // For Store.
  absl::Status Append(GroupId group, const LogAppend& append);
  absl::Status Repair(GroupId group, const std::vector<RecordRun>& runs);
  absl::Status DropPrefix(GroupId group, Index up_to);
  absl::Status Reset(GroupId group, LogPosition base, EntryHash hash);
  Index UnreadableThrough(GroupId group, Index first, Index last);
  absl::StatusOr<std::vector<RecordRun>> Read(GroupId group, Index first, Index last,
                                              size_t max_bytes);
  absl::StatusOr<std::vector<RecordRun>> ReadView(const GroupView& view, Index first, Index last,
                                                  size_t max_bytes) const;
  absl::StatusOr<EntryHash> HashAt(GroupId group, Index index);
  LogHead HeadOf(GroupId group) const;

  // Of entries that `log` has, also for the scrub: the next start will read them again.
  absl::Status FoundUnreadable(const GroupLog& log, Index first, Index last, absl::Status why);

  // Writes the batch with what `next` says of the group, and takes it over.
  absl::Status Commit(GroupLog next, rocksdb::WriteBatch& batch) CAIRN_REQUIRES(mutex_);
  absl::Status Write(rocksdb::WriteBatch& batch);
  GroupLog LogOf(GroupId group) const CAIRN_REQUIRES(mutex_);

  // Why there is no room for entries, besides what the disk's reserve says.
  struct Shortage {
    std::atomic<bool> sync_was_refused = false;  // the last one
    std::atomic<bool> tables_pile_up = false;
  };

  // What scrub and log tell each other.
  struct Upkeep {
    std::atomic<bool> log_is_bad = false;  // and waits for room to be left
    // How often something was found that a bad table may be to blame for; nobody has looked yet.
    std::atomic<uint64_t> suspicions = 1;
    std::atomic<uint64_t> tables_dropped = 0;  // how often, unread
  };

  struct Changes {
    uint64_t last = 0;          // LogHead::change
    uint64_t disturbances = 0;  // as GroupView's
  };

  const RocksDbLogOptions options_;
  const Parts parts_;
  DatabaseRoom& room_;
  AckLedger& ledger_;
  rocksdb::DB& db_;
  DatabaseFailure& failure_;
  WriteStalls stalls_;
  std::vector<std::string> notes_;
  SideTask ledger_sync_{"ledger-sync"};
  Shortage shortage_;
  Upkeep upkeep_;

  mutable Mutex mutex_;
  Changes changes_ CAIRN_GUARDED_BY(mutex_);
  std::map<GroupId, GroupLog> groups_ CAIRN_GUARDED_BY(mutex_);
  std::map<GroupId, absl::Status> damaged_ CAIRN_GUARDED_BY(mutex_);
  std::map<GroupId, std::unique_ptr<LogStore>> stores_ CAIRN_GUARDED_BY(mutex_);
  UnreadableEntries unreadable_ CAIRN_GUARDED_BY(mutex_);
  // Changed since the last sync; what of each group was durable then.
  std::set<GroupId> dirty_ CAIRN_GUARDED_BY(mutex_);
  std::map<GroupId, uint64_t> durable_changes_ CAIRN_GUARDED_BY(mutex_);
  RocksDbScrub scrub_;
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_ROCKSDB_LOG_H_

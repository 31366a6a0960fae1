// BlockLog: the log of all groups of a host in preallocated block files; one sync serves them all.
// FORMAT.md describes the files and what recovery decides.

#ifndef STORAGE_BLOCK_BLOCK_LOG_H_
#define STORAGE_BLOCK_BLOCK_LOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "storage/block/block_scrub.h"
#include "storage/block/block_set.h"
#include "storage/block/group_state.h"
#include "storage/block/log_end.h"
#include "storage/block/log_reader.h"
#include "storage/block/recent_entries.h"
#include "storage/block/recovery.h"
#include "storage/block/rewrite_queue.h"
#include "storage/file_system.h"
#include "storage/log_store.h"

namespace cairn {

class BlockLogStore;

enum class LogCompression { kNone, kZstd };

struct BlockLogOptions {
  std::string directory;
  LogIdentity identity;
  // 4096 bytes a unit through a page cache; 512 only where sectors are written by themselves.
  BlockGeometry geometry = {.block_bytes = uint64_t{64} << 20, .unit_bytes = 4096};
  size_t recent_bytes = size_t{16} << 20;  // entries kept in memory
  size_t max_spares = 2;                   // released blocks kept for reuse
  // Kept in files of their own, in whole blocks, for when the file system is full: what has no
  // entries can then be written up to the end, and entries that are under way as long as more than
  // a quarter of the last block is left. 0: a full disk takes nothing from the end of a block on.
  uint64_t reserve_bytes = 0;
  // A block at least this many blocks behind the end, of which at most an eighth is in use, is
  // emptied by copying what is left to the end.
  uint64_t copy_distance = 4;
  // What new blocks are encrypted with, if they are, and what older ones may be. May be null. What
  // its random bytes come from outlives the log.
  std::shared_ptr<const KeyRing> keys = nullptr;
  // Sealed blocks are made smaller by whoever calls scrub()->Compress: those at least so many
  // blocks behind the end. What is compressed is read in any case.
  LogCompression compression = LogCompression::kNone;
  uint64_t compression_distance = 2;
  // Groups that are new to this disk may have promised what nobody here knows
  // (RecoveredLog::hard_state_lost), each until LogAppend::sure: for writing a log from what is
  // left of another one.
  bool new_groups_are_lost = false;
  // Prepares the next block ahead of time; without one it is prepared when it is needed. Outlives
  // the log, or drops its tasks; so does the file system.
  Executor* background = nullptr;
  // Makes a thread that reads blocks beside the caller of Open and ends with it; so many are made.
  // Null: the caller reads them all.
  std::function<std::unique_ptr<Executor>()> make_reader = nullptr;
  size_t readers = 3;
};

// The contract is LogDisk's and LogStore's. In addition:
//
// What is appended stays in memory until Sync, which writes it as one batch. At most one batch is
// written and not synced at any time; recovery relies on that (tail.h).
//
// A full disk is noticed where the log goes on in another block, which is made before anything is
// written to it: so nothing is refused half-way. What is refused stays in memory, and is readable
// there, until a Sync finds room.
//
// Threads: Append, Repair, DropPrefix, Reset, Sync, SeekRoom, Upkeep, DropGroup and figures on one
// sequence; OpenGroup and CloseGroup on any. A sync that ends after the log was destroyed is
// ignored.
class BlockLog final : public LogDisk {
 public:
  // Makes the log if the directory has none; otherwise recovers it. ALREADY_EXISTS if another
  // process has it open. FAILED_PRECONDITION naming both for another identity or a newer format.
  // The same for a block that is encrypted with a key that is not given, naming file and key.
  // DATA_LOSS naming the file and what to do where nobody can tell whose log it is, or no block is
  // left. Whatever else is missing or cannot be read is lost (RecoveredLog), and left as it is.
  static absl::StatusOr<std::unique_ptr<BlockLog>> Open(FileSystem& file_system,
                                                        BlockLogOptions options);
  ~BlockLog() override;

  absl::StatusOr<OpenedLog> OpenGroup(GroupId group) override;
  void CloseGroup(GroupId group) override;
  absl::Status DropGroup(GroupId group) override;
  std::vector<GroupId> Groups() const override;
  void Sync(absl::AnyInvocable<void(absl::Status)> done) override;
  bool has_room() const override { return !refused_ && blocks_->HasReserve(); }
  void SeekRoom() override;
  absl::StatusOr<bool> Upkeep() override;
  LogUpkeep upkeep() const override;
  LogScrub* scrub() override { return scrub_.get(); }
  const char* name() const override { return "block"; }

  struct Figures {
    size_t blocks = 0;
    size_t compressed_blocks = 0;
    size_t spans = 0;
    size_t index_bytes = 0;
    size_t recent_bytes = 0;
    uint64_t batches = 0;
  };
  Figures figures() const;

  // What recovery found, for people.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  friend class BlockLogStore;
  // What recovery found.
  struct Findings {
    std::vector<std::string> lost_files;  // to be removed once nothing is missing
    bool lost_batches = false;
    uint64_t torn_bytes = 0;
    std::map<GroupId, TornEntries> torn;
  };

  BlockLog(FileSystem& file_system, BlockLogOptions options, RecoveredDisk disk);

  // For BlockLogStore.
  absl::Status Append(GroupState& group, const LogAppend& append);
  absl::Status DropPrefix(GroupState& group, Index up_to);
  absl::Status Reset(GroupState& group, LogPosition base, EntryHash hash);
  absl::Status Repair(GroupState& group, const std::vector<RecordRun>& runs);
  Index UnreadableThrough(const GroupState& group, Index first, Index last) const;
  absl::StatusOr<std::vector<RecordRun>> Read(const GroupState& group, Index first, Index last,
                                              size_t max_bytes) const;
  absl::StatusOr<EntryHash> HashAt(const GroupState& group, Index index) const;
  LogPosition BaseOf(const GroupState& group) const;
  LogPosition LastOf(const GroupState& group) const;

  // Entries from `first` as far as they stand in one place.
  absl::StatusOr<std::vector<RecordRun>> ReadPiece(const GroupState& group, Index first, Index last,
                                                   size_t max_bytes) const;
  // The hash without reading blocks, if memory has it.
  std::optional<EntryHash> HashInMemory(const GroupState& group, Index index) const
      CAIRN_REQUIRES(mutex_);

  GroupState& StateOf(GroupId group) CAIRN_REQUIRES(mutex_);
  RecoveredLog Describe(GroupState& group);

  // Writes what is pending, in another block if it does not fit in this one. False if there was
  // nothing. `opening`: even then, and nothing before it, because it says what was decided.
  absl::StatusOr<bool> WriteBatch(bool opening);
  absl::Status SyncNow();
  SyncBatch Gather(bool checkpoint) const;
  absl::Status Roll(const SyncBatch& batch, BlockSet::Reserve reserve);
  bool LeavesRoom(const SyncBatch& batch) const;
  SyncBatch GatherBounds() const;
  absl::Status WriteCopies(const SyncBatch& next);
  absl::Status WriteCopyBatch(SyncBatch& batch);
  bool FitsAsCopies(const SyncBatch& batch) const;
  absl::Status WriteApart(SyncBatch& batch);
  bool AddCopiesOf(uint64_t block, SyncBatch& batch) const;
  absl::Status CheckRepair(const GroupState& group, const RecordRun& run,
                           const RecordRun* next) const;
  void Written(const SyncBatch& batch, const BatchPlace& place);
  std::vector<uint64_t> UnusedBlocks() const;
  bool CanRelease() const;
  absl::Status ReleaseUnused();
  bool IsWhole() const;
  absl::Status RemoveLostFiles();
  absl::Status RewriteSome();
  enum class Added { kSome, kNothing, kNothingYet };
  Added AddSomeOf(uint64_t block, SyncBatch& batch);
  std::unique_ptr<BlockScrub> MakeScrub();
  void PrepareNext();
  absl::Status Fail(absl::Status status);

  FileSystem& file_system_;
  const BlockLogOptions options_;
  const std::unique_ptr<FileLock> lock_;
  const std::shared_ptr<BlockSet> blocks_;
  const std::vector<std::string> notes_;
  Findings findings_;
  LogEnd end_;
  struct Copies {
    RewriteQueue due = {};    // blocks with another cipher than is wanted, or found bad
    uint64_t last_batch = 0;  // the last one that holds, or may hold, nothing but copies
    uint64_t refused_in = 0;  // the last block behind which there was no room for them
  };
  Copies copies_;

  mutable Mutex mutex_;
  const std::unique_ptr<BlockUsage> usage_ CAIRN_POINTEE_GUARDED_BY(mutex_);
  std::map<GroupId, std::unique_ptr<GroupState>> groups_ CAIRN_GUARDED_BY(mutex_);
  std::map<GroupId, std::unique_ptr<BlockLogStore>> stores_ CAIRN_GUARDED_BY(mutex_);
  struct Cached {
    RecentEntries recent;
    LastBatch last_read;
  };
  mutable Cached cached_ CAIRN_GUARDED_BY(mutex_);
  absl::Status failed_ CAIRN_GUARDED_BY(mutex_);
  std::set<GroupId> dirty_ CAIRN_GUARDED_BY(mutex_);
  std::vector<GroupState*> syncing_groups_ CAIRN_GUARDED_BY(mutex_);
  bool syncing_ = false;
  std::atomic<bool> refused_ = false;  // for want of room, the last batch
  const std::unique_ptr<BlockScrub> scrub_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_LOG_H_

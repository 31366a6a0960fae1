// GroupState: the log of one group while it is written: what stands in blocks, and what was
// appended since.

#ifndef STORAGE_BLOCK_GROUP_STATE_H_
#define STORAGE_BLOCK_GROUP_STATE_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "base/types.h"
#include "storage/append_fit.h"
#include "storage/block/id_record.h"
#include "storage/block/sync_batch.h"
#include "storage/block/written_log.h"
#include "storage/log_store.h"

namespace cairn {

// Threads: one at a time.
class GroupState {
 public:
  GroupState(GroupId group, WrittenLog written);

  GroupId group() const { return group_; }
  bool empty() const;  // nothing was ever written
  WrittenLog& written() { return written_; }
  const WrittenLog& written() const { return written_; }

  // Of a group that the disk does not know and may have known.
  void LoseHardState();

  // With everything that was appended.
  LogPosition base() const { return base_; }
  LogPosition last() const { return last_; }
  EntryHash base_hash() const { return base_hash_; }
  EntryHash last_hash() const { return last_hash_; }
  Term TermAt(Index index) const;  // 0 if there is no such entry

  // The run that holds the entry, if it is not in a block yet.
  const RecordRun* FindPending(Index index) const;
  // Entries from here on are not in a block yet.
  Index first_pending() const;

  // Where `append` makes the log end before it adds its runs.
  Index EndFor(const LogAppend& append) const;
  // As of all stores (append_fit.h). `hash`: of the entry at EndFor.
  absl::Status CheckFits(const LogAppend& append, EntryHash hash) const;
  // Takes an append that fits.
  void Append(const LogAppend& append, EntryHash hash);
  // `hash`: of the entry at `up_to`, which is in the log.
  void DropPrefix(Index up_to, EntryHash hash);
  // As LogStore::Reset; `base` is not before the log's.
  void Reset(LogPosition base, EntryHash hash);

  // As if it never had been; for LogDisk::DropGroup.
  void Drop();

  bool dirty() const { return dirty_; }
  // Adds what is not in a block yet. `checkpoint`: and how things stand in blocks so far.
  void AddTo(SyncBatch& batch, bool checkpoint) const;
  // Adds how things stand in blocks so far, and nothing else.
  GroupSection& AddBoundsTo(SyncBatch& batch) const;
  // The batch with this section was written at `place`. Gives the runs that are in a block now.
  std::vector<RecordRun> Written(const GroupSection& section, const BatchPlace& place);
  // The sync of what was last written has returned.
  void Synced() { durable_ = issued_; }

 private:
  LogExtent extent() const { return {group_, base_.index, last_.index}; }
  void Truncate(Index from, EntryHash hash_before);

  const GroupId group_;
  WrittenLog written_;
  HardState hard_state_;
  bool hard_state_lost_;
  LogPosition base_;
  EntryHash base_hash_;
  LogPosition last_;
  EntryHash last_hash_;
  Index commit_ = 0;
  bool dirty_ = false;
  std::optional<Truncation> truncation_;
  bool base_moved_ = false;
  bool dropped_ = false;  // before all that is pending
  std::vector<RecordRun> pending_;
  Index issued_ = 0;   // last entry written, durable once the sync under way returns
  Index durable_ = 0;  // last entry known synced
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_GROUP_STATE_H_

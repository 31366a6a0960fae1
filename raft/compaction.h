// Compaction: when a group's state is saved, and how much of its log is dropped.

#ifndef RAFT_COMPACTION_H_
#define RAFT_COMPACTION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/types.h"

namespace cairn {

struct CompactionOptions {
  // A snapshot is due when so much was applied since the last one.
  uint64_t snapshot_bytes = uint64_t{64} << 20;
  uint64_t snapshot_entries = 1'000'000;
  // The last entries stay in the log, so many and as far as they are no more bytes than this: a
  // member that was away for a moment is fed from them.
  uint64_t retained_bytes = uint64_t{16} << 20;
  uint64_t retained_entries = 100'000;
};

// Knows the sizes of the entries appended by this process; those recovered count by number only.
// Threads: one at a time.
class Compaction {
 public:
  // The log holds the entries from base + 1 to `last`.
  Compaction(const CompactionOptions& options, Index base, Index last);

  // The log, as it changes.
  void Append(Index last, uint64_t bytes);
  void Truncate(Index first_removed);
  void Reset(Index base);
  void Dropped(Index base) { base_ = base; }

  // The state up to here is durable outside the log.
  void Durable(Index index);
  // It is so only up to here again: the state was restored from an older snapshot.
  void DurableAgain(Index index) { durable_ = std::min(durable_, index); }
  Index durable() const { return durable_; }

  bool SnapshotDue(Index applied) const;
  // Up to where to drop now; 0: nothing, or too little to be worth a write. Entries behind `held`
  // stay too.
  Index DropTo(std::optional<Index> held) const;

 private:
  struct Mark {
    Index last = 0;
    uint64_t bytes = 0;  // of all entries ever appended up to here
  };
  uint64_t BytesUpTo(Index index) const;
  void ThinOut();
  Index last() const { return marks_.back().last; }

  const CompactionOptions options_;
  Index base_;
  Index durable_ = 0;
  std::deque<Mark> marks_;  // never empty
};

}  // namespace cairn

#endif  // RAFT_COMPACTION_H_

// GroupLog: a group's log as its node sees it: what Raft decided, as records.

#ifndef RAFT_GROUP_LOG_H_
#define RAFT_GROUP_LOG_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/time.h"
#include "base/types.h"
#include "raft/cache/cache_share.h"
#include "raft/cache/log_cache.h"
#include "raft/core/effects.h"
#include "raft/core/events.h"
#include "raft/mailbox.h"
#include "storage/log_store.h"
#include "storage/record.h"

namespace cairn {

// What a PayloadId names: the entries of a received message, or proposals.
struct Payload {
  std::vector<RecordRun> records;
  std::vector<ProposalRequest> proposals;
};

// The payloads given to Raft since its last effects were taken.
class Payloads {
 public:
  PayloadId Add(Payload payload) {
    payloads_.push_back(std::move(payload));
    return first_ + payloads_.size() - 1;
  }
  Payload& At(PayloadId id) { return payloads_.at(id - first_); }
  bool empty() const { return payloads_.empty(); }
  // Of those whose calls were not taken over by somebody.
  template <typename Function>
  void ForEachProposal(Function function) {
    for (Payload& payload : payloads_) {
      for (ProposalRequest& request : payload.proposals) {
        if (request.span.call != nullptr) function(request);
      }
    }
  }
  void Clear() {
    first_ += payloads_.size();
    payloads_.clear();
  }

 private:
  PayloadId first_ = 1;
  std::vector<Payload> payloads_;
};

// This is where entries are stamped: the leader's own get group, index, term, timestamp and the
// hash of the entry before, once; received ones are taken as they are, if they go on from here.
//
// Entries can be read as soon as Append has returned, from the cache until the store has them.
// Threads: one at a time.
class GroupLog {
 public:
  // `store` outlives this object, and `share`, which may be null; `recovered` is what it held.
  GroupLog(GroupId group, LogStore* store, const RecoveredLog& recovered, size_t cache_bytes,
           const CacheShare* share = nullptr);

  // Turns the batch into what the store is to write (all but its reset and drop, which are the
  // writer's), and takes it into the cache. INTERNAL if a
  // received entry does not go on from the one before (equal positions, another hash: a safety
  // violation), or the store's error: nothing of the batch must be written then, and nothing may be
  // appended any more.
  absl::StatusOr<LogAppend> Append(const LogBatch& batch, Payloads& payloads, WallTime timestamp);
  // The batches up to `ticket` are in the store.
  void Written(Ticket ticket) { cache_.Written(ticket); }
  // The store has these again, which it could not read.
  void Repaired(const RecordRun& run) {
    if (run.last().index != last_index_) return;
    last_timestamp_ = std::max(last_timestamp_, run.At(last_index_).timestamp());
  }
  size_t cached_bytes() const { return cache_.bytes(); }

  // As LogStore::Read.
  absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last, size_t max_bytes) const;
  // The same from memory alone; empty if `first` is not there.
  std::vector<RecordRun> ReadCached(Index first, Index last, size_t max_bytes) const {
    return cache_.Read(first, last, max_bytes);
  }
  // The first index that is surely in memory, last_index() + 1 if none is.
  Index first_cached() const { return cache_.empty() ? last_index_ + 1 : cache_.first(); }
  absl::StatusOr<EntryHash> HashAt(Index index) const;
  Index last_index() const { return last_index_; }
  // Of the entries appended so far and of the last one recovered: the latest timestamp.
  WallTime last_timestamp() const { return last_timestamp_; }

 private:
  absl::Status Truncate(Index from);
  absl::StatusOr<std::vector<RecordRun>> MakeRecords(const AppendRun& run, Payloads& payloads,
                                                     WallTime timestamp) const;

  const GroupId group_;
  LogStore* const store_;
  LogCache cache_;
  Index last_index_;
  EntryHash last_hash_;
  WallTime last_timestamp_{0};
};

}  // namespace cairn

#endif  // RAFT_GROUP_LOG_H_

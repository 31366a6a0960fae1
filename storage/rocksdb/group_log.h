// GroupLog: what memory holds of one group's log, and what an append makes of it.

#ifndef STORAGE_ROCKSDB_GROUP_LOG_H_
#define STORAGE_ROCKSDB_GROUP_LOG_H_

#include <optional>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "base/types.h"
#include "storage/append_fit.h"
#include "storage/log_store.h"
#include "storage/rocksdb/log_keys.h"

namespace cairn {

// A value. Threads: one at a time.
class GroupLog {
 public:
  explicit GroupLog(GroupId group) : group_(group) {}
  // `starts` tells the term of every entry of the log.
  GroupLog(GroupId group, LogHead head, std::vector<TermStart> starts);

  GroupId group() const { return group_; }
  const LogHead& head() const { return head_; }
  LogHead& head() { return head_; }
  const std::vector<TermStart>& starts() const { return starts_; }
  Term TermAt(Index index) const;  // of the base or an entry
  // The last entry of which it is not undecided whether it is torn.
  Index LastWhole() const { return head_.torn_from != 0 ? head_.torn_from - 1 : head_.last.index; }
  std::vector<TermRun> Runs() const;

  // As of all stores (append_fit.h). `hash` is that of the entry at EndFor.
  Index EndFor(const LogAppend& append) const;
  absl::Status CheckFits(const LogAppend& append, EntryHash hash) const;

  // The changes themselves, checked before. `hash` is that of the entry where the log now ends or
  // begins.
  void Append(const LogAppend& append, EntryHash hash);
  void DropPrefix(Index up_to, EntryHash hash);
  void Reset(LogPosition base, EntryHash hash);

  // Entries known to be unreadable.
  bool IsFaulty(Index index) const { return faulty_.contains(index) || IsTorn(index); }
  void AddFaulty(Index index) { faulty_.insert(index); }
  void Repaired(Index first, Index last) {
    faulty_.erase(faulty_.lower_bound(first), faulty_.upper_bound(last));
  }

 private:
  bool IsTorn(Index index) const { return head_.torn_from != 0 && index >= head_.torn_from; }
  LogExtent extent() const { return {group_, head_.base.index, head_.last.index}; }
  void TruncateTo(Index last, EntryHash hash);
  void ForgetStarts();

  GroupId group_;
  LogHead head_;
  std::vector<TermStart> starts_;
  Index told_commit_ = 0;  // may run ahead of the entries
  std::set<Index> faulty_;
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_GROUP_LOG_H_

// GroupLog: what memory holds of one group's log, and what an append makes of it.

#ifndef STORAGE_ROCKSDB_GROUP_LOG_H_
#define STORAGE_ROCKSDB_GROUP_LOG_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/append_fit.h"
#include "storage/faulty_ranges.h"
#include "storage/log_store.h"
#include "storage/record.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/verified_part.h"

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
  Term TermAt(Index index) const;       // of the base or an entry
  Index LastOfTerm(Index entry) const;  // the last entry of its term
  // The last entry of which it is not undecided whether it is torn.
  Index LastWhole() const { return head_.torn_from != 0 ? head_.torn_from - 1 : head_.last.index; }
  std::vector<TermRun> Runs() const;

  // As of all stores (append_fit.h). `hash` is that of the entry at EndFor.
  Index EndFor(const LogAppend& append) const;
  absl::Status CheckFits(const LogAppend& append, EntryHash hash) const;
  // As LogStore::Repair. `hash_at` is the store's.
  using HashAt = std::function<absl::StatusOr<EntryHash>(Index)>;
  absl::Status CheckRepair(const RecordRun& run, const HashAt& hash_at) const;

  // The changes themselves, checked before. `hash` is that of the entry where the log now ends or
  // begins.
  void Append(const LogAppend& append, EntryHash hash);
  void DropPrefix(Index up_to, EntryHash hash);
  void Reset(LogPosition base, EntryHash hash);

  // Entries known to be unreadable.
  bool IsFaulty(Index index) const { return faulty_.Contains(index) || IsTorn(index); }
  void AddFaulty(Index first, Index last) { faulty_.Add({.first = {first, 0}, .last = last}); }
  void Repaired(const RecordRun& run);

  // What the next start need not read. From its begin, or behind a mark that is believed:
  void BeginVerified(const std::optional<VerifiedMark>& mark);
  // these entries were read, and are good.
  void Verified(const RecordRun& run) { verified_.Add(run); }
  // Moves the mark on, so that a start reads `walked_bytes` behind it or somewhat more.
  // `unreadable`: from here on nobody knows that entries can be read, whatever is known here.
  void AdvanceMark(size_t walked_bytes, Index unreadable);
  // Nothing if a start has to read all of the log.
  std::optional<VerifiedMark> Mark(Index unreadable) const;

 private:
  bool IsTorn(Index index) const { return head_.torn_from != 0 && index >= head_.torn_from; }
  LogExtent extent() const { return {group_, head_.base.index, head_.last.index}; }
  void TruncateTo(Index last, EntryHash hash);
  void ForgetStarts();
  Index LastGood(Index unreadable) const;

  GroupId group_;
  LogHead head_;
  std::vector<TermStart> starts_;
  Index told_commit_ = 0;  // may run ahead of the entries
  FaultyRanges faulty_;    // says which, and no more
  VerifiedPart verified_;
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_GROUP_LOG_H_

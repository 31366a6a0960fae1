#include "storage/rocksdb/rocksdb_log.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/append_fit.h"
#include "storage/rocksdb/entry_reader.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/log_owner.h"

namespace cairn {
namespace {

absl::Status NotInLog(const LogHead& head, Index index) {
  return absl::OutOfRangeError(absl::StrCat("index ", index, " is not in the log, which holds ",
                                            head.base.index + 1, "..", head.last.index));
}

rocksdb::Slice SliceOf(absl::string_view bytes) { return {bytes.data(), bytes.size()}; }

}  // namespace

// A group's view of the log.
class RocksDbLog::Store final : public LogStore {
 public:
  Store(RocksDbLog& log, GroupId group) : log_(log), group_(group) {}

  absl::Status Append(const LogAppend& append) override { return log_.Append(group_, append); }
  absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last,
                                              size_t max_bytes) const override {
    return log_.Read(group_, first, last, max_bytes);
  }
  Index UnreadableThrough(Index first, Index last) const override {
    return log_.UnreadableThrough(group_, first, last);
  }
  absl::StatusOr<EntryHash> HashAt(Index index) const override {
    return log_.HashAt(group_, index);
  }
  LogPosition base() const override { return log_.HeadOf(group_).base; }
  LogPosition last() const override { return log_.HeadOf(group_).last; }
  absl::Status Repair(const std::vector<RecordRun>& runs) override {
    return log_.Repair(group_, runs);
  }
  absl::Status DropPrefix(Index up_to) override { return log_.DropPrefix(group_, up_to); }
  absl::Status Reset(LogPosition base, EntryHash hash) override {
    return log_.Reset(group_, base, hash);
  }

 private:
  RocksDbLog& log_;
  const GroupId group_;
};

RocksDbLog::RocksDbLog(FileSystem& file_system, RocksDbLogOptions options, Parts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      room_(*parts_.room),
      ledger_(*parts_.ledger),
      db_(*parts_.database.db),
      failure_(*parts_.database.failure),
      stalls_(db_, room_, failure_),
      notes_(ledger_.notes()),
      scrub_(ScrubParts(file_system)) {}

RocksDbLog::~RocksDbLog() { room_.Close(); }

GroupLog RocksDbLog::LogOf(GroupId group) const {
  if (const auto found = groups_.find(group); found != groups_.end()) return found->second;
  GroupLog fresh(group);
  fresh.head().unsure = options_.new_groups_are_lost;
  return fresh;
}

LogHead RocksDbLog::HeadOf(GroupId group) const {
  MutexLock lock(mutex_);
  const auto found = groups_.find(group);
  return found != groups_.end() ? found->second.head() : LogHead();
}

absl::StatusOr<OpenedLog> RocksDbLog::OpenGroup(GroupId group) {
  GroupLog log(group);
  {
    MutexLock lock(mutex_);
    CAIRN_CHECK(!stores_.contains(group)) << "group " << ToInteger(group) << " is open";
    if (const auto bad = damaged_.find(group); bad != damaged_.end()) {
      return absl::DataLossError(absl::StrCat(options_.directory, ": group ", ToInteger(group),
                                              ": ", bad->second.message()));
    }
    log = LogOf(group);
    unreadable_.ForgetGroup(group);  // no mark is left that spoke for them
  }
  // Nobody has the group open, so nobody changes it.
  OpenedLog opened;
  opened.recovered = RecoverLog(db_, options_.directory, options_.walked_bytes, log);
  opened.recovered.report.notes = notes_;
  MutexLock lock(mutex_);
  if (const auto known = groups_.find(group); known != groups_.end()) known->second = log;
  std::unique_ptr<LogStore>& store = stores_[group];
  store = std::make_unique<Store>(*this, group);
  opened.store = store.get();
  return opened;
}

void RocksDbLog::CloseGroup(GroupId group) {
  MutexLock lock(mutex_);
  stores_.erase(group);
}

std::vector<GroupId> RocksDbLog::Groups() const {
  MutexLock lock(mutex_);
  std::set<GroupId> groups;
  for (const auto& [group, log] : groups_) groups.insert(group);
  for (const auto& [group, status] : damaged_) groups.insert(group);
  return {groups.begin(), groups.end()};
}

absl::Status RocksDbLog::Write(rocksdb::WriteBatch& batch) {
  if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
  absl::Status status = stalls_.Write(batch);
  return status.ok() ? status : failure_.Set(std::move(status));
}

absl::Status RocksDbLog::Commit(GroupLog next, rocksdb::WriteBatch& batch) {
  const GroupId group = next.group();
  next.head().change = ++changes_.last;
  const auto before = groups_.find(group);
  if (before == groups_.end() || before->second.starts() != next.starts()) {
    batch.Put(TermsKey(group), EncodeTerms(group, next.starts()));
  }
  batch.Put(HeadKey(group), EncodeHead(group, next.head()));
  unreadable_.Forget(group, 0, next.head().base.index);
  next.AdvanceMark(options_.walked_bytes, unreadable_.First(group));
  if (const auto mark = next.Mark(unreadable_.First(group))) {
    batch.Put(MarkKey(group), EncodeMark(group, *mark));
  }
  if (absl::Status status = Write(batch); !status.ok()) return status;
  groups_.insert_or_assign(group, std::move(next));
  dirty_.insert(group);
  return absl::OkStatus();
}

absl::Status RocksDbLog::Append(GroupId group, const LogAppend& append) {
  if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
  if (absl::Status whole = CheckHeaders(append.runs); !whole.ok()) return failure_.Set(whole);
  GroupLog log(group);
  {
    MutexLock lock(mutex_);
    log = LogOf(group);
  }
  const Index end = log.EndFor(append);
  const absl::StatusOr<EntryHash> hash = HashAt(group, end);
  if (!hash.ok()) return failure_.Set(hash.status());
  if (absl::Status fits = log.CheckFits(append, *hash); !fits.ok()) return failure_.Set(fits);
  const LogHead before = log.head();
  log.Append(append, *hash);
  MutexLock lock(mutex_);
  // Entries that replace their like are written too: those there may be faulty.
  const bool has_entries = std::any_of(append.runs.begin(), append.runs.end(),
                                       [](const RecordRun& run) { return !run.empty(); });
  const auto known = groups_.find(group);
  // A commit index alone waits for entries; that a new group is unsure is written down.
  if (!has_entries && log.head() == before && (known != groups_.end() || !before.unsure)) {
    if (known != groups_.end()) known->second = log;
    return absl::OkStatus();
  }
  rocksdb::WriteBatch batch = BeginBatch(options_.identity);
  if (end < before.last.index) {
    ++changes_.disturbances;
    batch.DeleteRange(EntryKey(group, end + 1), EntryKey(group, before.last.index + 1));
  }
  for (const RecordRun& run : append.runs) {
    for (size_t i = 0; i < run.size(); ++i) {
      const RecordView record = run[i];
      batch.Put(EntryKey(group, record.position().index), SliceOf(record.bytes()));
    }
  }
  unreadable_.Forget(group, end + 1, std::numeric_limits<Index>::max());
  if (has_entries) room_.unwritten().SetClaim(DiskReserve::Claim::kEntries);
  return Commit(std::move(log), batch);
}

absl::Status RocksDbLog::Repair(GroupId group, const std::vector<RecordRun>& runs) {
  if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
  GroupLog log(group);
  {
    MutexLock lock(mutex_);
    log = LogOf(group);
  }
  rocksdb::WriteBatch batch = BeginBatch(options_.identity);
  // A run may be known by the one before it alone.
  std::map<Index, EntryHash> repaired;
  const auto hash_at = [&](Index index) -> absl::StatusOr<EntryHash> {
    const auto found = repaired.find(index);
    return found != repaired.end() ? found->second : HashAt(group, index);
  };
  for (const RecordRun& run : runs) {
    const absl::Status fits = log.CheckRepair(run, hash_at);
    if (!fits.ok()) return fits;
    repaired[run.last().index] = run.last_hash();
    for (size_t i = 0; i < run.size(); ++i) {
      batch.Put(EntryKey(group, run[i].position().index), SliceOf(run[i].bytes()));
    }
    log.Repaired(run);
  }
  if (runs.empty()) return absl::OkStatus();
  MutexLock lock(mutex_);
  for (const RecordRun& run : runs) {
    unreadable_.Forget(group, run.first().index, run.last().index);
  }
  ++changes_.disturbances;
  return Commit(std::move(log), batch);
}

absl::Status RocksDbLog::DropPrefix(GroupId group, Index up_to) {
  if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
  const LogHead head = HeadOf(group);
  if (up_to <= head.base.index) return absl::OkStatus();
  if (up_to > head.last.index) return NotInLog(head, up_to);
  const absl::StatusOr<EntryHash> hash = HashAt(group, up_to);
  if (!hash.ok()) return hash.status();
  MutexLock lock(mutex_);
  GroupLog log = LogOf(group);
  log.DropPrefix(up_to, *hash);
  rocksdb::WriteBatch batch = BeginBatch(options_.identity);
  batch.DeleteRange(EntryKey(group, 0), EntryKey(group, up_to + 1));
  ++changes_.disturbances;
  return Commit(std::move(log), batch);
}

absl::Status RocksDbLog::Reset(GroupId group, LogPosition base, EntryHash hash) {
  if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
  MutexLock lock(mutex_);
  GroupLog log = LogOf(group);
  if (base.index < log.head().base.index) {
    return absl::FailedPreconditionError(absl::StrCat(
        "reset to ", ToString(base), ": the log begins behind ", ToString(log.head().base)));
  }
  log.Reset(base, hash);
  unreadable_.ForgetGroup(group);
  rocksdb::WriteBatch batch = BeginBatch(options_.identity);
  batch.DeleteRange(EntryKey(group, 0), GroupEnd(group));
  ++changes_.disturbances;
  return Commit(std::move(log), batch);
}

absl::Status RocksDbLog::DropGroup(GroupId group) {
  MutexLock lock(mutex_);
  CAIRN_CHECK(!stores_.contains(group)) << "group " << ToInteger(group) << " is open";
  rocksdb::WriteBatch batch = BeginBatch(options_.identity);
  batch.DeleteRange(GroupBegin(group), GroupEnd(group));
  if (absl::Status status = Write(batch); !status.ok()) return status;
  groups_.erase(group);
  damaged_.erase(group);
  unreadable_.ForgetGroup(group);
  ++changes_.last;
  ++changes_.disturbances;
  dirty_.insert(group);
  return absl::OkStatus();
}

std::optional<GroupView> RocksDbLog::ViewOf(GroupId group) const {
  MutexLock lock(mutex_);
  const auto found = groups_.find(group);
  if (found == groups_.end()) return std::nullopt;
  return GroupView{found->second, std::make_shared<DatabaseSnapshot>(db_), changes_.disturbances};
}

absl::StatusOr<std::vector<RecordRun>> RocksDbLog::Read(GroupId group, Index first, Index last,
                                                        size_t max_bytes) {
  for (;;) {
    const uint64_t dropped = upkeep_.tables_dropped;
    const std::optional<GroupView> view = ViewOf(group);
    if (!view) return NotInLog(LogHead(), first);
    absl::StatusOr<std::vector<RecordRun>> runs = ReadView(*view, first, last, max_bytes);
    if (runs.ok() || !absl::IsDataLoss(runs.status())) return runs;
    // They have been written anew since, where this view does not show them.
    if (dropped != upkeep_.tables_dropped) continue;
    if (view->log.IsFaulty(first)) return runs;
    return FoundUnreadable(view->log, first, first, runs.status());
  }
}

absl::StatusOr<std::vector<RecordRun>> RocksDbLog::ReadView(const GroupView& view, Index first,
                                                            Index last, size_t max_bytes) const {
  const GroupLog& log = view.log;
  const LogHead& head = log.head();
  if (first <= head.base.index || first > head.last.index) return NotInLog(head, first);
  if (last < first) return absl::OutOfRangeError(absl::StrCat("read ", first, " to ", last));
  last = std::min(last, head.last.index);
  if (log.IsFaulty(first)) {
    return absl::DataLossError(absl::StrCat("entry ", first, " cannot be read or may be torn"));
  }
  last = std::min(last, log.LastWhole());
  absl::StatusOr<RecordRun> run =
      ReadEntries(db_, {.snapshot = view.snapshot->get()}, log.group(), first, last, max_bytes);
  if (!run.ok()) return run.status();
  // Good records, but are they the ones that were written?
  Index good = first;
  while (good <= run->last().index && !log.IsFaulty(good) &&
         run->At(good).position().term == log.TermAt(good)) {
    ++good;
  }
  const bool follows = first != head.base.index + 1 || run->previous_hash() == head.base_hash;
  if (good > head.last.index && run->last_hash() != head.last_hash) --good;
  if (good == first || !follows) {
    return absl::DataLossError(absl::StrCat("entry ", first, " is not the one written there"));
  }
  return std::vector<RecordRun>{run->Slice(first, good - 1)};
}

// Those that RocksDB does not have, up to the next one that it has.
Index RocksDbLog::UnreadableThrough(GroupId group, Index first, Index last) {
  const uint64_t dropped = upkeep_.tables_dropped;
  const std::optional<GroupView> view = ViewOf(group);
  if (!view) return first;
  const GroupLog& log = view->log;
  last = std::min(last, log.LastWhole());
  if (first <= log.head().base.index || first >= last) return first;
  last = NextThere(db_, {.snapshot = view->snapshot->get()}, group, first, last) - 1;
  // Written anew since, perhaps.
  if (dropped != upkeep_.tables_dropped) return first;
  // It gives back the status it is told; who asks has read the first one in vain and knows why.
  if (last > first) FoundUnreadable(log, first, last, absl::OkStatus()).IgnoreError();
  return last;
}

// A mark that speaks for the entries goes; the next change writes another if it can. The log may
// have changed since they were read, which costs a longer start at most.
absl::Status RocksDbLog::FoundUnreadable(const GroupLog& log, Index first, Index last,
                                         absl::Status why) {
  const GroupId group = log.group();
  MutexLock lock(mutex_);
  const auto found = groups_.find(group);
  if (found == groups_.end()) return why;
  const LogHead& head = found->second.head();
  if (first <= head.base.index || first > head.last.index) return why;
  if (found->second.TermAt(first) != log.TermAt(first)) return why;
  if (!unreadable_.Add(group, first, std::min(last, head.last.index))) return why;
  ++upkeep_.suspicions;
  rocksdb::WriteBatch batch = BeginBatch(options_.identity);
  batch.Delete(MarkKey(group));
  if (Write(batch).ok()) dirty_.insert(group);
  return why;
}

absl::StatusOr<EntryHash> RocksDbLog::HashAt(GroupId group, Index index) {
  const LogHead head = HeadOf(group);
  if (index == head.base.index) return head.base_hash;
  if (index == head.last.index) return head.last_hash;
  const absl::StatusOr<std::vector<RecordRun>> runs = Read(group, index, index, 1);
  if (runs.ok()) return runs->front().last_hash();
  if (!absl::IsDataLoss(runs.status())) return runs.status();
  // The next entry knows it too.
  const absl::StatusOr<std::vector<RecordRun>> next = Read(group, index + 1, index + 1, 1);
  if (!next.ok()) return runs.status();
  return next->front().previous_hash();
}

}  // namespace cairn

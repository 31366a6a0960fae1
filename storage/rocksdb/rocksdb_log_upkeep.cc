// The part of RocksDbLog that serves its scrub.

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/no_room.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/log_owner.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/rocksdb/rocksdb_status.h"

namespace cairn {
namespace {

// How often a table is asked for, of 10 ms at most each: half a minute.
constexpr int kMostLooks = 3000;
// What the database may take besides what is written anew: its buffers, and write-ahead logs of
// them.
constexpr uint64_t kBuffersBeside = 8;

}  // namespace

RocksDbScrub::Parts RocksDbLog::ScrubParts(FileSystem& file_system) {
  RocksDbScrub::Parts parts;
  parts.db = &db_;
  parts.ledger = &ledger_;
  parts.file_system = &file_system;
  parts.database_directory = db_.GetName();
  parts.identity = EncodeLogIdentity(options_.identity);
  parts.groups = [this] { return WholeGroups(); };
  parts.view = [this](GroupId group) { return ViewOf(group); };
  parts.unreadable = [this](const GroupLog& log, Index first, Index last) {
    // It gives back the status it is told; the scrub has words of its own for the entries.
    FoundUnreadable(log, first, last, absl::OkStatus()).IgnoreError();
  };
  parts.restore_group = [this](GroupId group) { return RestoreGroup(group); };
  parts.restore_identity = [this] {
    rocksdb::WriteBatch batch = BeginBatch(options_.identity);
    batch.Put(IdentityKey(), EncodeLogIdentity(options_.identity));
    return Write(batch);
  };
  parts.write_out_log = [this] { return WriteOutLog(); };
  parts.leave_log = [this](uint64_t number) { return LeaveLog(number); };
  parts.suspicions = [this] { return upkeep_.suspicions + failure_.merges_failed(); };
  parts.replacement = ReplacementParts();
  return parts;
}

std::vector<GroupId> RocksDbLog::WholeGroups() const {
  MutexLock lock(mutex_);
  std::vector<GroupId> groups;
  for (const auto& [group, log] : groups_) groups.push_back(group);
  return groups;
}

absl::Status RocksDbLog::RestoreGroup(GroupId group) {
  MutexLock lock(mutex_);  // so that nothing newer is overwritten
  const auto found = groups_.find(group);
  if (found == groups_.end()) return absl::OkStatus();
  rocksdb::WriteBatch batch = BeginBatch(options_.identity);
  batch.Put(TermsKey(group), EncodeTerms(group, found->second.starts()));
  batch.Put(HeadKey(group), EncodeHead(group, found->second.head()));
  return Write(batch);
}

// For the scrub. That the log is ahead of the ledger is as at any power cut before a sync.
bool RocksDbLog::WriteOutLog() {
  if (!failure_.Get().ok() || !db_.FlushWAL(/*sync=*/false).ok()) return false;
  return room_.unwritten().empty();
}

// A new file and a line of the manifest must not take what a full disk has in reserve.
absl::Status RocksDbLog::LeaveLog(uint64_t number) {
  if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
  if (!has_room()) {
    upkeep_.log_is_bad = true;
    return NoRoomError("what it holds is in memory, and waits for room to be written to a table");
  }
  if (absl::Status begun = BeginTable(db_); !begun.ok()) return failure_.Set(begun);
  for (int i = 0; i < kMostLooks && FirstLogInUse(db_) <= number; ++i) {
    if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
    if (room_.flush_waits()) break;
    room_.AwaitTable();
  }
  if (FirstLogInUse(db_) > number) return absl::OkStatus();
  return NoRoomError("what it holds is in memory, and is being written to a table");
}

void RocksDbLog::LeaveLogIfWanted() {
  if (!upkeep_.log_is_bad || !has_room() || !failure_.Get().ok()) return;
  if (!upkeep_.log_is_bad.exchange(false)) return;
  // The next write or sync gives the error.
  if (absl::Status begun = BeginTable(db_); !begun.ok()) failure_.Set(begun).IgnoreError();
}

TableReplacement::Parts RocksDbLog::ReplacementParts() {
  TableReplacement::Parts parts;
  parts.db = &db_;
  parts.identity = EncodeLogIdentity(options_.identity);
  parts.view = [this](GroupId group) { return ViewOf(group); };
  parts.write = [this](TableReplacement::Parts::Fill fill) { return WriteAnew(fill); };
  parts.check_room = [this](uint64_t bytes) { return CheckRoom(bytes); };
  parts.dropping = [this] { ++upkeep_.tables_dropped; };
  parts.resume_merging = [this](bool whole) { return ResumeMerging(whole); };
  parts.await_table = [this] { room_.AwaitTable(); };
  return parts;
}

absl::Status RocksDbLog::WriteAnew(TableReplacement::Parts::Fill fill) {
  MutexLock lock(mutex_);
  if (!damaged_.empty()) {
    // What the database has of it nobody knows, and it is to stay as it is.
    return absl::FailedPreconditionError(absl::StrCat("group ", ToInteger(damaged_.begin()->first),
                                                      " cannot be opened, which hides its keys"));
  }
  rocksdb::WriteBatch batch = BeginBatch(options_.identity);
  fill({groups_, unreadable_, changes_.disturbances}, batch);
  if (batch.Count() == 0) return absl::OkStatus();
  room_.unwritten().SetClaim(DiskReserve::Claim::kEntries);
  return Write(batch);
}

absl::Status RocksDbLog::CheckRoom(uint64_t bytes) {
  if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
  if (!has_room()) return NoRoomError("it waits for room");
  if (bytes == 0) return absl::OkStatus();
  const uint64_t needed = bytes + kBuffersBeside * options_.write_buffer_bytes;
  const absl::Status status = room_.reserve().Probe(needed);
  if (!absl::IsResourceExhausted(status)) return status;
  return NoRoomError(
      absl::StrCat("what it holds is written anew when there is room for ", needed, " bytes"));
}

absl::Status RocksDbLog::ResumeMerging(bool whole) {
  if (absl::Status failed = failure_.Get(); !failed.ok()) return failed;
  if (whole) failure_.MergesAgain();
  if (!options_.merges_tables || !failure_.merge_failure().ok()) return absl::OkStatus();
  if (absl::Status status = stalls_.AllowPile(); !status.ok()) return status;
  return StartMerging(db_);
}

}  // namespace cairn

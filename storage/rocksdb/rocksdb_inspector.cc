#include "storage/rocksdb/rocksdb_inspector.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "rocksdb/options.h"
#include "storage/rocksdb/database_repair.h"
#include "storage/rocksdb/entry_walk.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/rocksdb_status.h"

namespace cairn {
namespace {

constexpr char kTornReason[] = "may be torn: the group's peers decide";

// Adds `index` to the last range, or begins another one.
void AddTo(std::vector<IndexRange>& ranges, IndexRange range) {
  if (!ranges.empty() && ranges.back().last + 1 == range.first) {
    ranges.back().last = range.last;
  } else {
    ranges.push_back(range);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<RocksDbInspector>> RocksDbInspector::Open(
    FileSystem& file_system, const std::string& directory, std::shared_ptr<const KeyRing> keys) {
  for (const std::string& candidate : {directory + "/log", directory}) {
    const absl::StatusOr<bool> there = file_system.Exists(candidate + "/db");
    if (!there.ok()) return there.status();
    std::unique_ptr<RocksDbInspector> log(new RocksDbInspector(file_system, candidate, keys));
    if (*there) {
      if (absl::Status status = log->Load(); !status.ok()) return status;
      return log;
    }
    auto ledger = AckLedger::Open(log->file_system_, candidate);
    if (ledger.ok() && (*ledger)->was_there()) {
      return absl::DataLossError(
          absl::StrCat(candidate, ": there is a ledger, and the database beside it is gone"));
    }
  }
  return absl::NotFoundError(absl::StrCat(directory, ": there is no log in RocksDB"));
}

std::string RocksDbInspector::database_directory() const { return directory_ + "/db"; }

absl::Status RocksDbInspector::Load() {
  // RocksDB would not say that it is a matter of permission.
  const auto names = file_system_.List(database_directory());
  if (!names.ok()) return names.status();
  auto writer = file_system_.LockHolder(database_directory() + "/LOCK");
  if (writer.ok()) writer_ = *std::move(writer);
  if (absl::Status status = file_system_.CheckKeys(); !status.ok()) return status;
  auto ledger = AckLedger::Open(file_system_, directory_);
  if (!ledger.ok()) return ledger.status();
  ledger_ = *std::move(ledger);
  auto opened = OpenDatabaseToRead(file_system_, database_directory());
  const auto repairing = DatabaseRepair(file_system_, directory_).IsUnderWay();
  if (!repairing.ok()) return repairing.status();
  if (!opened.ok() || *repairing) {
    return absl::DataLossError(absl::StrCat(
        database_directory(),
        " cannot be opened: ", opened.ok() ? "its repair was cut short" : opened.status().message(),
        ledger_->identity() ? "; a start of the node repairs it, and asks the others for the rest"
                            : ""));
  }
  database_ = *std::move(opened);
  std::string value;
  const rocksdb::Status read = database_.db->Get(rocksdb::ReadOptions(), IdentityKey(), &value);
  absl::StatusOr<LogIdentity> identity =
      read.ok() ? DecodeLogIdentity(value) : absl::StatusOr<LogIdentity>(FromRocksDb(read));
  if (absl::IsFailedPrecondition(identity.status())) return identity.status();
  const bool ledger_knows = !identity.ok() && ledger_->identity();
  if (identity.ok()) {
    identity_ = *identity;
  } else if (ledger_knows) {
    identity_ = ledger_->identity();
  } else {
    no_identity_ = absl::StrCat("nobody can tell whose log it is: ", identity.status().message());
  }
  const bool as_repaired = ledger_knows && absl::IsNotFound(identity.status());
  absl::StatusOr<FoundGroups> found =
      FindGroups(*database_.db, *ledger_, as_repaired, rocksdb::WriteBatch());
  if (!found.ok()) return found.status();
  found_ = *std::move(found);
  return absl::OkStatus();
}

std::vector<std::string> RocksDbInspector::notes() const {
  std::vector<std::string> notes = ledger_->notes();
  notes.insert(notes.end(), found_.notes.begin(), found_.notes.end());
  return notes;
}

const LedgerGroup* RocksDbInspector::LedgerOf(GroupId group) const {
  const auto said = ledger_->groups().find(group);
  return said == ledger_->groups().end() ? nullptr : &said->second;
}

void RocksDbInspector::Read(
    GroupId group, Index from, uint64_t count, const std::function<void(const RecordRun&)>& take,
    const std::function<void(const LogInspector::Unreadable&)>& unreadable) const {
  const auto found = found_.groups.find(group);
  if (found == found_.groups.end()) return;
  const GroupLog& log = found->second;
  const LogHead& head = log.head();
  from = std::max(from, head.base.index + 1);
  Index last = log.LastWhole();
  bool all = true;
  if (from <= last && last - from >= count) {
    last = from + count - 1;
    all = false;
  }
  EntryWalk walk(*database_.db, ReadFrom(), log, take, [&unreadable](const BadEntries& bad) {
    unreadable({{bad.first, bad.last}, bad.why});
  });
  if (count > 0) walk.Run(from, last);
  from = std::max(from, head.torn_from);
  if (all && head.torn_from != 0 && from <= head.last.index) {
    unreadable({{from, head.last.index}, kTornReason});
  }
}

void RocksDbInspector::VerifyGroup(GroupId group, const GroupLog& log, VerifiedFile& file) const {
  std::vector<IndexRange> ok;
  auto take = [&ok](const RecordRun& run) { AddTo(ok, {run.first().index, run.last().index}); };
  auto fault = [&](const BadEntries& bad) {
    std::vector<LogFinding>& faulty = file.faulty;
    const bool goes_on = !faulty.empty() && faulty.back().group == group &&
                         faulty.back().entries.last + 1 == bad.first &&
                         faulty.back().reason == bad.why;
    if (goes_on) {
      faulty.back().entries.last = bad.last;
      return;
    }
    faulty.push_back(
        {.path = file.path, .group = group, .entries = {bad.first, bad.last}, .reason = bad.why});
  };
  const LogHead& head = log.head();
  EntryWalk(*database_.db, ReadFrom(), log, take, fault).Run(head.base.index + 1, log.LastWhole());
  if (!ok.empty()) file.ok[group] = std::move(ok);
  if (head.torn_from == 0) return;
  file.torn.push_back({.path = file.path,
                       .group = group,
                       .entries = {head.torn_from, head.last.index},
                       .reason = kTornReason});
}

std::vector<LogFinding> RocksDbInspector::FindingsOfWhole() const {
  std::vector<LogFinding> faulty;
  auto add = [&](GroupId group, absl::string_view reason) {
    faulty.push_back({.path = directory_, .group = group, .reason = std::string(reason)});
  };
  const bool has_groups = !found_.groups.empty() || !found_.damaged.empty();
  if (!identity_ && (has_groups || has_ledger())) add(GroupId::kNone, no_identity_);
  if (has_groups && !has_ledger()) {
    add(GroupId::kNone,
        "there is no ledger (acks.*) that can be read: nobody can tell whether the database holds "
        "all it acknowledged");
  }
  for (const auto& [group, status] : found_.damaged) add(group, status.message());
  for (const auto& [group, log] : found_.groups) {
    if (!log.head().unsure || !has_ledger()) continue;
    add(group, "what was synced may be lost, perhaps with its term and vote");
    faulty.back().is_mark = ledger_->complete();
  }
  return faulty;
}

std::vector<VerifiedFile> RocksDbInspector::Verify() const {
  std::vector<VerifiedFile> files;
  VerifiedFile& database = files.emplace_back();
  database.path = database_directory();
  for (const auto& [group, log] : found_.groups) VerifyGroup(group, log, database);
  VerifiedFile whole = {.path = directory_};
  whole.notes = notes();
  whole.faulty = FindingsOfWhole();
  if (!whole.faulty.empty() || !whole.notes.empty()) files.push_back(std::move(whole));
  return files;
}

}  // namespace cairn

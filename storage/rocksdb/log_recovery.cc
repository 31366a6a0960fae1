#include "storage/rocksdb/log_recovery.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "rocksdb/iterator.h"
#include "rocksdb/options.h"
#include "storage/faulty_ranges.h"
#include "storage/rocksdb/entry_reader.h"
#include "storage/rocksdb/entry_walk.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/rocksdb_status.h"

namespace cairn {
namespace {

// A table block that cannot be read ends the search: groups behind it are missing then, and the
// status says why.
absl::Status FindGroupsIn(rocksdb::DB& db, std::set<GroupId>& groups) {
  rocksdb::ReadOptions options;
  const std::unique_ptr<rocksdb::Iterator> at(db.NewIterator(options));
  at->Seek(GroupBegin(GroupId{0}));
  while (at->Valid()) {
    const auto group = GroupOfKey(absl::string_view(at->key().data(), at->key().size()));
    if (!group) break;
    if (*group != GroupId::kNone) groups.insert(*group);
    if (ToInteger(*group) == UINT64_MAX) break;
    // Not to its end, behind which there may be a key that nobody but a bug or a person wrote.
    at->Seek(GroupBegin(GroupId{ToInteger(*group) + 1}));
  }
  return FromRocksDb(at->status());
}

absl::StatusOr<std::string> ValueOf(rocksdb::DB& db, const std::string& key) {
  std::string value;
  rocksdb::ReadOptions options;
  const rocksdb::Status status = db.Get(options, key, &value);
  if (status.IsNotFound()) return absl::NotFoundError("RocksDB does not have the head of the log");
  if (!status.ok()) return FromRocksDb(status);
  return value;
}

// NOT_FOUND if the database has neither head nor terms, which are written together.
absl::StatusOr<GroupLog> LoadGroup(rocksdb::DB& db, GroupId group) {
  const auto head_bytes = ValueOf(db, HeadKey(group));
  const auto terms_bytes = ValueOf(db, TermsKey(group));
  if (absl::IsNotFound(head_bytes.status()) && !absl::IsNotFound(terms_bytes.status())) {
    return absl::DataLossError(head_bytes.status().message());
  }
  if (!head_bytes.ok()) return head_bytes.status();
  const auto head = DecodeHead(group, *head_bytes);
  if (!head.ok()) return head.status();
  if (!terms_bytes.ok()) return absl::DataLossError(terms_bytes.status().message());
  auto starts = DecodeTerms(group, *terms_bytes);
  if (!starts.ok()) return starts.status();
  if (!CoverLog(*starts, *head)) {
    return absl::DataLossError("the list of terms does not cover the log");
  }
  return GroupLog(group, *head, *std::move(starts));
}

// The last entry up to which both logs are the same, or surely not known to differ: one index and
// term is one entry.
Index CommonEnd(const GroupLog& one, const GroupLog& other) {
  const Index begin = std::max(one.head().base.index, other.head().base.index);
  const Index end = std::min(one.head().last.index, other.head().last.index);
  Index common = begin;
  while (common < end && one.TermAt(common + 1) == other.TermAt(common + 1)) {
    common = std::min({end, one.LastOfTerm(common + 1), other.LastOfTerm(common + 1)});
  }
  return common;
}

// Whether they are of different changes, or say the same. What a recovery wrote of the change it
// found does not count: the ledger did not have that yet.
bool MayBeOneChange(const GroupLog& log, const LedgerGroup& ledger) {
  if (log.head().change != ledger.head.change) return true;
  LogHead head = ledger.head;
  head.torn_from = log.head().torn_from;
  head.unsure = log.head().unsure;
  return log.head() == head && log.starts() == ledger.starts;
}

class Reconciler {
 public:
  Reconciler(rocksdb::DB& db, const AckLedger& ledger, bool repaired, rocksdb::WriteBatch begin)
      : db_(db), ledger_(ledger), repaired_(repaired) {
    found_.repairs = std::move(begin);
  }

  absl::StatusOr<FoundGroups> Run() {
    std::set<GroupId> groups;
    const absl::Status searched = FindGroupsIn(db_, groups);
    // The ledger knows them all, if it is whole.
    if (!searched.ok() && !(absl::IsDataLoss(searched) && ledger_.complete())) return searched;
    for (const auto& [group, said] : ledger_.groups()) {
      groups.insert(group);
      newest_in_ledger_ = std::max(newest_in_ledger_, said.head.change);
    }
    for (const GroupId group : groups) {
      absl::StatusOr<GroupLog> log = LoadGroup(db_, group);
      if (absl::IsFailedPrecondition(log.status())) return log.status();
      Take(group, std::move(log));
    }
    found_.last_change = std::max(newest_in_ledger_, newest_in_database_);
    if (InDoubt()) BeUnsure();
    return std::move(found_);
  }

 private:
  void Take(GroupId group, absl::StatusOr<GroupLog> log) {
    const auto said = ledger_.groups().find(group);
    const LedgerGroup* known = said == ledger_.groups().end() ? nullptr : &said->second;
    if (log.ok() && ClaimsWhatIsNotThere(*log, known)) {
      log = absl::DataLossError(absl::StrCat("the head of the log claims entry ",
                                             log->head().last.index, ", which nobody wrote"));
      Note(group, log.status().message());
    }
    if (log.ok()) newest_in_database_ = std::max(newest_in_database_, log->head().change);
    if (said == ledger_.groups().end()) {
      // No sync has left it there.
      const bool is_back = repaired_ && ledger_.complete();
      if (is_back) {
        Drop(group, "it was dropped, and is back in the repaired database");
      } else {
        Keep(group, std::move(log));
      }
      return;
    }
    const LedgerGroup& ledger = said->second;
    if (log.ok() && !ledger.dropped && !MayBeOneChange(*log, ledger)) {
      log = absl::DataLossError("the head of the log is none that was written here");
    }
    if (log.ok() && log->head().change >= ledger.head.change) {
      Keep(group, std::move(log));
    } else if (ledger.dropped) {
      Drop(group, absl::IsNotFound(log.status())
                      ? ""
                      : "the database has it, and the ledger says that it was dropped");
    } else if (repaired_) {
      // Its head is of any time; its entries prove themselves.
      Adopt(group, nullptr, ledger, false);
    } else if (absl::IsNotFound(log.status())) {
      // Nothing of this life of the group is in the database.
      const GroupLog none(group);
      Adopt(group, &none, ledger, ledger.durable_change == 0 || ledger.began_anew);
    } else if (log.ok()) {
      Adopt(group, &*log, ledger, log->head().change >= ledger.durable_change);
    } else {
      Adopt(group, nullptr, ledger, false);
    }
  }

  // A head and the entries it tells of are one write: without the last of them it was not written
  // here. But what the ledger tells of may be lost, and a head be written behind it. And where the
  // ledger is not complete it may have told of more.
  bool ClaimsWhatIsNotThere(const GroupLog& log, const LedgerGroup* known) const {
    const LogPosition last = log.head().last;
    if (repaired_ || !ledger_.complete() || last.index == log.head().base.index) return false;
    if (known != nullptr && last.index <= known->head.last.index) {
      const GroupLog said(log.group(), known->head, known->starts);
      const bool is_there = last.index > known->head.base.index;
      if (!is_there || said.TermAt(last.index) == last.term) return false;
    }
    std::string value;
    rocksdb::ReadOptions options;
    return db_.Get(options, EntryKey(log.group(), last.index), &value).IsNotFound();
  }

  // Something that both are to know may have been lost in both: a later term and vote, entries
  // behind the last ones, or that these were truncated. What is known is true, and may be older.
  bool InDoubt() const {
    if (ledger_.complete()) return false;
    if (!ledger_.was_there() || repaired_ || behind_) return true;
    return ledger_.end_rotted() && newest_in_database_ <= newest_in_ledger_;
  }

  void BeUnsure() {
    for (auto& [group, log] : found_.groups) {
      if (log.head().unsure) continue;
      log.head().unsure = true;
      found_.repairs.Put(HeadKey(group), EncodeHead(group, log.head()));
      Note(group,
           "the ledger cannot vouch for it: a later term and vote may be lost, and entries that "
           "were acknowledged");
    }
  }

  void Drop(GroupId group, absl::string_view why) {
    if (!why.empty()) Note(group, why);
    found_.repairs.DeleteRange(GroupBegin(group), GroupEnd(group));
  }

  void Keep(GroupId group, absl::StatusOr<GroupLog> log) {
    // It may be a mark of entries that are gone now.
    if (repaired_) found_.repairs.Delete(MarkKey(group));
    if (log.ok()) {
      found_.groups.emplace(group, *std::move(log));
    } else {
      found_.damaged[group] = log.status();
    }
  }

  void Note(GroupId group, absl::string_view what) {
    found_.notes.push_back(absl::StrCat("group ", ToInteger(group), ": ", what));
  }

  // The ledger is ahead: changes of the database were lost, or the group's head was. `only_last`:
  // what is missing is of the last sync and no other.
  void Adopt(GroupId group, const GroupLog* old, const LedgerGroup& ledger, bool only_last) {
    GroupLog log(group, ledger.head, ledger.starts);
    behind_ = true;
    Note(group, absl::StrCat("the ledger knows change ", ledger.head.change, ", the database ",
                             old != nullptr ? absl::StrCat("only ", old->head().change)
                                            : "has no head that can be read"));
    if (old != nullptr) {
      const Index common = std::min(CommonEnd(*old, log), log.head().last.index);
      // Not acknowledged for all the ledger knows, and the machine lost power: as a torn tail.
      const bool may_be_torn =
          only_last && ledger.boot != ledger_.boot() && common < log.head().last.index;
      const Index from = std::max(common, log.head().base.index) + 1;
      if (may_be_torn && (log.head().torn_from == 0 || log.head().torn_from > from)) {
        log.head().torn_from = from;
      }
      found_.repairs.DeleteRange(EntryKey(group, common + 1), GroupEnd(group));
    } else {
      found_.repairs.DeleteRange(EntryKey(group, log.head().last.index + 1), GroupEnd(group));
    }
    found_.repairs.DeleteRange(EntryKey(group, 0), EntryKey(group, log.head().base.index + 1));
    // It was written beside another head, or beside one that rotted.
    found_.repairs.Delete(MarkKey(group));
    found_.repairs.Put(HeadKey(group), EncodeHead(group, log.head()));
    found_.repairs.Put(TermsKey(group), EncodeTerms(group, log.starts()));
    found_.groups.emplace(group, std::move(log));
  }

  rocksdb::DB& db_;
  const AckLedger& ledger_;
  const bool repaired_;
  uint64_t newest_in_database_ = 0;  // change
  uint64_t newest_in_ledger_ = 0;
  bool behind_ = false;  // the database, of the ledger
  FoundGroups found_;
};

// The entry where it is to be, or nothing.
std::optional<RecordRun> EntryAt(rocksdb::DB& db, const GroupLog& log, Index index) {
  absl::StatusOr<RecordRun> run = ReadEntries(db, ReadFrom(), log.group(), index, index, 1);
  if (!run.ok() || run->last().term != log.TermAt(index)) return std::nullopt;
  return *std::move(run);
}

// In parts, so that the mark comes as far as it may.
void TakeVerified(GroupLog& log, const RecordRun& run, size_t walked_bytes) {
  Index first = run.first().index;
  size_t bytes = 0;
  for (size_t i = 0; i < run.size(); ++i) {
    const Index index = run.first().index + i;
    bytes += run[i].bytes().size();
    if (bytes < walked_bytes && i + 1 < run.size()) continue;
    log.Verified(run.Slice(first, index));
    log.AdvanceMark(walked_bytes, index + 1);
    first = index + 1;
    bytes = 0;
  }
}

struct Believed {
  VerifiedMark mark;
  std::vector<RawConfiguration> configurations;
};

// Nothing where the slightest thing is wrong: then the whole log is read. Each change writes the
// mark beside the head, so one beside another head was left there by a program that knows no marks,
// or by changes that were lost and that only the ledger tells of.
std::optional<Believed> BelievedMark(rocksdb::DB& db, const GroupLog& log) {
  const LogHead& head = log.head();
  const auto bytes = ValueOf(db, MarkKey(log.group()));
  if (!bytes.ok()) return std::nullopt;
  auto mark = DecodeMark(log.group(), *bytes);
  if (!mark.ok() || mark->change != head.change) return std::nullopt;
  if (mark->at.index <= head.base.index || mark->at.index > log.LastWhole()) return std::nullopt;
  const std::optional<RecordRun> end = EntryAt(db, log, mark->at.index);
  if (!end || end->last() != mark->at || end->last_hash() != mark->hash) return std::nullopt;
  if (mark->at == head.last && mark->hash != head.last_hash) return std::nullopt;
  Believed believed;
  for (const Index index : mark->configurations) {
    if (index <= head.base.index) return std::nullopt;
    const std::optional<RecordRun> run = EntryAt(db, log, index);
    if (!run || (*run)[0].type() != EntryType::kConfiguration) return std::nullopt;
    believed.configurations.push_back({run->last(), (*run)[0].Payload(run->bytes())});
  }
  believed.mark = *std::move(mark);
  return believed;
}

}  // namespace

absl::StatusOr<FoundGroups> FindGroups(rocksdb::DB& db, const AckLedger& ledger, bool repaired,
                                       rocksdb::WriteBatch begin) {
  return Reconciler(db, ledger, repaired, std::move(begin)).Run();
}

RecoveredLog RecoverLog(rocksdb::DB& db, const std::string& directory, size_t walked_bytes,
                        GroupLog& log) {
  const LogHead& head = log.head();
  RecoveredLog recovered;
  recovered.hard_state = head.hard_state;
  recovered.hard_state_lost = head.unsure;
  recovered.base = head.base;
  recovered.base_hash = head.base_hash;
  recovered.runs = log.Runs();
  recovered.last_hash = head.last_hash;
  recovered.known_commit = head.known_commit;
  Index first = head.base.index + 1;
  std::optional<Believed> believed = BelievedMark(db, log);
  if (believed) {
    log.BeginVerified(believed->mark);
    recovered.report.entries = believed->mark.at.index - head.base.index;
    recovered.configurations = std::move(believed->configurations);
    first = believed->mark.at.index + 1;
  } else {
    log.BeginVerified(std::nullopt);
  }
  auto take = [&](const RecordRun& run) {
    recovered.report.entries += run.size();
    TakeVerified(log, run, walked_bytes);
    for (size_t i = 0; i < run.size(); ++i) {
      if (run[i].type() != EntryType::kConfiguration) continue;
      recovered.configurations.push_back({run[i].position(), run[i].Payload(run.bytes())});
    }
  };
  FaultyRanges faulty;
  auto fault = [&](const BadEntries& bad) {
    // Each of one term.
    for (Index at = bad.first; at <= bad.last;) {
      const Index end = std::min(bad.last, log.LastOfTerm(at));
      faulty.Add(
          {.first = {at, log.TermAt(at)}, .last = end, .file = directory, .reason = bad.why});
      at = end + 1;
    }
    log.AddFaulty(bad.first, bad.last);  // no mark passes them
  };
  EntryWalk(db, ReadFrom(), log, take, fault).Run(first, log.LastWhole());
  recovered.faulty = faulty.Ranges();
  if (head.torn_from != 0) {
    recovered.torn_from = head.torn_from;
    recovered.report.torn_first = head.torn_from;
    recovered.report.torn_last = head.last.index;
  }
  return recovered;
}

}  // namespace cairn

#include "storage/rocksdb/rocksdb_scrub.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "rocksdb/metadata.h"
#include "rocksdb/options.h"
#include "rocksdb/sst_file_reader.h"
#include "rocksdb/table_properties.h"
#include "storage/rocksdb/entry_reader.h"
#include "storage/rocksdb/entry_walk.h"
#include "storage/rocksdb/log_file_check.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/rocksdb_file_system.h"
#include "storage/rocksdb/rocksdb_status.h"

namespace cairn {
namespace {

constexpr uint64_t kGroupsPhase = 0;
constexpr uint64_t kTablesPhase = 1;
constexpr uint64_t kLogsPhase = 2;
constexpr uint64_t kReplacementPhase = 3;
constexpr uint64_t kDone = ~uint64_t{0};    // as an offset: with this group, table or file
constexpr uint64_t kFooterBytes = 4 << 10;  // of a table, with what else it says of itself
constexpr Index kMaxToldOfGap = 256;        // at either end

absl::StatusOr<std::string> ValueOf(rocksdb::DB& db, const ReadFrom& from, const std::string& key) {
  std::string value;
  const rocksdb::Status status = db.Get(from.Options(), key, &value);
  if (!status.ok()) return FromRocksDb(status);
  return value;
}

std::string LogPath(const std::string& directory, uint64_t number) {
  return absl::StrCat(directory, "/", absl::Dec(number, absl::kZeroPad6), ".log");
}

// Begins what is written next to the one at `position`.
uint64_t FirstFrom(const ScrubPosition& position) {
  return position.offset == kDone && position.block != kDone ? position.block + 1 : position.block;
}

}  // namespace

ScrubStep RocksDbScrub::Step(ScrubPosition& position, uint64_t max_bytes) {
  ScrubStep step;
  if (position == ScrubPosition()) {
    CheckWhole(step);
    position.id_end = 1;  // begun
  }
  if (position.batch == kGroupsPhase) {
    if (!StepGroups(position, max_bytes, step)) return step;
    position = {.batch = kTablesPhase};
  }
  if (position.batch == kTablesPhase) {
    if (!StepTables(position, max_bytes, step)) return step;
    position = {.batch = kLogsPhase};
  }
  if (position.batch == kLogsPhase) {
    if (!StepLogs(position, max_bytes, step)) return step;
    position = {.batch = kReplacementPhase};
  }
  if (!StepReplacement(max_bytes, step)) return step;
  position = {};
  step.round_ended = true;
  return step;
}

void RocksDbScrub::CheckWhole(ScrubStep& step) const {
  auto took = [&step](const std::string& what, const absl::Status& restored) {
    const std::string told =
        restored.ok() ? what : absl::StrCat(what, " (", restored.message(), ")");
    (restored.ok() ? step.healed : step.avoided).push_back(told);
  };
  const absl::StatusOr<std::string> identity =
      ValueOf(*parts_.db, {.past_page_cache = true}, IdentityKey());
  if (!identity.ok() || *identity != parts_.identity) {
    took(absl::StrCat(parts_.database_directory, ": the identity of the log was bad"),
         parts_.restore_identity());
  }
  const AckLedger::Checked ledger = parts_.ledger->Check();
  step.bytes += parts_.identity.size() + ledger.bytes;
  if (!ledger.status.ok()) took(std::string(ledger.status.message()), absl::OkStatus());
}

// True if all groups are done.
bool RocksDbScrub::StepGroups(ScrubPosition& position, uint64_t max_bytes, ScrubStep& step) const {
  while (step.bytes < max_bytes) {
    const std::vector<GroupId> groups = parts_.groups();
    const auto next = std::lower_bound(groups.begin(), groups.end(), GroupId{FirstFrom(position)});
    if (next == groups.end()) return true;
    const uint64_t group = ToInteger(*next);
    if (group != position.block || position.offset == kDone) {
      if (group == position.block) return true;  // the last number there is
      position = {.block = group};
    }
    if (StepGroup(*next, position, max_bytes, step)) position = {.block = group, .offset = kDone};
  }
  return false;
}

// True if the group is done.
bool RocksDbScrub::StepGroup(GroupId group, ScrubPosition& position, uint64_t max_bytes,
                             ScrubStep& step) const {
  // Held for this step only: nothing that was dropped stays on the disk for its sake.
  const std::optional<GroupView> view = parts_.view(group);
  if (!view) return true;
  const GroupLog& log = view->log;
  if (position.offset == 0) CheckHead(*view, step);
  const Index first = std::max(position.offset, log.head().base.index + 1);
  auto fault = [&](const BadEntries& bad) {
    parts_.unreadable(log, bad.first, bad.last);
    // Of those at its beginning nobody may want to know any more: Raft may have left them behind.
    const Index begin_told = std::min(bad.last, bad.first + kMaxToldOfGap - 1);
    const Index end_told = std::max(begin_told, bad.last - std::min(bad.last, kMaxToldOfGap));
    for (Index index = bad.first; index <= bad.last; ++index) {
      if (index == begin_told + 1) index = end_told + 1;
      if (index > bad.last) break;
      step.damaged.push_back({group,
                              {index, log.TermAt(index)},
                              absl::DataLossError(absl::StrCat(parts_.database_directory,
                                                               ": entry ", index, ": ", bad.why))});
    }
  };
  EntryWalk walk(
      *parts_.db, {.snapshot = view->snapshot->get(), .past_page_cache = true}, log,
      [](const RecordRun&) {}, fault);
  position.offset = walk.Run(first, log.LastWhole(), max_bytes - std::min(max_bytes, step.bytes));
  step.bytes += walk.bytes();
  return position.offset > log.LastWhole();
}

// What memory has is in force. What stands in the database is for the next start.
void RocksDbScrub::CheckHead(const GroupView& view, ScrubStep& step) const {
  const ReadFrom from = {.snapshot = view.snapshot->get(), .past_page_cache = true};
  const GroupId group = view.log.group();
  const absl::StatusOr<std::string> head = ValueOf(*parts_.db, from, HeadKey(group));
  const absl::StatusOr<std::string> terms = ValueOf(*parts_.db, from, TermsKey(group));
  const std::string good_head = EncodeHead(group, view.log.head());
  const std::string good_terms = EncodeTerms(group, view.log.starts());
  step.bytes += good_head.size() + good_terms.size();
  if (head.ok() && *head == good_head && terms.ok() && *terms == good_terms) return;
  const std::string what =
      absl::StrCat(parts_.database_directory, ": the head of group ", ToInteger(group), " was bad");
  const absl::Status restored = parts_.restore_group(group);
  if (restored.ok()) {
    step.healed.push_back(what);
  } else {
    step.avoided.push_back(absl::StrCat(what, " (", restored.message(), ")"));
  }
}

// True if all tables are done.
bool RocksDbScrub::StepTables(ScrubPosition& position, uint64_t max_bytes, ScrubStep& step) {
  const bool from_the_first = position == ScrubPosition{.batch = kTablesPhase};
  if (from_the_first) suspicions_ = parts_.suspicions();
  const bool all_of_each = suspicions_.value_or(0) != looked_into_;
  std::vector<rocksdb::LiveFileMetaData> tables;
  parts_.db->GetLiveFilesMetaData(&tables);
  std::sort(tables.begin(), tables.end(),
            [](const auto& one, const auto& other) { return one.file_number < other.file_number; });
  for (const rocksdb::LiveFileMetaData& table : tables) {
    if (table.file_number < FirstFrom(position)) continue;
    if (step.bytes >= max_bytes) return false;
    CheckTable(table, all_of_each, step);
    position = {.block = table.file_number, .offset = kDone, .batch = kTablesPhase};
  }
  if (suspicions_ && bad_tables_.empty()) looked_into_ = *suspicions_;
  suspicions_.reset();
  return true;
}

void RocksDbScrub::CheckTable(const rocksdb::LiveFileMetaData& table, bool all_of_it,
                              ScrubStep& step) {
  const std::unique_ptr<rocksdb::Env> environment = rocksdb::NewCompositeEnv(
      MakeRocksDbFileSystem(*parts_.file_system, TableReads::kAlwaysPastPageCache));
  rocksdb::Options options;
  options.env = environment.get();
  const std::string path = absl::StrCat(parts_.database_directory, table.name);
  rocksdb::SstFileReader reader(options);
  rocksdb::Status status = reader.Open(path);
  step.bytes += kFooterBytes;
  const bool opens = status.ok();
  if (opens) {
    step.bytes += reader.GetTableProperties()->index_size;
    if (!all_of_it) return;
    status = reader.VerifyChecksum();
    step.bytes += table.size;
  }
  // It may have been dropped meanwhile.
  if (!status.IsCorruption() || !parts_.file_system->Exists(path).value_or(true)) return;
  if (opens) {
    bad_tables_[table.name] = absl::StrCat(path, ": a block is bad (", status.ToString(), ")");
    return;
  }
  const rocksdb::Status merged =
      parts_.db->CompactFiles(rocksdb::CompactionOptions(), {table.name}, /*output_level=*/1);
  step.bytes += 2 * table.size;
  const std::string what = absl::StrCat(path, ": what it says of itself is bad");
  if (merged.ok()) {
    step.avoided.push_back(what);
  } else {
    bad_tables_[table.name] =
        absl::StrCat(what, ", and it cannot be merged (", merged.ToString(), ")");
  }
}

// True if nothing is to be replaced any more.
bool RocksDbScrub::StepReplacement(uint64_t max_bytes, ScrubStep& step) {
  if (!replacement_.runs()) {
    if (bad_tables_.empty()) return true;
    if (step.bytes >= max_bytes) return false;
    std::vector<std::string> names;
    for (const auto& [name, why] : bad_tables_) names.push_back(name);
    replacement_.Begin(std::move(names));
  }
  const uint64_t left = max_bytes - std::min(max_bytes, step.bytes);
  const TableReplacement::Progress progress = replacement_.Step(left);
  step.bytes += progress.bytes;
  if (!progress.ended) return false;
  for (const auto& [name, why] : bad_tables_) {
    if (progress.status.ok()) {
      step.healed.push_back(why);
    } else {
      step.avoided.push_back(
          absl::StrCat(why, ", and is not replaced yet: ", progress.status.message()));
    }
  }
  bad_tables_.clear();
  return true;
}

// In order.
std::vector<uint64_t> RocksDbScrub::LogsInUse() const {
  std::vector<uint64_t> numbers;
  const absl::StatusOr<std::vector<std::string>> names =
      parts_.file_system->List(parts_.database_directory);
  if (!names.ok()) return numbers;  // the round looks at what it can
  const uint64_t first = FirstLogInUse(*parts_.db);
  for (absl::string_view name : *names) {
    uint64_t number = 0;
    if (!absl::ConsumeSuffix(&name, ".log") || !absl::SimpleAtoi(name, &number)) continue;
    if (number >= first) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

// True if all files are done.
bool RocksDbScrub::StepLogs(ScrubPosition& position, uint64_t max_bytes, ScrubStep& step) const {
  for (const uint64_t number : LogsInUse()) {
    if (number < FirstFrom(position)) continue;
    if (number != position.block) position = {.block = number, .batch = kLogsPhase};
    while (position.offset != kDone) {
      if (step.bytes >= max_bytes) return false;
      if (StepLog(number, position, max_bytes - step.bytes, step)) position.offset = kDone;
    }
  }
  return true;
}

// True if the file is done.
bool RocksDbScrub::StepLog(uint64_t number, ScrubPosition& position, uint64_t max_bytes,
                           ScrubStep& step) const {
  const std::string path = LogPath(parts_.database_directory, number);
  const LogFileCheck check =
      CheckLogFile(*parts_.file_system, path, parts_.identity, position.offset, max_bytes,
                   [this] { return parts_.write_out_log(); });
  step.bytes += check.bytes;
  position.offset = check.next;
  if (check.status.ok()) return check.ended;
  // It may have served meanwhile.
  if (absl::IsNotFound(check.status) || number < FirstLogInUse(*parts_.db)) return true;
  const std::string what(check.status.message());
  const absl::Status left = parts_.leave_log(number);
  if (left.ok()) {
    step.healed.push_back(absl::StrCat(what, ", and what it holds is in memory"));
  } else {
    step.avoided.push_back(absl::StrCat(what, " (", left.message(), ")"));
  }
  return true;
}

}  // namespace cairn

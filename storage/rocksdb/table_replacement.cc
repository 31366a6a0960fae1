#include "storage/rocksdb/table_replacement.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "rocksdb/options.h"
#include "storage/rocksdb/entry_walk.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/rocksdb_status.h"

namespace cairn {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{256} << 10;  // about so much is one batch at most
constexpr int kMostWaits = 3000;                       // of 10 ms at most each: half a minute

rocksdb::Slice SliceOf(absl::string_view bytes) { return {bytes.data(), bytes.size()}; }

std::string BehindAllKeys() { return std::string(32, '\xff'); }

bool MergesRun(rocksdb::DB& db) {
  uint64_t running = 0;
  return db.GetIntProperty(rocksdb::DB::Properties::kNumRunningCompactions, &running) &&
         running > 0;
}

// The number of the last change that is in a table.
uint64_t NewestInTables(rocksdb::DB& db) {
  std::vector<rocksdb::LiveFileMetaData> tables;
  db.GetLiveFilesMetaData(&tables);
  uint64_t newest = 0;
  for (const rocksdb::LiveFileMetaData& table : tables) {
    newest = std::max<uint64_t>(newest, table.largest_seqno);
  }
  return newest;
}

// Where a range begins that has this key: at the entry, at its group, or at the beginning of all.
std::string BeginFor(const std::string& smallest) {
  if (IsEntryKey(smallest)) return smallest;
  const std::optional<GroupId> group = GroupOfKey(smallest);
  return group ? GroupBegin(*group) : std::string();
}

// Where one ends that has it: behind the entry, behind its group, or behind all.
std::string EndFor(const std::string& largest) {
  const std::optional<GroupId> group = GroupOfKey(largest);
  if (!group) return BehindAllKeys();
  return IsEntryKey(largest) ? EntryKey(*group, IndexOfKey(largest) + 1) : GroupEnd(*group);
}

}  // namespace

void TableReplacement::Begin(std::vector<std::string> bad) {
  CAIRN_CHECK(!runs() && !bad.empty());
  bad_ = std::move(bad);
  waits_ = 0;
  stage_ = Stage::kSettle;
}

TableReplacement::Progress TableReplacement::Step(uint64_t max_bytes) {
  uint64_t bytes = 0;
  absl::Status status = parts_.check_room(0);
  if (!status.ok()) return End(std::move(status), bytes);
  switch (stage_) {
    case Stage::kIdle:
      CAIRN_CHECK(false) << "nothing is to be replaced";
      break;
    case Stage::kSettle:
      status = Settle();
      break;
    case Stage::kCopy:
      status = Copy(max_bytes, bytes);
      break;
    case Stage::kFlush:
      status = Flush();
      break;
    case Stage::kDrop:
      status = Drop();
      break;
  }
  if (!status.ok() || bad_.empty()) return End(std::move(status), bytes);
  return {.bytes = bytes, .ended = false, .status = absl::OkStatus()};
}

TableReplacement::Progress TableReplacement::End(absl::Status status, uint64_t bytes) {
  stage_ = Stage::kIdle;
  bad_.clear();
  absl::Status resumed = parts_.resume_merging(status.ok());
  return {.bytes = bytes, .ended = true, .status = status.ok() ? resumed : std::move(status)};
}

absl::Status TableReplacement::CountWait() {
  if (++waits_ > kMostWaits) return absl::UnavailableError("RocksDB does not come to an end of it");
  parts_.await_table();
  return absl::OkStatus();
}

// What was written anew must stay in level 0, newer than all that is to go.
absl::Status TableReplacement::Settle() {
  if (waits_ == 0) {
    if (absl::Status stopped = StopMerging(*parts_.db); !stopped.ok()) return stopped;
  }
  return MergesRun(*parts_.db) ? CountWait() : Plan();
}

absl::Status TableReplacement::Plan() {
  rocksdb::ColumnFamilyMetaData metadata;
  parts_.db->GetColumnFamilyMetaData(&metadata);
  const std::vector<rocksdb::LevelMetaData>& levels = metadata.levels;
  CAIRN_CHECK(levels.size() == 2) << levels.size();
  const std::set<std::string> bad(bad_.begin(), bad_.end());
  const auto is_bad = [&bad](const rocksdb::SstFileMetaData& table) {
    return bad.contains(table.name);
  };
  doomed_.clear();
  entries_ = {};
  stage_ = Stage::kCopy;
  const auto& newer = levels[0].files;
  if (std::any_of(newer.begin(), newer.end(), is_bad)) return PlanAll(levels);
  const auto& last = levels[1].files;
  const auto table = std::find_if(last.begin(), last.end(), is_bad);
  if (table == last.end()) {
    bad_.clear();  // merged meanwhile
    return absl::OkStatus();
  }
  doomed_.push_back(table->name);
  left_ = {BeginFor(table->smallestkey), EndFor(table->largestkey)};
  return parts_.check_room(table->size);
}

absl::Status TableReplacement::PlanAll(const std::vector<rocksdb::LevelMetaData>& levels) {
  for (const auto& table : levels[1].files) doomed_.push_back(table.name);
  // The oldest is the last one. All up to the newest bad one have to go.
  const std::set<std::string> bad(bad_.begin(), bad_.end());
  std::vector<std::string> names;
  for (const auto& table : levels[0].files) {
    if (!names.empty() || bad.contains(table.name)) names.push_back(table.name);
  }
  doomed_.insert(doomed_.end(), names.rbegin(), names.rend());
  left_ = {std::string(), BehindAllKeys()};
  return parts_.check_room(levels[0].size + levels[1].size);
}

absl::Status TableReplacement::Copy(uint64_t max_bytes, uint64_t& bytes) {
  while (left_.from < left_.end) {
    if (bytes >= max_bytes) return absl::OkStatus();
    size_t written = 0;
    entries_.next = 0;
    absl::Status status = parts_.write([&](const GroupsNow& now, rocksdb::WriteBatch& batch) {
      CopyBetween(now, batch);
      written = batch.GetDataSize();
    });
    if (!status.ok()) return status;
    bytes += written;
    if (entries_.next == 0) continue;
    const absl::StatusOr<uint64_t> copied = CopyEntries(
        entries_.group, entries_.next, max_bytes - std::min<uint64_t>(max_bytes, bytes));
    if (!copied.ok()) return copied.status();
    bytes += *copied;
  }
  // Also so that there is something to be written to a table.
  absl::Status status = parts_.write([this](const GroupsNow&, rocksdb::WriteBatch& batch) {
    batch.Put(IdentityKey(), parts_.identity);
  });
  if (!status.ok()) return status;
  copied_ = parts_.db->GetLatestSequenceNumber();
  waits_ = 0;
  stage_ = Stage::kFlush;
  return BeginTable(*parts_.db);
}

// All that is known without reading, up to the next entries, of which it says `next`.
void TableReplacement::CopyBetween(const GroupsNow& now, rocksdb::WriteBatch& batch) {
  const std::optional<GroupId> at = GroupOfKey(left_.from);
  auto next = at ? now.groups.lower_bound(*at) : now.groups.begin();
  if (next != now.groups.end() && left_.from >= GroupEnd(next->first)) ++next;
  if (next == now.groups.end() || GroupBegin(next->first) >= left_.end) {
    left_.from = left_.end;
    return;
  }
  const GroupLog& log = next->second;
  const GroupId group = next->first;
  if (left_.from <= EntryKey(group, 0)) CopyHead(now, log, batch);
  if (entries_.group != group) {
    const Index last = log.head().last.index;
    const bool ends_here = left_.end <= EntryKey(group, last);
    entries_ = {.group = group, .through = ends_here ? IndexOfKey(left_.end) - 1 : last};
  }
  const Index first = std::max(IndexOfKey(left_.from), log.head().base.index + 1);
  if (first <= std::min(entries_.through, log.head().last.index)) {
    entries_.next = first;
    return;
  }
  left_.from = std::min(GroupEnd(group), left_.end);
}

// What memory has is in force.
void TableReplacement::CopyHead(const GroupsNow& now, const GroupLog& log,
                                rocksdb::WriteBatch& batch) {
  const GroupId group = log.group();
  batch.Put(TermsKey(group), EncodeTerms(group, log.starts()));
  batch.Put(HeadKey(group), EncodeHead(group, log.head()));
  if (const auto mark = log.Mark(now.unreadable.First(group))) {
    batch.Put(MarkKey(group), EncodeMark(group, *mark));
  }
  left_.from = EntryKey(group, log.head().base.index + 1);
}

// Read without the lock, and written if they are as they were.
absl::StatusOr<uint64_t> TableReplacement::CopyEntries(GroupId group, Index first,
                                                       uint64_t max_bytes) {
  const std::optional<GroupView> view = parts_.view(group);
  if (!view) return 0;
  const GroupLog& log = view->log;
  const Index last = std::min(entries_.through, log.head().last.index);
  if (first <= log.head().base.index || first > last) return 0;
  if (log.head().torn_from != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the last entries of group ", ToInteger(group), " may be torn, which is undecided"));
  }
  std::vector<RecordRun> runs;
  std::optional<BadEntries> bad;
  EntryWalk walk(
      *parts_.db, {.snapshot = view->snapshot->get()}, log,
      [&runs](const RecordRun& run) { runs.push_back(run); },
      [&bad](const BadEntries& entries) { bad = bad ? bad : entries; });
  const Index next = walk.Run(first, last, std::min(max_bytes, kPieceBytes));
  if (bad) {
    return absl::DataLossError(absl::StrCat("entry ", bad->first, " of group ", ToInteger(group),
                                            ", which is needed, cannot be read: ", bad->why));
  }
  absl::Status status = parts_.write([&](const GroupsNow& now, rocksdb::WriteBatch& batch) {
    if (now.disturbances != view->disturbances) return;
    for (const RecordRun& run : runs) {
      for (size_t i = 0; i < run.size(); ++i) {
        batch.Put(EntryKey(group, run[i].position().index), SliceOf(run[i].bytes()));
      }
    }
    left_.from = EntryKey(group, next);
  });
  if (!status.ok()) return status;
  return 2 * walk.bytes();
}

absl::Status TableReplacement::Flush() {
  if (NewestInTables(*parts_.db) < copied_) return CountWait();
  stage_ = Stage::kDrop;
  return absl::OkStatus();
}

absl::Status TableReplacement::Drop() {
  parts_.dropping();
  for (const std::string& table : doomed_) {
    const rocksdb::Status dropped = parts_.db->DeleteFile(table);
    if (!dropped.ok()) return FromRocksDb(dropped);
    std::erase(bad_, table);
  }
  waits_ = 0;
  stage_ = Stage::kSettle;
  return absl::OkStatus();
}

}  // namespace cairn

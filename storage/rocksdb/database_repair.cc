#include "storage/rocksdb/database_repair.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/coding.h"
#include "rocksdb/env.h"
#include "rocksdb/options.h"
#include "rocksdb/sst_file_reader.h"
#include "rocksdb/table_properties.h"
#include "storage/checksum.h"
#include "storage/rocksdb/rocksdb_file_system.h"

namespace cairn {
namespace {

bool IsTable(const std::string& name) { return absl::EndsWith(name, ".sst"); }
bool IsLog(const std::string& name) { return absl::EndsWith(name, ".log"); }
// Which table it is, whatever it is called: numbers are given once in a session of the database.
// Nothing if it does not say.
std::optional<std::string> OriginOf(FileSystem& file_system, const std::string& path) {
  const std::unique_ptr<rocksdb::Env> environment =
      rocksdb::NewCompositeEnv(MakeRocksDbFileSystem(file_system));
  rocksdb::Options options;
  options.env = environment.get();
  rocksdb::SstFileReader reader(options);
  if (!reader.Open(path).ok()) return std::nullopt;
  const auto properties = reader.GetTableProperties();
  if (properties->db_session_id.empty() || properties->orig_file_number == 0) return std::nullopt;
  return absl::StrCat(properties->db_session_id, " ", properties->orig_file_number);
}

bool IsContent(const std::string& name) { return IsTable(name) || IsLog(name); }

}  // namespace

DatabaseRepair::DatabaseRepair(FileSystem& file_system, const std::string& log_directory)
    : file_system_(file_system),
      log_directory_(log_directory),
      directory_(log_directory + "/db"),
      lost_(directory_ + "/lost"),
      mark_(log_directory + "/repairing") {}

absl::StatusOr<bool> DatabaseRepair::IsUnderWay() const { return file_system_.Exists(mark_); }

// RocksDB begins a repair with an empty database, and would throw away what that does not name. So
// from here on it is repaired, and not opened.
absl::Status DatabaseRepair::Begin(DiskReserve& reserve) {
  if (absl::Status made = file_system_.MakeDirectory(directory_); !made.ok()) return made;
  auto names = file_system_.List(directory_);
  if (!names.ok()) return names.status();
  std::erase_if(*names, [](const std::string& name) { return !IsContent(name); });
  std::string content = absl::StrJoin(*names, "\n");
  AppendLittleEndian(&content, Checksum(content));
  return reserve.WithRoom(DiskReserve::Claim::kDatabase, content.size(),
                          [&] { return WriteFileAtomically(file_system_, mark_, content); });
}

absl::StatusOr<std::vector<std::string>> DatabaseRepair::FilesAtBegin() const {
  const absl::StatusOr<std::string> content = ReadWholeFile(file_system_, mark_);
  if (!content.ok()) return content.status();
  const size_t size = std::max(content->size(), sizeof(uint64_t)) - sizeof(uint64_t);
  const absl::string_view names = absl::string_view(*content).substr(0, size);
  if (content->size() < sizeof(uint64_t) ||
      LoadLittleEndian<uint64_t>(content->data() + size) != Checksum(names)) {
    return absl::DataLossError(absl::StrCat(mark_, " is damaged"));
  }
  return std::vector<std::string>(absl::StrSplit(names, '\n', absl::SkipEmpty()));
}

// Of the files that were there when it began.
absl::StatusOr<std::vector<std::string>> DatabaseRepair::MovedAway() const {
  const auto first = FilesAtBegin();
  if (!first.ok()) return first.status();
  std::vector<std::string> moved;
  for (const std::string& name : *first) {
    const absl::StatusOr<bool> here = file_system_.Exists(absl::StrCat(directory_, "/", name));
    if (!here.ok()) return here.status();
    if (*here) continue;
    const absl::StatusOr<bool> there = file_system_.Exists(absl::StrCat(lost_, "/", name));
    if (!there.ok()) return there.status();
    if (*there) moved.push_back(name);
  }
  return moved;
}

absl::StatusOr<std::vector<std::string>> DatabaseRepair::WriteAheadLogs() const {
  std::vector<std::string> paths;
  const absl::StatusOr<bool> there = file_system_.Exists(directory_);
  if (!there.ok()) return there.status();
  if (*there) {
    const auto names = file_system_.List(directory_);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (IsLog(name)) paths.push_back(absl::StrCat(directory_, "/", name));
    }
  }
  const absl::StatusOr<bool> under_way = IsUnderWay();
  if (!under_way.ok()) return under_way.status();
  if (!*under_way) return paths;
  const auto moved = MovedAway();
  if (!moved.ok()) return moved.status();
  for (const std::string& name : *moved) {
    if (IsLog(name)) paths.push_back(absl::StrCat(lost_, "/", name));
  }
  return paths;
}

// An attempt that was cut short has made tables of write-ahead logs that it may have moved away or
// not: of those that are still there a second one would be made, which RocksDB does not open.
absl::Status DatabaseRepair::Restore() {
  const auto wanted = FilesAtBegin();
  if (!wanted.ok()) return wanted.status();
  if (absl::Status made = file_system_.MakeDirectory(lost_); !made.ok()) return made;
  const auto here = file_system_.List(directory_);
  if (!here.ok()) return here.status();
  const std::set<std::string> first(wanted->begin(), wanted->end());
  for (const std::string& name : *here) {
    if (!IsContent(name) || first.contains(name)) continue;
    if (absl::Status moved = MoveToLost(name); !moved.ok()) return moved;
  }
  const auto moved_away = MovedAway();
  if (!moved_away.ok()) return moved_away.status();
  for (const std::string& name : *moved_away) {
    absl::Status moved =
        file_system_.Rename(absl::StrCat(lost_, "/", name), absl::StrCat(directory_, "/", name));
    if (!moved.ok()) return moved;
  }
  absl::Status synced = file_system_.SyncDirectory(directory_);
  return synced.ok() ? file_system_.SyncDirectory(lost_) : synced;
}

absl::Status DatabaseRepair::MoveToLost(const std::string& name) {
  return file_system_.Rename(absl::StrCat(directory_, "/", name), absl::StrCat(lost_, "/", name));
}

// A table that also stands in the place of another one: RocksDB would take both into the database,
// and not open it.
absl::Status DatabaseRepair::SetCopiesAside() {
  if (absl::Status made = file_system_.MakeDirectory(lost_); !made.ok()) return made;
  const auto names = file_system_.List(directory_);
  if (!names.ok()) return names.status();
  std::set<std::string> origins;
  bool moved_any = false;
  for (const std::string& name : *names) {
    if (!IsTable(name)) continue;
    const auto origin = OriginOf(file_system_, absl::StrCat(directory_, "/", name));
    if (!origin || origins.insert(*origin).second) continue;
    if (absl::Status moved = MoveToLost(name); !moved.ok()) return moved;
    moved_any = true;
  }
  if (!moved_any) return absl::OkStatus();
  absl::Status synced = file_system_.SyncDirectory(directory_);
  return synced.ok() ? file_system_.SyncDirectory(lost_) : synced;
}

absl::Status DatabaseRepair::Run(const DatabaseOptions& options) {
  const absl::StatusOr<bool> under_way = IsUnderWay();
  if (!under_way.ok()) return under_way.status();
  absl::Status status = *under_way ? Restore() : Begin(options.room->reserve());
  if (status.ok()) status = SetCopiesAside();
  return status.ok() ? RepairDatabase(file_system_, options) : status;
}

absl::Status DatabaseRepair::Finish() {
  absl::Status status = file_system_.Remove(mark_);
  return status.ok() ? file_system_.SyncDirectory(log_directory_) : status;
}

}  // namespace cairn

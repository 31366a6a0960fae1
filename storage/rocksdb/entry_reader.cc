#include "storage/rocksdb/entry_reader.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rocksdb/iterator.h"
#include "storage/rocksdb/log_keys.h"
#include "storage/rocksdb/rocksdb_file_system.h"

namespace cairn {
namespace {

struct RawEntries {
  std::string bytes;
  size_t first_bytes = 0;  // of the first one; 0 if it is not there
  rocksdb::Status status;  // why there are no more
};

RawEntries ReadRaw(rocksdb::DB& db, const ReadFrom& from, GroupId group, Index first, Index last,
                   size_t max_bytes) {
  const std::string behind = EntryKey(group, last + 1);
  const rocksdb::Slice bound(behind);
  rocksdb::ReadOptions options = from.Options();
  options.iterate_upper_bound = &bound;
  const std::unique_ptr<rocksdb::Iterator> entry(db.NewIterator(options));
  RawEntries raw;
  std::string key = EntryKey(group, first);
  for (entry->Seek(key); entry->Valid() && entry->key() == rocksdb::Slice(key); entry->Next()) {
    const rocksdb::Slice value = entry->value();
    if (raw.bytes.empty()) raw.first_bytes = value.size();
    if (!raw.bytes.empty() && raw.bytes.size() + value.size() > max_bytes) break;
    raw.bytes.append(value.data(), value.size());
    if (raw.bytes.empty()) break;  // no record is empty
    key = EntryKey(group, ++first);
  }
  raw.status = entry->status();
  if (!raw.bytes.empty() || raw.status.ok()) return raw;
  // A bad block hides a good copy that was written later, from an iterator; not from Get.
  std::string value;
  if (db.Get(from.Options(), EntryKey(group, first), &value).ok() && !value.empty()) {
    raw.first_bytes = value.size();
    raw.bytes = std::move(value);
  }
  return raw;
}

absl::StatusOr<RecordRun> ParseFrom(GroupId group, Index first, const Bytes& bytes) {
  absl::StatusOr<RecordRun> run = RecordRun::Parse(group, bytes);
  if (run.ok() && run->first().index != first) {
    return absl::DataLossError(absl::StrCat("it is entry ", run->first().index));
  }
  return run;
}

}  // namespace

rocksdb::ReadOptions ReadFrom::Options() const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  options.verify_checksums = true;
  if (past_page_cache) options.rate_limiter_priority = kPastPageCache;
  return options;
}

absl::StatusOr<RecordRun> ReadEntries(rocksdb::DB& db, const ReadFrom& from, GroupId group,
                                      Index first, Index last, size_t max_bytes) {
  RawEntries raw = ReadRaw(db, from, group, first, last, max_bytes);
  if (raw.bytes.empty()) {
    return absl::DataLossError(absl::StrCat(
        "entry ", first,
        " cannot be read: ", raw.status.ok() ? "RocksDB does not have it" : raw.status.ToString()));
  }
  const Bytes bytes = Bytes::Take(std::move(raw.bytes));
  absl::StatusOr<RecordRun> run = ParseFrom(group, first, bytes);
  // One of them is bad; with luck not the first.
  if (!run.ok()) {
    run = ParseFrom(group, first, Bytes::Copy(bytes.view().substr(0, raw.first_bytes)));
  }
  if (!run.ok()) {
    return absl::DataLossError(
        absl::StrCat("entry ", first, " cannot be read: ", run.status().message()));
  }
  return run;
}

Index NextThere(rocksdb::DB& db, const ReadFrom& from, GroupId group, Index first, Index last) {
  const std::string behind = EntryKey(group, last + 1);
  const rocksdb::Slice bound(behind);
  rocksdb::ReadOptions options = from.Options();
  options.iterate_upper_bound = &bound;
  const std::unique_ptr<rocksdb::Iterator> entry(db.NewIterator(options));
  entry->Seek(EntryKey(group, first));
  if (!entry->Valid()) return entry->status().ok() ? last + 1 : first + 1;
  const std::string found = entry->key().ToString();
  // A key of another length is nobody's, and says nothing of where the next entry stands.
  if (found.size() != behind.size()) return first + 1;
  return std::clamp(IndexOfKey(found), first + 1, last + 1);
}

}  // namespace cairn

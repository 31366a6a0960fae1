// EntryWalk: reads a group's entries one behind the other, and tells good from bad.

#ifndef STORAGE_ROCKSDB_ENTRY_WALK_H_
#define STORAGE_ROCKSDB_ENTRY_WALK_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/types.h"
#include "rocksdb/db.h"
#include "storage/record.h"
#include "storage/rocksdb/entry_reader.h"
#include "storage/rocksdb/group_log.h"

namespace cairn {

struct BadEntries {
  Index first = 0;
  Index last = 0;
  std::string why;
};

// A record that is whole may still be an old one, which RocksDB's checksums do not see. So an entry
// is good if its own checksums hold and it is of the term the log has at its index, follows the
// entry before it where that is good too, and is the one the head names where it is the last.
//
// Threads: one. Database and log outlive the walk. `from` is of a snapshot that `log` describes, or
// the log does not change meanwhile.
class EntryWalk {
 public:
  // Good entries in order, as many as were read together.
  using Take = std::function<void(const RecordRun&)>;
  // Entries that are not. Those that RocksDB does not have are told together, however many.
  using Fault = std::function<void(const BadEntries&)>;

  EntryWalk(rocksdb::DB& db, ReadFrom from, const GroupLog& log, Take take, Fault fault)
      : db_(db), from_(from), log_(log), take_(std::move(take)), fault_(std::move(fault)) {}

  // The entries from `first` to `last`, which are in the log and not torn; ends when about
  // `max_bytes` have been read. Gives the index of the next one it would look at.
  Index Run(Index first, Index last, uint64_t max_bytes = ~uint64_t{0});
  // Read by the last run. What is bad counts as what RocksDB reads to see that.
  uint64_t bytes() const { return bytes_; }

 private:
  std::optional<EntryHash> HashBefore(Index index);
  void Check(const RecordRun& run);
  std::string WhyBad(const RecordView& record) const;

  rocksdb::DB& db_;
  const ReadFrom from_;
  const GroupLog& log_;
  const Take take_;
  const Fault fault_;
  uint64_t bytes_ = 0;
  std::optional<EntryHash> before_;  // hash of the entry before, if that is a good one
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_ENTRY_WALK_H_

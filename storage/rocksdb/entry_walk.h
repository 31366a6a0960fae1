// EntryWalk: reads a group's entries one behind the other, and tells good from bad.

#ifndef STORAGE_ROCKSDB_ENTRY_WALK_H_
#define STORAGE_ROCKSDB_ENTRY_WALK_H_

#include <functional>
#include <optional>
#include <string>

#include "base/types.h"
#include "rocksdb/db.h"
#include "storage/record.h"
#include "storage/rocksdb/group_log.h"

namespace cairn {

// A record that is whole may still be an old one, which RocksDB's checksums do not see. So an entry
// is good if its own checksums hold and it is of the term the log has at its index, follows the
// entry before it where that is good too, and is the one the head names where it is the last.
//
// Threads: one. Database and log outlive the walk.
class EntryWalk {
 public:
  // Good entries in order, as many as were read together.
  using Take = std::function<void(const RecordRun&)>;
  // An entry that is not, and why.
  using Fault = std::function<void(Index, std::string)>;

  EntryWalk(rocksdb::DB& db, const GroupLog& log, Take take, Fault fault)
      : db_(db), log_(log), take_(std::move(take)), fault_(std::move(fault)) {}

  // The entries from `first` to `last`, which are in the log and not torn.
  void Run(Index first, Index last);

 private:
  void Check(const RecordRun& run);
  std::string WhyBad(const RecordView& record) const;

  rocksdb::DB& db_;
  const GroupLog& log_;
  const Take take_;
  const Fault fault_;
  std::optional<EntryHash> before_;  // hash of the entry before, if that is a good one
};

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_ENTRY_WALK_H_

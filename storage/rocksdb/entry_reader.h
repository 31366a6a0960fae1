// Entries as the database has them, verified.

#ifndef STORAGE_ROCKSDB_ENTRY_READER_H_
#define STORAGE_ROCKSDB_ENTRY_READER_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "base/types.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "storage/record.h"

namespace cairn {

// Of what is read.
struct ReadFrom {
  const rocksdb::Snapshot* snapshot = nullptr;  // null: as it is now
  bool past_page_cache = false;                 // what tables say is read from the disk itself
  rocksdb::ReadOptions Options() const;
};

// Entries first.. up to `last`, at least one and then at most `max_bytes`. Their checksums,
// positions and chain hold. Fewer where the next one is bad. DATA_LOSS if the first is.
// Threads: any.
absl::StatusOr<RecordRun> ReadEntries(rocksdb::DB& db, const ReadFrom& from, GroupId group,
                                      Index first, Index last, size_t max_bytes);

// Behind `first`, which is bad or not there: the next entry up to `last` of which it is not known
// that the database does not have it; `last` + 1 if there is none. Of what stands in a block that
// cannot be read nothing is known. Threads: any.
Index NextThere(rocksdb::DB& db, const ReadFrom& from, GroupId group, Index first, Index last);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_ENTRY_READER_H_

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

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_ENTRY_READER_H_

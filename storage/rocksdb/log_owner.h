// Whose RocksDB's write-ahead log is: each batch in it says so, at its beginning.
//
// RocksDB's own files name no node, and a file of another one with the same number and later
// changes would be taken for this node's. FORMAT.md, "Whose write-ahead log it is".

#ifndef STORAGE_ROCKSDB_LOG_OWNER_H_
#define STORAGE_ROCKSDB_LOG_OWNER_H_

#include <string>

#include "absl/status/status.h"
#include "rocksdb/write_batch.h"
#include "storage/block/block_header.h"
#include "storage/file_system.h"

namespace cairn {

// To be filled and written: every batch begins with this, as any may be the first one of a file.
// Takes 43 bytes of the write-ahead log, and nothing elsewhere.
rocksdb::WriteBatch BeginBatch(const LogIdentity& identity);

// FAILED_PRECONDITION, naming file and both identities, if a file of the write-ahead log in this
// directory begins with a batch of somebody else. Looks at the first bytes of each file. One that
// does not say whose it is passes: programs before this wrote such, and what is damaged is for
// RocksDB and the ledger to name. OK if there is no such directory.
absl::Status CheckLogOwner(FileSystem& file_system, const std::string& database_directory,
                           const LogIdentity& identity);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_LOG_OWNER_H_

// Whose RocksDB's write-ahead log is: each batch in it says so, at its beginning.
//
// RocksDB's own files name no node, and a file of another one with the same number and later
// changes would be taken for this node's. FORMAT.md, "Whose write-ahead log it is".

#ifndef STORAGE_ROCKSDB_LOG_OWNER_H_
#define STORAGE_ROCKSDB_LOG_OWNER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "rocksdb/write_batch.h"
#include "storage/block/block_header.h"
#include "storage/file_system.h"

namespace cairn {

// To be filled and written: every batch begins with this, as any may be the first one of a file.
// Takes 43 bytes of the write-ahead log, and nothing elsewhere.
rocksdb::WriteBatch BeginBatch(const LogIdentity& identity);

// Whose batch it is that this piece of a file begins with; nothing if it does not say.
std::optional<LogIdentity> OwnerOf(absl::string_view piece);

// FAILED_PRECONDITION, naming file and both identities, if one of these files of a write-ahead log
// begins with a batch of somebody else. Looks at the first bytes of each. One that does not say
// whose it is passes: programs before this wrote such, and what is damaged is for RocksDB and the
// ledger to name.
//
// So does one that cannot be read at the second attempt either, which is as likely this node's as
// any. RocksDB reads it next: what it cannot read it takes for rot, and the ledger names what is
// missing. But a disk may give then what it did not give here, so the answer, for people, is which
// files were not looked at, and why.
absl::StatusOr<std::vector<std::string>> CheckLogOwner(FileSystem& file_system,
                                                       const std::vector<std::string>& paths,
                                                       const LogIdentity& identity);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_LOG_OWNER_H_

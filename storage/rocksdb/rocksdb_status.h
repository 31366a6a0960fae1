// The errors of RocksDB and those of Cairn, each in the words of the other.

#ifndef STORAGE_ROCKSDB_ROCKSDB_STATUS_H_
#define STORAGE_ROCKSDB_ROCKSDB_STATUS_H_

#include "absl/status/status.h"
#include "rocksdb/io_status.h"
#include "rocksdb/status.h"

namespace cairn {

// RocksDB's text stays in the message. Corruption is DATA_LOSS, a full disk RESOURCE_EXHAUSTED, a
// format or option it does not know FAILED_PRECONDITION.
absl::Status FromRocksDb(const rocksdb::Status& status);

// For what a rocksdb::FileSystem answers. Never one that RocksDB would try again: a write that
// failed is final (storage/file_system.h).
rocksdb::IOStatus ToRocksDb(const absl::Status& status);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_ROCKSDB_STATUS_H_

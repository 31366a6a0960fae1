// A rocksdb::FileSystem over ours: all RocksDB does to disks goes through storage/file_system.h, so
// that tests can cut its power and damage its files, and --fsync=never means RocksDB too.

#ifndef STORAGE_ROCKSDB_ROCKSDB_FILE_SYSTEM_H_
#define STORAGE_ROCKSDB_ROCKSDB_FILE_SYSTEM_H_

#include <memory>

#include "rocksdb/file_system.h"
#include "storage/file_system.h"

namespace cairn {

// `file_system` outlives it and everything opened with it. Only what a database needs that reads
// and writes through the page cache: no links, no random writes, no removal of directories, no
// times of files (0). Threads: any, RocksDB has its own.
std::shared_ptr<rocksdb::FileSystem> MakeRocksDbFileSystem(FileSystem& file_system);

}  // namespace cairn

#endif  // STORAGE_ROCKSDB_ROCKSDB_FILE_SYSTEM_H_
